"""Pictures of the delivered splat: a thumbnail, and what cleaning took away."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from splatlib.artifacts import Camera, SparseScene
from splatlib.errors import ExportError
from splatlib.export.views import Painter
from splatlib.gaussians import Gaussians
from splatlib.similarity import Similarity

FloatArray = npt.NDArray[np.float64]
THUMBNAIL_PX = 512


def looking_at(center: npt.ArrayLike, target: npt.ArrayLike) -> FloatArray:
    """[4, 4] cam_from_world in RDF axes with gravity along +y: right, down, forward."""
    center, target = np.asarray(center, np.float64), np.asarray(target, np.float64)
    forward = (target - center) / np.linalg.norm(target - center)
    right = np.cross([0.0, 1.0, 0.0], forward)
    right /= max(float(np.linalg.norm(right)), 1e-9)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward])
    pose[:3, 3] = -pose[:3, :3] @ center
    return pose


def save_thumbnail(gaussians: Gaussians, scene: SparseScene, painter: Painter, path: Path) -> None:
    """A JPEG from the camera nearest to the middle of all, 512 pixels at its long side. Raises ExportError."""
    centers = np.array([view.center for view in scene.views])
    view = scene.views[int(np.linalg.norm(centers - np.median(centers, axis=0), axis=1).argmin())]
    camera = _pinhole(scene.camera(view), THUMBNAIL_PX)
    write_picture(path, painter.picture(gaussians, camera, view.cam_from_world))


def save_comparison(before: Gaussians, after: Gaussians, cameras: FloatArray, painter: Painter, path: Path) -> None:
    """Before over after, from outside of the capture's path: to the front, from a side, from above. RDF, upright.

    Args:
        cameras: [V, 3] centres of the capture's cameras.
    """
    heart = np.median(after.means, axis=0).astype(np.float64)
    reach = 1.3 * float(np.percentile(np.linalg.norm(cameras - heart, axis=1), 90))
    front, side, top = (np.array(step) * reach for step in ([0, -0.25, -1], [1, -0.25, 0], [0.05, -1.2, -0.4]))
    camera = Camera(400, 400, 380.0, 380.0, 200.0, 200.0)
    rows = [
        np.concatenate([painter.picture(g, camera, looking_at(heart + s, heart)) for s in (front, side, top)], axis=1)
        for g in (before, after)
    ]
    write_picture(path, np.concatenate(rows))


def write_picture(path: Path, picture: npt.NDArray[np.floating]) -> None:
    """[H, W, 3] RGB in 0…1, by the path's ending. Raises ExportError."""
    pixels = (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
    if not cv2.imwrite(str(path), np.ascontiguousarray(pixels[..., ::-1])):
        raise ExportError(f"cannot write {path}", hint="is the disk full?")


def _pinhole(camera: Camera, long_side_px: int) -> Camera:
    """Of a lens' size and focal length, scaled to a long side."""
    scale = long_side_px / max(camera.width, camera.height)
    width, height = (max(2, round(side * scale)) for side in (camera.width, camera.height))
    plain = Camera(camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy)
    return plain.scaled_to(width, height)


def moved_centers(scene: SparseScene, move: Similarity) -> FloatArray:
    """[V, 3] camera centres in other axes."""
    return move.points(np.array([view.center for view in scene.views]))
