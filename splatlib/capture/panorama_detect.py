"""Whether pictures are equirectangular panoramas: told, by their metadata, or by edges that meet.

The rule of ``projection="auto"``:

1. metadata says so (``GPano:ProjectionType`` in a photo's XMP; Google's spherical boxes ``sv3d``/``equi`` or the older
   spherical ``uuid`` in an mp4): a panorama, and one that is not 2:1 is refused;
2. without metadata, pictures of 2:1 are panoramas if in nearly all of them the left edge continues at the right one
   and the top and bottom rows hardly change along the row, since a pole is one point. Phones take ordinary pictures of
   2:1 too, so the shape alone decides nothing; nor does a picture with a plain border.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from splatlib.capture.look import Grey
from splatlib.errors import CaptureUnusableError

_RATIO_TOLERANCE = 0.01
# Of 2:1 pictures without metadata, how many must look like panoramas.
_AGREEING_SHARE = 0.8
# Grey steps across the seam, and along the top and bottom rows, in those between neighbouring columns elsewhere.
# Measured at 256 px: panoramas of the sample up to 1.3 and 0.06; its ordinary pictures from 2.9 and 0.84 on, real
# photos cut to 2:1 from 0.9 and 0.47 on.
_MAX_SEAM_RATIO = 2.0
_MAX_POLE_RATIO = 0.2
# Deviation along the edges under which they are too plain to tell.
_MIN_DEVIATION = 4.0

_SPHERICAL_UUID = bytes.fromhex("ffcc8263f8554a938814587a02521fdd")
_MAX_INDEX_BYTES = 64 * 2**20

_HOW_TO_GO_ON = "export it as a full 2:1 panorama, or take it as it is with frames.projection=perspective"


def is_two_to_one(width: int, height: int) -> bool:
    return abs(width / height - 2) <= 2 * _RATIO_TOLERANCE


def refuse_wrong_shape(name: str, width: int, height: int, told: bool) -> None:
    """Raise CaptureUnusableError for a panorama that is not 2:1."""
    if is_two_to_one(width, height):
        return
    who = "frames.projection says" if told else "its metadata says"
    raise CaptureUnusableError(
        f"{name} is {width}x{height}; a 360° panorama is twice as wide as it is high",
        why=f"{who} that it is equirectangular, but it shows a part of the sphere, two eyes, or is no panorama",
        hint=_HOW_TO_GO_ON,
    )


def photo_says_panorama(info: Mapping[Any, Any]) -> bool:
    """Whether a photo's XMP packet, in Pillow's ``image.info``, says that it is equirectangular."""
    packet = info.get("xmp") or info.get("XML:com.adobe.xmp") or b""
    text = packet.encode() if isinstance(packet, str) else bytes(packet)
    return re.search(rb"GPano:ProjectionType\s*(=\s*[\"']|>)\s*equirectangular", text, re.IGNORECASE) is not None


def video_says_panorama(path: Path) -> bool:
    """Whether the index of an mp4 or mov file holds spherical metadata (Google's RFC, version 1 or 2)."""
    size, position = path.stat().st_size, 0
    with path.open("rb") as file:
        while position + 8 <= size:
            file.seek(position)
            head = file.read(16)
            length, name = int.from_bytes(head[:4], "big"), head[4:8]
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            if name == b"moov":
                file.seek(position)
                index = file.read(min(length, _MAX_INDEX_BYTES) if length else _MAX_INDEX_BYTES)
                return (b"sv3d" in index and b"equi" in index) or _SPHERICAL_UUID in index
            if length < 8:
                return False
            position += length
    return False


def edges_meet(thumbnail: Grey) -> bool:
    """Whether a small picture [h, 2h] wraps round from left to right and ends in a point above and below."""
    grey = thumbnail.astype(np.float32)
    left, right = grey[:, 0], grey[:, -1]
    if min(left.std(), right.std()) < _MIN_DEVIATION:
        return False
    step_of_row = np.abs(np.diff(grey, axis=1)).mean(axis=1)
    usual = float(step_of_row.mean())
    seam, pole = float(np.abs(left - right).mean()), float(max(step_of_row[0], step_of_row[-1]))
    return seam <= _MAX_SEAM_RATIO * usual and pole <= _MAX_POLE_RATIO * usual


def taken_for_note(number: int) -> str:
    """What the user should know where nothing but the pictures themselves said that they are panoramas."""
    what = "The video was" if number == 1 else f"{number} photos of 2:1 were"
    return (
        f"{what} taken for 360° panoramas, since left and right edges meet; set frames.projection=perspective if that"
        " is wrong."
    )


def nearly_all(votes: Sequence[bool]) -> bool:
    """Whether enough of the pictures look like panoramas; a single outlier decides nothing. False without any."""
    return bool(votes) and sum(votes) >= _AGREEING_SHARE * len(votes)
