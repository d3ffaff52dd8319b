"""Rotations as the smallest three components of a quaternion, as small formats store them.

A quaternion and its negative are the same rotation, so the largest component can be made positive and left out: it
follows from the other three, which are at most √½.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from splatlib.formats.quality import to_multiples

QUAT_STEP = 0.5**0.5 / 511  # of SPZ's nine bits
_OTHERS = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])


def smallest_three(quats: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """[N] index of the largest component of quaternions [N, 4], and [N, 3] the others where that one is positive."""
    largest = np.abs(quats).argmax(axis=1)
    rows = np.arange(len(quats))
    length = np.linalg.norm(quats, axis=1)
    factor = np.where(quats[rows, largest] < 0, -1, 1) / np.maximum(length, 1e-12)
    others = np.take_along_axis(quats, _OTHERS[largest], axis=1) * factor.astype(np.float32)[:, None]
    return largest, others


def from_smallest_three(largest: npt.NDArray[np.integer], others: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """[N, 4] unit quaternions of what ``smallest_three`` gives."""
    quats = np.empty((len(others), 4), np.float32)
    np.put_along_axis(quats, _OTHERS[largest], others.astype(np.float32), axis=1)
    rest = np.sqrt(np.maximum(0, 1 - (others.astype(np.float32) ** 2).sum(axis=1)))
    quats[np.arange(len(quats)), largest] = rest
    return quats


def pack_quats(quats: npt.NDArray[np.float32], m: npt.NDArray[np.int32] | int = 0) -> npt.NDArray[np.uint32]:
    """[N] of quaternions wxyz [N, 4] as SPZ packs them: two bits name the largest of xyzw, the others follow.

    Each has a sign and nine bits of magnitude, rounded to multiples of 2^m, m [N, 1].
    """
    largest, others = smallest_three(np.roll(quats, -1, axis=1))
    magnitudes = to_multiples(np.abs(others) / np.float32(QUAT_STEP), np.asarray(m, np.int32))
    magnitudes = np.minimum(magnitudes, 511).astype(np.uint32)
    fields = (others < 0).astype(np.uint32) << np.uint32(9) | magnitudes
    packed = largest.astype(np.uint32)
    for index in range(3):
        packed = packed << np.uint32(10) | fields[:, index]
    return packed


def unpack_quats(packed: npt.NDArray[np.uint32]) -> npt.NDArray[np.float32]:
    """[N, 4] wxyz of what ``pack_quats`` stores."""
    fields = packed[:, None] >> np.array([20, 10, 0], np.uint32)
    signs = np.where(fields & np.uint32(512), np.float32(-1), np.float32(1))
    others = (fields & np.uint32(511)).astype(np.float32) * np.float32(QUAT_STEP) * signs
    return np.roll(from_smallest_three((packed >> np.uint32(30)).astype(np.int64), others), 1, axis=1)
