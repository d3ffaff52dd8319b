"""What a photo's EXIF block says: focal length, place, time, orientation. Nonsense counts as absent."""

from __future__ import annotations

import contextlib
import datetime
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import ExifTags, Image

# Pillow parses values on access; each of these was seen for damaged blocks.
_DAMAGED = (ValueError, TypeError, KeyError, IndexError, ZeroDivisionError, OverflowError, SyntaxError, struct.error)
# A focal length under 0.3 long sides is a fish-eye of 118 degrees, one over 10 a telescope: more likely an error.
_PLAUSIBLE_FOCAL = (0.3, 10.0)
_FILM_LONG_SIDE_MM = 36.0
_MM_PER_UNIT = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}


@dataclass(frozen=True)
class PhotoFacts:
    """Attributes:
    orientation: EXIF's, 1 to 8.
    focal_px: for the picture at the size it has in the file.
    gps: latitude and longitude in degrees, altitude in metres or None.
    captured_at: ISO 8601; with a UTC offset where the camera recorded one.
    """

    orientation: int = 1
    focal_px: float | None = None
    gps: tuple[float, float, float | None] | None = None
    captured_at: str | None = None


def read_facts(image: Image.Image) -> PhotoFacts:
    """Read the EXIF block of an opened picture. Never raises for what is in it."""
    try:
        exif = image.getexif()
        camera = exif.get_ifd(ExifTags.IFD.Exif)
        place = exif.get_ifd(ExifTags.IFD.GPSInfo)
        orientation = int(exif.get(ExifTags.Base.Orientation, 1))
    except _DAMAGED:
        return PhotoFacts()
    return PhotoFacts(
        orientation if 1 <= orientation <= 8 else 1,
        focal_px(camera, max(image.size)),
        _gps(place),
        _captured_at(camera),
    )


def focal_px(camera: Mapping[int, Any], long_side_px: int) -> float | None:
    """Focal length in pixels from an EXIF sub-directory; None if absent or implausible.

    ``FocalLengthIn35mmFilm`` is taken as for a long side of 36 mm; else ``FocalLength`` and the sensor's resolution.
    """
    focal = _from_film(camera, long_side_px) or _from_sensor(camera, long_side_px)
    if focal is None or not _PLAUSIBLE_FOCAL[0] <= focal / long_side_px <= _PLAUSIBLE_FOCAL[1]:
        return None
    return focal


def _from_film(camera: Mapping[int, Any], long_side_px: int) -> float | None:
    film_mm = _number(camera.get(ExifTags.Base.FocalLengthIn35mmFilm))
    return film_mm / _FILM_LONG_SIDE_MM * long_side_px if film_mm else None


def _from_sensor(camera: Mapping[int, Any], long_side_px: int) -> float | None:
    focal_mm = _number(camera.get(ExifTags.Base.FocalLength))
    per_unit = _number(camera.get(ExifTags.Base.FocalPlaneXResolution))
    unit_mm = _MM_PER_UNIT.get(int(_number(camera.get(ExifTags.Base.FocalPlaneResolutionUnit)) or 2))
    if not focal_mm or not per_unit or unit_mm is None:
        return None
    # The resolution is that of the picture as taken; it may have been scaled since.
    sides = [_number(camera.get(tag)) for tag in (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight)]
    taken_px = max((side for side in sides if side), default=float(long_side_px))
    return focal_mm * per_unit / unit_mm * long_side_px / taken_px


def _gps(place: Mapping[int, Any]) -> tuple[float, float, float | None] | None:
    latitude = _degrees(place.get(ExifTags.GPS.GPSLatitude), place.get(ExifTags.GPS.GPSLatitudeRef), "S")
    longitude = _degrees(place.get(ExifTags.GPS.GPSLongitude), place.get(ExifTags.GPS.GPSLongitudeRef), "W")
    if latitude is None or longitude is None or abs(latitude) > 90 or abs(longitude) > 180:
        return None
    if latitude == longitude == 0:  # what receivers without a fix write
        return None
    altitude_m = _number(place.get(ExifTags.GPS.GPSAltitude))
    below_sea = place.get(ExifTags.GPS.GPSAltitudeRef) in (1, b"\x01", "1")
    return latitude, longitude, -altitude_m if altitude_m is not None and below_sea else altitude_m


def _degrees(parts: Any, reference: Any, negative: str) -> float | None:
    if not isinstance(parts, tuple | list) or not 1 <= len(parts) <= 3:
        return None
    numbers = [_number(part) for part in parts]
    if any(number is None for number in numbers):
        return None
    degrees = sum((number or 0.0) / 60**power for power, number in enumerate(numbers))
    return -degrees if str(reference).strip().upper().startswith(negative) else degrees


def _captured_at(camera: Mapping[int, Any]) -> str | None:
    text = str(camera.get(ExifTags.Base.DateTimeOriginal, "")).strip("\x00 ")
    fraction = str(camera.get(ExifTags.Base.SubsecTimeOriginal, "")).strip("\x00 ")
    offset = str(camera.get(ExifTags.Base.OffsetTimeOriginal, "")).strip("\x00 ")
    try:
        moment = datetime.datetime.strptime(text, "%Y:%m:%d %H:%M:%S")
        if fraction.isascii() and fraction.isdigit():
            moment = moment.replace(microsecond=int(fraction[:6].ljust(6, "0")))
    except ValueError:
        return None
    with contextlib.suppress(ValueError):  # no offset, or not one: the camera's local time
        moment = moment.replace(tzinfo=datetime.datetime.strptime(offset, "%z").tzinfo)
    return moment.isoformat()


def _number(value: Any) -> float | None:
    """A finite number, or None. EXIF's rationals may be 0/0."""
    try:
        number = float(value)
    except _DAMAGED:
        return None
    return number if math.isfinite(number) else None
