"""Frames of the sample capture solved once, and hand-made FrameSets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from splatlib.artifacts import FrameSet, SparseScene
from splatlib.cameras import solve_cameras
from splatlib.capture import extract_frames
from splatlib.samples import Sample
from splatlib.workspace import Workspace


@dataclass(frozen=True)
class Solved:
    """The sample's photos solved with default settings, and the true poses of the solved views."""

    ws: Workspace
    frames: FrameSet
    scene: SparseScene
    sample: Sample

    def poses(self, scene: SparseScene) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Solved and true cam_from_world [V, 4, 4] of a scene's views."""
        source_of = {frame.name: frame.source for frame in self.frames.frames}
        solved = np.array([view.cam_from_world for view in scene.views])
        true = self.sample.cam_from_world[[self.sample.names.index(source_of[view.name]) for view in scene.views]]
        return solved, true


@pytest.fixture(scope="session")
def solved(sample_photos: Sample, tmp_path_factory: pytest.TempPathFactory) -> Solved:
    ws = Workspace(tmp_path_factory.mktemp("solved"))
    frames = extract_frames(sample_photos.path, ws)
    return Solved(ws, frames, solve_cameras(frames, ws), sample_photos)


@pytest.fixture()
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")
