"""The job JSON of the AWS guidance "Open Source 3D Reconstruction Toolbox", read as a Job.

Its leaves may come as text, booleans as "true" and "false". A model that is named is trained by the backend of that
name, with its authors' values but for ``maxSteps``. Keys that are left out take splatlib's defaults, not the
guidance's: without a model splatlib itself trains, whose preset needs a fifth of the guidance's 15,000 steps. Unknown
keys are refused, and so is what would change what comes out and cannot be had here; the rest of what could not be
mapped is listed in ``notes``.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, field_validator

from splatlib.config.base import Config
from splatlib.config.job import Job
from splatlib.errors import ConfigError

_FACES = ("back", "down", "front", "left", "right", "up")
_MATCHING = {"sequential": "sequential", "spatial": "auto", "vocab": "retrieval", "exhaustive": "exhaustive"}
# These draw the pictures as their lenses made them; the others are given undistorted ones.
_DRAW_DISTORTED = ("3dgut", "3dgrt")
# Keys that only its documents have: what tells them from a Job.
MARKS = frozenset({"uuid", "instanceType", "s3", "videoProcessing", "imageProcessing", "sfm", "sphericalCamera"})


class _S3(Config):
    bucketName: str = Field(min_length=1)
    inputPrefix: str = ""
    inputKey: str = Field(min_length=1)
    outputPrefix: str | None = None


class _Video(Config):
    maxNumImages: int = Field(default=300, ge=3, le=1000)


class _Image(Config):
    filterBlurryImages: bool = True


class _TransformsJson(Config):
    enable: bool = False
    sourceCoordinateName: Literal["arkit", "arcore", "opengl", "opencv", "ros"] = "arkit"
    poseIsWorldToCam: bool = True


class _Priors(Config):
    usePosePriorColmapModelFiles: bool = False
    usePosePriorTransformJson: _TransformsJson = _TransformsJson()


class _Sfm(Config):
    enable: bool = True
    softwareName: Literal["colmap", "glomap"] = "glomap"
    enableEnhancedFeatureExtraction: bool = False
    matchingMethod: Literal["sequential", "spatial", "vocab", "exhaustive"] = "sequential"
    posePriors: _Priors = _Priors()


class _Training(Config):
    enable: bool = True
    maxSteps: int | None = Field(default=None, ge=1000, le=100_000)
    model: (
        Literal["splatfacto", "splatfacto-big", "splatfacto-mcmc", "splatfacto-w-light", "3dgut", "3dgrt", "nerfacto"]
        | None
    ) = None
    enableMultiGpu: bool = False
    rotateSplat: bool = True


class _Spherical(Config):
    enable: bool = False
    cubeFacesToRemove: tuple[Literal["back", "down", "front", "left", "right", "up"], ...] = ("down", "up")
    optimizeSequentialFrameOrder: bool = True

    @field_validator("cubeFacesToRemove", mode="before")
    @classmethod
    def _list_may_be_text(cls, value: Any) -> Any:
        """``"['down', 'up']"``, as its user interface sends it."""
        if not isinstance(value, str):
            return value
        try:
            return ast.literal_eval(value.strip() or "[]")
        except (ValueError, SyntaxError):
            raise ValueError(f"a list of faces is wanted: {', '.join(_FACES)}") from None


class _Segmentation(Config):
    removeBackground: bool = False
    backgroundRemovalModel: Literal["u2net", "u2net_human", "u2net-human", "sam2"] = "u2net"
    maskThreshold: float = Field(default=0.6, ge=0, le=1)
    removeHumanSubject: bool = False


class ToolboxDocument(Config):
    """The guidance's job JSON, key by key."""

    uuid: str | None = Field(default=None, min_length=1)
    instanceType: str | None = Field(default=None, min_length=1)
    logVerbosity: Literal["debug", "info", "warning", "error"] = "info"
    s3: _S3
    videoProcessing: _Video = _Video()
    imageProcessing: _Image = _Image()
    sfm: _Sfm = _Sfm()
    training: _Training = _Training()
    sphericalCamera: _Spherical = _Spherical()
    segmentation: _Segmentation = _Segmentation()


@dataclass(frozen=True)
class ToolboxJob:
    """What a guidance's document says.

    Attributes:
        instance: SageMaker's name of the instance, None where the document leaves it out.
        notes: what could not be mapped, or only nearly; for people.
    """

    job: Job
    uuid: str | None
    instance: str | None
    notes: tuple[str, ...]


def is_toolbox_document(fields: Mapping[str, Any]) -> bool:
    """Whether a JSON object is the guidance's job and not ours."""
    return bool(MARKS & fields.keys()) and "capture" not in fields


def read_toolbox(fields: Mapping[str, Any]) -> ToolboxJob:
    """Read the guidance's job JSON.

    Raises:
        ConfigError: naming each key that is unknown, of the wrong type, or asks for what cannot be had here.
    """
    document = ToolboxDocument.from_dict(fields)
    _refuse_what_cannot_be_had(document)
    place = "/".join(part.strip("/") for part in (document.s3.inputPrefix, document.s3.inputKey) if part.strip("/"))
    trailing = "/" if document.s3.inputKey.endswith("/") else ""
    job = {
        "capture": f"s3://{document.s3.bucketName}/{place}{trailing}",
        "frames": _frames(document),
        "masks": _masks(document.segmentation),
        "cameras": _cameras(document),
        "train": _train(document.training),
    }
    return ToolboxJob(Job.from_dict(job), document.uuid, document.instanceType, tuple(_notes(document, fields)))


def _refuse_what_cannot_be_had(document: ToolboxDocument) -> None:
    if not document.training.enable:
        raise ConfigError(
            "training.enable: false cannot be had: a job always trains",
            hint="leave it out, or solve cameras alone with sl.solve_cameras",
        )
    if not document.sfm.enable and not _has_priors(document.sfm):
        raise ConfigError(
            "sfm.enable: false needs known poses, and none are named",
            hint="set sfm.posePriors, or leave sfm.enable out",
        )
    if document.segmentation.removeBackground and document.segmentation.removeHumanSubject:
        raise ConfigError(
            "segmentation.removeHumanSubject: cannot be had together with segmentation.removeBackground",
            why="a job has one kind of mask",
            hint="set one of them to false",
        )


def _has_priors(sfm: _Sfm) -> bool:
    return sfm.posePriors.usePosePriorColmapModelFiles or sfm.posePriors.usePosePriorTransformJson.enable


def _frames(document: ToolboxDocument) -> dict[str, Any]:
    frames: dict[str, Any] = {
        # of a panorama, its images are the six faces, and so are our frames
        "max_frames": document.videoProcessing.maxNumImages,
        "drop_blurred": document.imageProcessing.filterBlurryImages,
    }
    if document.sphericalCamera.enable:
        frames |= {"projection": "equirectangular", "panorama_drop": document.sphericalCamera.cubeFacesToRemove}
    return frames


def _masks(segmentation: _Segmentation) -> dict[str, Any] | None:
    if segmentation.removeHumanSubject:
        kind = {"backend": "u2net", "u2net_model": "human", "keep": "everything_but"}
    elif not segmentation.removeBackground:
        return None
    elif segmentation.backgroundRemovalModel == "sam2":
        kind = {"backend": "sam2"}
    else:
        human = segmentation.backgroundRemovalModel != "u2net"
        kind = {"backend": "u2net", "u2net_model": "human" if human else "object"}
    return kind | {"threshold": segmentation.maskThreshold}


def _train(training: _Training) -> dict[str, Any]:
    trainer = {"preset": "balanced"} if training.model is None else {"backend": training.model}
    return trainer | ({"steps": training.maxSteps} if training.maxSteps else {})


def _cameras(document: ToolboxDocument) -> dict[str, Any]:
    sfm = document.sfm
    cameras: dict[str, Any] = {
        "mapper": {"colmap": "incremental", "glomap": "global"}[sfm.softwareName],
        "matching": _MATCHING[sfm.matchingMethod],
        "upsample_features": sfm.enableEnhancedFeatureExtraction,
    }
    if _has_priors(sfm):
        cameras |= {"priors": "capture", "priors_mode": "refine" if sfm.enable else "trust"}
    if document.training.model in _DRAW_DISTORTED:
        cameras["undistort"] = False
    transforms = sfm.posePriors.usePosePriorTransformJson
    if transforms.enable:
        direction = "world_to_camera" if transforms.poseIsWorldToCam else "camera_to_world"
        cameras |= {"priors_convention": transforms.sourceCoordinateName, "priors_direction": direction}
    return cameras


def _notes(document: ToolboxDocument, fields: Mapping[str, Any]) -> list[str]:
    training = document.training
    found = [
        (document.logVerbosity != "info", "logVerbosity: a job logs all it has to say"),
        (document.s3.outputPrefix is not None, "s3.outputPrefix: results lie where the launcher puts them"),
        (document.sfm.enableEnhancedFeatureExtraction, "sfm.enableEnhancedFeatureExtraction: upsampled features"),
        (document.sfm.matchingMethod == "spatial", "sfm.matchingMethod: spatial is used wherever photos have GPS"),
        (
            training.enableMultiGpu,
            "training.enableMultiGpu: "
            + (f"{training.model} trains on one GPU" if training.model else "all GPUs of the instance are used"),
        ),
        (
            "rotateSplat" in fields.get("training", {}),
            "training.rotateSplat: the export is upright as its own settings say",
        ),
    ]
    return [note for applies, note in found if applies]
