"""What the splat viewer shows around a splat: the capture's cameras, and the crop box that it starts with."""

from __future__ import annotations

from typing import Any

import numpy as np

from splatlib.artifacts import SparseScene
from splatlib.gaussians import Gaussians
from splatlib.widgets.viewing import Start, half_tan, pose_data

_MOST_CAMERAS = 2000


def cameras_data(scene: SparseScene) -> list[dict[str, Any]]:
    """The cameras that a person may stand in."""
    return [
        {"name": view.name, "pose": pose_data(view.cam_from_world, half_tan(scene, view))}
        for view in scene.views[:_MOST_CAMERAS]
    ]


def start_box(gaussians: Gaussians, start: Start) -> dict[str, Any]:
    """A level box round all but the outermost Gaussians, its first side across the first view, its last one up."""
    forward, up = start.cam_from_world[2, :3], start.up
    depth = forward - (forward @ up) * up
    depth = depth / np.linalg.norm(depth) if np.linalg.norm(depth) > 1e-6 else np.eye(3)[np.argmin(np.abs(up))]
    box_from_world = np.stack([np.cross(depth, up), depth, up])
    means = gaussians.means[np.isfinite(gaussians.means).all(axis=1)]
    if not len(means):
        return {"center": [0.0] * 3, "size": [1.0] * 3, "rotation": box_from_world.ravel().tolist()}
    low, high = np.percentile(means @ box_from_world.T, (1, 99), axis=0)
    size = np.maximum(1.1 * (high - low), 1e-3 * start.radius)
    center = box_from_world.T @ ((low + high) / 2)
    return {"center": center.tolist(), "size": size.tolist(), "rotation": box_from_world.ravel().tolist()}
