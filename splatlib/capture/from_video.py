"""Frames from a video: one pass, the sharpest of each window, written as they are found."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from splatlib.artifacts import DroppedFrame, Frame
from splatlib.capture.check import Tally
from splatlib.capture.choose import MIN_MOTION_VIDEO, Candidate, WindowPicker, blurred_and_surplus
from splatlib.capture.harvest import Harvest, MotionMeter, Seen, frame_name
from splatlib.capture.look import look_at
from splatlib.capture.photos import encode_jpeg
from splatlib.capture.video import VideoFrame, VideoReader
from splatlib.config import FramesConfig
from splatlib.progress import bar


@dataclass
class _SeenFrame(Seen):
    frame: VideoFrame


def harvest_video(path: Path, images: Path, config: FramesConfig) -> Harvest:
    """Read a video once and write the frames worth keeping.

    Windows of equal length share the video out among ``max_frames``; where the camera moves slowly a window lasts
    until the picture has moved, so that a short or slow video gives fewer frames than ``max_frames``.

    Args:
        path: the video.
        images: empty folder for the pictures.
        config: how to choose.
    """
    reader = VideoReader(path, config.start_s, config.end_s)
    window_s = reader.window_s(config.max_frames)
    min_motion = MIN_MOTION_VIDEO if config.drop_duplicates else 0.0
    picker: WindowPicker[_SeenFrame] = WindowPicker(window_s, min_motion, MotionMeter())
    tally, written, num_looked = Tally(), list[Frame](), 0

    def keep(winner: Candidate[_SeenFrame] | None) -> None:
        if winner is None:
            return
        tally.add(winner.item.look)
        written.append(_write(winner, path.name, images / frame_name(len(written) + 1), config))

    with (
        contextlib.closing(reader.frames(window_s / config.candidates_per_frame)) as frames,
        bar(reader.num_frames or None, "frames: reading the video", unit="frame") as progress,
    ):
        for frame in frames:
            progress.update()
            if frame is None:
                continue
            num_looked += 1
            look = look_at(np.asarray(cv2.cvtColor(frame.bgr, cv2.COLOR_BGR2GRAY), dtype=np.uint8))
            seen = _SeenFrame(look, frame)
            keep(picker.offer(Candidate(frame.index, frame.timestamp_s - config.start_s, look.sharpness, seen)))
    keep(picker.flush())

    scores = [frame.sharpness for frame in written]
    kept, blurred, reasons = blurred_and_surplus(scores, config.max_frames, config.drop_blurred)
    dropped = [_dropped(written[index], reason) for index, reason in reasons.items()]
    for reason, passed in (("duplicate", picker.duplicates), ("surplus", picker.surplus)):
        dropped += [DroppedFrame(path.name, c.index, reason, c.position + config.start_s, c.sharpness) for c in passed]
    for index in reasons:
        (images / written[index].name).unlink()
    return Harvest(
        frames=[
            replace(_renamed(written[index], images, number), flags=("blurred",) if blurred[index] else ())
            for number, index in enumerate(kept, start=1)
        ],
        dropped=sorted(dropped, key=lambda frame: frame.source_index),
        tally=tally.of(kept),
        num_readable=num_looked,
        num_unreadable=0,
        num_blurred=sum(blurred),
        notes=reader.notes,
    )


def _write(winner: Candidate[_SeenFrame], source: str, file: Path, config: FramesConfig) -> Frame:
    bgr = winner.item.frame.bgr
    scale = config.max_long_side_px / max(bgr.shape[:2])
    if scale < 1:
        size = [max(1, round(side * scale)) for side in bgr.shape[1::-1]]
        bgr = cv2.resize(bgr, size, interpolation=cv2.INTER_AREA)
    picture = Image.fromarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))
    # bytes first, then the file: Pillow's own errors do not say that a disk is full
    file.write_bytes(encode_jpeg(picture, config.jpeg_quality))
    return Frame(
        file.name,
        picture.width,
        picture.height,
        source,
        winner.index,
        timestamp_s=winner.item.frame.timestamp_s,
        sharpness=winner.sharpness,
    )


def _renamed(frame: Frame, images: Path, number: int) -> Frame:
    """Close the gaps that dropped frames left. In order, so that no name is taken before it is free."""
    name = frame_name(number)
    (images / frame.name).rename(images / name)
    return replace(frame, name=name)


def _dropped(frame: Frame, reason: str) -> DroppedFrame:
    return DroppedFrame(frame.source, frame.source_index, reason, frame.timestamp_s, frame.sharpness)
