"""The capture check: what is wrong with a capture, in plain words, before anything expensive."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path

from splatlib.capture.look import Look
from splatlib.capture.motion import Motion, Reference
from splatlib.capture.parallax import only_turns
from splatlib.errors import CaptureUnusableError

MIN_FRAMES = 3
_FEW_FRAMES = 20
# Scores as of sharpness_of: a Gaussian blur of 2 px at 512 px leaves 0.18.
_SOFT = 0.2
_DARK, _WHITE_SHARE = 30.0, 0.3
_FEW_CORNERS = 30
_JUMPS_SHARE = 0.1
_LEAPS_SHARE = 0.2
# Share of the long side: what noise and compression of identical pictures move corners by, ten times over.
_STILL = 0.002

_MOVE = "walk around the scene, or move the camera sideways by about a tenth of the distance between pictures"


class Tally:
    """Collects, over the kept frames in order, what the check needs of each.

    Attributes:
        steps: motion of each frame since the one before; None for the first.
        farthest: the largest displacement from the first frame seen, share of the long side; once it is clear that
            the camera moves it is no longer measured.
    """

    def __init__(self) -> None:
        self.looks: list[tuple[float | None, float, float, int]] = []
        self.steps: list[Motion | None] = []
        self.farthest = 0.0
        self._first: Reference | None = None
        self._previous: Reference | None = None

    def add(self, look: Look) -> None:
        here = Reference(look)
        self.looks.append((look.sharpness, look.brightness, look.white_share, here.num_corners))
        if self._previous is None or self._first is None:
            self._first = here
            self.steps.append(None)
        else:
            self.steps.append(self._previous.motion_to(look))
            if self.farthest < _STILL:
                self.farthest = max(self.farthest, self._first.motion_to(look).displacement)
        self._previous = here

    def of(self, kept: Sequence[int]) -> Tally:
        """The same of some of the frames. A step over frames left out is the sum of theirs."""
        part = Tally()
        part.farthest = self.farthest
        part.looks = [self.looks[index] for index in kept]
        for before, index in zip([-1, *kept], kept, strict=False):
            steps = [step for step in self.steps[before + 1 : index + 1] if step is not None]
            part.steps.append(_sum(steps) if before >= 0 else None)
        return part

    @classmethod
    def joined(cls, parts: Sequence[Tally]) -> Tally:
        """Of several sources, one after the other: from one to the next there is no step."""
        whole = cls()
        for part in parts:
            whole.looks += part.looks
            whole.steps += [None, *part.steps[1:]] if part.steps else []
            whole.farthest = max(whole.farthest, part.farthest)
        return whole

    @property
    def exposure_steps_ev(self) -> list[float | None]:
        """Of each frame against the one before, in stops; None where unknown."""
        return [None if step is None else step.exposure_ev for step in self.steps]

    @property
    def num_leaps(self) -> int:
        """Frames that share little with the one before."""
        return sum(step is not None and math.isinf(step.displacement) for step in self.steps)


def refuse_hopeless(tally: Tally, num_kept: int, num_readable: int, num_unreadable: int, what: str) -> None:
    """Raise CaptureUnusableError where no reconstruction can come of what is left.

    Args:
        tally: of the frames that were worth keeping.
        num_kept: frames left in the end.
        num_readable: pictures that could be looked at.
        num_unreadable: pictures that could not.
        what: name of the capture.
    """
    if num_readable < MIN_FRAMES:
        damaged = f"{_count(num_unreadable, 'picture')} could not be read; " if num_unreadable else ""
        raise CaptureUnusableError(
            f"{what} has {_count(num_readable, 'usable picture')}; {MIN_FRAMES} are needed, 40 to 150 are best",
            why=f"{damaged}depth comes from seeing the same point from several places",
            hint="take more pictures; neighbours should share most of the scene",
        )
    if num_kept < MIN_FRAMES or tally.farthest < _STILL:
        raise CaptureUnusableError(
            f"{what} shows no parallax: of {num_readable} pictures looked at, {num_kept} differ enough to count",
            why="the camera hardly moved, so the pictures are all but identical and depth cannot be told",
            hint=_MOVE,
        )


def warnings_for(tally: Tally, pictures: Sequence[Path], num_jumps: int, num_blurred: int, is_video: bool) -> list[str]:
    """What the user should know about the kept frames, in plain sentences.

    Args:
        tally: of the kept frames.
        pictures: their files.
        num_jumps: of them, how many jump in exposure.
        num_blurred: frames that were dropped, or would have been, for blur.
        is_video: neighbours should overlap; photos may come in any order.
    """
    number = len(pictures)
    sharpness, brightness, white, corners = (list(column) for column in zip(*tally.looks, strict=True))
    scores = [score for score in sharpness if score is not None]
    found = []
    if number < _FEW_FRAMES:
        found.append(
            f"Few frames: {number}. 40 to 150 are usual; surfaces seen from fewer than three of them stay open."
        )
    if scores and statistics.median(scores) < _SOFT:
        found.append(
            "Most frames are blurred, so the splat will be soft. Move more slowly, add light, or clean the lens."
        )
    if num_blurred > 0.2 * (number + num_blurred):
        found.append(
            f"{num_blurred} frames are far more blurred than their neighbours. Move more slowly, or add light."
        )
    if is_video and tally.num_leaps > _LEAPS_SHARE * number:
        found.append(
            f"{tally.num_leaps} of {number} frames share little with the one before. Raise max_frames, cut the video "
            "with start_s and end_s, or move more slowly."
        )
    if statistics.median(brightness) < _DARK:
        found.append("The frames are very dark. Add light, or expose longer: noise hides the features.")
    if statistics.median(white) > _WHITE_SHARE:
        found.append(
            "A large part of the frames is pure white: over-exposed, or a blank background. Nothing can be "
            "matched there."
        )
    if num_jumps > max(1, _JUMPS_SHARE * number):
        found.append(
            f"The exposure jumps at {num_jumps} frames, which leaves spots of wrong brightness. Lock the exposure if "
            "you can."
        )
    if statistics.median(corners) < _FEW_CORNERS:
        found.append("The frames show little texture; cameras may not be found. Put printed patterns into the scene.")
    if only_turns(pictures):
        found.append(
            "No parallax found: the camera seems only to have turned on the spot, or all that is in view is flat. "
            f"Depth needs movement: {_MOVE}."
        )
    return found


def _sum(steps: list[Motion]) -> Motion:
    known = [step.exposure_ev for step in steps if step.exposure_ev is not None]
    displacement = sum(step.displacement for step in steps)
    return Motion(displacement, sum(known) if len(known) == len(steps) else None)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number or 'no'} {noun}s"
