"""Frames from a video: one pass, the sharpest of each window, written as they are found."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from splatlib.artifacts import DroppedFrame, Frame
from splatlib.capture.check import Tally
from splatlib.capture.choose import MIN_MOTION_VIDEO, Candidate, WindowPicker, blurred_and_surplus
from splatlib.capture.harvest import Harvest, MotionMeter, Seen, frame_name, group_name
from splatlib.capture.look import THUMBNAIL_PX, look_at, shrink
from splatlib.capture.panorama import FaceRenderer, frame_of_face, panoramas_within
from splatlib.capture.panorama_detect import (
    edges_meet,
    is_two_to_one,
    nearly_all,
    refuse_wrong_shape,
    taken_for_note,
    video_says_panorama,
)
from splatlib.capture.photos import encode_jpeg
from splatlib.capture.video import VideoFrame, VideoReader
from splatlib.config import FramesConfig
from splatlib.progress import bar
from splatlib.threads import in_order

# Frames of a 2:1 video that are asked whether their edges meet, one a second.
_FRAMES_ASKED = 5


@dataclass
class _SeenFrame(Seen):
    frame: VideoFrame


def harvest_video(path: Path, images: Path, config: FramesConfig, first_number: int = 1) -> Harvest:
    """Read a video once and write the frames worth keeping.

    Windows of equal length share the video out among ``max_frames``; where the camera moves slowly a window lasts
    until the picture has moved, so that a short or slow video gives fewer frames than ``max_frames``. Each face of a
    panorama counts as one of these; a panorama stays or goes as a whole.

    Args:
        path: the video.
        images: folder for the pictures.
        config: how to choose.
        first_number: of the first picture's name.

    Raises CaptureUnusableError for a video of panoramas that is not 2:1.
    """
    reader = VideoReader(path, config.start_s, config.end_s)
    notes: list[str] = []
    renderer = FaceRenderer(config) if _is_panorama(reader, config, notes) else None
    most = config.max_frames if renderer is None else panoramas_within(config)
    window_s = reader.window_s(most)
    min_motion = MIN_MOTION_VIDEO if config.drop_duplicates else 0.0
    picker: WindowPicker[_SeenFrame] = WindowPicker(window_s, min_motion, MotionMeter())
    tally, written, num_looked = Tally(), list[list[Frame]](), 0

    def keep(winner: Candidate[_SeenFrame] | None) -> None:
        if winner is None:
            return
        tally.add(winner.item.look)
        number = first_number + len(written)
        if renderer is None:
            written.append([_write(winner, path.name, images / frame_name(number), config)])
        else:
            written.append(_write_faces(winner, path.name, images, number, config, renderer))

    with (
        contextlib.closing(reader.frames(window_s / config.candidates_per_frame)) as frames,
        bar(reader.num_frames or None, "frames: reading the video", unit="frame") as progress,
    ):
        for frame in frames:
            progress.update()
            if frame is None:
                continue
            num_looked += 1
            look = look_at(_grey(frame))
            seen = _SeenFrame(look, frame)
            keep(picker.offer(Candidate(frame.index, frame.timestamp_s - config.start_s, look.sharpness, seen)))
    keep(picker.flush())

    scores = [moment[0].sharpness for moment in written]
    kept, blurred, reasons = blurred_and_surplus(scores, most, config.drop_blurred)
    dropped = [_dropped(written[index][0], reason) for index, reason in reasons.items()]
    for reason, passed in (("duplicate", picker.duplicates), ("surplus", picker.surplus)):
        dropped += [DroppedFrame(path.name, c.index, reason, c.position + config.start_s, c.sharpness) for c in passed]
    for index in reasons:
        for frame in written[index]:
            (images / frame.name).unlink()
    return Harvest(
        frames=[
            replace(_renamed(frame, images, number), flags=("blurred",) if blurred[index] else ())
            for number, index in enumerate(kept, start=first_number)
            for frame in written[index]
        ],
        dropped=sorted(dropped, key=lambda frame: frame.source_index),
        tally=tally.of(kept),
        num_readable=num_looked,
        num_unreadable=0,
        num_blurred=sum(blurred),
        notes=[*reader.notes, *notes],
        faces=() if renderer is None else renderer.faces,
    )


def _is_panorama(reader: VideoReader, config: FramesConfig, notes: list[str]) -> bool:
    """By the rule of ``splatlib.capture.panorama_detect``. Adds to the notes where only the pictures tell."""
    # without a size there is no frame either, which the pass over the video reports
    if config.projection == "perspective" or not reader.height:
        return False
    told = config.projection == "equirectangular"
    if told or video_says_panorama(reader.path):
        refuse_wrong_shape(reader.path.name, reader.width, reader.height, told)
        return True
    if not is_two_to_one(reader.width, reader.height):
        return False
    votes: list[bool] = []
    with contextlib.closing(reader.frames(1.0)) as frames:
        for frame in frames:
            if frame is not None:
                votes.append(edges_meet(shrink(_grey(frame), THUMBNAIL_PX)))
            if len(votes) == _FRAMES_ASKED:
                break
    reader.notes.clear()  # the pass over the whole video says the same again
    if nearly_all(votes):
        notes.append(taken_for_note(1))
    return nearly_all(votes)


def _grey(frame: VideoFrame) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(frame.bgr, cv2.COLOR_BGR2GRAY), dtype=np.uint8)


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


def _write_faces(
    winner: Candidate[_SeenFrame],
    source: str,
    images: Path,
    number: int,
    config: FramesConfig,
    renderer: FaceRenderer,
) -> list[Frame]:
    pictures = renderer.render(np.asarray(cv2.cvtColor(winner.item.frame.bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8))

    def write(index: int) -> Frame:
        face, side_px = renderer.faces[index], pictures[index].shape[0]
        file = images / frame_name(number, face.name)
        file.write_bytes(encode_jpeg(Image.fromarray(pictures[index]), config.jpeg_quality))
        frame = Frame(
            file.name,
            side_px,
            side_px,
            source,
            winner.index,
            timestamp_s=winner.item.frame.timestamp_s,
            sharpness=winner.sharpness,
        )
        return frame_of_face(frame, face, group=group_name(number), focal_px=renderer.focal_px(side_px))

    return list(in_order(write, range(len(pictures)), "faces"))


def _renamed(frame: Frame, images: Path, number: int) -> Frame:
    """Close the gaps that dropped frames left. In order, so that no name is taken before it is free."""
    name = frame_name(number, frame.face)
    (images / frame.name).rename(images / name)
    return replace(frame, name=name, group=None if frame.group is None else group_name(number))


def _dropped(frame: Frame, reason: str) -> DroppedFrame:
    return DroppedFrame(frame.source, frame.source_index, reason, frame.timestamp_s, frame.sharpness)
