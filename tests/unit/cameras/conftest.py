"""Frames of the sample capture solved once, and hand-made FrameSets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from splatlib.artifacts import Camera, FrameSet, SparseScene
from splatlib.cameras import solve_cameras
from splatlib.cameras._pycolmap import cv2, pycolmap
from splatlib.cameras.lens import camera_of
from splatlib.capture import extract_frames
from splatlib.samples import Sample
from splatlib.samples.raycast import render_view
from splatlib.samples.scene import build_scene
from splatlib.workspace import Workspace
from tests.unit.cameras.made_frames import frame_set


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


@dataclass(frozen=True)
class FisheyeCapture:
    """The sample's room through a fisheye lens that sees 98 degrees across."""

    frames: FrameSet
    camera: Camera
    cam_from_world: npt.NDArray[np.float64]


@pytest.fixture(scope="session")
def fisheye(sample_photos: Sample, tmp_path_factory: pytest.TempPathFactory) -> FisheyeCapture:
    lens = pycolmap.Camera(
        camera_id=1, model="OPENCV_FISHEYE", width=360, height=270, params=[210, 208, 180, 135, 0.03, -0.01, 0, 0]
    )
    wide = Camera(width=800, height=600, fx=240.0, fy=240.0, cx=400.0, cy=300.0)
    columns, rows = np.meshgrid(np.arange(lens.width) + 0.5, np.arange(lens.height) + 0.5)
    directions = np.asarray(lens.cam_from_img(np.stack([columns.ravel(), rows.ravel()], axis=-1)))
    positions = directions * wide.fx + (wide.cx - 0.5, wide.cy - 0.5)
    x, y = positions.astype(np.float32).T.reshape(2, lens.height, lens.width)
    poses = np.delete(sample_photos.cam_from_world, sample_photos.duplicates, axis=0)[::2]
    solids = build_scene(sample_photos.seed)
    pictures = [
        np.asarray(cv2.remap(render_view(solids, wide, pose)[0][..., ::-1], x, y, cv2.INTER_CUBIC), np.uint8)
        for pose in poses
    ]
    return FisheyeCapture(frame_set(tmp_path_factory.mktemp("fisheye"), pictures), camera_of(lens), poses)


@pytest.fixture()
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")
