"""FrameSets written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from splatlib.artifacts import Frame, FrameSet


def frame_set(
    directory: Path, pictures: Sequence[npt.NDArray[np.uint8]], *, sources: Sequence[str] = (), kind: str = "photos"
) -> FrameSet:
    """Write pictures as ``images/000001.png`` … (PNG, so that they come back exactly) with their record."""
    (directory / "images").mkdir(parents=True)
    frames = []
    for index, picture in enumerate(pictures):
        name = f"{index + 1:06d}.png"
        assert cv2.imwrite(str(directory / "images" / name), picture)
        source = sources[index] if sources else f"IMG_{index + 1:04d}.jpg"
        frames.append(Frame(name, picture.shape[1], picture.shape[0], source, index, timestamp_s=_time(index, kind)))
    return FrameSet(directory=directory, digest=str(directory), capture="made", kind=kind, frames=tuple(frames))


def named_frames(sources: Sequence[str], kind: str = "photos") -> FrameSet:
    """A FrameSet without pictures."""
    frames = tuple(
        Frame(f"{index + 1:06d}.jpg", 64, 48, source, index, timestamp_s=_time(index, kind))
        for index, source in enumerate(sources)
    )
    return FrameSet(directory=Path("nowhere"), capture="made", kind=kind, frames=frames)


def _time(index: int, kind: str) -> float | None:
    return index / 30 if kind == "video" else None


def of_sources(frames: FrameSet, labels: Sequence[str]) -> FrameSet:
    """The same as frames of several sources, in order."""
    labelled = [replace(frame, source_group=label) for frame, label in zip(frames.frames, labels, strict=True)]
    return replace(frames, frames=tuple(labelled))


def with_focal_px(frames: FrameSet, focals_px: Sequence[float | None]) -> FrameSet:
    changed = [replace(frame, focal_px=focal_px) for frame, focal_px in zip(frames.frames, focals_px, strict=True)]
    return replace(frames, frames=tuple(changed))


def noise(width: int, height: int, seed: int) -> npt.NDArray[np.uint8]:
    """A picture [H, W, 3] full of corners that no other seed's picture shares."""
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 6, width // 6, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
