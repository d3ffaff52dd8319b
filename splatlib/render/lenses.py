"""Which lenses the renderers can draw.

The CPU renderer draws pinholes. The GPU renderer draws distorted lenses by 3DGUT (Wu et al. 2024) as gsplat implements
it, which leaves black what it takes for beyond the lens (``gsplat/cuda/include/Cameras.cuh``).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from splatlib.artifacts import Camera, Distortion
from splatlib.errors import ConfigError

FloatArray = npt.NDArray[np.float64]

# gsplat takes a radial-tangential lens that pulls a point inwards further than this for one that flips the picture.
MIN_RADIAL_FACTOR = 0.8
# Tangents (radial-tangential) up to which a lens is looked at: 79 degrees off the axis.
_MAX_TANGENT = 5.0
_SAMPLES = 5001


def require_drawable(cameras: Iterable[Camera], device_kind: str) -> None:
    """Raises ConfigError where the renderer of a device (``cpu``, ``cuda``) cannot draw through one of the lenses."""
    if device_kind == "cpu" and any(camera.distortion is not None for camera in cameras):
        raise ConfigError(
            "these cameras have lens distortion, which the CPU renderer cannot draw",
            why="it projects through pinholes",
            hint="solve the cameras with undistort=true (cameras.undistort), or use a GPU (train.device=cuda)",
        )


def drawn_share(camera: Camera) -> float:
    """The share of a picture's pixels that the GPU renderer draws; below 1 only of strongly bent lenses."""
    pixels = drawn_pixels(camera)
    return 1.0 if pixels is None else float(pixels.mean())


def drawn_pixels(camera: Camera) -> npt.NDArray[np.bool_] | None:
    """[H, W] where the GPU renderer draws; None where that is everywhere.

    Tangential terms, which are small, are left out.
    """
    if camera.distortion is None:
        return None
    columns, rows = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    distances = np.hypot((columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy)
    limit = _radial_limit if camera.distortion.model == "radial_tangential" else _fisheye_limit
    drawn = distances < limit(camera, camera.distortion)
    return None if drawn.all() else drawn


def _radial_limit(camera: Camera, lens: Distortion) -> float:
    """Distance from the principal point, in focal lengths, up to which points are drawn."""
    tangents = np.linspace(0.0, _MAX_TANGENT, _SAMPLES)
    k1, k2, k3, k4, k5, k6 = lens.radial
    r2 = tangents**2
    factors = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    return _reached(tangents * factors, factors > MIN_RADIAL_FACTOR)


def _fisheye_limit(camera: Camera, lens: Distortion) -> float:
    """Likewise; gsplat goes no further off the axis than to the angle that a lens without coefficients would show in
    the farthest corner, and never beyond 90 degrees."""
    corner_px = np.hypot(max(camera.cx, camera.width - camera.cx), max(camera.cy, camera.height - camera.cy))
    widest = min(corner_px / min(camera.fx, camera.fy), np.pi / 2)
    angles = np.linspace(0.0, widest, _SAMPLES)
    k1, k2, k3, k4 = lens.radial
    t2 = angles**2
    return _reached(angles * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4)))), np.ones(_SAMPLES, np.bool_))


def _reached(distances: FloatArray, usable: npt.NDArray[np.bool_]) -> float:
    """The largest of the distances before the first that is not usable or not larger than the one before it."""
    ends = np.flatnonzero(~usable[1:] | (np.diff(distances) <= 0))
    return float(distances[ends[0]] if len(ends) else distances[-1])
