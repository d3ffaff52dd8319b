"""The third stage's artefact: cameras, views and a sparse point cloud."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from splatlib.artifacts.base import Artifact, tuples


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
        return cls(**{**data, "distortion": Distortion(**tuples(distortion)) if distortion else None})


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
        world: whose axes and scale the scene has: ``arbitrary`` (of structure from motion), ``priors`` (of the given
            poses), or ``enu`` (metres; x east, y north, z up, by GPS).
        metres_per_unit: None: unknown.
        origin_lat_lon_alt: of an ``enu`` world; degrees (WGS 84) and metres, None where GPS gave no altitude.
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
    world: str = "arbitrary"
    metres_per_unit: float | None = None
    origin_lat_lon_alt: tuple[float, float, float | None] | None = None

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
        return cls(**{**tuples(data), "cameras": cameras, "views": views}, **arrays, **own)
