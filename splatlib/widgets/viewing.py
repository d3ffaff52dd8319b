"""Where a view of a scene begins: a camera, the point it turns about, which way is up, how large things are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from splatlib.artifacts import Camera, SparseScene, View
from splatlib.gaussians import Gaussians
from splatlib.render import render_image

FloatVector = npt.NDArray[np.float64]
_HALF_ANGLE_TAN = (0.6, 0.45)
_NEAR = 0.01  # scene units, as the CPU rasteriser's; smaller scenes get a smaller one
STILL_WIDTH_PX, STILL_HEIGHT_PX = 640, 368  # a notebook holds it as PNG


@dataclass(frozen=True)
class Start:
    """Attributes:
    cam_from_world: [4, 4]. target: [3] ahead of the camera. up: [3] unit. radius: of what is looked at.
    half_tan: tangents of half the horizontal and vertical angle that must be in view.
    """

    cam_from_world: FloatVector
    target: FloatVector
    up: FloatVector
    radius: float
    half_tan: tuple[float, float]

    @property
    def near(self) -> float:
        return min(_NEAR, self.radius / 200)

    def to_data(self) -> dict[str, Any]:
        """As the front end wants it."""
        return {
            "pose": pose_data(self.cam_from_world, self.half_tan),
            "target": _rounded(self.target),
            "up": _rounded(self.up),
            "near": self.near,
            "radius": self.radius,
        }

    def camera(self, width: int = STILL_WIDTH_PX, height: int = STILL_HEIGHT_PX) -> Camera:
        """The pinhole that a canvas of this size shows."""
        focal = min(width / (2 * self.half_tan[0]), height / (2 * self.half_tan[1]))
        return Camera(width, height, focal, focal, width / 2, height / 2)


def start_in_scene(scene: SparseScene) -> Start:
    """In the first camera, turning about the middle of what all cameras look at."""
    view = scene.views[0]
    centers = np.array([v.center for v in scene.views])
    forward = np.array([v.cam_from_world[2, :3] for v in scene.views])
    middle = _nearest_to_axes(centers, forward, scene.points_xyz)
    radius = float(np.median(np.linalg.norm(centers - middle, axis=1))) or 1.0
    ahead = max(float((middle - view.center) @ forward[0]), 0.3 * radius)
    return Start(view.cam_from_world, view.center + ahead * forward[0], up_of(scene), radius, half_tan(scene, view))


def start_outside_scene(scene: SparseScene) -> Start:
    """From behind and above the cameras, so that all of them are seen."""
    inside, up = start_in_scene(scene), up_of(scene)
    centers = np.array([v.center for v in scene.views])
    points = scene.points_xyz.astype(np.float64)
    near = points[np.linalg.norm(points - inside.target, axis=1) < 1.5 * inside.radius] if len(points) else points
    shown = np.concatenate([centers, near]) if len(near) else centers
    low, high = np.percentile(shown, (2, 98), axis=0)
    middle, radius = (low + high) / 2, max(float(np.linalg.norm(high - low)) / 2, 1e-3)
    forward = inside.cam_from_world[2, :3]
    level = forward - (forward @ up) * up
    level = level / np.linalg.norm(level) if np.linalg.norm(level) > 1e-6 else np.eye(3)[np.argmin(np.abs(up))]
    eye = middle + 2.1 * radius * (-0.8 * level + 0.6 * up)
    return Start(looking(eye, middle, up), middle, up, radius, _HALF_ANGLE_TAN)


def start_round_gaussians(gaussians: Gaussians) -> Start:
    """Without cameras: from the side that a COLMAP world has in front, with all but the outermost in view."""
    up = np.array([0.0, -1.0, 0.0])
    means = gaussians.means[np.isfinite(gaussians.means).all(axis=1)].astype(np.float64)
    middle = np.median(means, axis=0) if len(means) else np.zeros(3)
    radius = float(np.percentile(np.linalg.norm(means - middle, axis=1), 90)) if len(means) else 1.0
    radius = radius or 1.0
    eye = middle + 2.2 * radius * np.array([0.0, -0.3, -1.0])
    return Start(looking(eye, middle, up), middle, up, radius, _HALF_ANGLE_TAN)


def up_of(scene: SparseScene) -> FloatVector:
    """[3] the mean of the cameras' own up, since structure from motion knows no gravity; z of an ``enu`` world."""
    if scene.world == "enu":
        return np.array([0.0, 0.0, 1.0])
    up = -np.mean([view.cam_from_world[1, :3] for view in scene.views], axis=0)
    size = np.linalg.norm(up)
    return up / size if size > 1e-6 else np.array([0.0, -1.0, 0.0])


def half_tan(scene: SparseScene, view: View) -> tuple[float, float]:
    camera = scene.camera(view)
    return camera.width / (2 * camera.fx), camera.height / (2 * camera.fy)


def pose_data(cam_from_world: FloatVector, half_tan: tuple[float, float]) -> dict[str, Any]:
    rotation = cam_from_world[:3, :3]
    center = -rotation.T @ cam_from_world[:3, 3]
    return {"center": _rounded(center), "rotation": _rounded(rotation.ravel()), "tan": list(half_tan)}


def looking(eye: FloatVector, target: FloatVector, up: FloatVector) -> FloatVector:
    """[4, 4] cam_from_world of an upright camera."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, up)
    if np.linalg.norm(right) < 1e-6:
        right = np.cross(forward, np.eye(3)[np.argmin(np.abs(forward))])
    right = right / np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, -rotation @ eye
    return pose


def still_of(gaussians: Gaussians, start: Start, background: tuple[float, float, float]) -> npt.NDArray[np.uint8]:
    """[H, W, 3] what the view shows first, by the CPU rasteriser."""
    return render_image(gaussians, start.camera(), start.cam_from_world, background)


def _nearest_to_axes(centers: FloatVector, forward: FloatVector, points: npt.NDArray[np.float32]) -> FloatVector:
    """[3] the point nearest to all optical axes, by least squares; where they do not meet ahead, among the points."""
    projectors = np.eye(3) - forward[:, :, None] * forward[:, None, :]
    matrix = projectors.sum(axis=0)
    if len(centers) > 2 and np.linalg.cond(matrix) < 1e4:
        middle = np.linalg.solve(matrix, (projectors @ centers[:, :, None]).sum(axis=0)[:, 0])
        if np.median(((middle - centers) * forward).sum(axis=1)) > 0:
            return middle
    return np.median(points, axis=0).astype(np.float64) if len(points) else centers.mean(axis=0) + forward.mean(axis=0)


def _rounded(values: FloatVector) -> list[float]:
    """Seven significant digits: what a float32 holds, and no longer JSON than needed."""
    return [float(f"{value:.7g}") for value in values]
