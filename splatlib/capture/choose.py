"""Which pictures to keep: pure functions of scores and times, and of a measure of motion that the caller brings."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

# How far the picture must move, as a share of its long side, before another one is worth keeping.
# Video: neighbours 2 to 4 % apart still share 96 % of the scene, and a hand-held orbit of 15 s gives 50 to 100
# frames. Photos were each taken on purpose: only those that show nothing new go.
MIN_MOTION_VIDEO = 0.02
MIN_MOTION_PHOTOS = 0.002

# A frame is blurred if its score is under this share of its neighbours' median: at 512 px a blur of about 1.5 px more
# than theirs. In a stretch where all are soft, none is: a gap would cost more than the blur.
BLURRED_RATIO = 0.5
_NEIGHBOURS = 4
_MIN_NEIGHBOURS = 3

EXPOSURE_JUMP_EV = 0.5

T = TypeVar("T")


@dataclass
class Candidate(Generic[T]):
    """A picture that might be kept.

    Attributes:
        index: in the capture.
        position: time in seconds, or any measure that windows divide.
        sharpness: None where it could not be told; loses against any number.
        item: what ``moved`` compares, and whatever else the caller wants back.
    """

    index: int
    position: float
    sharpness: float | None
    item: T

    @property
    def rank(self) -> float:
        return -1.0 if self.sharpness is None else self.sharpness


@dataclass
class WindowPicker(Generic[T]):
    """Takes the sharpest candidate of each window; a window lasts until time *and* the camera have moved on.

    Candidates come in order, one at a time; at most one of them is held, so pictures of any number and size pass.
    Those that hardly differ from the last one kept are duplicates. There are never more windows than
    ``last position / window`` + 1.

    Attributes:
        window: length of a window, in the unit of ``position``.
        min_motion: how far the picture must have moved, in the unit of ``moved``.
        moved: how far the picture moved between two candidates. The first argument stays the same for a while.
        duplicates, surplus: what was passed over: too like another, or less sharp than another of its window.
    """

    window: float
    min_motion: float
    moved: Callable[[Candidate[T], Candidate[T]], float]
    duplicates: list[Candidate[None]] = field(default_factory=list)
    surplus: list[Candidate[None]] = field(default_factory=list)
    _kept: Candidate[T] | None = None
    _first: Candidate[T] | None = None
    _best: Candidate[T] | None = None

    def offer(self, candidate: Candidate[T]) -> Candidate[T] | None:
        """Look at the next candidate. Returns the winner of the window that it ends, if it ends one."""
        winner = None
        if self._first is not None and self._ends_window(self._first, candidate):
            winner = self.flush()
        if self._first is None:
            if self._kept is not None and self._is_near(self._kept, candidate):
                self.duplicates.append(_forgotten(candidate))
                return winner
            self._first = self._best = candidate
        elif self._best is None or candidate.rank > self._best.rank:
            self._pass_over(self._first, self._best)
            self._best = candidate
        else:
            self._pass_over(self._first, candidate)
        return winner

    def flush(self) -> Candidate[T] | None:
        """End the open window. Returns its winner, if one is open."""
        winner = self._best
        if winner is not None:
            self._kept = winner
        self._first = self._best = None
        return winner

    def _ends_window(self, first: Candidate[T], candidate: Candidate[T]) -> bool:
        if self._cell(first) == self._cell(candidate):
            return False
        return not self._is_near(first, candidate)

    def _cell(self, candidate: Candidate[T]) -> int:
        return int(candidate.position / self.window + 1e-6)

    def _is_near(self, one: Candidate[T], other: Candidate[T]) -> bool:
        return self.min_motion > 0 and self.moved(one, other) < self.min_motion

    def _pass_over(self, first: Candidate[T], candidate: Candidate[T] | None) -> None:
        if candidate is not None:
            # a window goes on past its time only while the picture stays the same
            in_time = self._cell(candidate) == self._cell(first)
            (self.surplus if in_time else self.duplicates).append(_forgotten(candidate))


def far_less_sharp(scores: Sequence[float | None]) -> list[bool]:
    """Which frames are blurred: far less sharp than those before *and* those after. Unscored ones never are."""
    flags = []
    for index, score in enumerate(scores):
        sides = scores[max(0, index - _NEIGHBOURS) : index], scores[index + 1 : index + 1 + _NEIGHBOURS]
        known = [[other for other in side if other is not None] for side in sides]
        if score is None or sum(map(len, known)) < _MIN_NEIGHBOURS:
            flags.append(False)
        else:
            # two medians, not one: the first frame of a soft stretch is like what follows
            flags.append(all(score < BLURRED_RATIO * statistics.median(side) for side in known if side))
    return flags


def evenly_by_sharpness(scores: Sequence[float | None], count: int) -> list[int]:
    """Indices of ``count`` frames, the sharpest of each of as many equal windows; all if there are no more."""
    if len(scores) <= count:
        return list(range(len(scores)))
    edges = [window * len(scores) // count for window in range(count + 1)]
    ranks = [-1.0 if score is None else score for score in scores]
    return [max(range(a, b), key=ranks.__getitem__) for a, b in itertools.pairwise(edges)]


def blurred_and_surplus(
    scores: Sequence[float | None], max_frames: int, drop_blurred: bool
) -> tuple[list[int], list[bool], dict[int, str]]:
    """The last two sieves, over frames that differ from one another.

    Returns the indices kept; for each frame whether it is blurred; and why each of the others goes.
    """
    blurred = far_less_sharp(scores)
    left = [index for index in range(len(scores)) if not (drop_blurred and blurred[index])]
    kept = [left[index] for index in evenly_by_sharpness([scores[index] for index in left], max_frames)]
    others = sorted(set(range(len(scores))) - set(kept))
    reasons = {index: "blurred" if drop_blurred and blurred[index] else "surplus" for index in others}
    return kept, blurred, reasons


def exposure_jumps(steps_ev: Sequence[float | None]) -> list[bool]:
    """Which frames jump in exposure, from each one's step against the frame before, in stops.

    Coming back from a jump is not another one: of a single bright frame only that frame is marked. Unknown steps
    count as none.
    """
    flags: list[bool] = []
    steps = [0.0 if step is None else step for step in steps_ev]
    for index, step in enumerate(steps):
        jumps = abs(step) > EXPOSURE_JUMP_EV
        comes_back = jumps and index > 0 and flags[-1] and abs(step + steps[index - 1]) < EXPOSURE_JUMP_EV / 2
        flags.append(jumps and not comes_back)
    return flags


def _forgotten(candidate: Candidate[T]) -> Candidate[None]:
    """Without its picture."""
    return Candidate(candidate.index, candidate.position, candidate.sharpness, None)
