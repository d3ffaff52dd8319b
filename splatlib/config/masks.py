"""Configuration of the second stage, mask_frames."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from splatlib.config.base import NOT_IN_DIGEST, Config

# What masks.weights says instead of a folder.
DOWNLOAD = "download"


class MaskPrompt(Config):
    """What a person pointed at in one frame, in its pixels: ``[x, y, 1]`` on the object, ``[x, y, 0]`` beside it."""

    points: tuple[tuple[float, float, Literal[0, 1]], ...] = Field(
        default=(), description="[x, y, label]: label 1 is on the object, 0 is not"
    )
    box: tuple[float, float, float, float] | None = Field(
        default=None, description="[x0, y0, x1, y1] around the object"
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.points and self.box is None:
            raise ValueError("a prompt needs points or a box")
        if self.box is not None and (self.box[0] >= self.box[2] or self.box[1] >= self.box[3]):
            raise ValueError("a box is [x0, y0, x1, y1] with x0 < x1 and y0 < y1")
        return self


class MasksConfig(Config):
    """Which pixels count. ``alpha`` takes the capture's own alpha channel, ``folder`` a user's pictures; ``grabcut``,
    ``u2net`` and ``sam2`` find the object themselves."""

    backend: Literal["auto", "alpha", "folder", "grabcut", "u2net", "sam2"] = Field(
        default="auto",
        description="where the masks come from; auto: the alpha channel where the capture has one, else grabcut",
    )
    folder: str | None = Field(
        default=None,
        description="backend folder: pictures named like the frames' sources",
        json_schema_extra=NOT_IN_DIGEST,  # its content is an input of the stage
    )
    threshold: float = Field(default=0.5, ge=0, le=1, description="mask values from here on count as foreground")
    keep: Literal["object", "everything_but"] = Field(
        default="object", description="use the object that was found, or all but it (to leave people out)"
    )
    grow_px: int = Field(
        default=0, ge=-64, le=64, description="move the object's outline out by so many pixels of the frame; < 0: in"
    )
    min_area: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="smaller islands and holes go, share of the picture; null: 0 for alpha and folder, else 0.002",
    )
    temporal: bool = Field(default=True, description="grabcut, u2net, sam2: agree with the frames before and after")
    work_px: int = Field(
        default=320, ge=96, le=2048, description="grabcut: long side at which the object is looked for"
    )
    u2net_model: Literal["object", "object_small", "human"] = Field(
        default="object", description="u2net: what it was trained to find"
    )
    sam2_model: Literal["tiny", "small", "base_plus", "large"] = Field(default="tiny", description="sam2: which size")
    prompts: dict[str, MaskPrompt] = Field(
        default={},
        description="grabcut, sam2: by frame name, {points: [[x, y, label], …], box: [x0, y0, x1, y1]}, pixels",
    )
    weights: str | None = Field(
        default=None,
        description="u2net, sam2: a folder of weights, an s3://bucket/prefix, or 'download' to get them from "
        "where they are published; null: what the environment variable SPLATLIB_WEIGHTS says",
        json_schema_extra=NOT_IN_DIGEST,  # their checksum is an input of the stage
    )

    @model_validator(mode="after")
    def _fields_fit_the_backend(self) -> Self:
        if self.backend == "folder" and not self.folder:
            raise ValueError("backend 'folder' needs the field folder")
        if self.prompts and self.backend not in ("grabcut", "sam2"):
            raise ValueError(f"prompts are for the backends 'grabcut' and 'sam2', not {self.backend!r}")
        return self
