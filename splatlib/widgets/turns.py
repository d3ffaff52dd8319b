"""Rotations of ellipsoids in three bytes.

An ellipsoid looks the same after each of the 24 turns that carry its axes onto one another, once its lengths are
permuted with them. The smallest turn is at most 62.8° (Mackenzie 1958, on crystals, which have the same symmetry), so w
is the largest component by far and follows from the others, and these are at most sin 22.5°.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

LARGEST = float(np.sin(np.pi / 8))
LEVELS = 63  # of each sign


def _turns_of_a_cube() -> npt.NDArray[np.float64]:
    """[24, 4] wxyz, one of each pair of opposite quaternions."""
    half, root = 0.5, 0.5**0.5
    found = [np.eye(4)[k] for k in range(4)]
    found += [np.array([half, *signs]) for signs in itertools.product((half, -half), repeat=3)]
    for first, second in itertools.combinations(range(4), 2):
        for sign in (root, -root):
            quat = np.zeros(4)
            quat[first], quat[second] = root, sign
            found.append(quat)
    return np.array(found)


def _product(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """[..., 4] of quaternions wxyz: the second turn, then the first."""
    a, b, c, d = np.moveaxis(first, -1, 0)
    e, f, g, h = np.moveaxis(second, -1, 0)
    parts = (a * e - b * f - c * g - d * h, a * f + b * e + c * h - d * g, a * g - b * h + c * e + d * f)
    return np.stack([*parts, a * h + b * g - c * f + d * e], axis=-1)


_CUBE = _turns_of_a_cube()


def _axis_taken() -> npt.NDArray[np.intp]:
    """[24, 3] which old axis is the new one, after each turn of the cube."""
    taken = np.zeros((24, 3), np.intp)
    conjugate = _CUBE * [1, -1, -1, -1]
    for axis in range(3):
        turned = _product(_product(_CUBE, np.eye(4)[axis + 1]), conjugate)
        taken[:, axis] = np.abs(turned[:, 1:]).argmax(axis=1)
    return taken


_TAKEN = _axis_taken()


def smallest_turns(
    quats: npt.NDArray[np.float32], log_scales: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """The same ellipsoids by their smallest turns.

    Args:
        quats: [N, 4] wxyz, of any length; zero counts as no turn.
        log_scales: [N, 3].

    Returns:
        [N, 3] codes of x, y and z, and [N, 3] log-scales in the new order of axes.
    """
    norm = np.linalg.norm(quats, axis=1, keepdims=True)
    unit = np.where(norm > 1e-12, quats / np.maximum(norm, 1e-12), [1.0, 0.0, 0.0, 0.0])
    w = unit.astype(np.float32) @ (_CUBE * [1, -1, -1, -1]).T.astype(np.float32)  # [N, 24] of the products below
    best = np.abs(w).argmax(axis=1)
    turned = _product(unit, _CUBE[best])
    turned *= np.where(turned[:, :1] < 0, -1.0, 1.0)
    codes = np.clip(np.round(turned[:, 1:] * (LEVELS / LARGEST)), -LEVELS, LEVELS).astype(np.int8)
    return codes, np.take_along_axis(log_scales, _TAKEN[best], axis=1)


def turns_of(codes: npt.NDArray[np.int8]) -> npt.NDArray[np.float32]:
    """[N, 4] wxyz of codes [N, 3]."""
    rest = codes * np.float32(LARGEST / LEVELS)
    w = np.sqrt(np.maximum(1 - (rest**2).sum(axis=1, keepdims=True), 0))
    return np.concatenate([w, rest], axis=1).astype(np.float32)
