"""A COLMAP model as a SparseScene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from splatlib.artifacts import Camera, View
from splatlib.cameras._pycolmap import pycolmap
from splatlib.cameras.lens import camera_of

# A point far outside what the cameras move in and look at is a mismatch or the sky; as a Gaussian it would only
# cost. In distances of the median point from the middle camera.
_FAR = 100.0


@dataclass(frozen=True)
class Points:
    """xyz [P, 3] float32, rgb [P, 3] uint8, errors_px [P] float32, track_lengths [P] int32."""

    xyz: npt.NDArray[np.float32]
    rgb: npt.NDArray[np.uint8]
    errors_px: npt.NDArray[np.float32]
    track_lengths: npt.NDArray[np.int32]


def cameras_and_views(
    model: pycolmap.Reconstruction, masked: frozenset[str]
) -> tuple[tuple[Camera, ...], tuple[View, ...]]:
    """The cameras in use with their distortion, and the registered views sorted by name.

    Args:
        masked: names of pictures that have a mask.

    Raises:
        CamerasError: a lens is of a model that training does not know.
    """
    images = sorted((model.images[image_id] for image_id in model.reg_image_ids()), key=lambda image: image.name)
    used = sorted({image.camera_id for image in images})
    cameras = [model.cameras[camera_id] for camera_id in used]
    views = [
        View(
            name=image.name,
            camera_index=used.index(image.camera_id),
            cam_from_world=np.vstack([image.cam_from_world().matrix(), (0.0, 0.0, 0.0, 1.0)]),
            has_mask=image.name in masked,
            group=_group(model, image),
        )
        for image in images
    ]
    return tuple(map(camera_of, cameras)), tuple(views)


def _group(model: pycolmap.Reconstruction, image: pycolmap.Image) -> str | None:
    """The moment of a rig of several cameras that a picture belongs to."""
    frame = model.frames[image.frame_id]
    return f"{image.frame_id:06d}" if len(list(frame.image_ids)) > 1 else None


def sparse_points(model: pycolmap.Reconstruction, views: tuple[View, ...]) -> Points:
    """The model's points by id, those left out that lie absurdly far away.

    COLMAP has already dropped points seen under less than 1.5 degrees or off by more than 4 px.
    """
    points = [model.points3D[point_id] for point_id in sorted(model.point3D_ids())]
    xyz = np.array([point.xyz for point in points], np.float64).reshape(-1, 3)
    keep = np.flatnonzero(_near(xyz, views))
    return Points(
        xyz=xyz[keep].astype(np.float32),
        rgb=np.array([points[i].color for i in keep], np.uint8).reshape(-1, 3),
        errors_px=np.array([points[i].error for i in keep], np.float32),
        track_lengths=np.array([points[i].track.length() for i in keep], np.int32),
    )


def _near(xyz: npt.NDArray[np.float64], views: tuple[View, ...]) -> npt.NDArray[np.bool_]:
    if not len(xyz) or not views:
        return np.zeros(len(xyz), np.bool_)
    center = np.median([view.center for view in views], axis=0)
    distance = np.linalg.norm(xyz - center, axis=1)
    return distance <= _FAR * np.median(distance)
