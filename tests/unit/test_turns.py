"""An ellipsoid's smallest turn is the same ellipsoid, and a small turn it is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from splatlib.widgets.turns import LARGEST, LEVELS, smallest_turns, turns_of


def axes_of(quats: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """[N, 3, 3] rotation matrices of wxyz [N, 4]."""
    w, x, y, z = (quats / np.linalg.norm(quats, axis=1, keepdims=True)).astype(np.float64).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), -1, 0)


def covariances(quats: npt.NDArray[np.floating], log_scales: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """[N, 3, 3]."""
    scaled = axes_of(quats) * np.exp(log_scales.astype(np.float64))[:, None, :]
    return scaled @ scaled.transpose(0, 2, 1)


def test_the_ellipsoid_stays_and_the_turn_is_small() -> None:
    rng = np.random.default_rng(3)
    quats = rng.normal(size=(5000, 4)).astype(np.float32) * rng.uniform(0.1, 9, (5000, 1)).astype(np.float32)
    log_scales = rng.normal(0, 1, (5000, 3)).astype(np.float32)
    codes, permuted = smallest_turns(quats, log_scales)
    before, after = covariances(quats, log_scales), covariances(turns_of(codes), permuted)
    error = np.linalg.norm(after - before, axis=(1, 2)) / np.linalg.norm(before, axis=(1, 2))
    assert error.max() < 0.02  # a turn of less than a degree
    assert turns_of(codes)[:, 0].min() > np.cos(np.deg2rad(63.5) / 2)


def test_no_turn_is_kept_and_codes_use_their_range() -> None:
    codes, _ = smallest_turns(np.array([[2, 0, 0, 0], [0, 0, 0, 0]], np.float32), np.zeros((2, 3), np.float32))
    assert not codes.any()
    eighth = np.array([[np.cos(np.pi / 8), LARGEST, 0, 0]], np.float32)  # 45°: as far as a turn about one axis can be
    assert np.abs(smallest_turns(eighth, np.zeros((1, 3), np.float32))[0]).max() == LEVELS
