"""Pairs of frames that can see the same things, by their poses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from splatlib.cameras._pycolmap import pycolmap
from splatlib.cameras.pairs import Pairs
from splatlib.cameras.priors.poses import FloatArray, inverted

# How much of one picture another one must show.
_MIN_OVERLAP = 0.2
# Depths that points are put at, times the usual one.
_DEPTHS = (0.6, 1.0, 2.0)
_GRID = 4
# Of the angle at which two cameras see the same place. SIFT matches fewer points beyond 20 degrees (Lowe 2004,
# section 9); below a few degrees, depths are uncertain.
_BEST_ANGLE_DEG = 8.0
_ANGLE_SPREAD_DEG = 12.0


def pairs_by_pose(
    cam_from_world: FloatArray,
    cameras: list[pycolmap.Camera],
    moments: Sequence[int],
    depth: float | None,
    partners: int,
) -> Pairs:
    """Each camera with the ``partners`` others that show most of its picture from a somewhat different place.

    Args:
        cam_from_world: [M, 4, 4] poses. cameras: [M] lenses.
        moments: [M] numbers; two of one moment are at one place and never compared.
        depth: of what is usually seen, in the poses' unit; None: as far as the cameras are from their middle.

    Returns:
        Pairs of positions in ``cam_from_world``.
    """
    world_from_cam = inverted(cam_from_world)
    centers = world_from_cam[:, :3, 3]
    if depth is None:
        depth = usual_depth(cam_from_world)
    pairs: set[tuple[int, int]] = set()
    rays = {id(camera): _grid_of_rays(camera) for camera in cameras}
    half_sizes = np.array([_half_size(camera) for camera in cameras])
    for index, camera in enumerate(cameras):
        points = np.concatenate([depth * factor * rays[id(camera)] for factor in _DEPTHS])
        world = points @ world_from_cam[index, :3, :3].T + centers[index]
        seen = world @ cam_from_world[:, :3, :3].transpose(0, 2, 1) + cam_from_world[:, None, :3, 3]  # [M, P, 3]
        in_front = seen[..., 2] > 1e-6 * depth
        projected = np.abs(seen[..., :2]) / np.where(in_front, seen[..., 2], 1.0)[..., None]
        overlap = (in_front & (projected <= half_sizes[:, None]).all(axis=-1)).mean(axis=1)
        angle_deg = _angles_deg(world[len(world) // 3 : 2 * len(world) // 3].mean(axis=0), centers, index)
        score = overlap * np.exp(-(((angle_deg - _BEST_ANGLE_DEG) / _ANGLE_SPREAD_DEG) ** 2))
        score[(overlap < _MIN_OVERLAP) | (np.asarray(moments) == moments[index])] = 0.0
        for other in np.argsort(-score, kind="stable")[:partners]:
            if score[other] > 0:
                pairs.add((min(index, int(other)), max(index, int(other))))
    return sorted(pairs)


def usual_depth(cam_from_world: FloatArray) -> float:
    """As far as the cameras [M, 4, 4] are from their middle, when nothing is known of what they see."""
    centers = inverted(cam_from_world)[:, :3, 3]
    return float(np.median(np.linalg.norm(centers - centers.mean(axis=0), axis=1))) or 1.0


def _grid_of_rays(camera: pycolmap.Camera) -> FloatArray:
    """[G * G, 3] rays of unit depth, evenly over the picture."""
    steps = (np.arange(_GRID) + 0.5) / _GRID
    x, y = np.meshgrid(steps * camera.width, steps * camera.height)
    rays = np.asarray(camera.cam_from_img(np.column_stack([x.ravel(), y.ravel()])))
    return np.column_stack([rays, np.ones(len(rays))])


def _half_size(camera: pycolmap.Camera) -> tuple[float, float]:
    """Of the picture at unit depth; the lens' distortion and a principal point off the middle matter little here."""
    return camera.width / 2 / camera.focal_length_x, camera.height / 2 / camera.focal_length_y


def _angles_deg(place: FloatArray, centers: FloatArray, index: int) -> FloatArray:
    """[M] between the directions from a place to each camera and to the one at ``index``."""
    directions = centers - place
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-12)
    return np.degrees(np.arccos(np.clip(directions @ directions[index], -1.0, 1.0)))
