"""Frozen configuration models: one per stage, and the Job that holds them all.

The Job is the single schema for Python, the command line, ``job.json``, the notebooks' parameters and the docs.
Unknown keys are refused. A preset is a named constant; any field set beside it overrides the preset.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from splatlib.errors import ConfigError

# Marks a field that changes how a stage works but not what comes out, so that changing it repeats nothing.
NOT_IN_DIGEST: dict[str, Any] = {"in_digest": False}


class _Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise _translated(error, type(self)) from None

    # pydantic's own mark: a nested model is validated in place, so that an error names "train.steps", not "steps"
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: Any, info: Any) -> Any:
        # pydantic reads true as 1: steps=true would train one step
        annotation = cls.model_fields[info.field_name].annotation
        if isinstance(value, bool) and ({annotation, *get_args(annotation)} & {int, float}):
            raise ValueError("a number is wanted")
        return value

    def result_fields(self) -> dict[str, Any]:
        """The fields that change what a stage produces, as JSON types: what its digest covers."""
        extra = {name: field.json_schema_extra for name, field in type(self).model_fields.items()}
        return {key: value for key, value in self.to_dict().items() if extra[key] != NOT_IN_DIGEST}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Validate a mapping, for instance parsed JSON. Raises ConfigError naming each field."""
        if not isinstance(fields, Mapping):
            raise ConfigError(f"{cls.__name__} wants an object, got {type(fields).__name__}")
        return cls(**{str(key): value for key, value in fields.items()})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Parse and validate a JSON document. Raises ConfigError."""
        try:
            fields = json.loads(text)
        except ValueError as error:
            raise ConfigError(f"{cls.__name__} is not valid JSON", why=str(error)) from error
        return cls.from_dict(fields)

    def to_dict(self) -> dict[str, Any]:
        """All fields, preset values filled in, as plain JSON types."""
        return self.model_dump(mode="json")

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2)


def panorama_face_names(ring: int) -> tuple[str, ...]:
    """Names of a panorama's faces: round the horizon from the middle to the right, then ``up`` and ``down``."""
    horizon = ("front", "right", "back", "left") if ring == 4 else tuple(f"ring{i}" for i in range(ring))
    return (*horizon, "up", "down")


class FramesConfig(_Config):
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


class MaskPrompt(_Config):
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


class MasksConfig(_Config):
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
        description="u2net, sam2: folder of weights; null: the environment variable SPLATLIB_WEIGHTS",
        json_schema_extra=NOT_IN_DIGEST,  # their checksum is an input of the stage
    )

    @model_validator(mode="after")
    def _fields_fit_the_backend(self) -> Self:
        if self.backend == "folder" and not self.folder:
            raise ValueError("backend 'folder' needs the field folder")
        if self.prompts and self.backend not in ("grabcut", "sam2"):
            raise ValueError(f"prompts are for the backends 'grabcut' and 'sam2', not {self.backend!r}")
        return self


class CamerasConfig(_Config):
    """How cameras are solved (structure from motion by COLMAP)."""

    mapper: Literal["auto", "incremental", "global"] = Field(
        default="auto", description="one frame after the other, or all at once; auto tries the other where one fails"
    )
    matching: Literal["auto", "sequential", "retrieval", "exhaustive"] = Field(
        default="auto",
        description="which frames are compared: neighbours in time, those that look alike, or all with all",
    )
    camera_model: Literal[
        "SIMPLE_RADIAL",
        "RADIAL",
        "OPENCV",
        "FULL_OPENCV",
        "PINHOLE",
        "SIMPLE_PINHOLE",
        "SIMPLE_RADIAL_FISHEYE",
        "RADIAL_FISHEYE",
        "OPENCV_FISHEYE",
    ] = Field(
        default="OPENCV",
        description="COLMAP's lens model; OPENCV has four distortion terms, fisheye lenses need a FISHEYE model",
    )
    undistort: bool = Field(
        default=True,
        description="train on undistorted pictures; off: on the pictures as they are, which needs a GPU",
    )
    max_features: int = Field(default=2048, ge=256, le=32_768, description="SIFT features kept per frame")
    max_feature_image_px: int = Field(
        default=1600, ge=256, le=8192, description="frames are scaled down to this for SIFT"
    )
    upsample_features: bool = Field(
        default=False,
        description="SIFT from a picture of twice the size: slower, more points, for low-texture scenes",
    )
    sequential_overlap: int = Field(
        default=5, ge=2, le=100, description="neighbours in time each frame is matched with"
    )
    loop_closure: bool = Field(default=True, description="sequential: also match frames that look alike")
    refine_principal_point: bool = Field(
        default=True, description="find the lens' principal point too, where at least 20 frames share a lens"
    )
    priors: str | None = Field(
        default=None,
        min_length=1,
        description="known camera poses: a transforms.json, a JSON or CSV of poses, or a folder with a COLMAP model",
        json_schema_extra=NOT_IN_DIGEST,  # its content is an input of the stage
    )
    priors_mode: Literal["trust", "refine", "pairs"] = Field(
        default="trust",
        description="take the poses as they are, adjust them to the pictures, or only choose pairs by them",
    )
    priors_convention: Literal["auto", "opencv", "opengl", "arkit", "arcore", "ros"] = Field(
        default="auto", description="the camera axes of the poses; auto: what the file's format says"
    )
    priors_direction: Literal["auto", "camera_to_world", "world_to_camera"] = Field(
        default="auto", description="what the poses map from and to; auto: what the file's format says"
    )
    allow_partial: bool = Field(default=False, description="go on when fewer than half of the frames were registered")
    min_registered: float = Field(default=0.5, ge=0, le=1, description="share of frames that must be registered")
    seed: int = Field(default=0, ge=0, description="of all random choices")


# A preset's values by kind of device. Where each number comes from is said beside the code that it tunes
# (splatlib/train/schedule.py).
TRAIN_PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "preview": {
        "cpu": {
            "max_long_side_px": 320,
            "steps": 1200,
            "max_gaussians": 24_000,
            "sh_degree": 1,
            "pixels_per_gaussian": 100,
        },
        "cuda": {
            "max_long_side_px": 1024,
            "steps": 1600,
            "max_gaussians": 200_000,
            "sh_degree": 2,
            "pixels_per_gaussian": 200,
        },
    },
    "balanced": {
        "cpu": {
            "max_long_side_px": 640,
            "steps": 4000,
            "max_gaussians": 80_000,
            "sh_degree": 2,
            "pixels_per_gaussian": 100,
        },
        "cuda": {
            "max_long_side_px": 1600,
            "steps": 5000,
            "max_gaussians": 500_000,
            "sh_degree": 3,
            "pixels_per_gaussian": 200,
        },
    },
    "high": {
        "cpu": {
            "max_long_side_px": 960,
            "steps": 10_000,
            "max_gaussians": 200_000,
            "sh_degree": 3,
            "pixels_per_gaussian": 100,
        },
        "cuda": {
            "max_long_side_px": 1600,
            "steps": 15_000,
            "max_gaussians": 1_500_000,
            "sh_degree": 3,
            "pixels_per_gaussian": 150,
        },
    },
    # The published schedule of 3D Gaussian Splatting, for comparison: slow.
    "reference": {
        kind: {
            "max_long_side_px": 1600,
            "steps": 30_000,
            "max_gaussians": 5_000_000,
            "sh_degree": 3,
            "pixels_per_gaussian": 0,
            "strategy": "default",
        }
        for kind in ("cpu", "cuda")
    },
}
# What a preset may decide.
_OF_PRESETS = ("max_long_side_px", "steps", "max_gaussians", "pixels_per_gaussian", "sh_degree", "strategy")


class TrainConfig(_Config):
    """How a splat is trained. Fields left out (None) come from the preset, whose values depend on the device."""

    preset: Literal["preview", "balanced", "high", "reference"] = Field(
        default="preview", description="values of the fields left out; reference is the published schedule"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="where to train; auto takes the best renderer here"
    )
    max_long_side_px: int | None = Field(
        default=None, ge=32, le=8192, description="pictures are scaled down to this for training"
    )
    steps: int | None = Field(default=None, ge=1, le=1_000_000, description="of the optimiser")
    max_gaussians: int | None = Field(default=None, ge=100, le=50_000_000, description="densification stops there")
    pixels_per_gaussian: int | None = Field(
        default=None,
        ge=0,
        description="at most one Gaussian for so many pixels of all training pictures, lest they over-fit; 0: no limit",
    )
    sh_degree: int | None = Field(
        default=None, ge=0, le=3, description="of the colour's change with the viewing direction"
    )
    strategy: Literal["budget", "default", "mcmc"] | None = Field(
        default=None, description="densification; default and mcmc are gsplat's own"
    )
    antialiased: bool = Field(
        default=False,
        description="GPU: dim Gaussians smaller than a pixel, for views from nearer or further",
    )
    ssim_weight: float = Field(default=0.2, ge=0, le=1, description="loss: (1 - weight) L1 + weight (1 - SSIM)")
    background: Literal["black", "white", "random"] = Field(default="black", description="behind all Gaussians")
    appearance: Literal["none", "affine", "bilateral"] = Field(
        default="none",
        description="learn what exposure and white balance did to each photo: one colour matrix, or a grid of them "
        "that covers vignettes and local tone mapping too",
    )
    refine_poses: bool = Field(default=False, description="GPU: correct the cameras' poses a little while training")
    robust: bool = Field(default=False, description="leave out what only some photos show, such as passers-by")
    outside_mask: Literal["auto", "ignore", "transparent"] = Field(
        default="auto",
        description="pixels outside a mask teach nothing, or that nothing is there; auto: what the masks mean",
    )
    held_out_every: int = Field(default=8, ge=0, description="every n-th view by name is kept for measuring; 0: none")
    preview_every_steps: int | None = Field(
        default=None,
        ge=0,
        description="a rendered preview picture and its quality this often; 0: none",
        json_schema_extra=NOT_IN_DIGEST,
    )
    checkpoint_every_s: float = Field(
        default=20.0,
        ge=0,
        description="seconds between checkpoints; 0: after every step",
        json_schema_extra=NOT_IN_DIGEST,
    )
    seed: int = Field(default=0, ge=0, description="of all random choices")

    @model_validator(mode="after")
    def _some_views_are_left(self) -> Self:
        if self.held_out_every == 1:
            raise ValueError("held_out_every 1 would hold out every view; 0 holds out none, 8 is usual")
        return self

    @model_validator(mode="after")
    def _poses_have_a_gradient(self) -> Self:
        # resolved() comes by here too, so that device auto on a machine without a GPU is refused before any work
        if self.refine_poses and self.device == "cpu":
            raise ValueError("refine_poses needs a GPU: the CPU renderer has no gradient by the pose; leave it off")
        return self

    def resolved(self, device_kind: str) -> ResolvedTrainConfig:
        """With the preset's values for ``cpu`` or ``cuda`` in the fields left out."""
        every = {"cpu": 200, "cuda": 1000}[device_kind]
        preset = {"strategy": "budget", "preview_every_steps": every, **TRAIN_PRESETS[self.preset][device_kind]}
        chosen = {name: value for name, value in self.to_dict().items() if value is not None}
        return ResolvedTrainConfig(**{**preset, **chosen, "device": device_kind})


class ResolvedTrainConfig(TrainConfig):
    """A TrainConfig with every field set, for one kind of device."""

    max_long_side_px: int  # type: ignore[assignment]
    steps: int  # type: ignore[assignment]
    max_gaussians: int  # type: ignore[assignment]
    pixels_per_gaussian: int  # type: ignore[assignment]
    sh_degree: int  # type: ignore[assignment]
    strategy: Literal["budget", "default", "mcmc"]  # type: ignore[assignment]
    preview_every_steps: int = Field(json_schema_extra=NOT_IN_DIGEST)  # type: ignore[assignment]


class ExportConfig(_Config):
    """Which files are delivered."""

    formats: tuple[Literal["ply", "spz"], ...] = Field(default=("ply", "spz"), min_length=1, description="a file each")


class Job(_Config):
    """A whole reconstruction as one document."""

    capture: str = Field(min_length=1, description="video file, folder of photos, or zip of photos")
    frames: FramesConfig = FramesConfig()
    masks: MasksConfig | None = Field(default=None, description="none: the capture's alpha channel where it has one")
    cameras: CamerasConfig = CamerasConfig()
    train: TrainConfig = TrainConfig()
    export: ExportConfig = ExportConfig()
    run: str = Field(
        default="main", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", description="name of the training run"
    )

    def with_overrides(self, overrides: Mapping[str, Any] | Iterable[str]) -> Job:
        """A copy with dotted fields replaced: ``{"train.steps": 500}`` or ``["train.steps=500"]``.

        Values given as text are read as JSON where they parse as such. Setting ``train.preset`` also
        brings that preset's values, unless they are overridden too. Raises ConfigError.
        """
        pairs = overrides if isinstance(overrides, Mapping) else dict(_split_assignment(text) for text in overrides)
        fields = self.model_dump(mode="json", exclude_unset=True)
        if "train.preset" in pairs:
            fields["train"] = {k: v for k, v in fields.get("train", {}).items() if k not in _OF_PRESETS}
        for dotted, value in pairs.items():
            *parents, leaf = dotted.split(".")
            target = fields
            for depth, parent in enumerate(parents):
                inner = target.setdefault(parent, {})
                if inner is None:
                    inner = target[parent] = {}
                if not isinstance(inner, dict):
                    raise ConfigError(f"{'.'.join(parents[: depth + 1])} has no field {leaf!r}")
                target = inner
            target[leaf] = value
        return Job.from_dict(fields)


def _split_assignment(text: str) -> tuple[str, Any]:
    dotted, equals, value = text.partition("=")
    if not equals or not dotted:
        raise ConfigError(f"override {text!r} is not of the form FIELD=VALUE", hint="for example train.steps=500")
    try:
        return dotted.strip(), json.loads(value)
    except ValueError:
        return dotted.strip(), value


def _translated(error: ValidationError, model: type[BaseModel]) -> ConfigError:
    """pydantic's findings as one ConfigError that names each field in dotted form."""
    lines, hints = [], []
    for finding in error.errors():
        *parents, leaf = [str(part) for part in finding["loc"]] or [model.__name__]
        dotted = ".".join([*parents, leaf])
        if finding["type"] == "extra_forbidden":
            fields = list(_model_at(model, parents).model_fields)
            near = difflib.get_close_matches(leaf, fields, n=1)
            lines.append(f"{dotted}: unknown field" + (f", did you mean {near[0]}?" if near else ""))
            hints.append(f"the fields of {'.'.join(parents) or model.__name__} are {', '.join(fields)}")
        elif finding["type"] == "missing":
            lines.append(f"{dotted}: missing")
        else:
            message = finding["msg"].removeprefix("Value error, ")
            lines.append(f"{dotted}: {message}, got {finding['input']!r:.80}")
    return ConfigError(f"{model.__name__} is not valid: " + "; ".join(lines), hint="; ".join(dict.fromkeys(hints)))


def _model_at(model: type[BaseModel], parents: list[str]) -> type[BaseModel]:
    """The model that a dotted path leads to, as far as it can be followed."""
    for name in parents:
        annotation = model.model_fields[name].annotation if name in model.model_fields else None
        inner = [t for t in (annotation, *get_args(annotation)) if isinstance(t, type) and issubclass(t, BaseModel)]
        model = inner[0] if inner else model
    return model
