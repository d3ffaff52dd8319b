"""Training in the background: a process of its own, so that the notebook stays usable and survives whatever it does."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, Protocol

import splatlib
from splatlib.artifacts import ARTIFACT_FILE, SparseScene, Splat
from splatlib.config import TrainConfig
from splatlib.errors import ArtifactError, SplatlibError, TrainingError
from splatlib.events import Control, FileFollower, Request, StreamFollower, TrainingProgress
from splatlib.gaussians import Gaussians
from splatlib.progress import bar, mode
from splatlib.train import child
from splatlib.train.listening import hear_widgets
from splatlib.workspace import Workspace

POLL_EVERY_S = 0.2
_DISPLAY = "splatlib.widgets.live"  # named as text, since pictures are drawn by a layer above
_STATED_LINES = 15  # of what a process that died had printed


class Follower(Protocol):
    """Where the lines of a training come from."""

    @property
    def directory(self) -> Path | None: ...

    def poll(self) -> TrainingProgress: ...


class FollowedTraining:
    """A training that runs somewhere, to watch and, where its workspace can be reached, to steer.

    Attributes:
        directory: where its pictures and checkpoints lie; None if that is far away.
    """

    def __init__(self, follower: Follower, ws: Workspace | None = None, run: str = "main") -> None:
        self._follower, self._ws, self._run = follower, ws, run
        self._views: list[Callable[[], None]] = []
        self.directory = follower.directory

    @property
    def progress(self) -> TrainingProgress:
        """What the training has told by now."""
        return self._follower.poll()

    @property
    def can_be_steered(self) -> bool:
        return self._ws is not None and not self.ended

    @property
    def ended(self) -> bool:
        """Whether nothing more will come: also where the process was killed and could not say so."""
        return self.progress.ended or (self._ws is not None and not self._ws.in_use())

    def show(self) -> None:
        """Show it live in a notebook: curves, the newest picture, and buttons to pause, go on, and stop and keep.

        A batch run has no buttons: it shows what there is now, and at the end of ``wait`` what there is then.
        """
        self._views.append(importlib.import_module(_DISPLAY).show(self))

    def pause(self) -> None:
        """Wait between two steps, the state saved, until ``resume`` or a stop. Raises TrainingError if it has ended."""
        self._ask("pause")

    def resume(self) -> None:
        """Go on after a ``pause``. Raises TrainingError if it has ended."""
        self._ask("continue")

    def request_stop(self) -> None:
        """End after the step it is at, and keep the splat as it is then: measured, and labelled with the steps done.

        Raises TrainingError if it has ended.
        """
        self._ask("stop")

    def snapshot(self) -> Gaussians:
        """The Gaussians of its last checkpoint. Raises ArtifactError if there is none yet."""
        import torch

        from splatlib.render.protocol import gaussians_from_parameters

        path = None if self.directory is None else self.directory / "checkpoints" / "checkpoint.pt"
        if path is None or not path.exists():
            raise ArtifactError(
                "the training has saved no state yet", hint="wait for its first checkpoint, or pause it"
            )
        state = torch.load(path, weights_only=True, map_location="cpu")
        return gaussians_from_parameters(state["trainer"]["parameters"])

    def scene(self) -> SparseScene | None:
        """What it trains on, where that can be told."""
        return None if self._ws is None else self._ws.scene

    def _ask(self, request: Request) -> None:
        if self._ws is None:
            raise TrainingError("this training can only be watched", why="its workspace is not on this machine")
        attempt = self._attempt()
        if self.ended or not attempt:
            raise TrainingError(
                f"no training {self._run!r} is running in {self._ws.root}",
                hint="start it; what was interrupted goes on",
            )
        Control(self._ws.control_path(self._run)).ask(request, attempt)

    def _attempt(self) -> str:
        return self.progress.attempt

    def __repr__(self) -> str:
        progress = self.progress
        return f"<training: {progress.state}, step {progress.step:,} of {progress.steps:,}>"


class BackgroundTraining(FollowedTraining):
    """A training that this process started."""

    def __init__(self, ws: Workspace, run: str, process: subprocess.Popen[bytes], attempt: str, log: Any) -> None:
        super().__init__(FileFollower(ws.directory(Splat, run) / "metrics.jsonl"), ws, run)
        self.ws, self._process, self._own_attempt, self._log = ws, process, attempt, log
        self._answer: dict[str, Any] = {}
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    @property
    def progress(self) -> TrainingProgress:
        """What it has told by now. An earlier attempt in the same folder does not count."""
        progress = self._follower.poll()
        return progress if progress.attempt == self._own_attempt else TrainingProgress()

    @property
    def ended(self) -> bool:
        return not self._watcher.is_alive()

    def wait(self, timeout_s: float | None = None) -> Splat:
        """The finished splat.

        An interrupted wait (Ctrl-C, the stop button of the notebook) leaves the training alone. A notebook's kernel
        that waits here hears no buttons; ``await training`` waits too, and hears them.

        Raises:
            TimeoutError: it is still at it.
            SplatlibError: as of ``train_splat``.
        """
        for _ in self._until_ended(timeout_s):
            self._watcher.join(POLL_EVERY_S)
        return self._result()

    def __await__(self) -> Generator[Any, None, Splat]:
        return self._awaited().__await__()

    async def _awaited(self) -> Splat:
        for _ in self._until_ended(None):
            await asyncio.sleep(POLL_EVERY_S)
            await hear_widgets()
        return self._result()

    def _until_ended(self, timeout_s: float | None) -> Iterator[None]:
        """Something for each look that has to be waited for; then all views are up to date."""
        end_s = None if timeout_s is None else time.monotonic() + timeout_s
        has_own_bar = bool(self._views) and mode() == "auto"
        with contextlib.nullcontext() if has_own_bar else bar(None, "training", "step") as shown:
            while not self.ended:
                progress = self.progress
                if shown is not None:
                    shown.total = progress.steps or None
                    shown.update(progress.step - shown.n)
                if end_s is not None and time.monotonic() > end_s:
                    raise TimeoutError(f"training {self._run!r} is at step {progress.step} of {progress.steps}")
                yield
            if shown is not None:
                shown.update(self.progress.step - shown.n)
                shown.total = shown.n if self.progress.stopped else shown.total  # a stop is no failure
                shown.refresh()
        for refresh in self._views:
            refresh()

    def stop(self) -> Splat:
        """End it now and keep the splat as it is: measured, and labelled with the steps done."""
        if not self.ended:
            self.request_stop()
        return self.wait()

    def interrupt(self) -> None:
        """End it without a result. Its state is saved: started again, it goes on."""
        self._close_input()
        self._watcher.join()

    def _attempt(self) -> str:
        return self._own_attempt

    def _watch(self) -> None:
        assert self._process.stdout is not None
        answer = self._process.stdout.read()
        self._process.wait()
        self._close_input()
        try:
            self._answer = json.loads(answer)
        except ValueError:
            self._answer = {}
        _running.discard(self)

    def _close_input(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it is gone, and what was on the way with it
            self._process.stdin.close()

    def _result(self) -> Splat:
        if "done" in self._answer:
            splat = self.ws.splat(self._run)
            if splat is None:
                raise ArtifactError(
                    f"{self.directory} holds no {ARTIFACT_FILE}", why="it was removed after the training"
                )
            return splat
        if "interrupted" in self._answer:
            raise TrainingError(f"training {self._run!r} was interrupted", hint="start it again: it goes on")
        if "code" in self._answer:
            kind = _kinds()[self._answer["code"]]
            raise kind(*(self._answer[part] for part in ("what", "why", "hint")))
        self._log.seek(0)
        told = self._log.read().decode(errors="replace").splitlines()[-_STATED_LINES:]
        status = self._process.returncode
        why = f"it was killed by signal {-status}; often memory ran out" if status < 0 else "\n".join(told)
        raise TrainingError(
            f"the process of training {self._run!r} died",
            why=why,
            hint=f"start it again: it goes on from its last checkpoint; see {self.ws.logs_directory / 'train.log'}",
        )


# Whoever loses the variable must not end the training: its standard input would close.
_running: set[BackgroundTraining] = set()


def start_training(
    scene: SparseScene, ws: Workspace, config: TrainConfig | None = None, *, run: str = "main", go_on: bool = False
) -> BackgroundTraining:
    """``train_splat`` in a process of its own, and back at once.

    >>> training = sl.start_training(scene, ws)
    >>> training.show()          # live, in a notebook; pause, resume and stop are methods too
    >>> splat = training.wait()  # or training.stop(): keep what there is

    The training ends with this process, its state saved; started again, it goes on.

    Args, and what ``wait`` raises: as of ``train_splat``.

    Raises:
        TrainingError: too few views or points, told before anything is started.
    """
    from splatlib.train.stage import checked_views

    config = config or TrainConfig()
    checked_views(scene, config)
    for training in _running:
        if training.ws.root == ws.root and training._run == run and not training.ended:
            raise TrainingError(f"training {run!r} of {ws.root} is running already", hint="stop it, or wait for it")
    attempt = uuid.uuid4().hex[:12]
    log = tempfile.TemporaryFile()  # noqa: SIM115 (read when the process has died)
    places = [str(Path(splatlib.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, places)), "SPLATLIB_PROGRESS": "off"}
    process = subprocess.Popen(
        [sys.executable, "-m", "splatlib.train.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        env={**os.environ, **environment},
        start_new_session=True,  # Ctrl-C here interrupts what waits for it, not the training
    )
    assert process.stdin is not None
    child.send(child.Order(scene, ws.root, config, run, go_on, attempt), process.stdin)
    training = BackgroundTraining(ws, run, process, attempt, log)
    _running.add(training)
    return training


def follow_training(source: Workspace | Any, run: str = "main") -> FollowedTraining:
    """A training that something else does, or did.

    Args:
        source: a workspace on this machine; or what gives a training's events from elsewhere: the handle of a submitted
            job, or an iterator of records.
    """
    if isinstance(source, Workspace):
        return FollowedTraining(FileFollower(source.directory(Splat, run) / "metrics.jsonl"), source, run)
    return FollowedTraining(StreamFollower(source.events(follow=True) if hasattr(source, "events") else source))


def _kinds() -> dict[str, type[SplatlibError]]:
    """All error classes by their code."""
    kinds, found = [SplatlibError], {}
    while kinds:
        kind = kinds.pop()
        found[kind.code] = kind
        kinds += kind.__subclasses__()
    return found
