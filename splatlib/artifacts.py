"""The nouns between the verbs: FrameSet, MaskSet, SparseScene, Splat, ExportBundle.

An artefact is a small frozen record beside the files in its folder. Paths inside it are relative to the
folder, so a workspace can be moved or copied. ``artifact.json`` is written by the workspace, last.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from splatlib.errors import ArtifactError
from splatlib.gaussians import Gaussians

ARTIFACT_FILE = "artifact.json"


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """What a stage leaves behind.

    Attributes:
        directory: the folder that holds its files.
        digest: of the stage's config and inputs; set by the workspace.
        seconds: wall time the stage took; set by the workspace.
    """

    stage: ClassVar[str]
    # A module with a function mimebundle(artifact); named as text, since pictures are drawn by a layer above.
    display: ClassVar[str] = "splatlib.widgets.display"

    directory: Path
    digest: str = ""
    seconds: float = 0.0

    def to_data(self) -> dict[str, Any]:
        """The fields that go into artifact.json, as JSON types."""
        own = {f.name for f in fields(Artifact)}
        return {key: value for key, value in asdict(self).items() if key not in own}

    @classmethod
    def from_data(cls, data: Mapping[str, Any], **own: Any) -> Self:
        return cls(**data, **own)

    @classmethod
    def load(cls, directory: str | Path) -> Self:
        """Read the artefact of a finished stage. Raises ArtifactError where there is none."""
        directory = Path(directory)
        try:
            document = json.loads((directory / ARTIFACT_FILE).read_text())
            own = {"directory": directory, "digest": document["digest"], "seconds": document["seconds"]}
            return cls.from_data(document["artifact"], **own)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ArtifactError(
                f"{directory} holds no complete {cls.__name__}",
                why=f"{type(error).__name__}: {error}",
                hint=f"run the {cls.stage} stage (again) on this workspace",
            ) from error

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return importlib.import_module(self.display).mimebundle(self)


@dataclass(frozen=True)
class Frame:
    """One kept picture.

    Attributes:
        name: file name under ``images/``.
        source: file name inside the capture (a photo's, or the video's).
        source_index: number of the picture in the capture, in its order.
        timestamp_s: video: since the first frame.
        sharpness: scale-normalised score, comparable within one capture; higher is sharper.
        focal_px: from EXIF, for the picture as kept.
        gps: latitude and longitude in degrees, altitude in metres, from EXIF.
        captured_at: ISO 8601, from EXIF.
        flags: short words on what is odd about it, e.g. ``exposure_jump``.
        has_alpha: an alpha mask of the same stem lies under ``alpha/`` (PNG, 0 = transparent).
        group: what was taken at one moment from one place has the same: the faces of a panorama. None: on its own.
        face: name of its face in ``FrameSet.faces``.
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
        kind: ``video`` or ``photos``.
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
        frames = tuple(Frame(**_tuples(frame)) for frame in data["frames"])
        dropped = tuple(DroppedFrame(**frame) for frame in data["dropped"])
        faces = tuple(RigFace(**_tuples(face)) for face in data.get("faces", ()))
        return cls(**{**_tuples(data), "frames": frames, "dropped": dropped, "faces": faces}, **own)


@dataclass(frozen=True, kw_only=True)
class MaskSet(Artifact):
    """A mask a frame, ``<frame name>.png``, one channel: 0 = ignore, 255 = use, as COLMAP reads it.

    Attributes:
        names: frames that have a mask; a frame without one counts whole.
        mean_coverage: share of pixels in use, over the masks.
        outside: what a black pixel means: ``ignore`` (unknown) or ``transparent`` (nothing is there).
        warnings: what the user should know, in plain sentences.
    """

    stage: ClassVar[str] = "masks"

    backend: str
    names: tuple[str, ...]
    mean_coverage: float
    warnings: tuple[str, ...] = ()
    outside: str = "ignore"

    def mask_path(self, frame_name: str) -> Path | None:
        return self.directory / f"{frame_name}.png" if frame_name in self.names else None

    @classmethod
    def from_data(cls, data: Mapping[str, Any], **own: Any) -> Self:
        return cls(**_tuples(data), **own)


@dataclass(frozen=True)
class Distortion:
    """How a lens departs from a pinhole, with OpenCV's coefficients.

    Attributes:
        model: ``radial_tangential`` (OpenCV's standard model) or ``fisheye`` (equidistant, OpenCV's fisheye).
        radial: k1 … k6 (the last three divide) or, of a fisheye, k1 … k4.
        tangential: p1, p2; a fisheye has none.

    Raises ValueError: an unknown model, or coefficients that it does not have. Formulae: docs/conventions.md.
    """

    model: str
    radial: tuple[float, ...]
    tangential: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if self.model not in ("radial_tangential", "fisheye"):
            raise ValueError(f"unknown distortion model {self.model!r}")
        if len(self.radial) != (4 if self.model == "fisheye" else 6):
            raise ValueError(f"{self.model} has {len(self.radial)} radial coefficients")
        if len(self.tangential) != 2 or (self.model == "fisheye" and any(self.tangential)):
            raise ValueError(f"{self.model} has the tangential coefficients {self.tangential}")


@dataclass(frozen=True)
class Camera:
    """A camera with OpenCV axes (x right, y down, z forward), pixel centres at half integers.

    Attributes:
        distortion: None for a pinhole. It does not change with the picture's size.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: Distortion | None = None

    def scaled_to(self, width: int, height: int) -> Camera:
        """The same camera for the picture resampled to another size."""
        sx, sy = width / self.width, height / self.height
        return replace(
            self,
            width=width,
            height=height,
            fx=self.fx * sx,
            fy=self.fy * sy,
            cx=self.cx * sx,
            cy=self.cy * sy,
        )

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """From its fields as JSON types."""
        distortion = data.get("distortion")
        return cls(**{**data, "distortion": Distortion(**_tuples(distortion)) if distortion else None})


@dataclass(frozen=True, eq=False)
class View:
    """A registered frame: a picture with its camera.

    Attributes:
        name: of the frame and of the picture.
        camera_index: into ``SparseScene.cameras``.
        cam_from_world: [4, 4] float64 rigid transform.
        has_mask: a mask lies under ``masks/<name>.png`` beside the folder of pictures.
        group: views that a rig took at one moment have the same; None: on its own.
    """

    name: str
    camera_index: int
    cam_from_world: npt.NDArray[np.float64]
    has_mask: bool = False
    group: str | None = None

    @property
    def center(self) -> npt.NDArray[np.float64]:
        """[3] camera centre in world coordinates."""
        return -self.cam_from_world[:3, :3].T @ self.cam_from_world[:3, 3]


@dataclass(frozen=True, kw_only=True)
class SparseScene(Artifact):
    """Solved cameras and a sparse point cloud.

    The small facts live in artifact.json, the point cloud in ``scene.npz``, COLMAP's own models under
    ``sparse/0`` (as solved) and ``undistorted/sparse`` (pinhole), pictures under ``images_directory``: undistorted,
    or, where ``cameras`` have a distortion, as they were taken.

    Attributes:
        views: sorted by name.
        points_xyz: [P, 3] float32. points_rgb: [P, 3] uint8.
        point_errors_px: [P] mean reprojection error. point_track_lengths: [P] number of frames that see it.
        num_frames: frames that were tried.
        mapper: the one that made the model.
        outside_mask: of the masks, as in ``MaskSet.outside``.
    """

    stage: ClassVar[str] = "cameras"
    _arrays: ClassVar[tuple[str, ...]] = (
        "points_xyz",
        "points_rgb",
        "point_errors_px",
        "point_track_lengths",
    )

    cameras: tuple[Camera, ...]
    views: tuple[View, ...]
    points_xyz: npt.NDArray[np.float32] = field(repr=False)
    points_rgb: npt.NDArray[np.uint8] = field(repr=False)
    point_errors_px: npt.NDArray[np.float32] = field(repr=False)
    point_track_lengths: npt.NDArray[np.int32] = field(repr=False)
    num_frames: int
    mean_reprojection_error_px: float
    mapper: str
    images: str = "undistorted/images"
    warnings: tuple[str, ...] = ()
    outside_mask: str = "ignore"

    def camera(self, view: View) -> Camera:
        return self.cameras[view.camera_index]

    @property
    def images_directory(self) -> Path:
        return self.directory / self.images

    def image_path(self, view: View) -> Path:
        return self.images_directory / view.name

    def mask_path(self, view: View) -> Path | None:
        return self.images_directory.parent / "masks" / f"{view.name}.png" if view.has_mask else None

    def save_arrays(self) -> None:
        np.savez(self.directory / "scene.npz", **{name: getattr(self, name) for name in self._arrays})

    def to_data(self) -> dict[str, Any]:
        data = {key: value for key, value in super().to_data().items() if key not in self._arrays}
        data["views"] = [{**asdict(v), "cam_from_world": v.cam_from_world.tolist()} for v in self.views]
        return data

    @classmethod
    def from_data(cls, data: Mapping[str, Any], **own: Any) -> Self:
        cameras = tuple(Camera.from_data(camera) for camera in data["cameras"])
        views = tuple(View(**{**v, "cam_from_world": np.array(v["cam_from_world"])}) for v in data["views"])
        with np.load(own["directory"] / "scene.npz") as file:
            arrays = {name: file[name] for name in cls._arrays}
        return cls(**{**_tuples(data), "cameras": cameras, "views": views}, **arrays, **own)


@dataclass(frozen=True)
class HeldOutView:
    """Quality on one view that training never saw; pictures under ``held_out/<stem>.{truth,render}.png``.

    Attributes:
        psnr_corrected_db: after a least-squares fit of the render's colours to the photo's; None if not measured.
    """

    name: str
    psnr_db: float
    ssim: float
    lpips: float | None = None
    psnr_corrected_db: float | None = None


@dataclass(frozen=True, kw_only=True)
class Splat(Artifact):
    """A trained splat: ``splat.ply`` and how well it renders views it never saw.

    Attributes:
        run: name of the training run.
        psnr_db, ssim, lpips, psnr_corrected_db: means over ``held_out``; None where no view was measured so.
        settings: the config with the preset's values for the device filled in.
    """

    stage: ClassVar[str] = "train"

    run: str
    backend: str
    device: str
    steps: int
    num_gaussians: int
    sh_degree: int
    held_out: tuple[HeldOutView, ...] = ()
    warnings: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ply_path(self) -> Path:
        return self.directory / "splat.ply"

    @property
    def metrics_path(self) -> Path:
        """One JSON object a line, written while training."""
        return self.directory / "metrics.jsonl"

    @property
    def psnr_db(self) -> float | None:
        return _mean([view.psnr_db for view in self.held_out])

    @property
    def ssim(self) -> float | None:
        return _mean([view.ssim for view in self.held_out])

    @property
    def lpips(self) -> float | None:
        return _mean([view.lpips for view in self.held_out if view.lpips is not None])

    @property
    def psnr_corrected_db(self) -> float | None:
        """Where photos differ in exposure, this tells wrong colours from wrong shapes; ``psnr_db`` is the headline."""
        return _mean([view.psnr_corrected_db for view in self.held_out if view.psnr_corrected_db is not None])

    def held_out_paths(self, view: HeldOutView) -> tuple[Path, Path]:
        """Truth and render of a held-out view."""
        stem = self.directory / "held_out" / Path(view.name).stem
        return stem.with_name(stem.name + ".truth.png"), stem.with_name(stem.name + ".render.png")

    def gaussians(self) -> Gaussians:
        """Read the trained Gaussians from ``splat.ply``."""
        return Gaussians.load_ply(self.ply_path)

    @classmethod
    def from_data(cls, data: Mapping[str, Any], **own: Any) -> Self:
        held_out = tuple(HeldOutView(**view) for view in data["held_out"])
        return cls(**{**_tuples(data), "held_out": held_out}, **own)


@dataclass(frozen=True)
class ExportedFile:
    """One delivered file; the errors compare what was written with what is read back.

    Attributes:
        max_mean_error: scene units. max_color_error: of the degree-0 colour, 0…1.
        frame: world axes in the file: RDF (right, down, front: the scene's own) or RUB (right, up, back).
    """

    format: str
    name: str
    bytes: int
    max_mean_error: float
    max_color_error: float
    frame: str = "RDF"


@dataclass(frozen=True, kw_only=True)
class ExportBundle(Artifact):
    """The delivered files."""

    stage: ClassVar[str] = "export"

    files: tuple[ExportedFile, ...]
    warnings: tuple[str, ...] = ()

    def path(self, format_name: str) -> Path:
        """Where the file of a format lies. Raises ArtifactError if that format was not exported."""
        for file in self.files:
            if file.format == format_name:
                return self.directory / file.name
        raise ArtifactError(
            f"no {format_name} file was exported", hint=f"there is {', '.join(f.format for f in self.files)}"
        )

    @classmethod
    def from_data(cls, data: Mapping[str, Any], **own: Any) -> Self:
        files = tuple(ExportedFile(**file) for file in data["files"])
        return cls(**{**_tuples(data), "files": files}, **own)


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _tuples(data: Mapping[str, Any]) -> dict[str, Any]:
    """JSON knows no tuples."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
