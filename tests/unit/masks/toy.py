"""A capture with known masks: a red, textured disc that moves before a bluish wall that moves the other way."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from splatlib.artifacts import FrameSet
from splatlib.capture import extract_frames
from splatlib.workspace import Workspace
from tests.unit.capture.media import write_photos

HEIGHT, WIDTH, RADIUS = 240, 320, 60


def pictures(count: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """RGB pictures and their true masks, [height, width] bool."""
    rng = np.random.default_rng(3)
    noise = cv2.GaussianBlur(rng.normal(0, 1, (HEIGHT * 2, WIDTH * 2)), (0, 0), 3)
    noise = np.clip(noise / noise.std() * 25, -60, 60)
    shown, truths = [], []
    for n in range(count):
        wall = noise[10 : 10 + HEIGHT, 100 + 4 * n : 100 + 4 * n + WIDTH]
        fur = noise[HEIGHT - 5 * n : 2 * HEIGHT - 5 * n, WIDTH - 5 * n : 2 * WIDTH - 5 * n]
        truth = np.zeros((HEIGHT, WIDTH), np.uint8)
        cv2.circle(truth, (130 + 5 * n, 110 + 5 * n), RADIUS, 255, cv2.FILLED)
        inside = truth[..., None] > 0
        disc, behind = (190 + fur, 80 + fur, 60 + fur), (70 + wall, 110 + wall, 150 + wall)
        picture = np.where(inside, np.dstack(disc), np.dstack(behind))
        shown.append(picture.clip(0, 255).astype(np.uint8))
        truths.append(truth > 0)
    return shown, truths


def capture(folder: Path, count: int = 4) -> tuple[FrameSet, Workspace, list[np.ndarray]]:
    """Its frames, a workspace, and the true masks."""
    shown, truths = pictures(count)
    ws = Workspace(folder / "workspace")
    return extract_frames(write_photos(folder / "photos", shown), ws), ws, truths


def iou(mask: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union of two [height, width] masks, anything above 0 is white."""
    return float(((mask > 0) & truth).sum() / ((mask > 0) | truth).sum())
