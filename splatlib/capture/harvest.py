"""Frames gathered from a capture, with what the capture check needs to know about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from splatlib.artifacts import DroppedFrame, Frame
from splatlib.capture.check import Tally
from splatlib.capture.choose import Candidate
from splatlib.capture.look import Look
from splatlib.capture.motion import Reference


@dataclass
class Harvest:
    """What came of reading a capture; the pictures are written.

    Attributes:
        frames: kept, in order.
        tally: of the kept frames.
        num_readable, num_unreadable: pictures that could, and could not, be looked at.
        num_blurred: frames far less sharp than their neighbours.
        notes: for the user, in plain sentences.
    """

    frames: list[Frame]
    dropped: list[DroppedFrame]
    tally: Tally
    num_readable: int
    num_unreadable: int
    num_blurred: int
    notes: list[str]


@dataclass
class Seen:
    """What a candidate carries while it may still be kept."""

    look: Look


SeenT = TypeVar("SeenT", bound=Seen)


class MotionMeter(Generic[SeenT]):
    """Displacement between two candidates, share of the long side; remembers the corners of the one it began with."""

    def __init__(self) -> None:
        self._from: Candidate[SeenT] | None = None
        self._reference: Reference | None = None

    def __call__(self, one: Candidate[SeenT], other: Candidate[SeenT]) -> float:
        if self._from is not one or self._reference is None:
            self._from, self._reference = one, Reference(one.item.look)
        return self._reference.motion_to(other.item.look).displacement


def frame_name(number: int) -> str:
    """File name of the n-th kept frame, from 1."""
    return f"{number:06d}.jpg"
