"""What two pictures of a scene tell of the camera between them: whether it moved, only turned, or saw a plane."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

# Pixels, of pictures some 400 to 500 px long, in which SIFT's positions are good to about half a pixel.
_EPIPOLAR_PX, _PLANAR_PX = 1.5, 2.0
_CONFIDENCE, _MAX_TRIALS = 0.999, 2000

# Share of the matches that obey the epipolar geometry which one homography explains as well. Measured at neighbours one
# to six apart: a walk around a table 0.34 to 0.72, a board on a wall 0.79 to 0.89, turning on the spot 0.98 to 0.99.
FLAT_SHARE = 0.95
# Share of the long side by which matches must have moved before the two models can be told apart.
MIN_DISPLACEMENT = 0.04


@dataclass(frozen=True, eq=False)
class TwoView:
    """How two pictures relate.

    Attributes:
        inliers: [M] bool, matches that obey one epipolar geometry.
        flat_share: share of them that one homography explains; None where the picture moved too little to tell.
        homography: [3, 3] other from one, in pixels; None likewise.
    """

    inliers: npt.NDArray[np.bool_]
    flat_share: float | None
    homography: npt.NDArray[np.float64] | None

    @property
    def num_inliers(self) -> int:
        return int(self.inliers.sum())


def two_view(
    points_one: npt.NDArray[np.float32], points_other: npt.NDArray[np.float32], long_side_px: int, min_inliers: int
) -> TwoView | None:
    """Fit an epipolar geometry and a homography to matched points (MAGSAC++, Barath et al. 2020).

    A homography relates two pictures exactly if the camera only turned between them or saw one plane (Hartley &
    Zisserman, "Multiple View Geometry", 13.1); then nothing tells depth.

    Args:
        points_one, points_other: [M, 2] each, pixels.
        long_side_px: of the pictures.
        min_inliers: None is returned below.
    """
    if len(points_one) < max(min_inliers, 8):
        return None
    try:
        _, found = cv2.findFundamentalMat(
            points_one, points_other, cv2.USAC_MAGSAC, _EPIPOLAR_PX, _CONFIDENCE, _MAX_TRIALS
        )
    except cv2.error:
        return None  # OpenCV 5 raises where no sample of the matches gives a model
    if found is None or found.sum() < min_inliers:
        return None
    inliers = found[:, 0].astype(bool)
    moved_px = np.linalg.norm(points_one[inliers] - points_other[inliers], axis=1)
    if float(np.median(moved_px)) < MIN_DISPLACEMENT * long_side_px:
        return TwoView(inliers, None, None)
    homography, planar = cv2.findHomography(
        points_one[inliers],
        points_other[inliers],
        cv2.USAC_MAGSAC,
        _PLANAR_PX,
        maxIters=_MAX_TRIALS,
        confidence=_CONFIDENCE,
    )
    if homography is None or planar is None:
        return TwoView(inliers, 0.0, None)
    return TwoView(inliers, float(planar.mean()), np.asarray(homography, np.float64))


def turn_residual(homography: npt.NDArray[np.float64], focal_px: float, size: tuple[int, int]) -> float:
    """How far a homography is from a pure turn of a pinhole camera with its principal point in the middle.

    ``K⁻¹ H K`` is then a rotation up to scale; the largest deviation of its singular values from 1 is returned. Of a
    plane it is about the camera's step over its distance to the plane.

    Args:
        homography: [3, 3], pixels.
        size: width and height, pixels.
    """
    k = np.array([[focal_px, 0, size[0] / 2], [0, focal_px, size[1] / 2], [0, 0, 1]])
    turned = np.linalg.solve(k, homography) @ k
    determinant = np.linalg.det(turned)
    if abs(determinant) < 1e-9:
        return float("inf")
    return float(np.abs(np.linalg.svd(turned / np.cbrt(determinant), compute_uv=False) - 1).max())
