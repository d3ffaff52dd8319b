"""What is wrong with a scene is told before a picture is decoded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from splatlib.artifacts import Camera, SparseScene, View
from splatlib.errors import TrainingError

MIN_POINTS = 10
RIGID_TOLERANCE = 1e-3
# Of the distance to the points: cameras closer together than this stand in one place, but for rounding.
MIN_PARALLAX = 1e-6
_SOLVE_AGAIN = "solve the cameras again; a model from elsewhere is damaged or not in COLMAP's conventions"


def require_trainable(scene: SparseScene) -> None:
    """Raises TrainingError: hardly any points, a camera that cannot have taken its picture, or no parallax."""
    require_points(scene)
    require_sound_cameras(scene, scene.views)
    require_parallax(scene)


def require_points(scene: SparseScene) -> None:
    """Raises TrainingError: hardly any points, or some without a place."""
    num_points = len(scene.points_xyz)
    if num_points < MIN_POINTS:
        raise TrainingError(
            f"the sparse cloud has {f'only {num_points}' if num_points else 'no'} points, "
            f"training wants at least {MIN_POINTS}",
            why="too little texture or parallax for structure from motion, or a model without its points",
            hint="solve the cameras with upsample_features=True, or capture more frames with more texture in view",
        )
    broken = int((~np.isfinite(scene.points_xyz).all(axis=1)).sum())
    if broken:
        raise TrainingError(
            f"{broken} of {num_points} points of the sparse cloud have coordinates that are no numbers",
            hint=_SOLVE_AGAIN,
        )


def require_sound_cameras(scene: SparseScene, views: Sequence[View]) -> None:
    """Raises TrainingError naming the first view whose camera or pose makes no sense."""
    for view in views:
        trouble = _trouble_with_lens(scene.camera(view)) or _trouble_with_pose(view)
        if trouble:
            raise TrainingError(f"the camera of {view.name} cannot have taken it", why=trouble, hint=_SOLVE_AGAIN)


def require_parallax(scene: SparseScene) -> None:
    """Raises TrainingError: the cameras only turn."""
    centers = np.array([view.center for view in scene.views])
    middle = centers.mean(axis=0)
    moved = np.linalg.norm(centers - middle, axis=1).max()
    if moved <= MIN_PARALLAX * np.median(np.linalg.norm(scene.points_xyz - middle, axis=1)):
        raise TrainingError(
            f"all {len(centers)} cameras stand in one place",
            why="without parallax there is no depth",
            hint="move while you capture, do not only turn",
        )


def _trouble_with_lens(camera: Camera) -> str:
    """In words; empty if there is none."""
    focal, center = (camera.fx, camera.fy), (camera.cx, camera.cy)
    if not all(np.isfinite(length) and length > 0 for length in focal):
        return f"its focal lengths are {focal[0]:g} and {focal[1]:g} px"
    if not (0 <= center[0] <= camera.width and 0 <= center[1] <= camera.height):  # false for what is no number, too
        return (
            f"its principal point ({center[0]:g}, {center[1]:g}) lies outside the picture of "
            f"{camera.width}x{camera.height} px"
        )
    return ""


def _trouble_with_pose(view: View) -> str:
    matrix = view.cam_from_world
    if matrix.shape != (4, 4):
        return f"its pose has the shape {matrix.shape}, not (4, 4)"
    if not np.isfinite(matrix).all():
        return "its pose has entries that are no numbers"
    rotation = matrix[:3, :3]
    is_rotation = np.allclose(rotation @ rotation.T, np.eye(3), atol=RIGID_TOLERANCE) and np.linalg.det(rotation) > 0
    if not is_rotation or not np.allclose(matrix[3], (0, 0, 0, 1), atol=RIGID_TOLERANCE):
        return "its pose is no rotation and translation"
    return ""
