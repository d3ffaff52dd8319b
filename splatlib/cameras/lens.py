"""COLMAP's lens models in OpenCV's coefficients."""

from __future__ import annotations

from collections.abc import Sequence

from splatlib.artifacts import Camera, Distortion
from splatlib.cameras._pycolmap import pycolmap
from splatlib.errors import CamerasError
from splatlib.render.lenses import drawn_share

# What each family of COLMAP's models is to OpenCV. The smaller models of a family leave coefficients at zero.
_PINHOLE = ("SIMPLE_PINHOLE", "PINHOLE")
_RADIAL_TANGENTIAL = ("SIMPLE_RADIAL", "RADIAL", "OPENCV", "FULL_OPENCV")
_FISHEYE = ("SIMPLE_FISHEYE", "FISHEYE", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE", "OPENCV_FISHEYE")
# Of a picture's pixels: corners that nobody misses are not worth a word.
_WARNED_SHARE = 0.01


def is_fisheye(model_name: str) -> bool:
    """Whether a COLMAP model is equidistant: the distance from the middle grows with the angle, not its tangent."""
    return model_name in _FISHEYE


def camera_of(camera: pycolmap.Camera) -> Camera:
    """COLMAP's camera with its focal lengths, principal point and distortion. Raises CamerasError: see below."""
    return Camera(
        width=int(camera.width),
        height=int(camera.height),
        distortion=distortion_of(camera),
        fx=float(camera.focal_length_x),
        fy=float(camera.focal_length_y),
        cx=float(camera.principal_point_x),
        cy=float(camera.principal_point_y),
    )


def distortion_of(camera: pycolmap.Camera) -> Distortion | None:
    """The lens' distortion; None for a pinhole, which a radial-tangential lens without any coefficient is too.

    ``pycolmap.Camera.is_undistorted`` is not asked: it is true for a fisheye lens whose coefficients are zero.

    Raises:
        CamerasError: OpenCV's two models cannot express this one.
    """
    model = camera.model_name
    value_of = dict(zip(camera.params_info.split(", "), map(float, camera.params), strict=True))
    value_of.setdefault("k1", value_of.get("k", 0.0))  # the models with one coefficient call it k

    def values(*names: str) -> tuple[float, ...]:
        return tuple(value_of.get(name, 0.0) for name in names)

    if model in _PINHOLE:
        return None
    if model in _RADIAL_TANGENTIAL:
        radial, (p1, p2) = values("k1", "k2", "k3", "k4", "k5", "k6"), values("p1", "p2")
        return Distortion("radial_tangential", radial, (p1, p2)) if any((*radial, p1, p2)) else None
    if model in _FISHEYE:
        return Distortion("fisheye", values("k1", "k2", "k3", "k4"))
    raise CamerasError(
        f"camera {camera.camera_id} is of COLMAP's model {model}",
        why=f"training knows {', '.join((*_PINHOLE, *_RADIAL_TANGENTIAL, *_FISHEYE))}",
        hint="undistort the model first, for instance with `colmap image_undistorter`",
    )


def beyond_the_renderer(cameras: Sequence[Camera]) -> list[str]:
    """Warnings about lenses of whose pictures the GPU renderer draws only a part, in plain sentences."""
    shares = [1 - drawn_share(camera) for camera in cameras]
    bent = [share for share in shares if share > _WARNED_SHARE]
    if not bent:
        return []
    return [
        f"{len(bent)} of {len(cameras)} lenses bend more than the GPU renderer follows: up to {max(bent):.0%} of their"
        " pictures, at the edges, teach nothing. Undistorted pictures (cameras.undistort=true) train whole."
    ]
