"""How ``max_frames`` is shared among the sources of a capture.

Each source has a weight: the number of its photos, or four times the seconds of a video between ``start_s`` and
``end_s`` (what a hand-held walk round a subject gives). Shares are proportional to weights, but none is larger than
what the source can give, or smaller than one picture. Sources are read one after the other, and what one leaves
unused, for instance a video that stands still, is shared among those that follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from splatlib.capture.panorama import faces_of
from splatlib.capture.panorama_detect import is_two_to_one
from splatlib.capture.video import VideoReader
from splatlib.config import FramesConfig
from splatlib.errors import CaptureUnusableError

FRAMES_PER_S = 4.0
# Of a video whose container does not say how long it is.
_UNKNOWN_S = 30.0


@dataclass(frozen=True)
class Appetite:
    """What a source asks for, in frames; of one that may be of panoramas each face is one.

    Attributes:
        weight: its part in the sharing.
        most: more it cannot give.
    """

    weight: float
    most: float


def appetite_of_photos(number: int, first_size: tuple[int, int] | None, config: FramesConfig) -> Appetite:
    """Args:
    first_size: width and height of the first photo that can be read; None if none can.
    """
    faces = _faces(first_size, config)
    return Appetite(number * faces, number * faces)


def appetite_of_video(reader: VideoReader, config: FramesConfig) -> Appetite:
    faces = _faces((reader.width, reader.height) if reader.height else None, config)
    if reader.duration_s is None:
        return Appetite(FRAMES_PER_S * _UNKNOWN_S * faces, float("inf"))
    share = min(1.0, reader.duration_s / max(reader.whole_s, 1e-9))
    return Appetite(FRAMES_PER_S * reader.duration_s * faces, max(1.0, share * reader.num_frames) * faces)


def share_of_first(budget: int, appetites: Sequence[Appetite]) -> int:
    """How many of ``budget`` frames the first of the sources still to be read may give; at least one.

    What a small source cannot use goes to the others, in proportion again, until nothing is left or all are sated.
    """
    shares = [0.0] * len(appetites)
    hungry = list(range(len(appetites)))
    left = float(budget)
    while hungry and left > 1e-9:
        total = sum(appetites[index].weight for index in hungry)
        sated = [i for i in hungry if shares[i] + left * appetites[i].weight / total >= appetites[i].most]
        if not sated:
            for index in hungry:
                shares[index] += left * appetites[index].weight / total
            break
        for index in sated:
            left -= appetites[index].most - shares[index]
            shares[index] = appetites[index].most
        hungry = [index for index in hungry if index not in sated]
    # each of the others still gets its one
    return max(1, min(round(shares[0]), budget - (len(appetites) - 1)))


def refuse_too_few(max_frames: int, num_sources: int) -> None:
    """Raise CaptureUnusableError where there are more sources than frames."""
    if max_frames < num_sources:
        raise CaptureUnusableError(
            f"{num_sources} sources cannot share frames.max_frames={max_frames}",
            why="each of them is to give at least one frame",
            hint=f"raise frames.max_frames to {20 * num_sources} or more, or name fewer sources",
        )


def _faces(size: tuple[int, int] | None, config: FramesConfig) -> int:
    may_be_panorama = config.projection == "equirectangular" or (
        config.projection == "auto" and size is not None and is_two_to_one(*size)
    )
    return len(faces_of(config)) if may_be_panorama else 1
