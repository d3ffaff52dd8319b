"""Opening photos with Pillow: any mode, depth and orientation in, upright 8-bit RGB (and alpha) out."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import pillow_heif
from PIL import Image, ImageCms, UnidentifiedImageError

from splatlib.capture.exif import PhotoFacts, read_facts
from splatlib.capture.look import SCORE_PX, Look, look_at
from splatlib.capture.panorama import FaceRenderer
from splatlib.capture.panorama_detect import photo_says_panorama
from splatlib.errors import CaptureUnreadableError
from splatlib.progress import logger

pillow_heif.register_heif_opener()

# Under this a picture is an icon: no feature survives in it.
MIN_SIDE_PX = 64

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow's decoders raise for damaged files, read one format after the other.
_DECODER_ERRORS = (
    UnidentifiedImageError,
    Image.DecompressionBombError,
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    IndexError,
    TypeError,
    RuntimeError,
)


@dataclass(frozen=True)
class Survey:
    """A first look at a photo.

    Attributes:
        width, height: upright, at full size.
        is_empty: it is transparent all over.
        says_panorama: its metadata says that it is equirectangular.
    """

    look: Look
    width: int
    height: int
    facts: PhotoFacts
    is_empty: bool
    says_panorama: bool = False


@dataclass(frozen=True)
class KeptPhoto:
    """A photo as it goes into the frame set.

    Attributes:
        jpeg: the file to write.
        width, height: of the picture in it.
        alpha: [height, width] greyscale, 0 = transparent; None if the photo is opaque.
    """

    jpeg: bytes
    width: int
    height: int
    alpha: Image.Image | None


def size_of_photo(data: bytes, name: str) -> tuple[int, int]:
    """Width and height as stored, without decoding the picture. Raises CaptureUnreadableError."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.size
    except _DECODER_ERRORS as error:
        raise _unreadable(name, error) from error


def survey_photo(data: bytes, name: str) -> Survey:
    """Decode a photo as small as its format allows and measure it. Raises CaptureUnreadableError."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            facts, (width, height), says_panorama = read_facts(image), image.size, photo_says_panorama(image.info)
            if facts.orientation >= 5:
                width, height = height, width
            # a JPEG can be decoded at an eighth, a quarter or half its size; other formats ignore this
            image.draft("L", (SCORE_PX, SCORE_PX))
            color, alpha = _color_and_alpha(image)
            turn = _TURNS.get(facts.orientation)
            grey = np.asarray(_turned(color.convert("L"), turn))
            mask = None if alpha is None else np.asarray(_turned(alpha, turn))
    except _DECODER_ERRORS as error:
        raise _unreadable(name, error) from error
    is_empty = mask is not None and not (mask >= 128).any()
    return Survey(look_at(grey, mask), width, height, facts, is_empty, says_panorama)


def keep_photo(data: bytes, name: str, max_long_side_px: int, jpeg_quality: int) -> KeptPhoto:
    """Make a photo ready: upright, 8-bit sRGB, no larger than asked (Lanczos), over black where it is transparent.

    A JPEG that already is all that keeps its bytes. Raises CaptureUnreadableError.
    """
    opened = _opened(data, name)
    picture, alpha, orientation, profile = opened.picture, opened.alpha, opened.orientation, opened.profile
    fits = max(picture.size) <= max_long_side_px
    if opened.is_jpeg and fits and orientation == 1 and profile is None:
        return KeptPhoto(data, *picture.size, None)

    if not fits:
        scale = max_long_side_px / max(picture.size)
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
        alpha = None if alpha is None else alpha.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    if profile is not None:
        picture = _in_srgb(picture, profile, name)
    turn = _TURNS.get(orientation)
    picture = _turned(picture, turn)
    return KeptPhoto(encode_jpeg(picture, jpeg_quality), *picture.size, None if alpha is None else _turned(alpha, turn))


def keep_faces(data: bytes, name: str, renderer: FaceRenderer, jpeg_quality: int) -> list[KeptPhoto]:
    """The faces of a panorama, in the renderer's order, made ready as ``keep_photo`` does.

    Raises CaptureUnreadableError.
    """
    opened = _opened(data, name)
    turn = _TURNS.get(opened.orientation)
    picture = opened.picture if opened.profile is None else _in_srgb(opened.picture, opened.profile, name)
    pictures = renderer.render(np.asarray(_turned(picture, turn)))
    if opened.alpha is None:
        alphas: list[Image.Image | None] = [None] * len(pictures)
    else:
        alphas = [Image.fromarray(mask) for mask in renderer.render(np.asarray(_turned(opened.alpha, turn)))]
    return [
        KeptPhoto(encode_jpeg(Image.fromarray(face), jpeg_quality), face.shape[1], face.shape[0], alpha)
        for face, alpha in zip(pictures, alphas, strict=True)
    ]


@dataclass(frozen=True)
class _Opened:
    """RGB, black where it is transparent; ``is_jpeg``: its file could be taken as it is."""

    picture: Image.Image
    alpha: Image.Image | None
    orientation: int
    profile: ImageCms.ImageCmsProfile | None
    is_jpeg: bool


def _opened(data: bytes, name: str) -> _Opened:
    try:
        with Image.open(io.BytesIO(data)) as image:
            orientation = read_facts(image).orientation
            profile = _foreign_profile(image.info.get("icc_profile"), name)
            is_jpeg = image.format in ("JPEG", "MPO") and image.mode == "RGB"
            color, alpha = _color_and_alpha(image)
    except _DECODER_ERRORS as error:
        raise _unreadable(name, error) from error
    # over black before scaling, so that what lies under transparent pixels does not bleed into the edge
    picture = color.convert("RGB")
    if alpha is not None:
        picture = Image.composite(picture, Image.new("RGB", picture.size), alpha)
    return _Opened(picture, alpha, orientation, profile, is_jpeg)


def encode_jpeg(picture: Image.Image, quality: int) -> bytes:
    """Full colour resolution: training compares colours pixel by pixel."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality, subsampling="4:4:4")
    return file.getvalue()


def encode_png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return file.getvalue()


def _color_and_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """8-bit ``L`` or ``RGB``, and alpha as ``L`` where any pixel is transparent."""
    if image.mode.startswith("I"):
        return _from_16_bit(image), None
    if image.mode == "F":
        raise ValueError("it holds floating-point values, whose white is not known")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        alpha = rgba.getchannel("A")
        lowest, _ = alpha.getextrema()
        return rgba.convert("RGB"), alpha if lowest < 255 else None  # pyright: ignore[reportOperatorIssue]
    return image.convert("L" if image.mode in ("1", "L") else "RGB"), None


def _from_16_bit(image: Image.Image) -> Image.Image:
    """One scale for all pictures, 65535 is white: stretching each to its own range would make them flicker."""
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("it holds 32-bit values, whose white is not known")
    return Image.fromarray(np.round(values / 257.0).astype(np.uint8))


def _turned(image: Image.Image, turn: Image.Transpose | None) -> Image.Image:
    return image if turn is None else image.transpose(turn)


def _foreign_profile(data: bytes | None, name: str) -> ImageCms.ImageCmsProfile | None:
    """The colour profile, if it is of RGB and not sRGB's (phones write Display P3)."""
    if not data:
        return None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        space = profile.profile.xcolor_space.strip()  # pyright: ignore[reportAttributeAccessIssue]
        if space != "RGB" or "sRGB" in ImageCms.getProfileDescription(profile):
            return None
    except (ImageCms.PyCMSError, OSError) as error:
        logger.warning("%s: its colour profile is damaged and was ignored (%s)", name, error)
        return None
    return profile


def _in_srgb(picture: Image.Image, profile: ImageCms.ImageCmsProfile, name: str) -> Image.Image:
    try:
        converted = ImageCms.profileToProfile(picture, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except ImageCms.PyCMSError as error:
        logger.warning("%s: its colours could not be converted to sRGB and were left (%s)", name, error)
        return picture
    return picture if converted is None else converted


def _unreadable(name: str, error: BaseException) -> CaptureUnreadableError:
    why = "it is not a picture" if isinstance(error, UnidentifiedImageError) else str(error)
    return CaptureUnreadableError(f"{name} cannot be read as a picture", why=why, hint="export or copy it again")
