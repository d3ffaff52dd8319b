"""Tells on standard output how the work in a workspace goes on, in lines that the launchers read."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any

from splatlib.artifacts import ARTIFACT_FILE, CaptureCheck, ExportBundle, FrameSet, MaskSet, SparseScene, Splat
from splatlib.errors import ArtifactError
from splatlib.launch.contract import event_line
from splatlib.workspace import Workspace

INTERVAL_S = 0.5
_KINDS = (FrameSet, MaskSet, CaptureCheck, SparseScene, Splat, ExportBundle)


@contextlib.contextmanager
def followed(ws: Workspace, run: str) -> Iterator[None]:
    """While inside, a line when a stage starts or is done, and one for each entry of the training's metrics."""
    follower, leave = _Follower(ws, run), threading.Event()

    def look() -> None:
        while not leave.wait(INTERVAL_S):
            follower.look()

    thread = threading.Thread(target=look, name="splatlib-follow", daemon=True)
    thread.start()
    try:
        yield
    finally:
        leave.set()
        thread.join()
        follower.look()


class _Follower:
    def __init__(self, ws: Workspace, run: str) -> None:
        self._ws, self._run = ws, run
        self._metrics = ws.directory(Splat, run) / "metrics.jsonl"
        self._position = self._told_step = 0
        # What an earlier container did, it told.
        self._told_step = max((entry["step"] for entry in self._new_entries()), default=0) + 1
        self._told = {kind.stage: state for kind in _KINDS if (state := self._state(kind)) == "done"}

    def look(self) -> None:
        for kind in _KINDS:
            state = self._state(kind)
            if kind is Splat and state:
                self._tell_metrics()
            if state and state != self._told.get(kind.stage):
                self._told[kind.stage] = state
                print(event_line(stage=kind.stage, state=state, **self._figures(kind, state)), flush=True)

    def _state(self, kind: type) -> str:
        if (self._ws.directory(kind, self._run) / ARTIFACT_FILE).exists():
            return "done"
        return "started" if self._ws.is_started(kind, self._run) else ""

    def _figures(self, kind: type, state: str) -> dict[str, float | None]:
        """Of a stage that is done its seconds, and of a splat its quality, which SageMaker keeps as the final one."""
        # the stage may begin anew between the look and this
        with contextlib.suppress(ArtifactError):
            if state == "done" and (artifact := self._ws.find(kind, self._run)) is not None:
                quality = {}
                if isinstance(artifact, Splat):
                    psnr_db = None if artifact.psnr_db is None else round(artifact.psnr_db, 3)
                    quality = {"psnr_db": psnr_db, "num_gaussians": artifact.num_gaussians}
                return {"seconds": round(artifact.seconds, 1), **quality}
        return {}

    def _tell_metrics(self) -> None:
        """Entries after the last one told. A resumed training repeats some, with the same values."""
        for entry in self._new_entries():
            if "event" in entry or entry["step"] >= self._told_step:  # that it began again is always news
                told = {name: v for name, v in entry.items() if isinstance(v, int | float | str) and name != "message"}
                print(event_line(stage=Splat.stage, **told), flush=True)
                self._told_step = entry["step"]

    def _new_entries(self) -> list[dict[str, Any]]:
        """Whole lines since the last call; from the beginning if the file was cut, as a resumed training does."""
        try:
            with self._metrics.open("rb") as file:
                if file.seek(0, 2) < self._position:
                    self._position = 0
                file.seek(self._position)
                whole, newline, _ = file.read().rpartition(b"\n")
        except FileNotFoundError:
            self._position = self._told_step = 0
            return []
        self._position += len(whole) + len(newline)
        return [json.loads(line) for line in whole.splitlines() if line.endswith(b"}")]
