"""Any mode, depth and orientation in; upright 8-bit sRGB out. EXIF is read, and nonsense in it ignored."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from splatlib.capture.exif import focal_px, read_facts
from splatlib.capture.photos import keep_photo, survey_photo
from splatlib.errors import CaptureUnreadableError
from tests.unit.capture.media import scene

BASE, GPS = ExifTags.Base, ExifTags.GPS


def encoded(picture: Image.Image, kind: str = "PNG", **save: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **save)
    return file.getvalue()


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(float)


def kept(data: bytes, max_long_side_px: int = 1600) -> np.ndarray:
    photo = keep_photo(data, "x", max_long_side_px, 98)
    picture = Image.open(io.BytesIO(photo.jpeg))
    assert picture.mode == "RGB"
    assert picture.size == (photo.width, photo.height)
    return np.asarray(picture).astype(float)


def with_exif(camera: dict[int, Any] | None = None, place: dict[int, Any] | None = None, **base: Any) -> Image.Exif:
    exif = Image.Exif()
    for name, value in base.items():
        exif[BASE[name]] = value
    exif.get_ifd(ExifTags.IFD.Exif).update(camera or {})
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(place or {})
    return exif


def test_a_jpeg_that_is_right_already_keeps_its_bytes():
    data = encoded(Image.fromarray(scene(0)), "JPEG", quality=80)
    photo = keep_photo(data, "x", 1600, 95)
    assert photo.jpeg == data
    assert (photo.width, photo.height, photo.alpha) == (320, 240, None)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_applied(orientation):
    upright = scene(0)
    # how a camera stores the picture so that this orientation shows it upright
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    data = encoded(
        Image.fromarray(np.ascontiguousarray(stored)), "JPEG", quality=98, exif=with_exif(Orientation=orientation)
    )
    result = kept(data)
    assert result.shape == upright.shape
    assert np.abs(result - upright).mean() < 4
    survey = survey_photo(data, "x")
    assert (survey.width, survey.height) == (320, 240)
    assert survey.look.thumbnail.shape == (192, 256)
    if orientation > 1:
        assert Image.open(io.BytesIO(keep_photo(data, "x", 1600, 95).jpeg)).getexif().get(BASE.Orientation, 1) == 1


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "BMP", "HEIF"])
def test_formats(kind):
    picture = Image.fromarray(scene(0))
    data = encoded(picture, kind, **({"quality": 95} if kind in ("WEBP", "HEIF") else {}))
    assert np.abs(kept(data) - scene(0)).mean() < 6
    assert survey_photo(data, "x").look.sharpness is not None


def test_heic_orientation_is_applied_once():
    stored = np.ascontiguousarray(np.rot90(scene(0), 1))
    data = encoded(Image.fromarray(stored), "HEIF", quality=95, exif=with_exif(Orientation=6).tobytes())
    result = kept(data)
    assert result.shape == (240, 320, 3)
    assert np.abs(result - scene(0)).mean() < 6


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "LA"])
def test_modes_become_rgb(mode):
    picture = Image.fromarray(scene(0)).convert(mode)
    kind = "TIFF" if mode == "CMYK" else "PNG"
    result = kept(encoded(picture, kind))
    assert result.shape == (240, 320, 3)
    assert np.abs(result - np.asarray(picture.convert("RGB"))).mean() < 4


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_not_clipped(kind):
    values = np.linspace(0, 65535, 320 * 240).reshape(240, 320).astype(np.uint16)
    result = kept(encoded(Image.fromarray(values), kind))
    assert np.abs(result[..., 0] - values / 257).mean() < 1.5
    assert result.max() > 250
    assert np.ptp(result, axis=2).max() <= 2


def test_16_bit_colour():
    import cv2

    values = scene(0).astype(np.uint16)[..., ::-1] * 257
    data = cv2.imencode(".png", values)[1].tobytes()
    assert np.abs(kept(data) - scene(0)).mean() < 3


def test_float_pictures_are_refused_in_words():
    data = encoded(Image.fromarray(np.ones((100, 100), np.float32)), "TIFF")
    with pytest.raises(CaptureUnreadableError, match="floating-point"):
        keep_photo(data, "depth.tif", 1600, 95)


def test_alpha_becomes_a_mask_and_the_picture_lies_over_black():
    rgba = np.dstack([scene(0), np.zeros((240, 320), np.uint8)])
    rgba[60:180, 80:240, 3] = 255
    photo = keep_photo(encoded(Image.fromarray(rgba)), "x", 160, 98)
    assert photo.alpha is not None
    alpha, picture = np.asarray(photo.alpha), decoded(photo.jpeg)
    assert alpha.shape == (120, 160) == picture.shape[:2]
    assert alpha[60, 80] == 255
    assert alpha[5, 5] == 0
    assert picture[:20].max() < 12
    # nothing of what lies under the transparent pixels shows at the rim
    assert picture[28].max() < 30


def test_an_opaque_alpha_channel_is_no_mask():
    rgba = np.dstack([scene(0), np.full((240, 320), 255, np.uint8)])
    assert keep_photo(encoded(Image.fromarray(rgba)), "x", 1600, 95).alpha is None


def test_alpha_turns_with_its_picture():
    rgba = np.dstack([scene(0), np.zeros((240, 320), np.uint8)])
    rgba[:60, :, 3] = 255
    photo = keep_photo(encoded(Image.fromarray(rgba), exif=with_exif(Orientation=6)), "x", 1600, 95)
    assert photo.alpha is not None
    assert photo.alpha.size == (240, 320)
    # the top edge of a picture that is turned clockwise is its right edge
    assert np.asarray(photo.alpha)[:, 200:].min() == 255
    assert np.asarray(photo.alpha)[:, :150].max() == 0


def test_a_picture_that_is_transparent_all_over_is_empty():
    rgba = np.dstack([scene(0), np.zeros((240, 320), np.uint8)])
    assert survey_photo(encoded(Image.fromarray(rgba)), "x").is_empty


def test_large_pictures_are_scaled_down_and_small_ones_left():
    large = Image.fromarray(scene(0)).resize((1280, 960))
    assert kept(encoded(large), max_long_side_px=500).shape == (375, 500, 3)
    assert kept(encoded(large), max_long_side_px=2000).shape == (960, 1280, 3)


def test_a_foreign_colour_profile_is_converted_to_srgb():
    swapped = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    profile = bytearray(swapped.tobytes())
    # exchange the red and blue primaries, and the name that says sRGB
    red, blue = profile.find(b"rXYZ", 128), profile.find(b"bXYZ", 128)
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    at = profile.find("sRGB".encode("utf-16-be"))
    profile[at : at + 8] = "Test".encode("utf-16-be")
    picture = np.zeros((100, 100, 3), np.uint8) + np.array([250, 20, 20], np.uint8)
    result = kept(encoded(Image.fromarray(picture), "JPEG", quality=98, icc_profile=bytes(profile)))
    assert result[..., 2].mean() > 200
    assert result[..., 0].mean() < 60


@pytest.mark.parametrize("damage", ["cut", "text", "nothing"])
def test_damaged_pictures_are_refused_in_words(damage):
    whole = encoded(Image.fromarray(scene(0)), "JPEG")
    data = {"cut": whole[: len(whole) // 2], "text": b"hello " * 99, "nothing": b""}[damage]
    for read in (lambda: survey_photo(data, "IMG 1.jpg"), lambda: keep_photo(data, "IMG 1.jpg", 1600, 95)):
        with pytest.raises(CaptureUnreadableError) as caught:
            read()
        assert "IMG 1.jpg cannot be read as a picture" in str(caught.value)
        assert ("truncated" if damage == "cut" else "it is not a picture") in caught.value.why


def test_focal_length_from_film_equivalent_and_from_sensor():
    assert focal_px({BASE.FocalLengthIn35mmFilm: 27}, 4000) == pytest.approx(3000)
    sensor: dict[int, Any] = {
        BASE.FocalLength: 5.0,
        BASE.FocalPlaneXResolution: 4000.0,
        BASE.FocalPlaneResolutionUnit: 3,
    }
    assert focal_px(sensor, 3000) == pytest.approx(5.0 * 400)
    # the resolution is that of the picture as taken, 6000 pixels wide
    assert focal_px({**sensor, BASE.ExifImageWidth: 6000, BASE.ExifImageHeight: 4000}, 3000) == pytest.approx(1000)


@pytest.mark.parametrize(
    "camera",
    [
        {},
        {BASE.FocalLengthIn35mmFilm: 0},
        {BASE.FocalLengthIn35mmFilm: 5000},
        {BASE.FocalLengthIn35mmFilm: 3},
        {BASE.FocalLength: 5.0},
        {BASE.FocalLength: "junk", BASE.FocalPlaneXResolution: 100.0},
        {BASE.FocalLength: float("nan"), BASE.FocalPlaneXResolution: 100.0},
    ],
)
def test_an_absent_or_implausible_focal_length_is_none(camera):
    assert focal_px(camera, 4000) is None


def test_place_and_time():
    camera: dict[int, Any] = {
        BASE.DateTimeOriginal: "2024:05:17 13:14:15",
        BASE.SubsecTimeOriginal: "25",
        BASE.OffsetTimeOriginal: "+02:00",
        BASE.FocalLengthIn35mmFilm: 36,
    }
    place: dict[int, Any] = {
        GPS.GPSLatitudeRef: "S",
        GPS.GPSLatitude: (33.0, 30.0, 36.0),
        GPS.GPSLongitudeRef: "W",
        GPS.GPSLongitude: (70.0, 15.0, 0.0),
        GPS.GPSAltitudeRef: b"\x01",
        GPS.GPSAltitude: 12.5,
    }
    data = encoded(Image.fromarray(scene(0)), "JPEG", exif=with_exif(camera, place))
    facts = survey_photo(data, "x").facts
    assert facts.captured_at == "2024-05-17T13:14:15.250000+02:00"
    assert facts.gps == pytest.approx((-33.51, -70.25, -12.5))
    assert facts.focal_px == pytest.approx(320)


def test_nonsense_in_exif_counts_as_absent():
    camera: dict[int, Any] = {BASE.DateTimeOriginal: "0000:00:00 00:00:00"}
    place: dict[int, Any] = {
        GPS.GPSLatitudeRef: "N",
        GPS.GPSLatitude: (133.0, 0.0, 0.0),
        GPS.GPSLongitude: (1.0, 0.0, 0.0),
    }
    data = encoded(Image.fromarray(scene(0)), "JPEG", exif=with_exif(camera, place, Orientation=77))
    facts = survey_photo(data, "x").facts
    assert (facts.captured_at, facts.gps, facts.focal_px, facts.orientation) == (None, None, None, 1)
    nowhere: dict[int, Any] = {GPS.GPSLatitude: (0.0, 0.0, 0.0), GPS.GPSLongitude: (0.0, 0.0, 0.0)}
    assert survey_photo(encoded(Image.fromarray(scene(0)), "JPEG", exif=with_exif({}, nowhere)), "x").facts.gps is None


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_damaged_exif_block_is_no_obstacle():
    data = bytearray(encoded(Image.fromarray(scene(0)), "JPEG", exif=with_exif({BASE.FocalLengthIn35mmFilm: 30})))
    at = data.find(b"Exif\x00\x00") + 14
    data[at : at + 40] = b"\xff" * 40
    with Image.open(io.BytesIO(bytes(data))) as image:
        assert read_facts(image).orientation == 1
    assert kept(bytes(data)).shape == (240, 320, 3)
