"""Frames gathered from a capture, with what the capture check needs to know about them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Generic, TypeVar

from splatlib.artifacts import DroppedFrame, Frame, RigFace
from splatlib.capture.check import Tally
from splatlib.capture.choose import Candidate
from splatlib.capture.look import Look
from splatlib.capture.motion import Reference


@dataclass
class Harvest:
    """What came of reading a capture; the pictures are written.

    Attributes:
        frames: kept, in order; the faces of a panorama follow one another.
        tally: of the kept pictures of the capture, a panorama counting as one.
        num_readable, num_unreadable: pictures that could, and could not, be looked at.
        num_blurred: frames far less sharp than their neighbours.
        notes: for the user, in plain sentences.
        faces: of the panoramas among the frames.
    """

    frames: list[Frame]
    dropped: list[DroppedFrame]
    tally: Tally
    num_readable: int
    num_unreadable: int
    num_blurred: int
    notes: list[str]
    faces: tuple[RigFace, ...] = ()

    def moments(self) -> list[list[Frame]]:
        """The frames of each kept picture of the capture: the faces of a panorama, else one."""
        return [list(frames) for _, frames in itertools.groupby(self.frames, lambda frame: frame.group or frame.name)]


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


def group_name(number: int) -> str:
    """Of the faces of the n-th kept picture of the capture, from 1."""
    return f"{number:06d}"


def frame_name(number: int, face: str | None = None) -> str:
    """File name of the n-th kept picture of the capture, from 1, or of one face of it."""
    return f"{number:06d}.jpg" if face is None else f"{number:06d}_{face}.jpg"
