"""Which Gaussians or points lie inside a box, a sphere, or the outlines that masks draw."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from splatlib.artifacts import Camera
from splatlib.similarity import Similarity

BoolArray = npt.NDArray[np.bool_]


def in_box(
    means: npt.NDArray[np.floating],
    low: npt.ArrayLike,
    high: npt.ArrayLike,
    box_from_world: Similarity | None = None,
) -> BoolArray:
    """[N] whether means [N, 3] lie in a box, its faces included.

    Args:
        low, high: [3] corners, in the box's own axes.
        box_from_world: turns a box that is not parallel to the axes.

    Raises ValueError where low exceeds high or a corner is NaN.
    """
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    if low.shape != (3,) or high.shape != (3,) or not (low <= high).all():
        raise ValueError(f"a box wants low <= high, three numbers each, got {low=}, {high=}")
    own = means if box_from_world is None else box_from_world.points(means)
    return np.asarray(((own >= low) & (own <= high)).all(axis=1))


def in_turned_box(
    means: npt.NDArray[np.floating], center: npt.ArrayLike, size: npt.ArrayLike, rotation: npt.ArrayLike
) -> BoolArray:
    """[N] whether means [N, 3] lie in a box about a center [3], its edges of whole lengths size [3].

    Args:
        rotation: box_from_world, nine numbers row by row or [3, 3]; may be rounded, as people copy it.

    Raises ValueError: these are no box.
    """
    middle, half = np.asarray(center, np.float64), np.asarray(size, np.float64) / 2
    given = np.asarray(rotation, np.float64).reshape(3, 3)
    if middle.shape != (3,) or not np.isfinite([*middle, *given.ravel()]).all():
        raise ValueError(f"a box wants a center [3] and a rotation [9], got {center=}, {rotation=}")
    u, _, vt = np.linalg.svd(given)
    nearest = u @ vt
    if np.abs(nearest - given).max() > 1e-2:
        raise ValueError(f"rotation is not orthonormal: {given.tolist()}")
    if np.linalg.det(nearest) < 0:
        nearest = -nearest  # the same box
    return in_box(means, -half, half, Similarity(rotation=nearest, translation=-nearest @ middle))


def in_sphere(means: npt.NDArray[np.floating], center: npt.ArrayLike, radius: float) -> BoolArray:
    """[N] whether means [N, 3] lie in a ball. Raises ValueError: the radius is not positive."""
    middle = np.asarray(center, np.float64)
    if middle.shape != (3,) or not np.isfinite(middle).all() or not radius > 0:
        raise ValueError(f"a sphere wants a center [3] and a positive radius, got {center=}, {radius=}")
    return np.asarray(((means - middle) ** 2).sum(axis=1) <= radius**2)


def inside_masks(
    means: npt.NDArray[np.floating],
    views: Iterable[tuple[Camera, npt.NDArray[np.float64], npt.NDArray[np.uint8]]],
    *,
    max_outside: float = 0.1,
) -> BoolArray:
    """[N] what is left after carving with masks: the visual hull, with some patience for masks that are wrong.

    Args:
        means: [N, 3].
        views: pinhole camera, cam_from_world [4, 4], mask [H, W] of the camera's size, 0 = outside.
        max_outside: of the views that have a mean in the picture, the share that may see it outside their mask.
            Means in no picture are carved away: nothing speaks for them.
    """
    seen, outside = np.zeros(len(means), np.int32), np.zeros(len(means), np.int32)
    for camera, cam_from_world, mask in views:
        if mask.shape != (camera.height, camera.width):
            raise ValueError(f"the mask is {mask.shape}, its camera {(camera.height, camera.width)}")
        in_camera = means @ cam_from_world[:3, :3].T + cam_from_world[:3, 3]
        depth = in_camera[:, 2]
        safe = np.where(depth > 0, depth, 1.0)
        columns = np.floor(camera.fx * in_camera[:, 0] / safe + camera.cx)
        rows = np.floor(camera.fy * in_camera[:, 1] / safe + camera.cy)
        inside = (depth > 0) & (columns >= 0) & (columns < camera.width) & (rows >= 0) & (rows < camera.height)
        seen += inside
        which = np.flatnonzero(inside)
        outside[which] += mask[rows[which].astype(np.int64), columns[which].astype(np.int64)] == 0
    return (seen > 0) & (outside <= max_outside * seen)
