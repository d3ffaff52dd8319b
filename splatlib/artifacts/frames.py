"""The first stage's artefact: frames chosen from a capture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from splatlib.artifacts.base import Artifact, tuples


@dataclass(frozen=True)
class Frame:
    """One kept picture.

    Attributes:
        name: file name under ``images/``.
        source: file name inside the capture (a photo's, or the video's); of a photo of one of several sources after
            that source's name, ``photos/IMG_1.jpg``.
        source_index: number of the picture in its source, in order.
        timestamp_s: video: since the first frame.
        sharpness: scale-normalised score, comparable within one capture; higher is sharper.
        focal_px: from EXIF, for the picture as kept.
        gps: latitude and longitude in degrees, altitude in metres, from EXIF.
        captured_at: ISO 8601, from EXIF.
        flags: short words on what is odd about it, e.g. ``exposure_jump``.
        has_alpha: an alpha mask of the same stem lies under ``alpha/`` (PNG, 0 = transparent).
        group: what was taken at one moment from one place has the same: the faces of a panorama. None: on its own.
        face: name of its face in ``FrameSet.faces``.
        source_group: in a capture of several sources, the name of its own; those of different ones never share a lens.
            None: the capture is one source.
    """

    name: str
    width: int
    height: int
    source: str
    source_index: int
    timestamp_s: float | None = None
    sharpness: float | None = None
    focal_px: float | None = None
    gps: tuple[float, float, float | None] | None = None
    captured_at: str | None = None
    flags: tuple[str, ...] = ()
    has_alpha: bool = False
    group: str | None = None
    face: str | None = None
    source_group: str | None = None

    @property
    def is_of_video(self) -> bool:
        return self.timestamp_s is not None


@dataclass(frozen=True)
class RigFace:
    """One of the pinhole cameras that a panorama is rendered to. All share one centre.

    Attributes:
        name: e.g. ``front``, ``up``.
        cam_from_rig: rotation as a unit quaternion, wxyz. The rig has OpenCV axes and looks at the panorama's middle.
    """

    name: str
    cam_from_rig: tuple[float, float, float, float]


@dataclass(frozen=True)
class DroppedFrame:
    """A picture that was looked at and not kept, and why.

    In a word or two: blurred, duplicate, surplus (its window had a sharper one), unreadable, empty (transparent all
    over), too small.
    """

    source: str
    source_index: int
    reason: str
    timestamp_s: float | None = None
    sharpness: float | None = None


@dataclass(frozen=True, kw_only=True)
class FrameSet(Artifact):
    """Frames chosen from a capture, under ``images/`` as JPEG.

    Attributes:
        capture: name of the capture.
        kind: ``video``, ``photos``, or ``mixed`` of several sources.
        warnings: what the capture check found, in plain sentences.
        faces: how the faces of a panorama lie to one another; empty if no frame is a panorama's.
    """

    stage: ClassVar[str] = "frames"

    capture: str
    kind: str
    frames: tuple[Frame, ...]
    dropped: tuple[DroppedFrame, ...] = ()
    warnings: tuple[str, ...] = ()
    faces: tuple[RigFace, ...] = ()

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def images_directory(self) -> Path:
        return self.directory / "images"

    def image_path(self, frame: Frame) -> Path:
        return self.images_directory / frame.name

    def alpha_path(self, frame: Frame) -> Path:
        return self.directory / "alpha" / f"{Path(frame.name).stem}.png"

    @classmethod
    def from_data(cls, data: Mapping[str, Any], **own: Any) -> Self:
        frames = tuple(Frame(**tuples(frame)) for frame in data["frames"])
        dropped = tuple(DroppedFrame(**frame) for frame in data["dropped"])
        faces = tuple(RigFace(**tuples(face)) for face in data.get("faces", ()))
        return cls(**{**tuples(data), "frames": frames, "dropped": dropped, "faces": faces}, **own)
