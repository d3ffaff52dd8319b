"""Lossless WebP through Pillow, several pictures at a time (libwebp releases the interpreter's lock)."""

from __future__ import annotations

import io
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from splatlib.threads import available_cpus

_LARGEST_SIDE = 16383
_QUALITY, _METHOD = 90, 4  # effort, not loss


def encode_all(pictures: Mapping[str, npt.NDArray[np.uint8]]) -> dict[str, bytes]:
    """RGBA pictures [H, W, 4] as WebP files, every byte kept, those of transparent pixels too."""
    with ThreadPoolExecutor(available_cpus()) as executor:
        return dict(zip(pictures, executor.map(_encode, pictures.values()), strict=True))


def _encode(picture: npt.NDArray[np.uint8]) -> bytes:
    from PIL import Image

    if max(picture.shape[:2]) > _LARGEST_SIDE:
        raise ValueError(f"WebP holds {_LARGEST_SIDE} pixels a side, not {picture.shape[:2]}")
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "WEBP", lossless=True, quality=_QUALITY, method=_METHOD, exact=True)
    return file.getvalue()


def decode(data: bytes) -> npt.NDArray[np.uint8]:
    """[H, W, 4]. Raises ValueError: it is no picture."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=["WEBP"]) as picture:
            return np.array(picture.convert("RGBA"))
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise ValueError(f"damaged picture: {error}") from error
