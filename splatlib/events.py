"""What a training tells while it runs, and what it is asked: the language between it and whoever watches.

A training appends to ``metrics.jsonl``, one JSON object a line, each with ``step``:

- ``event``: ``begun`` (with ``steps``, ``device``, ``attempt``), ``paused``, ``continued``, ``stopping``,
  ``interrupted``, ``measuring``, ``finished``, ``failed`` (with ``message``);
- ``loss`` (mean since the line before), ``num_gaussians``;
- ``psnr_db`` (mean over the held-out views) and ``preview`` (a picture, relative to the file's folder);
- beside figures always ``seconds``, ``cpu_seconds`` and ``long_side_px``.

A reader needs nothing but these lines, so it may as well get them from a log far away. Requests go the other way in a
small file of their own, addressed to one attempt: what was asked of a dead process does not stop the next one.
"""

from __future__ import annotations

import json
import os
import queue
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from splatlib.files import write_atomically

Request = Literal["pause", "continue", "stop"]
STATES = {
    "begun": "training",
    "continued": "training",
    "paused": "paused",
    "stopping": "measuring",
    "measuring": "measuring",
    "interrupted": "interrupted",
    "finished": "finished",
    "failed": "failed",
}


@dataclass
class TrainingProgress:
    """What is known of a training from the lines so far.

    Attributes:
        state: ``waiting`` (nothing told yet), ``training``, ``paused``, ``measuring``, ``finished``, ``interrupted`` or
            ``failed``.
        steps: how many there will be; 0 while unknown.
        losses, evaluations: the lines with a loss, and with a PSNR, by step; a later line about a step replaces an
            earlier one.
        preview: the newest picture, relative to the training's folder.
        message: why it failed.
        stopped: whether it was asked to end early.
        torn_lines: lines that could not be read, as a killed process leaves one.
    """

    state: str = "waiting"
    step: int = 0
    steps: int = 0
    device: str = ""
    attempt: str = ""
    losses: dict[int, dict[str, Any]] = field(default_factory=dict)
    evaluations: dict[int, dict[str, Any]] = field(default_factory=dict)
    preview: str | None = None
    message: str = ""
    stopped: bool = False
    torn_lines: int = 0

    @property
    def loss(self) -> float | None:
        return self.losses[max(self.losses)]["loss"] if self.losses else None

    @property
    def psnr_db(self) -> float | None:
        return self.evaluations[max(self.evaluations)]["psnr_db"] if self.evaluations else None

    @property
    def num_gaussians(self) -> int | None:
        counted = [step for step, record in self.losses.items() if "num_gaussians" in record]
        return self.losses[max(counted)]["num_gaussians"] if counted else None

    @property
    def seconds(self) -> float:
        """Spent on training, pauses left out."""
        return max((r.get("seconds", 0.0) for r in [*self.losses.values(), *self.evaluations.values()]), default=0.0)

    @property
    def seconds_left(self) -> float | None:
        """At the pace of the newest fifth of the lines: steps on larger pictures take longer."""
        steps = sorted(step for step, record in self.losses.items() if "seconds" in record)
        if len(steps) < 2 or not self.steps:
            return None
        first, last = steps[-max(2, len(steps) // 5)], steps[-1]
        pace = (self.losses[last]["seconds"] - self.losses[first]["seconds"]) / (last - first)
        return max(0.0, pace * (self.steps - self.step))

    @property
    def ended(self) -> bool:
        return self.state in ("finished", "interrupted", "failed")

    def take_line(self, line: str) -> None:
        """Learn from a line of the file; a torn one is only counted."""
        try:
            record = json.loads(line)
            int(record["step"])
        except (ValueError, KeyError, TypeError):
            self.torn_lines += 1
        else:
            self.take(record)

    def take(self, record: Mapping[str, Any]) -> None:
        """Learn from what a line says."""
        step = int(record["step"])
        if self.state == "waiting":
            self.state = "training"
        if event := record.get("event"):
            self._take_event(event, record)
        if "loss" in record:
            self.losses[step] = dict(record)
        if "psnr_db" in record:
            self.evaluations[step] = dict(record)
        self.preview = record.get("preview", self.preview)
        self.step = step

    def _take_event(self, event: str, record: Mapping[str, Any]) -> None:
        self.state = STATES.get(event, self.state)
        self.message = record.get("message", "")
        if event == "begun":
            self.steps, self.device = record["steps"], record.get("device", "")
            self.attempt = record.get("attempt", "")
        self.stopped = event == "stopping" or (self.stopped and event != "begun")


def read_progress(path: Path) -> TrainingProgress:
    """All that a file tells. No file: nothing is known."""
    progress = TrainingProgress()
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        progress.take_line(line)
    return progress


def append_event(path: Path, step: int, event: str, **more: Any) -> None:
    """Add an event to a training's file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"step": step, "event": event, **more}) + "\n")


class FileFollower:
    """Reads on in a training's file whenever asked; a training that begins anew is followed from its beginning.

    Attributes:
        directory: where the pictures that the lines name lie.
    """

    def __init__(self, path: Path) -> None:
        self._path, self.directory = path, path.parent
        self._start_over(None)

    def poll(self) -> TrainingProgress:
        """What is known by now."""
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                # A resumed training replaces the file; one that begins anew removes it.
                if status.st_ino != self._inode or status.st_size < self._offset:
                    self._start_over(status.st_ino)
                file.seek(self._offset)
                whole, _, _ = file.read().rpartition(b"\n")
        except FileNotFoundError:
            return self._progress
        if whole:
            self._offset += len(whole) + 1
            for line in whole.decode(errors="replace").splitlines():
                self._progress.take_line(line)
        return self._progress

    def _start_over(self, inode: int | None) -> None:
        self._progress, self._offset, self._inode = TrainingProgress(), 0, inode


class StreamFollower:
    """Follows a training by records that come from anywhere else, for instance the log of a job on another machine.

    >>> StreamFollower(handle.events(follow=True))

    Args:
        records: gives the next one when there is one; a thread of its own waits for them.
    """

    directory = None

    def __init__(self, records: Iterable[Mapping[str, Any]]) -> None:
        self._records, self._progress = records, TrainingProgress()
        self._coming: queue.SimpleQueue[Mapping[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=self._receive, name="splatlib-events", daemon=True).start()

    def poll(self) -> TrainingProgress:
        while not self._coming.empty():
            self._progress.take(self._coming.get())
        return self._progress

    def _receive(self) -> None:
        for record in self._records:
            if "step" in record:
                self._coming.put(record)


class Control:
    """The file in which requests to a training lie until it looks, some times a second."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def ask(self, request: Request, attempt: str) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self._path, json.dumps({"attempt": attempt, "request": request}))

    def asked(self, attempt: str) -> Request | None:
        """The newest request to an attempt."""
        try:
            document = json.loads(self._path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return document["request"] if document.get("attempt") == attempt else None

    def clear(self) -> None:
        self._path.unlink(missing_ok=True)
