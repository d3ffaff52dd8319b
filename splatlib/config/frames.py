"""Configuration of the first stage, extract_frames."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from splatlib.config.base import Config


def panorama_face_names(ring: int) -> tuple[str, ...]:
    """Names of a panorama's faces: round the horizon from the middle to the right, then ``up`` and ``down``."""
    horizon = ("front", "right", "back", "left") if ring == 4 else tuple(f"ring{i}" for i in range(ring))
    return (*horizon, "up", "down")


class FramesConfig(Config):
    """How frames are chosen from a capture."""

    max_frames: int = Field(
        default=300, ge=3, le=10_000, description="at most this many frames are kept; each face of a panorama is one"
    )
    start_s: float = Field(default=0.0, ge=0, description="video: skip what comes before, seconds")
    end_s: float | None = Field(default=None, gt=0, description="video: skip what comes after, seconds")
    max_long_side_px: int = Field(default=1600, ge=64, le=16_384, description="larger pictures are scaled down to this")
    candidates_per_frame: int = Field(
        default=4,
        ge=1,
        le=32,
        description="video: frames looked at for each one kept (the sharpest of its window wins)",
    )
    drop_blurred: bool = Field(default=True, description="drop frames far less sharp than their neighbours")
    drop_duplicates: bool = Field(default=True, description="drop frames that hardly differ from the one before")
    jpeg_quality: int = Field(default=95, ge=50, le=100, description="of the kept frames")
    projection: Literal["auto", "perspective", "equirectangular"] = Field(
        default="auto",
        description="equirectangular: 360° panoramas, each rendered to pinhole faces; auto: as metadata or edges tell",
    )
    panorama_ring: int = Field(
        default=4, ge=3, le=12, description="360°: faces round the horizon; one up and one down come on top"
    )
    panorama_hfov_deg: float = Field(
        default=90.0, ge=40, le=120, description="360°: field of view of each (square) face; more than 90 overlaps"
    )
    panorama_drop: tuple[str, ...] = Field(
        default=(), description="360°: faces to leave out, e.g. down where the operator is in view"
    )

    @model_validator(mode="after")
    def _faces_are_known(self) -> Self:
        names = panorama_face_names(self.panorama_ring)
        unknown = sorted(set(self.panorama_drop) - set(names))
        if unknown:
            raise ValueError(f"panorama_drop has {', '.join(unknown)}; the faces are {', '.join(names)}")
        if len(set(self.panorama_drop)) == len(names):
            raise ValueError("panorama_drop leaves no face")
        if self.panorama_hfov_deg * self.panorama_ring < 360:
            raise ValueError(
                f"{self.panorama_ring} faces of panorama_hfov_deg={self.panorama_hfov_deg:g} do not close the ring"
            )
        return self

    @model_validator(mode="after")
    def _ends_after_start(self) -> Self:
        if self.end_s is not None and self.end_s <= self.start_s:
            raise ValueError("end_s must be greater than start_s")
        return self
