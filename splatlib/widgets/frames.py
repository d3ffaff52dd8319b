"""The viewer of chosen frames: contact sheet, film strip, sharpness, and what was dropped and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from splatlib.artifacts import DroppedFrame, Frame, FrameSet
from splatlib.errors import ArtifactError
from splatlib.widgets.display import describe
from splatlib.widgets.pictures import evenly, jpeg_bytes, png_bytes, thumbnail
from splatlib.widgets.runtime import View, traitlets
from splatlib.widgets.stills import contact_sheet, kept_and_dropped

_MOST_FRAMES = 600
# Long side of the pictures in the notebook, for up to so many frames: together a few MB at most.
_THUMBNAIL_PX = ((40, 480), (120, 320), (_MOST_FRAMES, 176))
_LARGE_PX = 1280


class FramesView(View):
    """Attributes:
    selected: name of the frame that is shown large.
    """

    selected = traitlets.Unicode().tag(sync=True)


def view_frames(frames: FrameSet, *, most: int = _MOST_FRAMES, height_px: int = 440, title: str = "") -> FramesView:
    """Show the frames that were chosen, and those that were not.

    Args:
        most: frames shown; of more, evenly spread ones.

    Raises:
        ArtifactError: a frame's picture is gone.
        MissingDependencyError: anywidget is not installed.
    """
    shown = [frames.frames[i] for i in evenly(len(frames), most)]
    size_px = next((size for count, size in _THUMBNAIL_PX if len(shown) <= count), 176)
    pictures = [jpeg_bytes(thumbnail(frames.image_path(frame), size_px), 72) for frame in shown]
    notes = [*frames.warnings]
    if len(shown) < len(frames):
        notes.append(f"Showing {len(shown)} of {len(frames)} frames, evenly spread.")
    info = {
        "title": title or kept_and_dropped(frames).split(";")[0],
        "note": "\n".join(notes),
        "frames": [_frame_data(frame) for frame in shown],
        "dropped": [_dropped_data(dropped, shown) for dropped in frames.dropped],
        "sizes": [len(picture) for picture in pictures],
    }
    view = FramesView(
        kind="frames",
        info=info,
        blobs=[b"".join(pictures)],
        still=lambda: png_bytes(contact_sheet(frames)),
        text=describe(frames),
        height_px=height_px,
    )
    view.answer("picture", picture_of(frames))
    return view


def picture_of(frames: FrameSet) -> Callable[[str, Mapping[str, Any]], bytes]:
    """Answers with a frame's picture, as large as a stage shows it. Raises ArtifactError: there is none."""
    names = {frame.name for frame in frames.frames}

    def answer(name: str, _: Mapping[str, Any]) -> bytes:
        if name not in names:  # a name comes from the browser: it must not become a path by itself
            raise ArtifactError(f"there is no frame {name!r}")
        return jpeg_bytes(thumbnail(frames.images_directory / name, _LARGE_PX), 85)

    return answer


def _frame_data(frame: Frame) -> dict[str, Any]:
    return {
        "name": frame.name,
        "width": frame.width,
        "height": frame.height,
        "where": _where(frame),
        "sharpness": frame.sharpness,
        "flags": [flag.replace("_", " ") for flag in frame.flags],
    }


def _dropped_data(dropped: DroppedFrame, shown: list[Frame]) -> dict[str, Any]:
    """``after``: index of the last frame shown that comes before it; -1 where none does."""
    before = [i for i, frame in enumerate(shown) if _order(frame, dropped) < dropped.source_index]
    return {
        "after": before[-1] if before else -1,
        "where": _where(dropped),
        "reason": dropped.reason,
        "sharpness": dropped.sharpness,
    }


def _order(frame: Frame, dropped: DroppedFrame) -> float:
    """A video's frames count within their source; photos have a source each and one common count."""
    same = frame.source == dropped.source or frame.timestamp_s is None
    return frame.source_index if same else float("inf")


def _where(frame: Frame | DroppedFrame) -> str:
    if frame.timestamp_s is not None:
        return f"{frame.timestamp_s:.2f} s"
    return Path(frame.source).name
