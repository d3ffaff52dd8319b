"""Which pictures share points: pairs that are worth comparing, their matches, and what the camera did between them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import cv2
import numpy as np
import numpy.typing as npt

from splatlib import threads
from splatlib.check.features import Picture
from splatlib.matching import retrieval
from splatlib.matching.two_view import FLAT_SHARE, TwoView, turn_residual, two_view
from splatlib.progress import bar

# COLMAP's least number of verified matches of a pair, which solve_cameras works with too.
MIN_MATCHES = 15
_RATIO = 0.8  # as in solve_cameras (Lowe 2004)
# As solve_cameras compares frames (splatlib.cameras.pairs).
_EXHAUSTIVE_UP_TO = 40
_NEIGHBOURS, _LOOK_ALIKES = 5, 6
_NEIGHBOURS_UNORDERED, _LOOK_ALIKES_UNORDERED = 2, 12
# A camera that turned leaves what the noise of positions does, about a thousandth; one that moved by a fiftieth of its
# distance to a plane leaves that.
_TURN_RESIDUAL = 0.02
# A homography and two points off its plane give an epipolar geometry; four times as many are no accident.
_FEWEST_OFF_PLANE = 8
# Of the long side: 28 to 112 degrees across, in steps of 3 %: a turn of 24 degrees is told from a plane within 5 %.
_FOCAL_FACTORS = np.geomspace(0.34, 2.0, 60)
_FOCAL_SAMPLE = 60
_USUAL_FOCAL_FACTOR = 1.2  # COLMAP's guess
_GAMMA = 2.2
_MIN_LIGHTS = 8


@dataclass(frozen=True, eq=False)
class Match:
    """Verified matches of two pictures.

    Attributes:
        one, other: indices of the pictures.
        features_one, features_other: [M] indices of the matched features.
        motion: ``moved``, ``flat`` (moved before a plane), ``turned`` (on the spot), or ``still`` (too little to tell).
        exposure_ev: change of brightness of the same points from one to the other, in stops; None: cannot be told.
    """

    one: int
    other: int
    features_one: npt.NDArray[np.intp]
    features_other: npt.NDArray[np.intp]
    motion: str
    exposure_ev: float | None

    def __len__(self) -> int:
        return len(self.features_one)

    @property
    def tells_depth(self) -> bool:
        return self.motion in ("moved", "flat")


def pairs_of(pictures: Sequence[Picture], moments: Sequence[Sequence[int]], in_order: bool) -> list[tuple[int, int]]:
    """Pairs to compare: of few pictures all, else neighbours and those that look alike; never faces of one panorama.

    Of panoramas, faces are compared with those of neighbours that look alike too, since the camera may have turned.
    """
    moment_of = {index: number for number, moment in enumerate(moments) for index in moment}
    if len(pictures) <= _EXHAUSTIVE_UP_TO:
        pairs = set(combinations(range(len(pictures)), 2))
    else:
        window, top = (_NEIGHBOURS, _LOOK_ALIKES) if in_order else (_NEIGHBOURS_UNORDERED, _LOOK_ALIKES_UNORDERED)
        pairs = {
            (min(i, j), max(i, j))
            for number, moment in enumerate(moments)
            for later in moments[number + 1 : number + 1 + window]
            for i, j in zip(moment, later, strict=False)
        }
        vectors = retrieval.vlad(lambda index: pictures[index].descriptors, len(pictures), seed=0)
        most_faces = max(map(len, moments))
        pairs |= retrieval.look_alikes(vectors, top, but_neighbours_within=window if most_faces == 1 else 0)
    return sorted((i, j) for i, j in pairs if moment_of[i] != moment_of[j])


def match_pictures(pictures: Sequence[Picture], pairs: Sequence[tuple[int, int]]) -> list[Match]:
    """Those of the pairs that share enough points for one epipolar geometry."""
    vectors = [_unit(picture.descriptors) for picture in pictures]

    def compare(pair: tuple[int, int]) -> tuple[tuple[int, int], npt.NDArray[np.intp], TwoView] | None:
        one, other = pair
        matches = _mutual_matches(vectors[one], vectors[other])
        if len(matches) < MIN_MATCHES:
            return None
        found = two_view(
            pictures[one].positions[matches[:, 0]],
            pictures[other].positions[matches[:, 1]],
            max(pictures[one].size),
            MIN_MATCHES,
        )
        return None if found is None else (pair, matches[found.inliers], found)

    verified = []
    opencv_threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with bar(len(pairs), "overlap", unit="pair") as progress:
            for result in threads.in_order(compare, pairs, "check"):
                progress.update()
                if result is not None:
                    verified.append(result)
    finally:
        cv2.setNumThreads(opencv_threads)
    focal_factor = _focal_factor(pictures, [(pair, found) for pair, _, found in verified])
    return [
        Match(
            pair[0],
            pair[1],
            matches[:, 0],
            matches[:, 1],
            _motion(pictures[pair[0]], found, focal_factor),
            _stops(pictures[pair[0]].light[matches[:, 0]], pictures[pair[1]].light[matches[:, 1]]),
        )
        for pair, matches, found in verified
    ]


def _unit(descriptors: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    vectors = descriptors.astype(np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def _mutual_matches(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> npt.NDArray[np.intp]:
    """[M, 2] indices of features that are each other's nearest, by a margin (Lowe's ratio)."""
    if min(len(one), len(other)) < 2:
        return np.empty((0, 2), np.intp)
    # OpenCV's product keeps to one thread; NumPy's would start all cores' in each of the pool's
    likeness = np.asarray(cv2.gemm(one, other, 1.0, np.empty(0, np.float32), 0.0, flags=cv2.GEMM_2_T))
    rows = np.arange(len(one))
    nearest = likeness.argmax(axis=1)
    mutual = likeness.argmax(axis=0)[nearest] == rows
    best = likeness[rows, nearest]
    likeness[rows, nearest] = -1
    second = likeness.max(axis=1)
    # squared distances of unit vectors are 2 - 2 cos
    clear = (1 - best) < _RATIO**2 * (1 - second)
    kept = np.flatnonzero(mutual & clear)
    return np.stack([kept, nearest[kept]], axis=1)


def _focal_factor(pictures: Sequence[Picture], verified: list[tuple[tuple[int, int], TwoView]]) -> float:
    """Focal length over the long side: from EXIF, else the one with which most homographies are turns."""
    known = [picture.focal_px / max(picture.size) for picture in pictures if picture.focal_px]
    if known:
        return statistics.median(known)
    flat = [(found.homography, pictures[pair[0]].size) for pair, found in verified if _is_flat(found)]
    if not flat:
        return _USUAL_FOCAL_FACTOR
    some = [flat[round(i * (len(flat) - 1) / max(1, _FOCAL_SAMPLE - 1))] for i in range(min(_FOCAL_SAMPLE, len(flat)))]
    turns = [
        sum(
            max(0.0, 1 - turn_residual(homography, factor * max(size), size) / _TURN_RESIDUAL)
            for homography, size in some
            if homography is not None
        )
        for factor in _FOCAL_FACTORS
    ]
    return float(_FOCAL_FACTORS[int(np.argmax(turns))])


def _is_flat(found: TwoView) -> bool:
    """Whether one homography explains all but noise: a share of the matches, or too few to tell of depth."""
    if found.flat_share is None or found.homography is None:
        return False
    off_plane = (1 - found.flat_share) * found.num_inliers
    return found.flat_share >= FLAT_SHARE or off_plane < _FEWEST_OFF_PLANE


def _motion(picture: Picture, found: TwoView, focal_factor: float) -> str:
    if found.flat_share is None:
        return "still"
    if found.homography is None or not _is_flat(found):
        return "moved"
    residual = turn_residual(found.homography, focal_factor * max(picture.size), picture.size)
    return "turned" if residual < _TURN_RESIDUAL else "flat"


def _stops(before: npt.NDArray[np.float32], after: npt.NDArray[np.float32]) -> float | None:
    """Median ratio of light, leaving out what is black or burnt out in either."""
    ok = (np.minimum(before, after) > 8) & (np.maximum(before, after) < 247)
    if ok.sum() < _MIN_LIGHTS:
        return None
    return float(np.median(_GAMMA * np.log2(after[ok] / before[ok])))
