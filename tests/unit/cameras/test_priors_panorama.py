"""Known poses of panoramas: one of each rig, which its faces share."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splatlib.artifacts import FrameSet, SparseScene
from splatlib.cameras import solve_cameras
from splatlib.cameras._pycolmap import pycolmap
from splatlib.cameras.accuracy import center_errors_percent, centers, relative_rotation_errors_deg
from splatlib.cameras.priors import priors_of_frames, read_priors
from splatlib.cameras.rigs import rotation_of_face
from splatlib.capture import extract_frames
from splatlib.config import CamerasConfig, FramesConfig
from splatlib.errors import CamerasError
from splatlib.samples.panorama import PanoramaSample, make_panoramas
from splatlib.workspace import Workspace

FEATURES = 1024
Poses = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Walk:
    """Panoramas, their frames (four faces each), and the true pose of each rig."""

    sample: PanoramaSample
    frames: FrameSet

    def fronts(self, scene: SparseScene) -> tuple[Poses, Poses]:
        """Solved and true poses of the rigs: the front face has the rig's axes."""
        pose_of = {view.name: view.cam_from_world for view in scene.views}
        fronts = [frame for frame in self.frames.frames if frame.face == "front"]
        true = self.sample.rig_from_world[[frame.source_index for frame in fronts]]
        return np.array([pose_of[frame.name] for frame in fronts]), true


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    sample = make_panoramas(tmp_path_factory.mktemp("panoramas") / "walk", num_panoramas=8, width=1024)
    config = FramesConfig(panorama_drop=("up", "down"))
    return Walk(sample, extract_frames(sample.path, Workspace(tmp_path_factory.mktemp("frames")), config))


def written(walk: Walk, path: Path, *, noise: float = 0.0, **shared: Any) -> str:
    """A transforms.json of panoramas, as nerfstudio's equirectangular datasets are."""
    rng = np.random.default_rng(0)
    frames = []
    for name, pose in zip(walk.sample.names, walk.sample.rig_from_world, strict=True):
        turn = np.eye(4)
        turn[:3, :3] = pycolmap.Rotation3d(rng.normal(size=3) * noise).matrix()
        turn[:3, 3] = rng.normal(size=3) * noise
        world_from_rig = np.linalg.inv(turn @ pose) @ np.diag([1.0, -1.0, -1.0, 1.0])
        frames.append({"file_path": f"images/{name}", "transform_matrix": world_from_rig.tolist()})
    document = {"camera_model": "EQUIRECTANGULAR", "w": 1024, "h": 512, **shared, "frames": frames}
    path.write_text(json.dumps(document))
    return str(path)


def assert_still_rigs(walk: Walk, scene: SparseScene) -> None:
    for camera in scene.cameras:
        assert (camera.fx, camera.fy, camera.cx, camera.cy) == pytest.approx((128, 128, 128, 128))
    pose_of = {view.name: view.cam_from_world for view in scene.views}
    for frame in walk.frames.frames:
        between = pose_of[frame.name] @ np.linalg.inv(pose_of[f"{frame.group}_front.jpg"])
        face = next(face for face in walk.frames.faces if face.name == frame.face)
        np.testing.assert_allclose(between[:3, :3], rotation_of_face(face).matrix(), atol=1e-9)
        np.testing.assert_allclose(between[:3, 3], 0, atol=1e-9)


def test_faces_share_the_pose_of_their_rig(walk: Walk, tmp_path: Path) -> None:
    found = priors_of_frames(read_priors(written(walk, tmp_path / "t.json"), CamerasConfig()), walk.frames)
    assert len(found) == 32 and not found.cameras and found.lenses_known and all(found.faces)
    assert found.moments == tuple(index // 4 for index in range(32))
    right = [frame.face for frame in walk.frames.frames].index("right")
    ahead = np.linalg.inv(found.cam_from_world[right])[:3, 2]  # of the right face: the rig's x axis
    np.testing.assert_allclose(ahead, walk.sample.rig_from_world[0, 0, :3], atol=1e-9)


def test_trusted_poses_of_panoramas_are_kept(walk: Walk, workspace: Workspace, tmp_path: Path) -> None:
    config = CamerasConfig(priors=written(walk, tmp_path / "t.json"))
    scene = solve_cameras(walk.frames, workspace, config)
    solved, true = walk.fronts(scene)
    assert scene.mapper == "priors" and len(scene.views) == 32 and len(scene.points_xyz) > 300
    np.testing.assert_allclose(solved, true, atol=1e-9)
    assert scene.mean_reprojection_error_px < 1
    assert_still_rigs(walk, scene)
    assert len({view.group for view in scene.views}) == 8 and None not in {view.group for view in scene.views}


def test_rough_poses_of_panoramas_are_refined(walk: Walk, workspace: Workspace, tmp_path: Path) -> None:
    """0.02 rad on each axis are two degrees."""
    config = CamerasConfig(
        priors=written(walk, tmp_path / "t.json", noise=0.02), priors_mode="refine", max_features=2 * FEATURES
    )
    scene = solve_cameras(walk.frames, workspace, config)
    solved, true = walk.fronts(scene)
    assert scene.mapper == "priors" and len(scene.views) == 32
    assert relative_rotation_errors_deg(solved, true).max() < 0.1
    assert center_errors_percent(solved, true).max() < 0.2
    off = np.linalg.norm(centers(solved) - centers(true), axis=1)
    assert np.median(off) < 0.02 * np.ptp(centers(true), axis=0).max()
    assert_still_rigs(walk, scene)


def test_poses_of_panoramas_that_only_choose_pairs(walk: Walk, workspace: Workspace, tmp_path: Path) -> None:
    priors = written(walk, tmp_path / "t.json", noise=0.02)
    config = CamerasConfig(priors=priors, priors_mode="pairs", max_features=FEATURES)
    scene = solve_cameras(walk.frames, workspace, config)
    solved, true = walk.fronts(scene)
    assert scene.mapper == "incremental" and len(scene.views) == 32
    assert relative_rotation_errors_deg(solved, true).max() < 0.1


def test_a_wrong_convention_of_panoramas_is_refused(walk: Walk, workspace: Workspace, tmp_path: Path) -> None:
    config = CamerasConfig(priors=written(walk, tmp_path / "t.json"), priors_convention="opencv")
    with pytest.raises(CamerasError, match="are not opencv, camera_to_world: they fit opengl, camera_to_world"):
        solve_cameras(walk.frames, workspace, config)


def test_panoramas_of_a_video_go_by_their_number(walk: Walk, tmp_path: Path) -> None:
    path = Path(written(walk, tmp_path / "t.json"))
    document = json.loads(path.read_text())
    for number, frame in enumerate(document["frames"], start=1):
        frame["file_path"] = f"frames/{number:06d}.jpg"
    path.write_text(json.dumps(document))
    video = replace(
        walk.frames,
        kind="video",
        frames=tuple(
            replace(frame, source="walk.mp4", timestamp_s=float(frame.source_index)) for frame in walk.frames.frames
        ),
    )
    found = priors_of_frames(read_priors(path, CamerasConfig()), video)
    np.testing.assert_array_equal(found.rows, np.repeat(np.arange(8), 4))


def test_a_panoramas_pose_is_for_no_photo(walk: Walk, tmp_path: Path) -> None:
    photos = tuple(replace(frame, group=None, face=None) for frame in walk.frames.frames[::4])
    priors = read_priors(written(walk, tmp_path / "t.json"), CamerasConfig())
    with pytest.raises(CamerasError, match=r"EQUIRECTANGULAR .* is of panoramas"):
        priors_of_frames(priors, replace(walk.frames, frames=photos))
