"""Frames and masks in memory: reading and scaling."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from splatlib.artifacts import Frame, FrameSet
from splatlib.errors import MasksError

Picture = npt.NDArray[np.uint8]
Map = npt.NDArray[np.float32]


def read_rgb(frames: FrameSet, frame: Frame) -> Picture:
    """[height, width, 3] RGB. Raises MasksError if the picture is missing or damaged."""
    path = frames.image_path(frame)
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if picture is None or picture.shape[:2] != (frame.height, frame.width):
        raise MasksError(
            f"the frame {frame.name} cannot be read",
            why=_what_is_wrong(path, picture, frame),
            hint="make the frames again, with force",
        )
    return np.asarray(picture, np.uint8)


def _what_is_wrong(path: Path, picture: np.ndarray | None, frame: Frame) -> str:
    if picture is not None:
        return f"it is {picture.shape[1]}x{picture.shape[0]}, not {frame.width}x{frame.height}"
    return f"{path} is {'damaged' if path.is_file() else 'missing'}"


def fitted_size(width: int, height: int, long_side_px: int) -> tuple[int, int]:
    """Width and height scaled down, never up, to a long side."""
    scale = min(1.0, long_side_px / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def scaled(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture or map at (width, height)."""
    shrinks = size[0] < picture.shape[1] or size[1] < picture.shape[0]
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
