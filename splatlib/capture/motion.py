"""How far the picture moved between two frames, and how the exposure changed, from tracked corners."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from splatlib.capture.look import Grey, Look

_MAX_CORNERS = 100
_MIN_TRACKS = 8
_MIN_TRACKED_SHARE = 0.3
_MAX_ROUND_TRIP_PX = 1.0
# Four fifths of the corners moved at most this far: a person walking through a still picture is not camera motion,
# a turning object in front of a still wall is.
_QUANTILE = 0.8
_SAME_GREY_LEVELS = 2.0
_GAMMA = 2.2


@dataclass(frozen=True)
class Motion:
    """Between two frames.

    Attributes:
        displacement: share of the picture's long side that corners moved; inf where the two have little in common.
        exposure_ev: change of brightness of the same corners in stops; None where too few could be followed.
    """

    displacement: float
    exposure_ev: float | None


class Reference:
    """A frame that others are compared with; its corners are found once."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self._picture = _even_contrast(look.thumbnail)
        self._corners = cv2.goodFeaturesToTrack(self._picture, _MAX_CORNERS, 0.01, 7, mask=look.mask)

    @property
    def num_corners(self) -> int:
        return 0 if self._corners is None else len(self._corners)

    def motion_to(self, other: Look) -> Motion:
        """Follow the corners into another frame (Lucas-Kanade; forth and back, as in Kalal et al., ICPR 2010)."""
        if other.thumbnail.shape != self.look.thumbnail.shape:
            return Motion(math.inf, None)
        if self._corners is None or len(self._corners) < _MIN_TRACKS:
            return self._motion_without_corners(other)
        picture = _even_contrast(other.thumbnail)
        there, found, _ = _follow(self._picture, picture, self._corners)
        back, found_back, _ = _follow(picture, self._picture, there)
        round_trip_px = np.linalg.norm((back - self._corners)[:, 0], axis=1)
        ok = (found[:, 0] == 1) & (found_back[:, 0] == 1) & (round_trip_px < _MAX_ROUND_TRIP_PX)
        if ok.sum() < _MIN_TRACKS or ok.mean() < _MIN_TRACKED_SHARE:
            return Motion(math.inf, None)
        moved_px = np.linalg.norm((there - self._corners)[ok, 0], axis=1)
        before = _light(self.look.thumbnail, self._corners[ok, 0])
        after = _light(other.thumbnail, there[ok, 0])
        return Motion(float(np.quantile(moved_px, _QUANTILE)) / max(picture.shape), _stops(before, after))

    def _motion_without_corners(self, other: Look) -> Motion:
        """Pictures without texture are the same or not; nothing finer can be said."""
        difference = cv2.absdiff(self.look.thumbnail, other.thumbnail).mean()
        return Motion(0.0 if difference < _SAME_GREY_LEVELS else math.inf, None)


def _even_contrast(thumbnail: Grey) -> Grey:
    """Mean 128, standard deviation 48: the tracker compares grey values, and exposure must not matter to it."""
    mean, deviation = (float(value[0, 0]) for value in cv2.meanStdDev(thumbnail))
    gain = 48.0 / max(deviation, 4.0)
    values = np.clip((np.arange(256) - mean) * gain + 128.0, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(thumbnail, values), dtype=np.uint8)


def _follow(before: Grey, after: Grey, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[N, 1, 2] points in the other picture, [N, 1] found or not, [N, 1] error."""
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 10, 0.03)
    start = np.empty_like(points)
    return cv2.calcOpticalFlowPyrLK(before, after, points, start, winSize=(11, 11), maxLevel=3, criteria=stop)


def _light(thumbnail: Grey, points: np.ndarray) -> np.ndarray:
    """[N] mean grey value around each of the [N, 2] points."""
    smooth = cv2.blur(thumbnail, (5, 5))
    column, row = np.round(points).astype(int).T
    height, width = thumbnail.shape
    return smooth[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)].astype(np.float64)


def _stops(before: np.ndarray, after: np.ndarray) -> float | None:
    """Median ratio of light in stops, leaving out what is black or burnt out in either."""
    ok = (np.minimum(before, after) > 8) & (np.maximum(before, after) < 247)
    if ok.sum() < _MIN_TRACKS:
        return None
    return float(np.median(_GAMMA * np.log2(after[ok] / before[ok])))
