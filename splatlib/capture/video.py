"""Videos, read once from front to back by OpenCV's FFmpeg."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

# FFmpeg prints its complaints to stderr by itself; ours say the same in words. Read when OpenCV first opens a video.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2
import numpy as np
import numpy.typing as npt

from splatlib.errors import CaptureUnreadableError, CaptureUnusableError

# When the container does not say how long the video is.
_WINDOW_OF_UNKNOWN_S = 0.5
_FRAME_RATE_OF_UNKNOWN = 30.0
# Containers miscount by a few frames (edit lists, dropped frames at the end).
_MISSING_SHARE = 0.02
_MISSING_FRAMES = 3
_ATTEMPTS = 100
_MAX_INDEX_BYTES = 64 * 2**20


@dataclass
class VideoFrame:
    """One frame that was looked at: index and time since the video's first frame, [H, W, 3] uint8 BGR, upright."""

    index: int
    timestamp_s: float
    bgr: npt.NDArray[np.uint8]


@dataclass
class VideoReader:
    """One pass over a video. Raises CaptureUnreadableError if it cannot be opened, CaptureUnusableError if it ends
    before ``start_s``.

    Attributes:
        num_frames: as the container says; 0 if it does not.
        width, height: of its frames, upright.
        whole_s: length of all of it, as the container says; 0 if it does not.
        duration_s: between ``start_s`` and ``end_s``; None if unknown.
        notes: what turned out to be wrong with it, once it was read.
    """

    path: Path
    start_s: float = 0.0
    end_s: float | None = None
    num_frames: int = 0
    duration_s: float | None = None
    notes: list[str] = field(default_factory=list)
    width: int = 0
    height: int = 0
    whole_s: float = 0.0

    def __post_init__(self) -> None:
        with _opened(self.path) as video:
            rate = video.get(cv2.CAP_PROP_FPS)
            self._frame_s = 1.0 / (rate if 0.1 < rate < 1000 else _FRAME_RATE_OF_UNKNOWN)
            # the count is negative or huge where the container has none
            count = video.get(cv2.CAP_PROP_FRAME_COUNT)
            self.num_frames = int(count) if 0 < count < 1e8 else 0
            # the properties tell the size as stored or as turned, by OpenCV's version; a frame tells it as it comes
            _grab(video, self.path)
            ok, bgr = video.retrieve()
            if ok and bgr is not None:
                self.height, self.width = bgr.shape[:2]
        if self.num_frames:
            whole_s = self.whole_s = self.num_frames * self._frame_s
            if self.start_s > whole_s * (1 + _MISSING_SHARE) + _MISSING_FRAMES * self._frame_s:
                raise self._outside(whole_s)
            end_s = whole_s if self.end_s is None else min(self.end_s, whole_s)
            self.duration_s = max(end_s - self.start_s, self._frame_s)

    def window_s(self, max_frames: int) -> float:
        """Length of the time windows that share the video out among so many frames."""
        return _WINDOW_OF_UNKNOWN_S if self.duration_s is None else self.duration_s / max_frames

    def frames(self, step_s: float) -> Generator[VideoFrame | None, None, None]:
        """The video's frames in order: one about every ``step_s``, None for those passed over.

        Rotation metadata is applied. Frames passed over are decoded but not converted. Raises CaptureUnreadableError
        if no frame can be decoded, CaptureUnusableError if none lies between ``start_s`` and ``end_s``.
        """
        index, seen, timestamp_s, first_ms, next_s = -1, 0, 0.0, 0.0, self.start_s
        with _opened(self.path) as video:
            while _grab(video, self.path):
                index += 1
                at_ms = video.get(cv2.CAP_PROP_POS_MSEC)
                first_ms = at_ms if index == 0 else first_ms
                # some streams carry no times: then they are what the frame rate makes them
                since_first_s = (at_ms - first_ms) / 1000
                timestamp_s = (
                    since_first_s if since_first_s > timestamp_s or index == 0 else timestamp_s + self._frame_s
                )
                if self.end_s is not None and timestamp_s > self.end_s:
                    break
                # a frame half a frame early is nearer than the next one
                if timestamp_s < self.start_s or timestamp_s + self._frame_s / 2 < next_s:
                    yield None
                    continue
                while next_s <= timestamp_s + self._frame_s / 2:
                    next_s += max(step_s, self._frame_s / 4)
                ok, bgr = video.retrieve()
                if not ok:
                    yield None
                    continue
                seen += 1
                yield VideoFrame(index, timestamp_s, np.asarray(bgr, dtype=np.uint8))
            else:
                self._note_missing(index + 1)
        if index < 0:
            raise CaptureUnreadableError(
                f"{self.path.name} holds no frames that can be decoded",
                why=_damage(self.path) or "the video is empty, or its codec is not one that OpenCV's FFmpeg knows",
                hint="play it; if that works, convert it to H.264 mp4",
            )
        if seen == 0:
            raise self._outside(timestamp_s)

    def _outside(self, length_s: float) -> CaptureUnusableError:
        end = "its end" if self.end_s is None else f"end_s={self.end_s:g}"
        return CaptureUnusableError(
            f"{self.path.name} has no frames between start_s={self.start_s:g} and {end}",
            why=f"it is {length_s:.1f} s long",
            hint="choose start_s and end_s inside it; of several videos they hold for each one, from its own beginning",
        )

    def _note_missing(self, num_read: int) -> None:
        missing = self.num_frames - num_read
        if num_read and missing > max(_MISSING_FRAMES, _MISSING_SHARE * self.num_frames):
            self.notes.append(
                f"Only {num_read} of the video's {self.num_frames} frames could be read: "
                f"{_damage(self.path) or 'the file is damaged'}. Copy or download it again to use all of it."
            )


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[cv2.VideoCapture]:
    # a file that does not open becomes an exception, and is no line on stderr as well
    log_level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    # the absolute path cannot be taken for an address ("concat:…") by FFmpeg
    video = cv2.VideoCapture(str(path.resolve()), cv2.CAP_FFMPEG)
    cv2.utils.logging.setLogLevel(log_level)
    try:
        if not video.isOpened():
            raise CaptureUnreadableError(
                f"{path.name} cannot be opened as a video",
                why=_damage(path) or "it is damaged, or its codec is not one that OpenCV's FFmpeg knows",
                hint="copy or download it again; if it plays elsewhere, convert it to H.264 mp4",
            )
        video.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        yield video
    finally:
        video.release()


def _grab(video: cv2.VideoCapture, path: Path) -> bool:
    """Decode the next frame. A damaged stretch and the end look alike, so a few more calls tell them apart."""
    try:
        return any(video.grab() for _ in range(_ATTEMPTS))
    except cv2.error as error:
        raise CaptureUnreadableError(f"{path.name} cannot be decoded", why=str(error)) from error


def _damage(path: Path) -> str:
    """What is wrong with the outermost boxes of an mp4 or mov file, in words; empty if nothing is, or for others."""
    size, position, names, has_tracks = path.stat().st_size, 0, list[bytes](), False
    with path.open("rb") as file:
        while position + 8 <= size:
            file.seek(position)
            head = file.read(16)
            length, name = int.from_bytes(head[:4], "big"), head[4:8]
            if not names and name not in (b"ftyp", b"wide", b"free", b"skip", b"moov", b"mdat", b"pnot"):
                return ""
            names.append(name)
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            if length == 0:  # up to the end of the file
                length = size - position
            if length < 8:
                break
            if name == b"moov":
                file.seek(position)
                has_tracks = b"trak" in file.read(min(length, _MAX_INDEX_BYTES))
            position += length
    if position > size:
        return f"the file is cut off: it has {size} bytes where its own index says at least {position}"
    if b"moov" not in names:
        return "the file is cut off: its index (the moov box, which cameras write last) is missing"
    return "" if has_tracks else "it holds no frames: the recording ended before the first one"
