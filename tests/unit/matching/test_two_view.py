"""A camera that moved, turned, or saw a plane, told apart by points projected with known cameras."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from splatlib.matching.two_view import FLAT_SHARE, turn_residual, two_view

SIZE = (400, 300)
FOCAL_PX = 350.0
K = np.array([[FOCAL_PX, 0, 200], [0, FOCAL_PX, 150], [0, 0, 1]])


def seen(points: np.ndarray, yaw_deg: float, step: float) -> np.ndarray:
    """[N, 2] pixels with a third of a pixel of noise, of a camera that turned and stepped sideways."""
    rotation, _ = cv2.Rodrigues(np.array([0.0, np.deg2rad(yaw_deg), 0.0]))
    in_camera = points @ rotation.T - [step, 0, 0]
    pixels = in_camera @ K.T
    noise = np.random.default_rng(1).normal(0, 0.3, (len(points), 2))
    return (pixels[:, :2] / pixels[:, 2:] + noise).astype(np.float32)


def points(flat: bool) -> np.ndarray:
    rng = np.random.default_rng(0)
    depth = np.full(200, 4.0) if flat else rng.uniform(2, 8, 200)
    return np.stack([rng.uniform(-1, 1, 200), rng.uniform(-0.7, 0.7, 200), depth], axis=1)


@pytest.mark.parametrize(
    ("flat", "yaw_deg", "step", "one_homography", "a_turn"),
    [
        (False, 3.0, 0.8, False, False),
        (False, 10.0, 0.0, True, True),
        (True, 3.0, 0.8, True, False),
        (True, 10.0, 0.0, True, True),
    ],
)
def test_motions_are_told_apart(flat: bool, yaw_deg: float, step: float, one_homography: bool, a_turn: bool) -> None:
    scene = points(flat)
    found = two_view(seen(scene, 0, 0), seen(scene, yaw_deg, step), SIZE[0], min_inliers=15)
    assert found is not None and found.homography is not None and found.flat_share is not None
    assert (found.flat_share >= FLAT_SHARE) == one_homography
    if one_homography:
        assert (turn_residual(found.homography, FOCAL_PX, SIZE) < 0.02) == a_turn


def test_the_wrong_focal_length_shows() -> None:
    rotation, _ = cv2.Rodrigues(np.array([0.0, np.deg2rad(20), 0.0]))
    homography = K @ rotation @ np.linalg.inv(K)
    assert turn_residual(homography, FOCAL_PX, SIZE) < 1e-9
    assert turn_residual(homography, 1.4 * FOCAL_PX, SIZE) > 0.05


def test_too_small_a_step_tells_nothing() -> None:
    scene = points(flat=False)
    found = two_view(seen(scene, 0, 0), seen(scene, 0.2, 0.02), SIZE[0], min_inliers=15)
    assert found is not None and found.flat_share is None and found.num_inliers > 150


def test_unrelated_points_have_no_geometry() -> None:
    rng = np.random.default_rng(2)
    one, other = (rng.uniform((0, 0), SIZE, (20, 2)).astype(np.float32) for _ in range(2))
    assert two_view(one, other, SIZE[0], min_inliers=15) is None
    assert two_view(one[:5], other[:5], SIZE[0], min_inliers=3) is None


@pytest.mark.parametrize("spread", [(0, 0), (300, 0)])
def test_degenerate_points_are_no_crash(spread: tuple[int, int]) -> None:
    """All in one place, or on a line: OpenCV 5 raises where no sample gives a model."""
    one = (np.random.default_rng(3).uniform(0, 1, (16, 1)) * spread + 20).astype(np.float32)
    found = two_view(one, one, SIZE[0], min_inliers=15)
    assert found is None or found.flat_share is None
