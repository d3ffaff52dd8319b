"""Jobs as child processes of this machine: the container's entry point, in a folder that stands for ``/opt/ml``."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess  # nosec B404: starts our own entry point
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from splatlib.config import Job
from splatlib.errors import JobNotFoundError, LaunchError
from splatlib.files import os_errors_translated, write_atomically
from splatlib.launch.baggage import Baggage, job_name, pack
from splatlib.launch.contract import CAPTURE_CHANNEL, ROOT_VARIABLE, ContainerPaths, event_of
from splatlib.launch.protocol import JobHandle, JobStatus, State

_LOG_FILE, _LOCK_FILE, _PROCESS_FILE = "output/log.txt", "running.lock", "process.json"
_RESULTS = ("export", "report.json", "report.html", "job.json")
_STATE_OF_EVENT: dict[str, State] = {"done": "done", "failed": "failed", "interrupted": "stopped"}
_WAIT_FOR_LINES_S = 0.1


@dataclass(frozen=True)
class LocalProcess:
    """Runs jobs on this machine, beside the program that submits them; they outlive it.

    Attributes:
        root: holds a folder for each job, which looks like a container's ``/opt/ml``.
        environment: more variables for the child.
    """

    root: Path | str = Path("runs/jobs")
    environment: Mapping[str, str] = field(default_factory=dict)

    def submit(self, job: Job, name: str | None = None) -> LocalJob:
        """Start a job. Raises LaunchError if the name is taken, CaptureNotFoundError if a file is not there."""
        handle = LocalJob(name or job_name(job), self)
        if handle.paths.root.exists():
            raise LaunchError(
                f"there is a job {handle.name} already", why=f"{handle.paths.root} is there", hint="choose another name"
            )
        baggage = pack(job)
        with os_errors_translated(handle.paths.root):
            _lay_out(baggage, handle.paths)
        handle.start()
        return handle

    def attach(self, name: str) -> LocalJob:
        """A job of this root. Raises JobNotFoundError."""
        handle = LocalJob(name, self)
        if not handle.paths.job.is_dir():
            raise JobNotFoundError(f"there is no job {name}", why=f"{handle.paths.root} holds none")
        return handle

    def jobs(self) -> Sequence[LocalJob]:
        """All jobs of this root, the latest first."""
        found = [path for path in Path(self.root).glob("*") if (path / "input" / "data").is_dir()]
        return [LocalJob(path.name, self) for path in sorted(found, key=lambda p: p.stat().st_mtime, reverse=True)]


class LocalJob(JobHandle):
    """A job of ``LocalProcess``."""

    def __init__(self, name: str, launcher: LocalProcess) -> None:
        super().__init__(name)
        self._launcher = launcher
        self.paths = ContainerPaths(Path(launcher.root).absolute() / name)
        self._log = self.paths.root / _LOG_FILE
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process, or start it again: it goes on from the last checkpoint.

        Raises LaunchError if it is running.
        """
        with os_errors_translated(self.paths.root), self._lock() as lock:
            if lock is None:
                raise LaunchError(f"the job {self.name} is running", hint="wait for it, or stop it")
            self.paths.failure.unlink(missing_ok=True)
            environment = {"SPLATLIB_PROGRESS": "text", **os.environ, ROOT_VARIABLE: str(self.paths.root)}
            with self._log.open("ab") as log:
                log_bytes_before = log.tell()
                # The child inherits the lock and holds it for as long as it lives, however it dies.
                self._process = subprocess.Popen(  # nosec B603: no shell, and nothing of it is input
                    [sys.executable, "-m", "splatlib.container"],
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    env={**environment, **self._launcher.environment},
                    pass_fds=[lock.fileno()],
                    start_new_session=True,  # Ctrl-C here is not meant for it
                )
            started = {"pid": self._process.pid, "started_s": time.time(), "log_bytes_before": log_bytes_before}
            write_atomically(self.paths.root / _PROCESS_FILE, json.dumps(started))

    @property
    def pid(self) -> int:
        """Of the process that was started last."""
        return int(self._started()["pid"])

    def status(self) -> JobStatus:
        if self._process is not None:
            self._process.poll()  # one that has ended is not to stay behind as a zombie
        with self._lock() as lock:
            running = lock is None
        started = self._started()
        last_word = self._last_word()
        if running:
            stopping = last_word == "terminating"
            return JobStatus("stopping" if stopping else "running", seconds=time.time() - started["started_s"])
        ended_s = self._log.stat().st_mtime if self._log.exists() else started["started_s"]
        seconds = max(0.0, ended_s - started["started_s"])
        if last_word not in _STATE_OF_EVENT:
            return JobStatus("failed", reason="the process was killed, perhaps for want of memory", seconds=seconds)
        reason = ""
        if last_word == "failed" and self.paths.failure.exists():
            reason = self.paths.failure.read_text(encoding="utf-8")
        return JobStatus(_STATE_OF_EVENT[last_word], reason=reason, seconds=seconds)

    def logs(self, follow: bool = False) -> Iterator[str]:
        """Lines of all its processes, in order."""
        if not self._log.exists():
            return
        with self._log.open(encoding="utf-8", errors="replace") as log:
            rest = ""
            while True:
                # asked before reading: what the process wrote last must not be lost
                ended = not follow or self.status().ended
                # text-mode reading makes line ends of the carriage returns that progress bars move by
                *lines, rest = (rest + log.read()).split("\n")
                yield from lines
                if ended:
                    break
                time.sleep(_WAIT_FOR_LINES_S)
            if rest:
                yield rest

    def stop(self) -> None:
        with self._lock() as lock:
            running = lock is None
        if running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def fetch(self, out: str | Path | None = None, everything: bool = False) -> Path:
        """Its workspace is on this machine: its folder, or a copy in ``out``."""
        there = self.paths.workspace
        if not (there / "report.json").exists() and not everything:
            raise LaunchError(f"the job {self.name} has no results yet", hint="wait for it")
        if out is None:
            return there
        out = Path(out)
        with os_errors_translated(out):
            (out / "logs").mkdir(parents=True, exist_ok=True)
            for path in there.iterdir() if everything else map(there.joinpath, _RESULTS):
                if path.is_dir():
                    shutil.copytree(path, out / path.name, dirs_exist_ok=True)
                elif path.name != ".lock":
                    shutil.copy2(path, out / path.name)
        return out

    @contextlib.contextmanager
    def _lock(self) -> Iterator[IO[str] | None]:
        """The lock that the running process holds; None while it does."""
        try:
            import fcntl
        except ImportError as error:
            raise LaunchError(
                "jobs as child processes need Linux or macOS", hint="splat run does the same in this process"
            ) from error
        with (self.paths.root / _LOCK_FILE).open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
                return
            yield file

    def _started(self) -> dict[str, float]:
        try:
            return json.loads((self.paths.root / _PROCESS_FILE).read_text())
        except FileNotFoundError as error:
            raise LaunchError(f"the job {self.name} was never started", hint="start it with its start()") from error

    def _last_word(self) -> str:
        """What the process that was started last said of itself last: started, terminating, done, …"""
        said = "started"
        with self._log.open("rb") as log:
            log.seek(int(self._started()["log_bytes_before"]))
            for line in log:
                event = event_of(line.decode(errors="replace")) if b"job=" in line else None
                said = event.get("job", said) if event else said
        return said


def _lay_out(baggage: Baggage, paths: ContainerPaths) -> None:
    """The channels as SageMaker would fill them; files of this disk as links."""
    for folder in (paths.job, paths.capture, paths.workspace, paths.results, paths.failure.parent):
        folder.mkdir(parents=True)
    for file in baggage.files:
        link = paths.root / "input" / "data" / CAPTURE_CHANNEL / file.sha256
        if not link.exists():
            link.symlink_to(file.path.resolve())
    for name, content in baggage.documents.files().items():
        write_atomically(paths.job / name, content)
