"""From a small, soft guess to the mask of a frame: edges that follow the picture, islands, holes, keep and grow."""

from __future__ import annotations

import cv2
import numpy as np

from splatlib.config import MasksConfig
from splatlib.masks.thumbnails import Map, Picture, scaled

# Radius of the filter's windows at the small size, and its regulariser for colours in 0..1 (He and Sun: 1e-2 … 1e-4).
_RADIUS_PX = 3
_EPSILON = 1e-4
_ENGINE_MIN_AREA = 0.002


def upsampled(small_map: Map, small_picture: Picture, picture: Picture) -> Picture:
    """A map [h, w] in 0..1 at the size of a picture, its edges moved onto the picture's; 0..255.

    The guided filter with a colour guide (He, Sun and Tang, TPAMI 2013), its coefficients found at the small size and
    applied at the full one (He and Sun, "Fast Guided Filter", 2015).
    """
    guide = small_picture.astype(np.float32) / 255
    mean = _mean(guide)
    covariance = np.stack(
        [_mean(guide * guide[..., k : k + 1]) - mean * mean[..., k : k + 1] for k in range(3)], axis=-2
    )
    correlation = _mean(guide * small_map[..., None]) - mean * _mean(small_map)[..., None]
    slope = np.linalg.solve(covariance + _EPSILON * np.eye(3, dtype=np.float32), correlation[..., None])[..., 0]
    offset = _mean(small_map) - (slope * mean).sum(axis=-1)
    height, width = picture.shape[:2]
    coefficients = scaled(np.dstack([_mean(slope), _mean(offset)]).astype(np.float32), (width, height))
    value = cv2.transform(picture, np.eye(3, dtype=np.float32)).astype(np.float32) / 255 * coefficients[..., :3]
    return ((value.sum(axis=-1) + coefficients[..., 3]).clip(0, 1) * 255 + 0.5).astype(np.uint8)


def _mean(values: np.ndarray) -> np.ndarray:
    side = 2 * _RADIUS_PX + 1
    return cv2.blur(values, (side, side))


def finished(grey: Picture, config: MasksConfig, *, by_engine: bool) -> Picture:
    """The object's map [height, width], 0..255, as a mask of 0 and 255: threshold, min_area, grow_px, keep, in turn.

    An engine's guess loses its islands and holes unless ``min_area`` says otherwise; a user's own masks do not.
    """
    mask = np.where(grey >= config.threshold * 255, np.uint8(255), np.uint8(0))
    min_area = config.min_area if config.min_area is not None else _ENGINE_MIN_AREA * by_engine
    if min_area > 0:
        fewest_px = min_area * mask.size
        mask = _without_islands(mask, fewest_px)
        mask = 255 - _without_islands(255 - mask, fewest_px)
    if config.grow_px:
        side = 2 * abs(config.grow_px) + 1
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        # OpenCV's own border rule: what lies outside the picture neither grows in nor eats away
        mask = (cv2.dilate if config.grow_px > 0 else cv2.erode)(mask, disc)
    return np.asarray(mask if config.keep == "object" else 255 - mask, np.uint8)


def _without_islands(mask: np.ndarray, fewest_px: float) -> np.ndarray:
    """White regions of fewer pixels become black."""
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    stays = statistics[:, cv2.CC_STAT_AREA] >= fewest_px
    stays[0] = False
    return np.where(stays[np.asarray(labels, np.int32)], np.uint8(255), np.uint8(0))
