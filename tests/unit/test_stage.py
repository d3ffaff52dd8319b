"""When a stage is done again and when not, what it leaves behind at whatever moment it ends, and early ends."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from splatlib.artifacts import FrameSet, Splat
from splatlib.config import FramesConfig, TrainConfig
from splatlib.errors import (
    WorkspaceBusyError,
    WorkspaceError,
)
from splatlib.stage import Stage
from splatlib.workspace import Workspace
from tests.fakes import fake_frames, fake_splat
from tests.unit.stages import do, frames_stage


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "ws")


# Reuse


def test_an_unchanged_stage_is_reused_and_says_so(ws: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert frames_stage(ws).reuse() is None
    frames = do(frames_stage(ws))
    assert frames_stage(ws).reuse() == frames
    assert caplog.messages[-1] == "frames: unchanged, reused"
    assert len(caplog.messages) == 2  # "done in …" and this: one line


def test_a_field_that_cannot_change_the_result_does_not_redo_it(ws: Workspace) -> None:
    stage = ws.stage(Splat, TrainConfig(), {"cameras": "d"})
    with stage.work() as directory:
        stage.finish(fake_splat(directory))
    assert ws.stage(Splat, TrainConfig(checkpoint_every_s=1), {"cameras": "d"}).reuse() is not None
    assert ws.stage(Splat, TrainConfig(steps=1), {"cameras": "d"}).reuse() is None


def test_a_changed_field_is_named(ws: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    do(frames_stage(ws))
    assert frames_stage(ws, max_frames=50, start_s=1.5).reuse() is None
    words = "frames.max_frames changed from 300 to 50, frames.start_s changed from 0.0 to 1.5"
    assert caplog.messages[-1] == f"frames: doing it again, {words}"


def test_a_changed_input_is_named(ws: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    do(frames_stage(ws))
    assert frames_stage(ws, capture="another").reuse() is None
    assert caplog.messages[-1] == "frames: doing it again, input capture changed"
    assert ws.stage(FrameSet, FramesConfig(), {}).reuse() is None
    assert caplog.messages[-1] == "frames: doing it again, input capture is gone"


@pytest.mark.parametrize("torn", ["", "{", '{"schema": 1, "dig', "[]", "null", "{}", "\udcff"])
def test_a_torn_marker_counts_as_not_done(ws: Workspace, torn: str) -> None:
    frames = do(frames_stage(ws))
    (frames.directory / "artifact.json").write_text(torn, errors="surrogateescape")
    assert frames_stage(Workspace(ws.root)).reuse() is None
    do(frames_stage(ws))
    assert frames_stage(ws).reuse() is not None


def test_a_marker_whose_record_is_damaged_counts_as_not_done(ws: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    frames = do(frames_stage(ws))
    marker = frames.directory / "artifact.json"
    document = json.loads(marker.read_text())
    del document["artifact"]["frames"]
    marker.write_text(json.dumps(document))
    assert frames_stage(ws).reuse() is None
    assert "doing it again" in caplog.messages[-1] and "holds no complete FrameSet" in caplog.messages[-1]


# Work


def test_the_marker_appears_only_at_the_end(ws: Workspace) -> None:
    stage = frames_stage(ws)
    with stage.work() as directory:
        assert ws.frames is None and ws.is_started(FrameSet)
        stage.finish(fake_frames(directory))
    assert ws.frames is not None and not ws.is_started(FrameSet)


def test_an_interrupted_stage_starts_from_an_empty_folder(ws: Workspace) -> None:
    with pytest.raises(KeyboardInterrupt), frames_stage(ws).work() as directory:
        (directory / "half.jpg").write_text("half")
        raise KeyboardInterrupt
    assert ws.is_started(FrameSet)
    stage = frames_stage(ws)
    with stage.work() as directory:
        assert not (directory / "half.jpg").exists() and not stage.resuming


def test_doing_a_stage_again_empties_its_folder(ws: Workspace) -> None:
    (do(frames_stage(ws)).directory / "old.jpg").write_text("old")
    frames = do(frames_stage(ws, max_frames=5))
    assert not (frames.directory / "old.jpg").exists()


@pytest.mark.parametrize("name", ["IMG_1.jpg", "sub/IMG_1.jpg"])
def test_files_of_others_are_not_deleted(ws: Workspace, name: str) -> None:
    """For instance ``splat run holiday/frames --out holiday``."""
    photo = ws.root / "frames" / name
    photo.parent.mkdir(parents=True)
    photo.write_text("the only copy")
    with pytest.raises(WorkspaceError, match="holds files that splatlib did not put there"):
        do(frames_stage(ws))
    assert photo.read_text() == "the only copy"
    assert not ws.is_started(FrameSet)


def test_a_kill_while_a_folder_is_emptied_does_not_matter(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def stage(steps: int) -> Stage[Splat]:
        return ws.stage(Splat, TrainConfig(steps=steps), {})

    def killed(path: Path) -> None:
        raise SystemExit

    with stage(10).work() as directory:
        (directory / "checkpoints").mkdir()
        stage(10).finish(fake_splat(directory))
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr("shutil.rmtree", killed)
        with stage(20).work(keep_partial=True):
            pass
    assert stage(10).reuse() is None  # what is left of it is not whole
    again = stage(20)
    with again.work(keep_partial=True) as directory:
        assert not again.resuming and not (directory / "checkpoints").exists()
        again.finish(fake_splat(directory))


def test_a_failed_redo_does_not_leave_the_old_result(ws: Workspace) -> None:
    do(frames_stage(ws))
    with pytest.raises(ZeroDivisionError), frames_stage(ws, max_frames=5).work():
        raise ZeroDivisionError
    assert ws.frames is None


def test_partial_work_is_kept_for_the_same_digest_only(ws: Workspace) -> None:
    def stage(steps: int) -> Stage[Splat]:
        return ws.stage(Splat, TrainConfig(steps=steps), {"cameras": "d"})

    with pytest.raises(KeyboardInterrupt), stage(10).work(keep_partial=True) as directory:
        (directory / "checkpoint").write_text("step 5")
        raise KeyboardInterrupt
    again = stage(10)
    with again.work(keep_partial=True) as directory:
        assert again.resuming and (directory / "checkpoint").exists()
    other = stage(20)
    with other.work(keep_partial=True) as directory:
        assert not other.resuming and not (directory / "checkpoint").exists()


def test_seconds_add_up_over_interruptions(ws: Workspace) -> None:
    stage = ws.stage(Splat, TrainConfig(), {})
    with pytest.raises(KeyboardInterrupt), stage.work(keep_partial=True) as directory:
        stage.note_seconds()
        stage.note_seconds()
        raise KeyboardInterrupt
    before_s = json.loads((directory / "started.json").read_text())["seconds_before"]
    stage = ws.stage(Splat, TrainConfig(), {})
    with stage.work(keep_partial=True) as directory:
        assert stage.finish(fake_splat(directory)).seconds > before_s > 0


def test_two_processes_cannot_work_in_one_workspace(ws: Workspace) -> None:
    code = (
        "import sys; from splatlib.workspace import *; from splatlib.config import *; "
        "stage = Workspace(sys.argv[1]).stage(FrameSet, FramesConfig(), {}); "
        "work = stage.work(); work.__enter__()"
    )
    with frames_stage(ws).work():
        other = subprocess.run([sys.executable, "-c", code, ws.root], capture_output=True, text=True, check=False)
        assert other.returncode != 0
        assert "WorkspaceBusyError" in other.stderr and "is in use by another process" in other.stderr
        with pytest.raises(WorkspaceBusyError), frames_stage(ws).work():
            pass
    with frames_stage(ws).work():
        assert True  # free again


def test_a_killed_process_leaves_no_lock(ws: Workspace) -> None:
    code = (
        "import os, signal, sys; from splatlib.workspace import *; from splatlib.config import *; "
        "work = Workspace(sys.argv[1]).stage(FrameSet, FramesConfig(), {}).work(); work.__enter__(); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code, ws.root], check=False)
    assert killed.returncode == -9
    assert Workspace(ws.root).is_started(FrameSet)
    assert do(frames_stage(ws)) == frames_stage(ws).reuse()


# Results that somebody stopped early


def train_stage(ws: Workspace, **settings: object) -> Stage[Splat]:
    return ws.stage(Splat, TrainConfig.from_dict(settings), {"cameras": "digest-of-cameras"})


def stopped(ws: Workspace) -> Splat:
    with (stage := train_stage(ws)).work(keep_partial=True) as directory:
        (directory / "checkpoint").write_text("of step 700")
        return stage.finish(fake_splat(directory), stopped_at="step 700 of 1,200")


def test_a_stopped_result_is_reused_and_says_so(ws: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    kept = stopped(ws)
    caplog.set_level(logging.INFO)
    reused = train_stage(ws).reuse()
    assert reused is not None and reused.digest == kept.digest
    assert "train: unchanged, reused as it was stopped, step 700 of 1,200" in caplog.text
    assert train_stage(ws, steps=5).reuse() is None


def test_a_stopped_result_can_be_gone_on_with_and_is_another_one_then(ws: Workspace) -> None:
    before = stopped(ws)
    (stage := train_stage(ws)).reopen()
    with stage.work(keep_partial=True) as directory:
        assert stage.resuming and (directory / "checkpoint").read_text() == "of step 700"
        assert ws.splat() is None and ws.is_started(Splat)
        whole = stage.finish(fake_splat(directory))
    assert whole.digest != before.digest  # so what was made from it is made again
    assert whole.seconds >= before.seconds
    again = train_stage(ws).reuse()
    assert again is not None and again.digest == whole.digest


def test_reopening_what_was_not_stopped_begins_anew(ws: Workspace) -> None:
    with (stage := train_stage(ws)).work() as directory:
        stage.finish(fake_splat(directory))
    (stage := train_stage(ws)).reopen()
    with stage.work(keep_partial=True):
        assert not stage.resuming


def test_seconds_that_were_no_work_are_left_out(ws: Workspace) -> None:
    with (stage := train_stage(ws)).work() as directory:
        stage.leave_out(-100)
        assert 100 <= stage.finish(fake_splat(directory)).seconds < 160


def test_whether_somebody_works_in_it(ws: Workspace) -> None:
    assert not ws.in_use()
    with train_stage(ws).work():
        assert ws.in_use()
    assert not ws.in_use()
