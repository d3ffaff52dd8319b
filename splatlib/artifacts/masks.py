"""The second stage's artefact: which pixels of each frame count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from splatlib.artifacts.base import Artifact, tuples


@dataclass(frozen=True, kw_only=True)
class MaskSet(Artifact):
    """A mask a frame, ``<frame name>.png``, one channel: 0 = ignore, 255 = use, as COLMAP reads it.

    Attributes:
        names: frames that have a mask; a frame without one counts whole.
        mean_coverage: share of pixels in use, over the masks.
        outside: what a black pixel means: ``ignore`` (unknown) or ``transparent`` (nothing is there).
        warnings: what the user should know, in plain sentences.
        mean_iou, min_iou: intersection over union with the frames' own alpha channel, over the frames that have one,
            where the masks come from elsewhere and the object is kept; None where there is nothing to compare with.
    """

    stage: ClassVar[str] = "masks"

    backend: str
    names: tuple[str, ...]
    mean_coverage: float
    warnings: tuple[str, ...] = ()
    outside: str = "ignore"
    mean_iou: float | None = None
    min_iou: float | None = None

    def mask_path(self, frame_name: str) -> Path | None:
        return self.directory / f"{frame_name}.png" if frame_name in self.names else None

    @classmethod
    def from_data(cls, data: Mapping[str, Any], **own: Any) -> Self:
        return cls(**tuples(data), **own)
