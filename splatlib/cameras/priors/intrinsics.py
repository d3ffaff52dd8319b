"""Intrinsics of priors: from the keys of a transforms.json, and for the frames' own size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from splatlib.artifacts import Frame
from splatlib.cameras._pycolmap import pycolmap
from splatlib.cameras.priors.poses import Lens
from splatlib.errors import CamerasError

_PERSPECTIVE = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "FULL_OPENCV", "PERSPECTIVE")
_FISHEYE = ("OPENCV_FISHEYE", "FISHEYE")
# COLMAP's and nerfstudio's name; a panorama's faces have lenses of their own.
PANORAMA = "EQUIRECTANGULAR"
_COEFFICIENTS = ("k1", "k2", "k3", "k4", "k5", "k6", "p1", "p2")
# Of the proportions of a picture: rounding of scaled sizes stays below it, a crop or a quarter turn does not.
_MAX_SHAPE_DIFFERENCE = 0.02


def lens_of(path: Path, fields: Mapping[str, Any]) -> Lens | None:
    """The lens of one picture by the keys of a transforms.json (or ``fx fy width height``); None: it has none.

    Raises:
        CamerasError: a model that no pinhole or fisheye expresses, or numbers that cannot be.
    """
    model = str(fields.get("camera_model", "OPENCV")).upper()
    if fields.get("is_fisheye") is True:
        model = "OPENCV_FISHEYE"
    if model == PANORAMA:
        return Lens(PANORAMA, ())
    if model not in (*_PERSPECTIVE, *_FISHEYE):
        raise CamerasError(
            f"the camera_model {model} in {path.name} is unknown",
            hint=f"one of {', '.join((*_PERSPECTIVE, *_FISHEYE))}",
        )
    return _lens_of_photo(path, fields, model)


def _lens_of_photo(path: Path, fields: Mapping[str, Any], model: str) -> Lens | None:
    width, height = (_number(path, fields, *keys) for keys in (("w", "width"), ("h", "height")))
    cx, cy = (_number(path, fields, key) for key in ("cx", "cy"))
    # without a size, the principal point tells of it
    full_width, full_height = width or (2 * cx if cx else None), height or (2 * cy if cy else None)
    fx = _number(path, fields, "fl_x", "fx", "focal") or _focal(path, fields, "camera_angle_x", full_width)
    fy = _number(path, fields, "fl_y", "fy") or _focal(path, fields, "camera_angle_y", full_height) or fx
    if fx is None and full_width is None and (focal := _focal(path, fields, "camera_angle_x", 1.0)):
        return Lens("SIMPLE_PINHOLE", (focal,))  # Blender's: an angle, and a size that nobody tells
    if fx is None or fy is None:
        return None
    if full_width is None or full_height is None:
        raise CamerasError(
            f"{path.name} has a focal length and no size of the pictures that it is for",
            hint="add w and h, the size of the pictures that the poses came with",
        )
    if min(fx, fy, full_width, full_height) <= 0:
        raise CamerasError(f"{path.name} holds a focal length or a size that is not above 0")
    cx, cy = (full_width / 2 if cx is None else cx), (full_height / 2 if cy is None else cy)
    size = (round(full_width), round(full_height))
    k1, k2, k3, k4, k5, k6, p1, p2 = (_number(path, fields, key) or 0.0 for key in _COEFFICIENTS)
    if model in _FISHEYE:
        return Lens("OPENCV_FISHEYE", (fx, fy, cx, cy, k1, k2, k3, k4), *size)
    if model == "FULL_OPENCV" or (k3 and not k4):
        return Lens("FULL_OPENCV", (fx, fy, cx, cy, k1, k2, p1, p2, k3, k4, k5, k6), *size)
    if k4:
        raise CamerasError(
            f"the lens in {path.name} has a fourth radial coefficient (k4 = {k4:g}) and is no fisheye",
            why="programs mean different things by it",
            hint="set camera_model to OPENCV_FISHEYE or FULL_OPENCV, or solve without k4",
        )
    if any((k1, k2, p1, p2)):
        return Lens("OPENCV", (fx, fy, cx, cy, k1, k2, p1, p2), *size)
    return Lens("PINHOLE", (fx, fy, cx, cy), *size)


def colmap_camera(lens: Lens, frame: Frame, camera_id: int) -> pycolmap.Camera:
    """The lens for the frame's size.

    Raises:
        CamerasError: the proportions differ: the pictures were cropped or turned.
    """
    if lens.width is None or lens.height is None:
        focal_px = lens.params[0] * frame.width
        camera = pycolmap.Camera.create_from_model_name(camera_id, "PINHOLE", focal_px, frame.width, frame.height)
        camera.has_prior_focal_length = True
        return camera
    camera = pycolmap.Camera(
        camera_id=camera_id, model=lens.model, width=lens.width, height=lens.height, params=list(lens.params)
    )
    if abs(camera.width / camera.height / (frame.width / frame.height) - 1) > _MAX_SHAPE_DIFFERENCE:
        turned = abs(camera.height / camera.width / (frame.width / frame.height) - 1) <= _MAX_SHAPE_DIFFERENCE
        raise CamerasError(
            f"the intrinsics of {frame.source} are for another picture",
            why=f"they are for {camera.width}x{camera.height}, the frame is {frame.width}x{frame.height}",
            hint="give the pictures as the sensor read them, not turned upright: the poses are of those"
            if turned
            else "give the pictures that the poses came with, uncropped",
        )
    camera.rescale(frame.width, frame.height)
    camera.has_prior_focal_length = True
    return camera


def _focal(path: Path, fields: Mapping[str, Any], key: str, size: float | None) -> float | None:
    angle = _number(path, fields, key)
    if angle is None:
        return None
    if not 0 < angle < math.pi:
        raise CamerasError(f"{key} in {path.name} is {angle:g}", why="an angle between 0 and π is wanted")
    return size / 2 / math.tan(angle / 2) if size else None


def _number(path: Path, fields: Mapping[str, Any], *keys: str) -> float | None:
    for key in keys:
        if fields.get(key) is None:
            continue
        try:
            value = float(fields[key])
        except (TypeError, ValueError) as error:
            raise CamerasError(f"{key} in {path.name} is not a number: {fields[key]!r}") from error
        if not math.isfinite(value):
            raise CamerasError(f"{key} in {path.name} is {value}")
        return value
    return None
