"""The inner loop of matching along epipolar lines, in Numba: 340 pairs of fox_540 took 8 CPU-s in NumPy."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

Int32s = npt.NDArray[np.int32]


@numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc"})
def nearest_along_lines(
    lines: npt.NDArray[np.float32],
    points2: npt.NDArray[np.float32],
    descriptors1: npt.NDArray[np.uint8],
    descriptors2: npt.NDArray[np.uint8],
    max_error: float,
) -> tuple[Int32s, Int32s, Int32s, Int32s]:
    """The most similar feature of the other picture, of those near the epipolar line.

    Args:
        lines: [K1, 3] in the second picture at unit focal length, normals of length 1.
        points2: [K2, 2] at unit focal length; NaN is near no line.
        descriptors1, descriptors2: [K, 128].
        max_error: distance from the line.

    Returns:
        nearest2 [K1] and nearest1 [K2], -1 where no feature is near the line; the dot products of descriptors with the
        nearest and the second nearest one, [K1] each, 0 where there is none.
    """
    nearest2, nearest1 = np.full(len(lines), -1, np.int32), np.full(len(points2), -1, np.int32)
    best, second = np.zeros(len(lines), np.int32), np.zeros(len(lines), np.int32)
    best_of_column = np.zeros(len(points2), np.int32)
    limit = np.float32(max_error)
    for i in range(len(lines)):
        a, b, c = lines[i, 0], lines[i, 1], lines[i, 2]
        for j in range(len(points2)):
            off = a * points2[j, 0] + b * points2[j, 1] + c
            if not abs(off) <= limit:
                continue
            product = np.int32(0)
            for k in range(descriptors1.shape[1]):
                product += np.int32(descriptors1[i, k]) * np.int32(descriptors2[j, k])
            if product > best_of_column[j]:
                best_of_column[j], nearest1[j] = product, i
            if product > best[i]:
                second[i] = best[i]
                best[i], nearest2[i] = product, j
            elif product > second[i]:
                second[i] = product
    return nearest2, nearest1, best, second
