from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splatlib.cameras.accuracy import (
    align_similarity,
    center_errors_percent,
    centers,
    read_transforms,
    relative_rotation_errors_deg,
)


def rotation(axis: np.ndarray, angle_rad: float) -> np.ndarray:
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle_rad) * cross + (1 - np.cos(angle_rad)) * cross @ cross


def random_poses(seed: int, count: int = 8) -> np.ndarray:
    rng = np.random.default_rng(seed)
    poses = np.tile(np.eye(4), (count, 1, 1))
    for pose in poses:
        pose[:3, :3] = rotation(rng.normal(size=3), rng.uniform(0, 3))
        pose[:3, 3] = rng.normal(size=3)
    return poses


@given(seed=st.integers(0, 1000), scale=st.floats(0.01, 100))
def test_a_similarity_transform_of_the_world_is_no_error(seed: int, scale: float) -> None:
    poses = random_poses(seed)
    turn, shift = rotation(np.array([1.0, 2.0, -1.0]), 2.0), np.array([3.0, -5.0, 0.5])
    moved = poses.copy()
    moved[:, :3, :3] = poses[:, :3, :3] @ turn.T
    moved_centers = scale * centers(poses) @ turn.T + shift
    moved[:, :3, 3] = -np.einsum("vij,vj->vi", moved[:, :3, :3], moved_centers)
    assert relative_rotation_errors_deg(moved, poses).max() < 1e-5
    assert center_errors_percent(moved, poses).max() < 1e-7
    found_scale, found_turn, found_shift = align_similarity(centers(poses), moved_centers)
    np.testing.assert_allclose(found_scale, scale)
    np.testing.assert_allclose(found_turn, turn, atol=1e-9)
    np.testing.assert_allclose(found_shift, shift, atol=1e-7 * max(1, scale))


def test_a_mirrored_path_is_aligned_by_a_rotation_all_the_same() -> None:
    points = np.random.default_rng(0).normal(size=(10, 3))
    _, turn, _ = align_similarity(points, points * (1, 1, -1))
    assert np.linalg.det(turn) == pytest.approx(1)


@pytest.mark.parametrize("angle_deg", [1e-6, 0.1, 90.0, 179.0])
def test_one_turned_camera_shows_in_its_pairs_only(angle_deg: float) -> None:
    true = random_poses(1, count=3)
    solved = true.copy()
    solved[2, :3, :3] = rotation(np.array([0.0, 1.0, 0.0]), np.radians(angle_deg)) @ solved[2, :3, :3]
    np.testing.assert_allclose(
        relative_rotation_errors_deg(solved, true), [0, angle_deg, angle_deg], rtol=1e-6, atol=1e-9
    )


def test_center_error_is_in_percent_of_the_largest_distance_between_two_cameras() -> None:
    true = np.tile(np.eye(4), (101, 1, 1))
    true[:, 0, 3] = np.linspace(0, 10, 101)
    solved = true.copy()
    solved[50, 1, 3] = 0.1
    assert center_errors_percent(solved, true)[50] == pytest.approx(1.0, rel=0.03)


def test_transforms_json_is_read_into_opencv_axes(tmp_path: Path) -> None:
    world_from_cam = np.eye(4)
    world_from_cam[:3, 3] = (1, 2, 3)
    document = {"frames": [{"file_path": "./images/a.jpg", "transform_matrix": world_from_cam.tolist()}]}
    (tmp_path / "transforms.json").write_text(json.dumps(document))
    pose = read_transforms(tmp_path / "transforms.json")["a.jpg"]
    np.testing.assert_allclose(centers(pose[None])[0], (1, 2, 3))
    # OpenGL looks along -z: a point there lies in front, at positive depth.
    np.testing.assert_allclose(pose @ (1, 2, 3 - 4, 1), (0, 0, 4, 1))
