"""Morton order: neighbours in the list are neighbours in space, which is what compressors and viewers profit from."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_BITS = 21  # an axis: three of them fit into 64


def morton_codes(means: npt.NDArray[np.floating]) -> npt.NDArray[np.uint64]:
    """[N] interleaved bits of the means [N, 3], each axis scaled to its own extent (Morton 1966)."""
    if not len(means):
        return np.empty(0, np.uint64)
    low, high = means.min(axis=0).astype(np.float64), means.max(axis=0).astype(np.float64)
    extent = np.where(high > low, high - low, 1.0)
    codes = np.zeros(len(means), np.uint64)
    for axis in range(3):
        cells = ((means[:, axis] - low[axis]) * ((2**_BITS - 1) / extent[axis])).astype(np.uint64)
        codes |= _spread(cells) << np.uint64(2 - axis)
    return codes


def morton_order(means: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """[N] indices that sort means [N, 3] along a Morton curve."""
    return np.argsort(morton_codes(means), kind="stable")


def _spread(cells: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Two zero bits after each of the 21 bits."""
    for shift, mask in (
        (32, 0x1F00000000FFFF),
        (16, 0x1F0000FF0000FF),
        (8, 0x100F00F00F00F00F),
        (4, 0x10C30C30C30C30C3),
        (2, 0x1249249249249249),
    ):
        cells = (cells | (cells << np.uint64(shift))) & np.uint64(mask)
    return cells
