"""Captures for the tests, made on the spot: a textured scene with parallax, as photos, zips and videos."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

WIDTH, HEIGHT = 320, 240
_RANDOM = np.random.default_rng(7)
# Light and dark blocks of 8 px, so that there are corners everywhere, with a faint tint: photos hold little colour
# detail, and formats that store colour at half size would lose it.
_BLOCKS = _RANDOM.integers(40, 216, (80, 120, 1)) + _RANDOM.integers(-15, 16, (10, 15, 3)).repeat(8, 0).repeat(8, 1)
_TEXTURE = np.clip(cv2.resize(_BLOCKS.astype(np.float32), (960, 640), interpolation=cv2.INTER_NEAREST), 0, 255).astype(
    np.uint8
)
_OBJECTS = ((40, 60), (140, 110), (230, 40), (90, 150))


def scene(step: float) -> np.ndarray:
    """[240, 320, 3] uint8 RGB: a far wall moves by ``step`` pixels, four near squares by two to three times that."""
    picture = _window(_TEXTURE, 100 + step, 100)
    for number, (x, y) in enumerate(_OBJECTS):
        left = round(x - step * (1.0 + 0.5 * number)) % (WIDTH - 60)
        picture[y : y + 55, left : left + 55] = _TEXTURE[400 + number * 20 : 455 + number * 20, 300:355, ::-1]
    return picture


def wall(step: float) -> np.ndarray:
    """[240, 320, 3]: nothing but the far wall, as a camera sees it that only turns or faces a poster."""
    return _window(_TEXTURE, 100 + step, 100)


def _window(texture: np.ndarray, x: float, y: float) -> np.ndarray:
    move = np.array([[1, 0, -x], [0, 1, -y]], dtype=np.float64)
    return np.asarray(cv2.warpAffine(texture, move, (WIDTH, HEIGHT), borderMode=cv2.BORDER_WRAP), dtype=np.uint8)


def scenes(number: int, step: float = 12.0) -> list[np.ndarray]:
    return [scene(i * step) for i in range(number)]


def blurred(picture: np.ndarray, sigma_px: float) -> np.ndarray:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma_px), dtype=np.uint8)


def brighter(picture: np.ndarray, stops: float) -> np.ndarray:
    """The same with more light, as a camera with gamma 2.2 would store it."""
    return np.clip(picture * 2.0 ** (stops / 2.2), 0, 255).astype(np.uint8)


def write_photos(folder: Path, pictures: Iterable[np.ndarray], names: Sequence[str] | None = None, **save: Any) -> Path:
    """Save pictures as ``IMG_<n>.jpg``, or under the names given; the suffix says how."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures, start=1):
        path = folder / (names[number - 1] if names else f"IMG_{number}.jpg")
        path.parent.mkdir(parents=True, exist_ok=True)
        options: dict[str, Any] = save if path.suffix.lower() == ".png" else {"quality": 95, **save}
        Image.fromarray(picture).save(path, **options)
    return folder


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def photo_bytes(number: int, step: float = 12.0) -> list[bytes]:
    """JPEG files of a walk past the scene."""
    return [cv2.imencode(".jpg", picture[..., ::-1])[1].tobytes() for picture in scenes(number, step)]


def link_member(name: str, target: str) -> tuple[zipfile.ZipInfo, bytes]:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info, target.encode()


def write_video(path: Path, pictures: Iterable[np.ndarray], fps: float = 30.0) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, (WIDTH, HEIGHT))
    assert writer.isOpened()
    for picture in pictures:
        writer.write(np.ascontiguousarray(picture[..., ::-1]))
    writer.release()
    return path


def boxes(data: bytes) -> list[tuple[bytes, bytes]]:
    """The outermost boxes of an mp4 file: name and whole box."""
    found, at = [], 0
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        found.append((data[at + 4 : at + 8], data[at : at + length]))
        at += length
    return found


def index_first(data: bytes) -> bytes:
    """An mp4 file with its index before the pictures, as streaming services store it."""
    parts = dict(boxes(data))
    index = bytearray(parts.pop(b"moov"))
    at = index.find(b"stco")
    for entry in range(int.from_bytes(index[at + 8 : at + 12], "big")):
        here = slice(at + 12 + 4 * entry, at + 16 + 4 * entry)
        index[here] = (int.from_bytes(index[here], "big") + len(index)).to_bytes(4, "big")
    return parts.pop(b"ftyp") + bytes(index) + b"".join(parts.values())


def turned_by_90(data: bytes) -> bytes:
    """An mp4 file whose track header tells the player to turn the picture clockwise, as phones held upright write."""
    at = data.find(b"tkhd") + 4 + 40
    matrix = [0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30]
    return data[:at] + b"".join(v.to_bytes(4, "big", signed=True) for v in matrix) + data[at + 36 :]
