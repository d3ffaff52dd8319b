"""Whether the camera moved from place to place, or only turned."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from splatlib.capture.look import SCORE_PX, shrink
from splatlib.matching.two_view import FLAT_SHARE, two_view

_PAIRS = 5
_MIN_PAIRS = 3
_MAX_EXCEPTIONS = 1
_MIN_MATCHES = 40
_MAX_FEATURES = 600

# [N, 2] positions in pixels at SCORE_PX, [N, 128] SIFT descriptors
Features = tuple[np.ndarray, np.ndarray]


def only_turns(pictures: Sequence[Path]) -> bool:
    """Whether sampled pairs of frames are all explained by one homography: no parallax, or only a plane in view.

    See ``splatlib.matching.two_view``. One pair may differ. False where too few pairs can be matched to tell.
    """
    features = functools.cache(_features)
    last = len(pictures) - 1
    explained = exceptions = 0
    for start in sorted({round(i * max(0, last - 1) / (_PAIRS - 1)) for i in range(_PAIRS)}):
        # neighbours in time, near enough to match and far enough to differ
        for gap in (3, 1):
            if start + gap > last:
                continue
            share = _homography_share(features(pictures[start]), features(pictures[start + gap]))
            if share is not None:
                explained += share >= FLAT_SHARE
                exceptions += share < FLAT_SHARE
                break
        if exceptions > _MAX_EXCEPTIONS:
            return False
    return explained >= _MIN_PAIRS


def _homography_share(one: Features, other: Features) -> float | None:
    """None where the pair has too few matches or moved too little to tell."""
    points_one, points_other = _matches(one, other)
    if len(points_one) < _MIN_MATCHES:
        return None
    found = two_view(points_one, points_other, SCORE_PX, min_inliers=_MIN_MATCHES // 2)
    return None if found is None else found.flat_share


def _matches(one: Features, other: Features) -> tuple[np.ndarray, np.ndarray]:
    """[N, 2] each, pixels at ``SCORE_PX``: Lowe's ratio test."""
    if len(one[1]) < 2 or len(other[1]) < 2:
        return np.empty((0, 2), np.float32), np.empty((0, 2), np.float32)
    pairs = cv2.BFMatcher().knnMatch(one[1], other[1], k=2)
    good = [best for best, second in pairs if best.distance < 0.75 * second.distance]
    return one[0][[match.queryIdx for match in good]], other[0][[match.trainIdx for match in good]]


def _features(picture: Path) -> Features:
    grey = shrink(np.asarray(cv2.imread(str(picture), cv2.IMREAD_GRAYSCALE), dtype=np.uint8), SCORE_PX)
    points, descriptors = cv2.SIFT.create(_MAX_FEATURES).detectAndCompute(grey, None)
    positions = np.array([point.pt for point in points], np.float32).reshape(-1, 2)
    return positions, np.empty((0, 128), np.float32) if descriptors is None else np.asarray(descriptors)
