"""nerfstudio's folder: ``transforms.json`` beside pictures, masks and the sparse cloud.

Format: docs.nerf.studio, "Data conventions": cameras to world, OpenGL axes (x right, y up, z back), pixels from the
picture's corner. The world stays ours. Read by nerfstudio, instant-ngp, Brush, and many others.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from splatlib.artifacts import Camera, SparseScene, View
from splatlib.errors import SceneFormatError
from splatlib.files import write_atomically
from splatlib.ply import write_ply
from splatlib.scene_formats.pictures import PlacedView, place_views

_OPENGL_FROM_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])
_POINTS_FILE = "points.ply"


def write_nerfstudio(
    scene: SparseScene,
    directory: Path,
    *,
    held_out: Sequence[View] = (),
    evaluated: Sequence[View] | None = None,
    measured: Sequence[View] | None = None,
    max_long_side_px: int | None = None,
    portable: bool = True,
) -> list[PlacedView]:
    """Write ``transforms.json``, ``images/``, ``masks/`` and ``points.ply``.

    nerfstudio wants a mask for every view or for none: where some have one, the others get a white one.

    Args:
        held_out: views that are not trained on.
        evaluated: ``val_filenames``. measured: ``test_filenames``, which ``ns-render`` draws. Default for both:
            ``held_out``; where none of the three is given, no split is written.
        max_long_side_px, portable: see ``place_views``.

    Raises:
        SceneFormatError: pinhole-like and fisheye lenses together, or distortion terms that nerfstudio does not have.
        ArtifactError: a picture or mask is gone or damaged.
    """
    model = _camera_model(scene)
    placed = place_views(
        scene,
        scene.views,
        directory,
        name_of=lambda view: f"images/{view.name}",
        mask_name_of=lambda picture: f"masks/{picture.removeprefix('images/')}.png",
        max_long_side_px=max_long_side_px,
        mask_all=True,
        portable=portable,
    )
    document: dict[str, Any] = {"camera_model": model, "ply_file_path": _POINTS_FILE}
    document["frames"] = [_frame(one) for one in placed]
    evaluated = held_out if evaluated is None else evaluated
    measured = held_out if measured is None else measured
    if held_out or evaluated or measured:
        kept, tried, shown = ({view.name for view in views} for views in (held_out, evaluated, measured))
        document["train_filenames"] = [one.picture for one in placed if one.view.name not in kept]
        document["val_filenames"] = [one.picture for one in placed if one.view.name in tried]
        document["test_filenames"] = [one.picture for one in placed if one.view.name in shown]
    write_ply(directory / _POINTS_FILE, {"vertex": points_table(scene)})
    write_atomically(directory / "transforms.json", json.dumps(document, indent=1))
    return placed


def points_table(scene: SparseScene) -> np.ndarray:
    """The sparse cloud as the vertices of a PLY."""
    columns = [*((axis, "f4") for axis in "xyz"), *((color, "u1") for color in ("red", "green", "blue"))]
    table = np.empty(len(scene.points_xyz), columns)
    for index, axis in enumerate("xyz"):
        table[axis] = scene.points_xyz[:, index]
    for index, color in enumerate(("red", "green", "blue")):
        table[color] = scene.points_rgb[:, index]
    return table


def _frame(placed: PlacedView) -> dict[str, Any]:
    camera = placed.camera
    world_from_cam = np.linalg.inv(placed.view.cam_from_world) @ _OPENGL_FROM_OPENCV
    frame: dict[str, Any] = {"file_path": placed.picture}
    if placed.mask is not None:
        frame["mask_path"] = placed.mask
    frame |= {"w": camera.width, "h": camera.height, "fl_x": camera.fx, "fl_y": camera.fy}
    frame |= {"cx": camera.cx, "cy": camera.cy, **_distortion(camera), "transform_matrix": world_from_cam.tolist()}
    return frame


def _distortion(camera: Camera) -> dict[str, float]:
    lens = camera.distortion
    if lens is None:
        return {}
    named = {f"k{index}": value for index, value in enumerate(lens.radial[:4], 1)}
    if lens.model == "fisheye":
        return named
    if any(lens.radial[3:]):
        raise SceneFormatError(
            "nerfstudio knows no rational distortion (k4, k5, k6)",
            hint="solve the cameras with cameras.undistort=true, and write that scene",
        )
    named.pop("k4")
    return {**named, "p1": lens.tangential[0], "p2": lens.tangential[1]}


def _camera_model(scene: SparseScene) -> str:
    """Of all frames: nerfstudio has one for the whole file. Raises SceneFormatError."""
    for camera in scene.cameras:
        _distortion(camera)
    models = {"OPENCV" if camera.distortion is None else _MODELS[camera.distortion.model] for camera in scene.cameras}
    if len(models) > 1:
        raise SceneFormatError(
            "nerfstudio's transforms.json has one lens model for all frames, this scene has pinholes and fisheyes",
            hint="solve the cameras with cameras.undistort=true, and write that scene",
        )
    return models.pop()


_MODELS = {"radial_tangential": "OPENCV", "fisheye": "OPENCV_FISHEYE"}
