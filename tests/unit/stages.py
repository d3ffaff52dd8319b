"""A stage whose work is pretended: what the tests of stages and of workspaces share."""

from __future__ import annotations

from splatlib.artifacts import FrameSet
from splatlib.config import FramesConfig
from splatlib.stage import Stage
from splatlib.workspace import Workspace
from tests.fakes import fake_frames


def frames_stage(ws: Workspace, capture: str = "digest-of-capture", **settings: object) -> Stage[FrameSet]:
    return ws.stage(FrameSet, FramesConfig.from_dict(settings), {"capture": capture})


def do(stage: Stage[FrameSet]) -> FrameSet:
    with stage.work() as directory:
        return stage.finish(fake_frames(directory))
