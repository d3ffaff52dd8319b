"""The workspace: digests, what lies in it, logs, and how trouble with disks is told."""

from __future__ import annotations

import errno
import json
import logging
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splatlib.artifacts import ExportBundle, FrameSet, Splat
from splatlib.config import ExportConfig, Job, TrainConfig
from splatlib.errors import (
    ArtifactError,
    ConfigError,
    WorkspaceError,
    WorkspaceFullError,
    WorkspaceNewerError,
    WorkspaceNotWritableError,
)
from splatlib.files import digest_of, digest_of_path, write_atomically
from splatlib.stage import SCHEMA, library_versions
from splatlib.workspace import Workspace
from tests.fakes import fake_exports, fake_splat
from tests.unit.stages import do, frames_stage


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "ws")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


# Digests


@given(data=st.dictionaries(st.text(), json_values))
def test_a_digest_does_not_depend_on_the_order_of_keys(data: dict[str, object]) -> None:
    backwards = dict(reversed(data.items()))
    assert digest_of(data) == digest_of(backwards) == digest_of(json.loads(json.dumps(data)))
    assert len(digest_of(data)) == 16


@given(one=json_values, other=json_values)
def test_digests_differ_where_the_json_does(one: object, other: object) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (digest_of(one) == digest_of(other)) == same


def test_a_digest_is_the_same_in_every_process_and_version() -> None:
    """Written down: a change here would redo every stage of every workspace in the world."""
    assert digest_of({"stage": "frames", "config": {"max_frames": 3}, "inputs": {}}) == "fd625ed15b7cae46"


def test_the_digest_of_a_folder_covers_names_and_contents(tmp_path: Path) -> None:
    def digest(files: dict[str, str]) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        return digest_of_path(folder)

    base = digest({"a.jpg": "1", "b/c.jpg": "2"})
    assert base == digest({"b/c.jpg": "2", "a.jpg": "1"})
    others = [{"a.jpg": "2", "b/c.jpg": "1"}, {"a.jpg": "1", "c.jpg": "2"}, {"a.jpg": "1", "b/c.jpg": "2", "d": ""}]
    assert base not in map(digest, others)


# Documents


def test_the_marker_carries_config_inputs_and_versions(ws: Workspace) -> None:
    document = json.loads((do(frames_stage(ws, max_frames=7)).directory / "artifact.json").read_text())
    assert document["config"]["max_frames"] == 7
    assert document["inputs"] == {"capture": "digest-of-capture"}
    assert document["schema"] == SCHEMA and document["versions"] == library_versions()
    assert {"splatlib", "python", "numpy", "pycolmap", "torch"} <= document["versions"].keys()


def test_a_job_is_kept(ws: Workspace) -> None:
    job = Job(capture="x", train=TrainConfig(preset="balanced", steps=5))
    ws.save_job(job)
    assert Workspace(ws.root).load_job() == job


def test_a_workspace_without_a_job_says_so(ws: Workspace) -> None:
    with pytest.raises(ArtifactError, match="holds no job"):
        ws.load_job()
    ws.job_path.write_text("{")
    with pytest.raises(ConfigError, match="not valid JSON"):
        ws.load_job()


@pytest.mark.parametrize("name", ["frames/artifact.json", "train/main/artifact.json"])
def test_a_newer_workspace_is_refused(ws: Workspace, name: str) -> None:
    (ws.root / name).parent.mkdir(parents=True)
    (ws.root / name).write_text(json.dumps({"schema": SCHEMA + 1, "splatlib": "99.0"}))
    for open_it in (Workspace, Workspace.open):
        with pytest.raises(WorkspaceNewerError, match=r"written by splatlib 99\.0, newer than this one"):
            open_it(ws.root)


def test_an_interrupted_newer_stage_is_refused_too(ws: Workspace) -> None:
    (ws.root / "frames").mkdir()
    (ws.root / "frames" / "started.json").write_text(json.dumps({"schema": SCHEMA + 1, "splatlib": "99.0"}))
    with pytest.raises(WorkspaceNewerError), frames_stage(ws).work():
        pass


def test_looking_at_a_workspace_writes_nothing(ws: Workspace, tmp_path: Path) -> None:
    do(frames_stage(ws))
    before = sorted(ws.root.rglob("*"))
    assert (found := Workspace.open(ws.root).frames) is not None and len(found) == 2
    assert sorted(ws.root.rglob("*")) == before
    with pytest.raises(ArtifactError, match="is no workspace"):
        Workspace.open(tmp_path / "absent")
    assert not (tmp_path / "absent").exists()


def test_training_runs_are_listed(ws: Workspace) -> None:
    assert ws.runs() == []
    for run in ("small", "big"):
        stage = ws.stage(Splat, TrainConfig(), {}, run=run)
        with stage.work() as directory:
            stage.finish(fake_splat(directory, run))
    assert ws.runs() == ["big", "small"]


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "document.json"
    write_atomically(path, "old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["document.json"]


# Logs


def test_the_log_of_a_stage_goes_to_its_file(ws: Workspace) -> None:
    stage = frames_stage(ws)
    with pytest.raises(ZeroDivisionError), stage.work():
        logging.getLogger("splatlib").debug("a detail")
        raise ZeroDivisionError("on purpose")
    logging.getLogger("splatlib").debug("after the stage")
    text = (ws.logs_directory / "frames.log").read_text()
    assert "DEBUG a detail" in text and "config {'max_frames': 300" in text
    assert "ZeroDivisionError: on purpose" in text and "Traceback" in text
    assert "after the stage" not in text


def test_a_log_file_does_not_make_the_screen_louder(ws: Workspace) -> None:
    seen: list[str] = []

    class Screen(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record.getMessage())

    logger, screen = logging.getLogger("splatlib"), Screen()
    logger.addHandler(screen)
    level = logger.level
    try:
        with frames_stage(ws).work():
            logger.debug("a detail")
            logger.info("a message")
        assert (logger.level, screen.level) == (level, logging.NOTSET)
    finally:
        logger.removeHandler(screen)
    assert "a message" in seen and "a detail" not in seen


# Trouble with the disk


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    for root in (tmp_path / "taken", tmp_path / "taken" / "below"):
        with pytest.raises(WorkspaceNotWritableError, match="cannot write to") as caught:
            Workspace(root)
        assert caught.value.hint == "choose another output folder"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux' /proc, which not even root can write to")
def test_a_folder_that_cannot_be_made() -> None:
    with pytest.raises(WorkspaceNotWritableError, match="cannot write to /proc/splat"):
        Workspace("/proc/splat")


def test_a_read_only_folder(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    if os.access(folder, os.W_OK):
        pytest.skip("this user may write everywhere (root)")
    with pytest.raises(WorkspaceNotWritableError, match="Permission denied"):
        Workspace(folder / "ws")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux' /dev/full, a file on an always full disk")
def test_a_full_disk(ws: Workspace) -> None:
    with pytest.raises(WorkspaceFullError) as caught, frames_stage(ws).work() as directory:
        (directory / "a.jpg").symlink_to("/dev/full")
        (directory / "a.jpg").write_text("does not fit")
    assert str(ws.root) in caught.value.what and "No space left on device" in caught.value.why
    assert "free some space and run the same command again" in caught.value.hint
    assert ws.is_started(FrameSet)


@pytest.fixture
def tiny_disk(tmp_path: Path):
    """A real file system of 64 KiB; needs the right to mount."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no right to mount: {mounted.stderr.strip()}")
    yield tmp_path
    subprocess.run(["umount", "--lazy", tmp_path], check=True)


def test_a_disk_that_fills_up(tiny_disk: Path) -> None:
    ws = Workspace(tiny_disk / "ws")
    do(frames_stage(ws))
    with pytest.raises(WorkspaceFullError), ws.stage(ExportBundle, ExportConfig(), {}).work() as directory:
        (directory / "scene.ply").write_bytes(bytes(100_000))
    assert frames_stage(ws).reuse() is not None  # finished stages are kept
    with pytest.raises(WorkspaceFullError):
        ws.save_job(Job(capture="x" * 10_000))
    (ws.root / "export" / "scene.ply").unlink()
    stage = ws.stage(ExportBundle, ExportConfig(), {})
    with stage.work() as directory:
        stage.finish(fake_exports(directory))
    assert ws.exports is not None


def test_other_trouble_names_the_file(ws: Workspace) -> None:
    with pytest.raises(WorkspaceError) as caught, frames_stage(ws).work() as directory:
        (directory / "removed.jpg").read_bytes()
    assert type(caught.value) is WorkspaceError
    assert "removed.jpg: No such file" in caught.value.why


def test_a_read_only_disk(tiny_disk: Path) -> None:
    ws = Workspace(tiny_disk / "ws")
    do(frames_stage(ws))
    subprocess.run(["mount", "-o", "remount,ro", tiny_disk], check=True)
    with pytest.raises(WorkspaceNotWritableError, match="Read-only file system"):
        Workspace(ws.root)
    with pytest.raises(WorkspaceNotWritableError), frames_stage(ws, max_frames=5).work():
        pass
    assert Workspace.open(ws.root).frames is not None
