"""Which frames would find their place: structure from motion played through with counts of shared points, no geometry.

The incremental mapper starts from a pair and adds, one at a time, the frame that sees most points already known; a
point is known once two placed frames that moved against one another share it. The same is done here with the matches
of small pictures. What it leaves out (angles, wrong matches, bundle adjustment) makes it an optimist.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csc_array, csr_array
from scipy.sparse.csgraph import connected_components

from splatlib.check.features import MAX_FEATURES, Picture
from splatlib.check.links import Match

# COLMAP places a frame by at least 30 known points (abs_pose_min_num_inliers). Whoever has as many here is safe.
SURE_POINTS = 30
# solve_cameras keeps up to 2048 features of a frame, the check 800: as many there are this many here.
FEWEST_POINTS = round(SURE_POINTS * MAX_FEATURES / 2048)


@dataclass(frozen=True, eq=False)
class Tracks:
    """Points followed through pictures.

    Attributes:
        of_moment: [moments, tracks] bool, which moments see which.
        of_features: for each picture [K] track of each feature, -1: none.
    """

    of_moment: csr_array
    of_features: list[npt.NDArray[np.intp]]

    @property
    def lengths(self) -> npt.NDArray[np.intp]:
        """[tracks] number of moments that see each."""
        return np.asarray(self.of_moment.sum(axis=0)).ravel().astype(np.intp)


def tracks_of(pictures: Sequence[Picture], matches: Sequence[Match], moments: Sequence[Sequence[int]]) -> Tracks:
    """Join matches that share a feature."""
    first = np.concatenate([[0], np.cumsum([len(picture) for picture in pictures])]).astype(np.intp)
    one = np.concatenate([np.empty(0, np.intp), *(first[m.one] + m.features_one for m in matches)])
    other = np.concatenate([np.empty(0, np.intp), *(first[m.other] + m.features_other for m in matches)])
    total = int(first[-1])
    joined = coo_array((np.ones(len(one), bool), (one, other)), shape=(total, total))
    _, labels = connected_components(joined, directed=False)
    matched = np.zeros(total, bool)
    matched[one] = matched[other] = True
    names, numbers = np.unique(labels[matched], return_inverse=True)
    track = np.full(total, -1, np.intp)
    track[matched] = numbers
    moment_of_picture = np.empty(len(pictures), np.intp)
    for number, moment in enumerate(moments):
        moment_of_picture[list(moment)] = number
    moment = np.repeat(moment_of_picture, np.diff(first))[matched]
    incidence = csr_array((np.ones(len(numbers), np.int32), (moment, numbers)), shape=(len(moments), len(names)))
    incidence.sum_duplicates()
    incidence.data[:] = 1
    return Tracks(incidence, [track[a:b] for a, b in pairwise(first)])


@dataclass(frozen=True, eq=False)
class Growth:
    """How a reconstruction would grow.

    Attributes:
        sure: moments that see ``SURE_POINTS`` when their turn comes, in that order.
        unsure: those that come after the first one with fewer, down to ``FEWEST_POINTS``.
        elsewhere: other parts that would grow on their own, larger first.
        points: [moments] known points each saw when its turn came; of those never placed, what they see in the end.
    """

    sure: list[int]
    unsure: list[int]
    elsewhere: list[list[int]]
    points: npt.NDArray[np.intp]


def grow(tracks: Tracks, matches: Sequence[Match], moments: Sequence[Sequence[int]]) -> Growth:
    """Play it through; the largest part counts as the reconstruction."""
    growing = _Growing(tracks, matches, moments)
    parts: list[list[int]] = []
    left = set(range(len(moments)))
    while (part := growing.from_best_seed(left, SURE_POINTS)) is not None:
        parts.append(part)
        left -= set(part)
    points = np.zeros(len(moments), np.intp)
    if not parts:
        part = growing.from_best_seed(left, FEWEST_POINTS)
        if part is None:
            return Growth([], [], [], points)
        sure, unsure, elsewhere = [], part, []
    else:
        parts.sort(key=len, reverse=True)
        sure, others = parts[0], parts[1:]
        growing.restart(sure)
        unsure = growing.go_on(FEWEST_POINTS)
        elsewhere = [[i for i in part if i not in unsure] for part in others]
    growing.restart([*sure, *unsure])
    return Growth(sure, unsure, [part for part in elsewhere if len(part) > 1], growing.points_when_placed())


class _Growing:
    def __init__(self, tracks: Tracks, matches: Sequence[Match], moments: Sequence[Sequence[int]]) -> None:
        moment_of = {index: number for number, moment in enumerate(moments) for index in moment}
        self.num_moments = len(moments)
        self.of_moment = csc_array(tracks.of_moment)
        self.num_tracks = len(tracks.lengths)
        self.shared: dict[int, dict[int, list[npt.NDArray[np.intp]]]] = {i: {} for i in range(self.num_moments)}
        for match in matches:
            if match.tells_depth:
                a, b = moment_of[match.one], moment_of[match.other]
                seen = tracks.of_features[match.one][match.features_one]
                self.shared[a].setdefault(b, []).append(seen)
                self.shared[b].setdefault(a, []).append(seen)
        self.restart([])

    def restart(self, placed: Sequence[int]) -> None:
        """Forget all, then place some in their order."""
        self.known = np.zeros(self.num_tracks, bool)
        self.seen = np.zeros(self.num_moments, np.intp)  # known points each moment sees
        self.when_placed: dict[int, int] = {}
        for moment in placed:
            self.place(moment)

    def place(self, moment: int) -> None:
        self.when_placed[moment] = int(self.seen[moment])
        new = [part for other, parts in self.shared[moment].items() if other in self.when_placed for part in parts]
        if new:
            fresh = np.unique(np.concatenate(new))
            fresh = fresh[~self.known[fresh]]
            self.known[fresh] = True
            self.seen += np.asarray(self.of_moment[:, fresh].sum(axis=1)).ravel().astype(np.intp)

    def go_on(self, fewest: int) -> list[int]:
        """Place whoever sees most known points, as long as that is enough; returns those placed, in order."""
        added = []
        while True:
            waiting = self.seen.copy()
            waiting[list(self.when_placed)] = -1
            best = int(waiting.argmax())
            if waiting[best] < fewest:
                return added
            self.place(best)
            added.append(best)

    def from_best_seed(self, left: set[int], fewest: int) -> list[int] | None:
        """A part that grows from the pair with most matches among those left; None: no pair has enough."""
        best, most = None, fewest - 1
        for a in left:
            for b, parts in self.shared[a].items():
                count = sum(map(len, parts))
                if a < b and b in left and count > most:
                    best, most = (a, b), count
        if best is None:
            return None
        self.restart(best)
        grown = [*best, *self.go_on(fewest)]
        return [moment for moment in grown if moment in left]

    def points_when_placed(self) -> npt.NDArray[np.intp]:
        """The pair that began counts with what it shares."""
        points = self.seen.copy()
        for order, (moment, seen) in enumerate(self.when_placed.items()):
            points[moment] = seen if order > 1 else self.seen[moment]
        return points
