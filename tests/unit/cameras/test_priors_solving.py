"""Solving with known poses, on the sample's frames with its true cameras."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splatlib.cameras import solve_cameras
from splatlib.cameras._pycolmap import cv2, pycolmap
from splatlib.cameras.accuracy import center_errors_percent, centers, relative_rotation_errors_deg
from splatlib.cameras.priors.epipolar import depths, sampson_errors
from splatlib.cameras.priors.guided import match
from splatlib.config import CamerasConfig
from splatlib.errors import CamerasError
from splatlib.workspace import Workspace
from tests.unit.cameras.conftest import Solved


def written(solved: Solved, path: Path, *, intrinsics: bool = True, noise: float = 0.0, **shared: Any) -> str:
    """The sample's true poses as quaternions (wxyz), OpenCV, world to camera; with noise in centres and angles."""
    rng = np.random.default_rng(0)
    entries = []
    for name, pose in zip(solved.sample.names, solved.sample.cam_from_world, strict=True):
        turn = pycolmap.Rotation3d(rng.normal(size=3) * noise).matrix()
        quaternion = np.roll(pycolmap.Rotation3d(turn @ pose[:3, :3]).quat, 1)
        translation = turn @ (pose[:3, 3] + rng.normal(size=3) * noise)
        entries.append({"name": name, "quaternion": quaternion.tolist(), "translation": translation.tolist()})
    camera = solved.sample.camera
    lens = {"fx": camera.fx, "fy": camera.fy, "cx": camera.cx, "cy": camera.cy, "w": camera.width, "h": camera.height}
    said = {"convention": "opencv", "direction": "world_to_camera", **(lens if intrinsics else {}), **shared}
    path.write_text(json.dumps({**said, "poses": entries}))
    return str(path)


def test_trusted_poses_are_kept_to_the_last_digit(solved: Solved, workspace: Workspace, tmp_path: Path) -> None:
    priors = written(solved, tmp_path / "poses.json")
    scene = solve_cameras(solved.frames, workspace, CamerasConfig(priors=priors))
    estimated, true = solved.poses(scene)
    assert len(scene.views) == len(solved.frames) and scene.mapper == "priors"
    np.testing.assert_allclose(estimated, true, atol=1e-9)
    assert scene.mean_reprojection_error_px <= solved.scene.mean_reprojection_error_px
    assert len(scene.points_xyz) >= 300
    # done again when the file says something else, and not otherwise
    assert solve_cameras(solved.frames, workspace, CamerasConfig(priors=priors)).seconds == scene.seconds
    written(solved, tmp_path / "poses.json", noise=1e-4)
    again = solve_cameras(solved.frames, workspace, CamerasConfig(priors=priors))
    assert again.digest != scene.digest


def test_a_lens_that_nobody_told_is_found(solved: Solved, workspace: Workspace, tmp_path: Path) -> None:
    priors = written(solved, tmp_path / "poses.json", intrinsics=False)
    scene = solve_cameras(solved.frames, workspace, CamerasConfig(priors=priors, camera_model="SIMPLE_RADIAL"))
    assert len(scene.views) == len(solved.frames)
    assert scene.cameras[0].fx == pytest.approx(solved.sample.camera.fx, rel=0.02)


def test_rough_poses_are_refined_in_their_own_world(solved: Solved, workspace: Workspace, tmp_path: Path) -> None:
    priors = written(solved, tmp_path / "poses.json", noise=0.01)
    config = CamerasConfig(priors=priors, priors_mode="refine")
    scene = solve_cameras(solved.frames, workspace, config)
    estimated, true = solved.poses(scene)
    assert len(scene.views) == len(solved.frames)
    assert np.median(relative_rotation_errors_deg(estimated, true)) < 0.2  # 0.01 rad on each axis are 1.4 degrees
    assert np.median(center_errors_percent(estimated, true)) < 0.5
    # metric, north up, or whatever it was: without any alignment
    off = np.linalg.norm(centers(estimated) - centers(true), axis=1)
    assert np.median(off) < 0.02 * np.ptp(centers(true), axis=0).max()


def test_poses_off_by_three_degrees_are_refined_and_not_trusted(
    solved: Solved, workspace: Workspace, tmp_path: Path
) -> None:
    """0.03 rad on each axis are three degrees."""
    priors = written(solved, tmp_path / "poses.json", noise=0.03)
    with pytest.raises(CamerasError, match="too rough to be trusted") as caught:
        solve_cameras(solved.frames, workspace, CamerasConfig(priors=priors))
    assert "priors_mode=refine" in caught.value.hint
    scene = solve_cameras(solved.frames, workspace, CamerasConfig(priors=priors, priors_mode="refine"))
    estimated, true = solved.poses(scene)
    assert len(scene.views) == len(solved.frames) and scene.mapper == "priors"
    assert relative_rotation_errors_deg(estimated, true).max() < 0.3
    assert center_errors_percent(estimated, true).max() < 0.5


def test_good_poses_are_hardly_moved_by_refining(solved: Solved, workspace: Workspace, tmp_path: Path) -> None:
    priors = written(solved, tmp_path / "poses.json")
    scene = solve_cameras(solved.frames, workspace, CamerasConfig(priors=priors, priors_mode="refine"))
    estimated, true = solved.poses(scene)
    own, others = (relative_rotation_errors_deg(*solved.poses(each)) for each in (scene, solved.scene))
    assert np.median(own) <= np.median(others)
    off = np.linalg.norm(centers(estimated) - centers(true), axis=1)
    assert off.max() < 0.005 * np.ptp(centers(true), axis=0).max()  # the scale is held too


def test_a_frame_that_shows_nothing_else_is_said_to_stay(solved: Solved, workspace: Workspace, tmp_path: Path) -> None:
    priors = written(solved, tmp_path / "poses.json", noise=0.01)
    (images := tmp_path / "frames" / "images").mkdir(parents=True)
    for frame in solved.frames.frames:
        (images / frame.name).write_bytes(solved.frames.image_path(frame).read_bytes())
    alone = solved.frames.frames[4]
    assert cv2.imwrite(str(images / alone.name), np.full((alone.height, alone.width, 3), 128, np.uint8))
    frames = replace(solved.frames, directory=tmp_path / "frames", digest="another")
    scene = solve_cameras(frames, workspace, CamerasConfig(priors=priors, priors_mode="refine"))
    assert any("1 frames share too little" in warning and alone.name in warning for warning in scene.warnings), (
        scene.warnings
    )
    estimated, true = solved.poses(scene)
    off = np.linalg.norm(centers(estimated) - centers(true), axis=1)
    assert off.max() < 0.02 * np.ptp(centers(true), axis=0).max()  # it stays where its prior is


def test_one_place_that_tracking_lost_does_not_bend_the_others(
    solved: Solved, workspace: Workspace, tmp_path: Path
) -> None:
    """Its pose is off by a metre of the room's six; what the pictures say goes before."""
    path = Path(written(solved, tmp_path / "poses.json"))
    document = json.loads(path.read_text())
    document["poses"][5]["translation"][0] += 1.0
    path.write_text(json.dumps(document))
    scene = solve_cameras(solved.frames, workspace, CamerasConfig(priors=str(path), priors_mode="refine"))
    estimated, true = solved.poses(scene)
    off = np.linalg.norm(centers(estimated) - centers(true), axis=1)
    assert np.sort(off)[-2] < 0.02 * np.ptp(centers(true), axis=0).max()


def test_poses_that_only_choose_pairs(solved: Solved, workspace: Workspace, tmp_path: Path) -> None:
    priors = written(solved, tmp_path / "poses.json", noise=0.01)
    scene = solve_cameras(solved.frames, workspace, CamerasConfig(priors=priors, priors_mode="pairs"))
    assert len(scene.views) == len(solved.frames) and scene.mapper == "incremental"
    estimated, true = solved.poses(scene)
    assert np.median(relative_rotation_errors_deg(estimated, true)) < 0.2


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"convention": "opengl"}, "fit opencv, world_to_camera"),
        ({"convention": "ros", "direction": "camera_to_world"}, "fit opencv, world_to_camera"),
        ({"direction": "camera_to_world"}, "fit opencv, world_to_camera"),
        ({"quaternion_order": "xyzw"}, "quaternions in the other order"),
    ],
)
def test_a_wrong_statement_is_refused(
    said: dict[str, Any], named: str, solved: Solved, workspace: Workspace, tmp_path: Path
) -> None:
    priors = written(solved, tmp_path / "poses.json", **said)
    with pytest.raises(CamerasError, match=named) as caught:
        solve_cameras(solved.frames, workspace, CamerasConfig(priors=priors))
    assert caught.value.hint.startswith("set ")


def test_poses_of_another_capture_fit_in_no_convention(solved: Solved, workspace: Workspace, tmp_path: Path) -> None:
    path = Path(written(solved, tmp_path / "poses.json"))
    document = json.loads(path.read_text())
    rng = np.random.default_rng(1)
    for pose in document["poses"]:
        pose["quaternion"], pose["translation"] = rng.normal(size=4).tolist(), rng.normal(size=3).tolist()
    path.write_text(json.dumps(document))
    with pytest.raises(CamerasError, match="in any convention"):
        solve_cameras(solved.frames, workspace, CamerasConfig(priors=str(path)))


def test_bad_priors_are_refused_before_any_work(solved: Solved, workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(CamerasError, match="no pose priors at"):
        solve_cameras(solved.frames, workspace, CamerasConfig(priors=str(tmp_path / "absent.json")))
    assert not (workspace.root / "cameras").exists()


def test_sampson_errors_and_depths_of_exact_and_moved_points() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform((-1, -1, 4), (1, 1, 6), (50, 3))
    pose = np.eye(4)
    pose[:3, :3] = pycolmap.Rotation3d(np.array([0.05, -0.1, 0.02])).matrix()
    pose[:3, 3] = (0.5, 0.1, -0.05)
    seen = points @ pose[:3, :3].T + pose[:3, 3]
    points1, points2 = points[:, :2] / points[:, 2:], seen[:, :2] / seen[:, 2:]
    assert sampson_errors(points1, points2, pose).max() < 1e-12
    depth1, depth2 = depths(points1, points2, pose)
    np.testing.assert_allclose(depth1, points[:, 2], rtol=1e-6)
    np.testing.assert_allclose(depth2, seen[:, 2], rtol=1e-6)
    # both points moved apart across nearly horizontal lines by 0.01 in all
    moved = sampson_errors(points1 + np.array((0, 0.005)), points2 - np.array((0, 0.005)), pose)
    assert np.median(moved) == pytest.approx(0.01 / np.sqrt(2), rel=0.1)


def test_matches_lie_on_epipolar_lines_and_go_both_ways() -> None:
    """Equal descriptors at two places: only the one on the line is a match."""
    rng = np.random.default_rng(0)
    descriptors = rng.integers(0, 90, (20, 128)).astype(np.uint8)
    pose = np.eye(4)
    pose[0, 3] = 1.0  # to the side: lines are rows
    points = rng.uniform(-0.3, 0.3, (20, 2))
    off_line = points + np.array((0.1, 0.2))
    both = np.vstack([off_line, points + np.array((0.1, 0.0))])
    found = match(points, descriptors, both, np.vstack([descriptors, descriptors]), pose, 1e-3)
    np.testing.assert_array_equal(found, np.column_stack([np.arange(20), np.arange(20, 40)]))
    assert not len(match(points, descriptors, off_line, descriptors, np.eye(4), 1e-3))
    assert not len(match(points[:0], descriptors[:0], both, descriptors, pose, 1e-3))
