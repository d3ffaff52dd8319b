"""A film: a camera that flies along a smooth curve near the capture's own cameras, where the splat is good."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from splatlib.artifacts import Camera, SparseScene
from splatlib.errors import ExportError
from splatlib.export.views import Painter
from splatlib.gaussians import Gaussians
from splatlib.progress import bar

FloatArray = npt.NDArray[np.float64]
FRAMES_PER_SECOND = 30
_MOST_KEYS = 16
_SMOOTHING = 3  # cameras averaged to a key on either side: a hand shakes
# VP9 plays in browsers and notebooks; MPEG-4 part 2, which every build of OpenCV can write, plays in VLC and the like.
_CODECS = ("vp09", "mp4v")


def fly_path(scene: SparseScene, num_frames: int) -> FloatArray:
    """[F, 4, 4] cam_from_world along a spline through the capture's cameras, at an even pace.

    Cameras follow one another by name, as they were taken; where that jumps about (photos without an order), each next
    is the nearest that is left. Of a rig's views one is taken. Raises ExportError: fewer than two cameras.
    """
    from scipy.interpolate import CubicSpline
    from scipy.spatial.transform import Rotation, RotationSpline

    views = {view.group or view.name: view for view in sorted(scene.views, key=lambda v: v.name)}
    if len(views) < 2:
        raise ExportError("a film needs two cameras at least", hint="leave mp4 out")
    poses = np.array([view.cam_from_world for view in views.values()])
    poses = poses[_in_order(_centers(poses))]
    centers, turns = _centers(poses), Rotation.from_matrix(poses[:, :3, :3].transpose(0, 2, 1))
    keys = np.unique(np.linspace(0, len(poses) - 1, min(_MOST_KEYS, len(poses))).round().astype(int))
    groups = [np.arange(max(0, k - _SMOOTHING), min(len(poses), k + _SMOOTHING + 1)) for k in keys]
    if len(poses) < 2 * _MOST_KEYS:
        groups = [np.array([k]) for k in keys]
    key_centers = np.array([centers[g].mean(axis=0) for g in groups])
    key_turns = Rotation.concatenate([turns[g].mean() for g in groups])  # pyright: ignore
    steps = (
        np.linalg.norm(np.diff(key_centers, axis=0), axis=1) + 0.3 * (key_turns[:-1].inv() * key_turns[1:]).magnitude()
    )
    times = np.concatenate([[0], np.cumsum(np.maximum(steps, 1e-6))])
    at = np.linspace(0, times[-1], num_frames)
    world_from_cam = RotationSpline(times, key_turns)(at).as_matrix()
    flown = np.tile(np.eye(4), (num_frames, 1, 1))
    flown[:, :3, :3] = world_from_cam.transpose(0, 2, 1)
    flown[:, :3, 3] = -np.einsum("fij,fj->fi", flown[:, :3, :3], CubicSpline(times, key_centers)(at))
    return flown


def save_film(
    gaussians: Gaussians, scene: SparseScene, painter: Painter, path: Path, seconds: float, long_side_px: int
) -> None:
    """Write an MP4. Raises ExportError: it cannot be written, or there are too few cameras."""
    first = scene.camera(min(scene.views, key=lambda view: view.name))
    scale = long_side_px / max(first.width, first.height)
    width, height = (max(2, 2 * round(side * scale / 2)) for side in (first.width, first.height))  # codecs want even
    plain = Camera(first.width, first.height, first.fx, first.fy, first.cx, first.cy)
    camera = plain.scaled_to(width, height)
    poses = fly_path(scene, max(2, round(seconds * FRAMES_PER_SECOND)))
    film = _open(path, (width, height))
    try:
        with bar(len(poses), "film", "frame") as progress:
            for pose in poses:
                picture = painter.picture(gaussians, camera, pose)
                film.write(np.ascontiguousarray((picture[..., ::-1] * 255 + 0.5).astype(np.uint8)))
                progress.update()
    finally:
        film.release()
    if not _plays(path, len(poses)):
        raise ExportError(f"{path.name} was not written whole", hint="is the disk full?")


def _open(path: Path, size: tuple[int, int]) -> cv2.VideoWriter:
    for codec in _CODECS:
        film = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), FRAMES_PER_SECOND, size)
        if film.isOpened():
            return film
        film.release()
    raise ExportError(f"cannot write {path.name}", why="this OpenCV has no encoder for MP4, or the folder is read-only")


def _plays(path: Path, num_frames: int) -> bool:
    film = cv2.VideoCapture(str(path))
    try:
        return film.read()[0] and abs(film.get(cv2.CAP_PROP_FRAME_COUNT) - num_frames) <= 1
    finally:
        film.release()


def _centers(poses: FloatArray) -> FloatArray:
    return -np.einsum("vji,vj->vi", poses[:, :3, :3], poses[:, :3, 3])


def _in_order(centers: FloatArray) -> npt.NDArray[np.int64]:
    """[V] indices: as they are if that is a walk, else from nearest to nearest."""
    steps = np.linalg.norm(np.diff(centers, axis=0), axis=1)
    left, order = set(range(1, len(centers))), [0]
    while left:
        nearest = min(left, key=lambda i: float(((centers[i] - centers[order[-1]]) ** 2).sum()))
        left.remove(nearest)
        order.append(nearest)
    tour = np.linalg.norm(np.diff(centers[order], axis=0), axis=1).sum()
    return np.arange(len(centers)) if steps.sum() < 1.5 * tour else np.array(order)
