"""The entry point: read the job, reconstruct in the checkpoint folder, leave results or the reason why not."""

from __future__ import annotations

import importlib
import logging
import shutil
import signal
import sys
import threading
import traceback
from types import FrameType

from splatlib._version import __version__
from splatlib.container.follow import followed
from splatlib.container.inputs import placed_job
from splatlib.container.restored import discard_torn_stages
from splatlib.container.several_gpus import on_all_gpus, wanted_gpus
from splatlib.errors import SplatlibError
from splatlib.files import os_errors_translated, write_atomically
from splatlib.launch.contract import (
    DONE,
    FAILED,
    INTERRUPTED,
    ContainerPaths,
    event_line,
    failure_text,
)
from splatlib.pipeline import Reconstruction, reconstruct, together
from splatlib.progress import logger
from splatlib.workspace import Workspace


def main() -> int:
    """Returns the exit status: ``DONE``, ``FAILED`` or ``INTERRUPTED``."""
    paths = ContainerPaths.of_environment()
    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    logger.setLevel(logging.INFO)
    interrupted = _terminate_like_ctrl_c()
    try:
        if (gpus := wanted_gpus(paths.config)) > 1:
            return on_all_gpus(gpus)
        _run(paths)
    except KeyboardInterrupt:
        print(event_line(job="interrupted"), flush=True)
        return INTERRUPTED if interrupted.is_set() else FAILED
    except SplatlibError as error:
        print(error, file=sys.stderr)
        return _failed(paths, error)
    except Exception as error:  # noqa: BLE001  the border of the process: whatever it was, the reason is left behind
        traceback.print_exc()
        return _failed(paths, error)
    print(event_line(job="done"), flush=True)
    return DONE


def _run(paths: ContainerPaths) -> None:
    print(event_line(job="started", splatlib=__version__), flush=True)
    job = placed_job(paths)
    with together() as leads:
        if leads:
            discard_torn_stages(paths.workspace)
            ws = Workspace(paths.workspace)
            with followed(ws, job.run):
                result = reconstruct(job, ws)
            leave_results(result, ws, paths)


def leave_results(result: Reconstruction, ws: Workspace, paths: ContainerPaths) -> None:
    """Copies of exports, report and job, as a workspace of their own that holds nothing else."""
    with os_errors_translated(paths.results):
        exports = paths.results / result.exports.directory.relative_to(ws.root)
        shutil.copytree(result.exports.directory, exports, dirs_exist_ok=True)
        for file in (ws.job_path, ws.report_json_path, ws.report_html_path):
            shutil.copy2(file, paths.results / file.name)


def _failed(paths: ContainerPaths, error: BaseException) -> int:
    """Leave the reason where SageMaker looks for it; a disk that refuses even that hides nothing: it is in the log."""
    print(event_line(job="failed"), flush=True)
    try:
        paths.failure.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(paths.failure, failure_text(error))
    except OSError as trouble:
        print(f"the failure file cannot be written: {trouble}", file=sys.stderr)
    return FAILED


def _terminate_like_ctrl_c() -> threading.Event:
    """Let SIGTERM, with which a spot instance is taken away, act as Ctrl-C does: training saves its state first.

    SageMaker sends SIGKILL two minutes later; C++ that runs for longer loses the stage it is in, and no more.
    """
    arrived = threading.Event()

    def on_terminate(signum: int, frame: FrameType | None) -> None:
        if not arrived.is_set():  # a second Ctrl-C would break off the saving
            arrived.set()
            print(event_line(job="terminating"), flush=True)
            signal.raise_signal(signal.SIGINT)

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts with it ignored
    signal.signal(signal.SIGTERM, on_terminate)
    importlib.import_module("splatlib.cameras")  # COLMAP's glog takes SIGTERM for a crash, from its import on
    signal.signal(signal.SIGTERM, on_terminate)
    return arrived


if __name__ == "__main__":
    sys.exit(main())
