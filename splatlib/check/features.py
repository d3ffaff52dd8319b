"""Each picture once, small: its SIFT features, brightness, and the light at the features."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from splatlib.artifacts import Frame, FrameSet, MaskSet
from splatlib.errors import ArtifactError
from splatlib.matching.descriptors import root_sift
from splatlib.progress import bar
from splatlib.threads import in_order

# solve_cameras looks at up to 1600 px, of which SIFT's first octave holds half; here a picture costs 50 ms.
LONG_SIDE_PX = 400
MAX_FEATURES = 800
# As in splatlib.cameras.features, a picture with few features is looked at again, larger and for weaker corners.
_CONTRAST_THRESHOLD, _LOW_CONTRAST_THRESHOLD = 0.0133, 0.004
FEW_FEATURES = 200
LOW_TEXTURE_PX = 640
_WHITE = 250  # grey values from here on are taken for burnt out


@dataclass(frozen=True, eq=False)
class Picture:
    """What is kept of one picture.

    Attributes:
        size: width and height of the small copy, pixels.
        positions: [K, 2] float32, pixels of the small copy.
        descriptors: [K, 128] uint8.
        light: [K] mean grey value around each feature.
        mask: [h, w] uint8 of the small copy, 0 where pixels do not count; None: all count.
        brightness: mean grey value of what counts, 0 to 255.
        white_share: share of what counts that is burnt out.
        focal_px: of the small copy, where EXIF tells.
    """

    size: tuple[int, int]
    positions: npt.NDArray[np.float32]
    descriptors: npt.NDArray[np.uint8]
    light: npt.NDArray[np.float32]
    mask: npt.NDArray[np.uint8] | None
    brightness: float
    white_share: float
    focal_px: float | None

    def __len__(self) -> int:
        return len(self.positions)


def look_at_frames(frames: FrameSet, masks: MaskSet | None) -> list[Picture]:
    """In the frames' order. Raises ArtifactError where a picture cannot be read."""
    opencv_threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # one thread a picture, as in splatlib.cameras.features
    found: list[Picture] = []
    try:
        with bar(len(frames), "check", unit="frame") as progress:
            for picture in in_order(lambda frame: _look_at(frames, masks, frame), frames.frames, "check"):
                found.append(picture)
                progress.update()
    finally:
        cv2.setNumThreads(opencv_threads)
    return found


def _look_at(frames: FrameSet, masks: MaskSet | None, frame: Frame) -> Picture:
    whole, whole_mask = _read(frames.image_path(frame)), None
    mask_path = masks.mask_path(frame.name) if masks is not None else None
    if masks is None and frame.has_alpha:
        mask_path = frames.alpha_path(frame)
    if mask_path is not None:
        whole_mask = _read(mask_path)
    grey, mask = _small(whole, LONG_SIDE_PX), _small_mask(whole_mask, LONG_SIDE_PX)
    positions, descriptors = _sift(grey, mask, _CONTRAST_THRESHOLD)
    if len(positions) < FEW_FEATURES:
        larger = _small(whole, LOW_TEXTURE_PX)
        positions, descriptors = _sift(larger, _small_mask(whole_mask, LOW_TEXTURE_PX), _LOW_CONTRAST_THRESHOLD)
        positions = positions * (grey.shape[1] / larger.shape[1])
    counted = grey if mask is None else grey[mask > 0]
    column, row = np.minimum(positions.astype(int).T, [[grey.shape[1] - 1], [grey.shape[0] - 1]])
    return Picture(
        size=(grey.shape[1], grey.shape[0]),
        positions=positions,
        descriptors=descriptors,
        light=cv2.blur(grey, (5, 5))[row, column].astype(np.float32),
        mask=mask,
        brightness=float(counted.mean()) if counted.size else 0.0,
        white_share=float((counted >= _WHITE).mean()) if counted.size else 0.0,
        focal_px=frame.focal_px * grey.shape[1] / frame.width if frame.focal_px else None,
    )


def _sift(
    grey: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint8] | None, contrast_threshold: float
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    sift = cv2.SIFT.create(MAX_FEATURES, contrastThreshold=contrast_threshold, enable_precise_upscale=True)
    points, descriptors = sift.detectAndCompute(grey, mask)
    if not points:
        return np.empty((0, 2), np.float32), np.empty((0, 128), np.uint8)
    return np.array([point.pt for point in points], np.float32), root_sift(np.asarray(descriptors, np.float32))


def _read(path: Path) -> npt.NDArray[np.uint8]:
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
    if picture is None:
        raise ArtifactError(f"{path} is missing or damaged", hint="extract the frames or masks again")
    return np.asarray(picture, np.uint8)


def _small(picture: npt.NDArray[np.uint8], long_side_px: int) -> npt.NDArray[np.uint8]:
    scale = long_side_px / max(picture.shape)
    if scale >= 1:
        return picture
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _small_mask(mask: npt.NDArray[np.uint8] | None, long_side_px: int) -> npt.NDArray[np.uint8] | None:
    return None if mask is None else np.where(_small(mask, long_side_px) >= 128, 255, 0).astype(np.uint8)
