"""Whether an engine's masks can be right. They are guesses, and a wrong one costs the reconstruction more than none."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from splatlib.artifacts import FrameSet
from splatlib.config import MasksConfig
from splatlib.masks.temporal import sequences
from splatlib.masks.thumbnails import Picture

# An object in front of something leaves something of it to be seen; a quarter is what a portrait leaves.
_MOST_OF_THE_PICTURE = 0.75
# What stands in the middle meets the border where it stands, on one side; what meets half of it, on three.
_MOST_OF_THE_BORDER = 0.5
# Frames that overlap show the object from about the same distance; at twice the area it is 1.4 times as near.
_JUMP = 2.0
_NEIGHBOURS = 2
_MOST_NAMES = 4


@dataclass(frozen=True)
class Found:
    """What was found in a frame: its shares of the picture's area and of the pixels along the picture's border."""

    area: float
    border: float


def found_in(mask: Picture, config: MasksConfig) -> Found:
    """Of a finished mask [height, width]: the object's shares, whichever side ``keep`` leaves in use."""
    is_object = (mask > 0) == (config.keep == "object")
    border = np.concatenate([is_object[0], is_object[-1], is_object[:, 0], is_object[:, -1]])
    return Found(float(is_object.mean()), float(border.mean()))


def doubts(frames: FrameSet, found: Mapping[str, Found], config: MasksConfig) -> list[str]:
    """Plain sentences on masks that look wrong, with the frames' names and what to try; empty if all look right.

    Looked for: an object that fills the picture, one that lies along its border (then it is the background that was
    found, or the camera was too near for an outline), and one whose area is not that of its neighbours in the
    sequence. To leave something out of the pictures is another matter: it may come and go, and only filling the
    picture is odd.
    """
    filling = [name for name, one in found.items() if one.area > _MOST_OF_THE_PICTURE]
    sentences = []
    if filling:
        sentences.append(f"What was found fills more than three quarters of {_named(filling, found)}.")
    if config.keep == "object":
        along = [n for n, one in found.items() if one.border > _MOST_OF_THE_BORDER and n not in filling]
        if along:
            sentences.append(f"What was found lies along most of the border of {_named(along, found)}.")
        if jumping := _jumping(frames, found):
            sentences.append(
                f"What was found is twice or half as large as in the frames beside {_named(jumping, found)}."
            )
    if sentences:
        sentences[-1] += f" Look at these masks before you trust them; {_advice(config)}."
    return sentences


def _jumping(frames: FrameSet, found: Mapping[str, Found]) -> list[str]:
    """Names of frames whose area is not that of their neighbours: their median, so that one bad frame accuses itself
    and not those beside it, and the step to a closer round of pictures accuses none."""
    names = []
    for sequence in sequences(frames.frames):
        areas = [
            (frames.frames[i].name, found[frames.frames[i].name].area)
            for i in sequence
            if frames.frames[i].name in found
        ]
        for at, (name, area) in enumerate(areas):
            beside = areas[max(0, at - _NEIGHBOURS) : at] + areas[at + 1 : at + 1 + _NEIGHBOURS]
            if len(beside) < 2 * _NEIGHBOURS:
                continue  # at either end there is nobody to ask on one side
            usual = statistics.median(other for _, other in beside)
            if area > _JUMP * usual or area < usual / _JUMP:
                names.append(name)
    return names


def _named(names: list[str], found: Mapping[str, Found]) -> str:
    shown = ", ".join(names[:_MOST_NAMES]) + (", …" if len(names) > _MOST_NAMES else "")
    return f"{len(names)} of {len(found)} frames ({shown})"


def _advice(config: MasksConfig) -> str:
    ways = []
    if config.backend in ("auto", "grabcut", "sam2"):
        ways.append("point at the object in some of these frames with masks.prompts")
    others = [backend for backend in ("u2net", "sam2") if backend != config.backend]
    ways.append(f"take masks.backend {' or '.join(others)}")
    ways.append("leave masks out if it is the place that you want, not an object in it")
    return ", ".join(ways[:-1]) + f", or {ways[-1]}"
