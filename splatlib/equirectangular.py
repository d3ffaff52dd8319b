"""Pinhole faces of equirectangular panoramas: where in the panorama each pixel of a face lies.

The middle of the panorama looks along the rig's z axis; columns are longitude (to the right), rows latitude (down), as
Google's Photo Sphere and YouTube's spherical video have it. Faces are square.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

# The panorama's resolution at the horizon may exceed that in the middle of a face by this much, as it does for a face
# of 90 degrees (4/pi); beyond, the panorama is averaged down first, or fine texture would flicker.
_MAX_REDUCTION = 4 / math.pi
# Columns repeated beyond either edge, so that interpolation runs round the seam.
_WRAP_PX = 4

Picture = npt.NDArray[np.uint8]
# As cv2.convertMaps makes them: positions and fractions, half the memory of two float32 arrays.
Table = tuple[npt.NDArray[np.int16], npt.NDArray[np.uint16]]


@dataclass(frozen=True)
class FaceSize:
    """Of a face of one panorama.

    Attributes:
        side_px: width and height of each. focal_px: of each; the principal point is the middle.
        source_width_px: to which the panorama is scaled first.
    """

    side_px: int
    focal_px: float
    source_width_px: int

    @classmethod
    def within(cls, panorama_width_px: int, side_px: int, focal_px: float) -> FaceSize:
        """A face of a panorama that is scaled down, never up, where it is finer than the face."""
        sharp_enough_px = 2 * round(math.pi * focal_px * _MAX_REDUCTION)
        return cls(side_px, focal_px, min(panorama_width_px, sharp_enough_px))


def face_table(face_from_rig: npt.NDArray[np.float64], size: FaceSize) -> Table:
    """Where in the panorama, ``_WRAP_PX`` wider on either side, the pixels of a face with a rotation [3, 3] lie."""
    along = (np.arange(size.side_px) + 0.5 - size.side_px / 2) / size.focal_px
    x, y = np.meshgrid(along, along)
    rays = np.stack([x, y, np.ones_like(x)], axis=-1) @ face_from_rig  # from the left by its transpose
    longitude = np.arctan2(rays[..., 0], rays[..., 2])
    latitude = np.arctan2(-rays[..., 1], np.hypot(rays[..., 0], rays[..., 2]))
    width = size.source_width_px
    # cv2 counts from the centre of the first pixel
    u = (longitude / (2 * np.pi) + 0.5) * width - 0.5 + _WRAP_PX
    v = (0.5 - latitude / np.pi) * (width // 2) - 0.5
    positions, fractions = cv2.convertMaps(u.astype(np.float32), v.astype(np.float32), cv2.CV_16SC2)
    return np.asarray(positions, np.int16), np.asarray(fractions, np.uint16)


def render_faces(panorama: Picture, size: FaceSize, tables: Sequence[Table], interpolation: int) -> list[Picture]:
    """Faces [S, S, C] or [S, S] of a panorama [H, 2H, C] or [H, 2H], a table each."""
    if size.source_width_px < panorama.shape[1]:
        scaled = (size.source_width_px, size.source_width_px // 2)
        panorama = np.asarray(cv2.resize(panorama, scaled, interpolation=cv2.INTER_AREA), np.uint8)
    wide = cv2.copyMakeBorder(panorama, 0, 0, _WRAP_PX, _WRAP_PX, cv2.BORDER_WRAP)
    return [
        np.asarray(cv2.remap(wide, *table, interpolation, borderMode=cv2.BORDER_REPLICATE), np.uint8)
        for table in tables
    ]
