"""Masks that do not flicker: each agrees with those of the frames before and after, carried along by optical flow."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from splatlib.artifacts import Frame
from splatlib.masks.thumbnails import Map, Picture
from splatlib.threads import in_order

# Grey levels, after contrast is made even: where the neighbour, warped, differs by more, the flow is wrong there.
_MISMATCH_GREY = 12.0
# Two neighbours that match perfectly outvote the frame's own mask.
_NEIGHBOUR_WEIGHT = 0.75


def sequences(frames: Sequence[Frame]) -> list[list[int]]:
    """Indices of the frames that follow one another: all; of panoramas, those of the same face, for two faces of one
    panorama show different things at the same moment."""
    by_face: dict[str | None, list[int]] = {}
    for index, frame in enumerate(frames):
        by_face.setdefault(frame.face, []).append(index)
    return list(by_face.values())


def steadied(
    thumbnails: Sequence[Picture],
    maps: Sequence[Map],
    done: Callable[[], object] = lambda: None,
    follow: Sequence[Sequence[int]] | None = None,
) -> list[Map]:
    """Maps [height, width] in 0..1, blended with their neighbours' where those show the same.

    Args:
        thumbnails: [height, width, 3] RGB of the frames, in order, each of the size of its map.
        done: called once a frame.
        follow: indices of frames that follow one another, of ``sequences``; None: all, in order.

    A neighbour's weight falls with the difference of colour after warping, so photos that have little in common (or
    another size) do not change one another. Flow: DIS, Kroeger et al., ECCV 2016.
    """
    greys = [
        np.asarray(cv2.equalizeHist(cv2.cvtColor(thumbnail, cv2.COLOR_RGB2GRAY)), np.uint8) for thumbnail in thumbnails
    ]

    beside: dict[int, list[int]] = {index: [] for index in range(len(maps))}
    for sequence in follow if follow is not None else [range(len(maps))]:
        for one, other in itertools.pairwise(sequence):
            beside[one].append(other)
            beside[other].append(one)

    def blended(index: int) -> Map:
        total, weights = maps[index].copy(), np.ones_like(maps[index])
        for other in beside[index]:
            if maps[other].shape == maps[index].shape:
                warped, weight = _carried(greys[index], greys[other], maps[other])
                total += weight * warped
                weights += weight
        return total / weights

    result = []
    for blend in in_order(blended, range(len(maps)), "masks"):
        result.append(blend)
        done()
    return result


def _carried(here: Picture, there: Picture, values: Map) -> tuple[Map, Map]:
    """Another frame's map as seen from here, and how far to believe it, 0..1, per pixel."""
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST).calc(here, there, None)  # pyright: ignore
    height, width = here.shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    at_x, at_y = x + flow[..., 0], y + flow[..., 1]
    warped = cv2.remap(values, at_x, at_y, cv2.INTER_LINEAR)
    seen = cv2.remap(there, at_x, at_y, cv2.INTER_LINEAR)
    mismatch = cv2.blur(cv2.absdiff(here, seen).astype(np.float32), (7, 7)) / _MISMATCH_GREY
    inside = (at_x >= 0) & (at_x <= width - 1) & (at_y >= 0) & (at_y <= height - 1)
    return np.asarray(warped, np.float32), (_NEIGHBOUR_WEIGHT * inside * np.exp(-(mismatch**2))).astype(np.float32)
