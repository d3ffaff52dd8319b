"""What is read from a training's lines, and how a file is followed while it grows, is cut, or is replaced."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from splatlib.artifacts import Splat
from splatlib.container.follow import followed
from splatlib.errors import TrainingError
from splatlib.events import Control, FileFollower, StreamFollower, TrainingProgress, append_event, read_progress
from splatlib.files import write_atomically
from splatlib.launch.contract import event_of
from splatlib.train import follow_training
from splatlib.workspace import Workspace

BEGUN = {"step": 0, "event": "begun", "steps": 100, "device": "cpu", "attempt": "a1"}
LINES: list[dict[str, Any]] = [
    BEGUN,
    {"step": 20, "seconds": 2.0, "loss": 0.5, "num_gaussians": 10},
    {"step": 40, "seconds": 4.0, "loss": 0.25, "num_gaussians": 20},
    {"step": 40, "seconds": 4.5, "psnr_db": 21.5, "preview": "previews/000040.jpg"},
]


def text(lines: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(line) + "\n" for line in lines)


def progress_of(lines: list[dict[str, Any]]) -> TrainingProgress:
    progress = TrainingProgress()
    for line in text(lines).splitlines():
        progress.take_line(line)
    return progress


def test_progress_knows_what_was_told() -> None:
    progress = progress_of(LINES)
    assert (progress.state, progress.step, progress.steps, progress.attempt) == ("training", 40, 100, "a1")
    assert (progress.loss, progress.psnr_db, progress.num_gaussians) == (0.25, 21.5, 20)
    assert progress.preview == "previews/000040.jpg"
    assert progress.seconds == 4.5
    assert progress.seconds_left == pytest.approx(6.0)  # 60 steps at 20 steps in 2 s


def test_nothing_told_is_nothing_known() -> None:
    progress = TrainingProgress()
    assert (progress.state, progress.loss, progress.psnr_db, progress.num_gaussians) == ("waiting", None, None, None)
    assert progress.seconds_left is None and not progress.ended


@pytest.mark.parametrize(
    ("events", "state", "stopped", "ended"),
    [
        (["paused"], "paused", False, False),
        (["paused", "continued"], "training", False, False),
        (["stopping"], "measuring", True, False),
        (["stopping", "finished"], "finished", True, True),
        (["measuring", "finished"], "finished", False, True),
        (["interrupted"], "interrupted", False, True),
        (["failed"], "failed", False, True),
    ],
)
def test_events_change_the_state(events: list[str], state: str, stopped: bool, ended: bool) -> None:
    progress = progress_of([*LINES, *({"step": 40, "event": event} for event in events)])
    assert (progress.state, progress.stopped, progress.ended) == (state, stopped, ended)
    progress.take_line(json.dumps({**BEGUN, "step": 40, "attempt": "a2"}))  # gone on with, by another process
    assert (progress.state, progress.stopped, progress.attempt) == ("training", False, "a2")


def test_a_file_is_followed_as_it_grows_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    follower = FileFollower(path)
    assert follower.poll().state == "waiting"
    whole = text(LINES)
    for cut in range(0, len(whole), 7):  # torn at any place: no line is lost or read twice
        path.write_text(whole[:cut])
        follower.poll()
    path.write_text(whole)
    assert follower.poll() == progress_of(LINES)
    append_event(path, 40, "paused")
    assert follower.poll().state == "paused"


def test_a_resumed_training_is_followed_from_its_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(text(LINES))
    follower = FileFollower(path)
    follower.poll()
    resumed = [*LINES[:2], {**BEGUN, "step": 20, "attempt": "a2"}, {"step": 60, "seconds": 9.0, "loss": 0.125}]
    write_atomically(path, text(resumed) + " " * 500 + "\n")  # longer than before: only the file's number tells
    progress = follower.poll()
    assert list(progress.losses) == [20, 60] and progress.evaluations == {} and progress.attempt == "a2"


def test_a_training_that_begins_anew_is_followed_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(text(LINES))
    follower = FileFollower(path)
    follower.poll()
    path.write_text(text(LINES[:2]))
    assert list(follower.poll().losses) == [20]


def test_a_stream_from_elsewhere_is_followed_without_waiting_for_it() -> None:
    def records() -> Any:
        yield {"stage": "frames", "state": "done"}  # of other stages
        yield from LINES
        while True:
            time.sleep(0.01)  # the log of a job that has more to say later

    follower = StreamFollower(records())
    end_s = time.monotonic() + 20
    while follower.poll().psnr_db is None and time.monotonic() < end_s:
        time.sleep(0.01)
    assert follower.poll() == progress_of(LINES)


def test_a_job_elsewhere_is_followed_through_its_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the container prints and the launchers read is enough for the live view."""
    ws = Workspace(tmp_path)
    with followed(ws, "main"):
        (folder := ws.directory(Splat)).mkdir(parents=True)
        (folder / "started.json").write_text("{}")
        (folder / "metrics.jsonl").write_text(text([*LINES, {"step": 100, "event": "finished"}]))
    log = capsys.readouterr().out.splitlines()
    job = SimpleNamespace(events=lambda follow: (event for line in log if (event := event_of(line)) is not None))
    training = follow_training(job)
    end_s = time.monotonic() + 20
    while not training.ended and time.monotonic() < end_s:
        time.sleep(0.01)
    progress = training.progress
    assert (progress.state, progress.step, progress.steps) == ("finished", 100, 100)
    assert (progress.loss, progress.psnr_db, progress.num_gaussians) == (0.25, 21.5, 20)
    assert not training.can_be_steered
    with pytest.raises(TrainingError, match="can only be watched"):
        training.pause()


def test_requests_reach_the_attempt_that_they_are_addressed_to(tmp_path: Path) -> None:
    control = Control(tmp_path / "train" / "main.control.json")
    assert control.asked("a1") is None
    control.ask("pause", "a1")
    assert control.asked("a1") == "pause"
    assert control.asked("a2") is None  # a process that is dead was asked
    control.ask("stop", "a1")
    assert control.asked("a1") == "stop"
    control.clear()
    control.clear()
    assert control.asked("a1") is None
    (tmp_path / "train" / "main.control.json").write_text('{"attempt')
    assert control.asked("a1") is None


def test_reading_a_whole_file_counts_torn_lines(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text(text(LINES) + 'null\n{"loss": 3}\n{"step": 60, "lo')
    assert read_progress(tmp_path / "m.jsonl").torn_lines == 3
