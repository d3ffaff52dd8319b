"""Which frames were taken at one moment, and whether photos come in the order they were taken."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from splatlib.artifacts import Frame, FrameSet

# Photos "count up" if nearly every step from one file name's number to the next is small and forward.
_SMALL_STEP = 10
_SHARE_OF_SMALL_STEPS = 0.9


def moments(frames: FrameSet) -> list[list[int]]:
    """Indices of the frames taken at one moment: the faces of a panorama, else one frame, in the frames' order."""
    found: dict[str, list[int]] = {}
    for index, frame in enumerate(frames.frames):
        found.setdefault(frame.name if frame.group is None else f"group {frame.group}", []).append(index)
    return list(found.values())


def names_count_up(frames: FrameSet) -> bool:
    """Whether the sources' file names end in numbers that go up in small steps, in the frames' order."""
    return count_up([frames.frames[moment[0]] for moment in moments(frames)])


def count_up(frames: Sequence[Frame]) -> bool:
    """The same of some frames, one a moment."""
    numbers = [re.search(r"(\d+)\D*$", Path(frame.source).stem) for frame in frames]
    if any(number is None for number in numbers):
        return False
    steps = [int(b[1]) - int(a[1]) for a, b in pairwise(numbers) if a is not None and b is not None]
    small = sum(1 <= step <= _SMALL_STEP for step in steps)
    return small >= _SHARE_OF_SMALL_STEPS * len(steps)


def taken_in_order(frames: FrameSet) -> bool:
    """Whether neighbours were taken one after the other: of one source, a video or photos whose names count up."""
    if len({frame.source_group for frame in frames.frames}) > 1:
        return False
    return all(frame.is_of_video for frame in frames.frames) or names_count_up(frames)
