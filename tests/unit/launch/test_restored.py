"""Workspaces that came back from S3 with files missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from splatlib.config import CamerasConfig, FramesConfig
from splatlib.container.restored import discard_torn_stages
from splatlib.workspace import Workspace
from tests.fakes import FakeStages


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    capture = tmp_path / "capture"
    capture.write_text("x")
    ws = Workspace(tmp_path / "ws")
    frames = FakeStages().extract_frames(str(capture), ws, FramesConfig())
    (frames.directory / "images").mkdir()
    # as the stage would have left it
    (frames.directory / "images" / "000001.jpg").write_text("picture")
    marker = frames.directory / "artifact.json"
    marker.write_text(json.dumps({**json.loads(marker.read_text()), "files": {"images/000001.jpg": 7}}))
    return ws


def test_a_whole_workspace_is_left_alone(ws: Workspace) -> None:
    assert discard_torn_stages(ws.root) == [] and ws.frames is not None


@pytest.mark.parametrize("torn", [None, "pic"])
def test_a_stage_that_lacks_a_file_is_done_again(ws: Workspace, torn: str | None, tmp_path: Path) -> None:
    picture = ws.root / "frames" / "images" / "000001.jpg"
    picture.unlink() if torn is None else picture.write_text(torn)
    assert discard_torn_stages(ws.root) == ["frames"] and ws.frames is None
    stages = FakeStages()
    stages.extract_frames(str(tmp_path / "capture"), ws, FramesConfig())
    assert stages.worked == ["frames"] and ws.frames is not None and not picture.exists()


def test_a_finished_stage_records_its_files(tmp_path: Path) -> None:
    capture = tmp_path / "capture"
    capture.write_text("x")
    ws = Workspace(tmp_path / "ws")
    stages = FakeStages()
    frames = stages.extract_frames(str(capture), ws, FramesConfig())
    stages.solve_cameras(frames, ws, CamerasConfig())
    recorded = json.loads((ws.root / "cameras" / "artifact.json").read_text())["files"]
    assert recorded and all((ws.root / "cameras" / name).stat().st_size == size for name, size in recorded.items())


def test_a_damaged_mark_is_the_stages_own_business(ws: Workspace) -> None:
    (ws.root / "frames" / "artifact.json").write_text("{")
    assert discard_torn_stages(ws.root) == []
