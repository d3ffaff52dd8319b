"""COLMAP's folder: ``images/``, ``sparse/0`` and, where there are any, ``masks/``. Written by pycolmap.

Format: colmap.github.io/format.html. Read by COLMAP, gsplat, 3DGRUT, the 3DGS authors' code, Brush, and many others.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from splatlib.artifacts import Camera, SparseScene, View
from splatlib.scene_formats.pictures import PlacedView, place_views


def write_colmap(
    scene: SparseScene,
    directory: Path,
    *,
    views: Sequence[View] | None = None,
    name_of: Callable[[View], str] | None = None,
    mask_name_of: Callable[[str], str] | None = None,
    max_long_side_px: int | None = None,
    portable: bool = True,
) -> list[PlacedView]:
    """Write pictures, and a binary model of their cameras and of the sparse cloud; points have no tracks.

    Args:
        views: which, in the order that their ids get; default all, by name. The same view may come twice, under two
            names.
        name_of: a picture's name under ``images/``; default its own. mask_name_of: a mask's, relative to the folder,
            for the picture's; default ``masks/<name>.png``, as COLMAP reads it.
        max_long_side_px, portable: see ``place_views``.

    Raises ArtifactError: a picture or mask is gone or damaged. OSError: the model was not written whole.
    """
    import cv2  # noqa: F401 - before pycolmap, or OpenCV crashes
    import pycolmap

    named = name_of or (lambda view: view.name)
    placed = place_views(
        scene,
        scene.views if views is None else views,
        directory,
        name_of=lambda view: f"images/{named(view)}",
        mask_name_of=mask_name_of or (lambda picture: f"masks/{picture.removeprefix('images/')}.png"),
        max_long_side_px=max_long_side_px,
        portable=portable,
    )
    model = pycolmap.Reconstruction()
    id_of: dict[Camera, int] = {}
    for one in placed:
        if one.camera not in id_of:
            id_of[one.camera] = len(id_of) + 1
            model.add_camera_with_trivial_rig(_colmap_camera(id_of[one.camera], one.camera))
    for image_id, one in enumerate(placed, 1):
        name = one.picture.removeprefix("images/")
        image = pycolmap.Image(name=name, camera_id=id_of[one.camera], image_id=image_id)
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(one.view.cam_from_world[:3]))
    for xyz, rgb in zip(scene.points_xyz.astype(np.float64), scene.points_rgb, strict=True):
        model.add_point3D(xyz, pycolmap.Track(), rgb)
    sparse = directory / "sparse" / "0"
    sparse.mkdir(parents=True, exist_ok=True)
    model.write_binary(sparse)
    _require_whole(model, sparse)
    return placed


def _require_whole(model: Any, sparse: Path) -> None:
    """COLMAP does not look whether the disk took what it wrote. Raises OSError."""
    expected = {
        "cameras.bin": 8 + sum(24 + 8 * len(camera.params) for camera in model.cameras.values()),
        "images.bin": 8 + sum(73 + len(image.name.encode()) for image in model.images.values()),
        "points3D.bin": 8 + 51 * len(model.points3D),
    }
    for name, size in expected.items():
        if (held := (sparse / name).stat().st_size) != size:
            raise OSError(errno.EIO, f"{held} of {size} bytes were written; is the disk full?", str(sparse / name))


def _colmap_camera(camera_id: int, camera: Camera) -> Any:
    import cv2  # noqa: F401 - before pycolmap, or OpenCV crashes
    import pycolmap

    model, more = "PINHOLE", ()
    lens = camera.distortion
    if lens is not None and lens.model == "fisheye":
        model, more = "OPENCV_FISHEYE", lens.radial
    elif lens is not None:
        k1, k2, *rest = lens.radial
        model = "FULL_OPENCV" if any(rest) else "OPENCV"
        more = (k1, k2, *lens.tangential, *(rest if any(rest) else ()))
    return pycolmap.Camera(
        camera_id=camera_id,
        model=model,
        width=camera.width,
        height=camera.height,
        params=[camera.fx, camera.fy, camera.cx, camera.cy, *more],
    )
