"""Which way is up, where the ground is, and how large the scene is: the axes that files are delivered in.

Delivered axes are right, down, front (RDF) as in the 3DGS PLY, with gravity along +y, the ground at y = 0, and what the
cameras look at over the origin. Nothing of that is baked into the scene: ``ExportBundle.delivered_from_world`` says it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from splatlib.artifacts import SparseScene
from splatlib.similarity import Similarity

FloatArray = npt.NDArray[np.float64]

_SNAP_DEG = 12.0  # a world of given poses whose axis is that near to the cameras' up has gravity along it
_PLANE_CONE_DEG = 8.0  # the ground is that near to level, by the cameras, who are a few degrees off at most
_PLANE_TRIALS = 400
_PLANE_SHARE = 0.15  # of all points, to be believed: fewer may lie in a plane by chance
_LEVEL_SHARE = 0.05  # the same of a plane whose direction is given
_BELOW_SHARE = 0.06  # of all points may lie below the ground: some are wrong
_GROUND_PERCENTILE = 2.0


@dataclass(frozen=True)
class Placement:
    """Attributes:
    delivered_from_world: from the scene's axes. up_from: what told the direction. ground_from: what told the height.
    unit: ``m``, or ``scene`` where no length is known.
    """

    delivered_from_world: Similarity
    up_from: str
    ground_from: str
    unit: str

    def __str__(self) -> str:
        return f"up from {self.up_from}, ground from {self.ground_from}, lengths in {self.unit} units"


def place(scene: SparseScene) -> Placement:
    """Find up, ground, centre and scale from cameras and sparse points."""
    up, up_from = _up(scene)
    points = _sound_points(scene)
    height: float | None = None
    centers = np.array([view.center for view in scene.views])
    if (plane := _ground_plane(points, centers, up)) is not None:
        normal, height = plane
        if scene.world != "enu" and "gravity" not in up_from:
            up, up_from = normal, f"{up_from} and the dominant plane"
    ground_from = "the dominant plane"
    if height is None and (height := _ground_level(points @ up)) is not None:
        ground_from = "the lowest level"
    elif height is None:
        height, ground_from = float(np.percentile(points @ up, _GROUND_PERCENTILE)), "the lowest points"
    front = _front(scene, up)
    rotation = np.stack([np.cross(-up, front), -up, front])
    looked_at = _looked_at(scene, points)
    origin = looked_at - (looked_at @ up - height) * up
    scale = scene.metres_per_unit or 1.0
    placed = Similarity(scale, rotation, -scale * rotation @ origin)
    return Placement(placed, up_from, ground_from, "m" if scene.metres_per_unit else "scene")


def moved_scene(scene: SparseScene, move: Similarity) -> SparseScene:
    """The scene with cameras and points in other axes; pictures stay where they lie."""
    views = tuple(replace(view, cam_from_world=move.poses(view.cam_from_world)) for view in scene.views)
    metres = scene.metres_per_unit / move.scale if scene.metres_per_unit else None
    return replace(
        scene,
        views=views,
        points_xyz=move.points(scene.points_xyz),
        world="arbitrary",
        metres_per_unit=metres,
        origin_lat_lon_alt=None,
    )


def _up(scene: SparseScene) -> tuple[FloatArray, str]:
    """[3] unit vector, and what told it."""
    if scene.world == "enu":
        return np.array([0.0, 0, 1]), "GPS"
    rights = np.array([view.cam_from_world[0, :3] for view in scene.views])
    mean = -np.mean([view.cam_from_world[1, :3] for view in scene.views], axis=0)
    # Photos are rarely rolled: their right axes lie level, whatever their pitch. The mean tells the sense, and steadies
    # what right axes leave open where all cameras look the same way.
    scatter = rights.T @ rights / len(rights) - 0.1 * np.outer(mean, mean)
    up = np.linalg.eigh(scatter)[1][:, 0]
    up = up if up @ mean >= 0 else -up
    if scene.world == "priors":
        axis = int(np.abs(up).argmax())
        if np.abs(up[axis]) > np.cos(np.deg2rad(_SNAP_DEG)):
            return np.sign(up[axis]) * np.eye(3)[axis], "gravity in the given poses"
    return up, "the cameras' up"


def _sound_points(scene: SparseScene) -> FloatArray:
    """[P, 3] sparse points that several views saw, without the farthest; camera centres where there are none."""
    points = scene.points_xyz[scene.point_track_lengths >= 3].astype(np.float64)
    if len(points) < 30:
        points = scene.points_xyz.astype(np.float64)
    if not len(points):
        return np.array([view.center for view in scene.views])
    distances = np.linalg.norm(points - np.median(points, axis=0), axis=1)
    return points[distances <= np.percentile(distances, 97)]


def _ground_plane(points: FloatArray, centers: FloatArray, up: FloatArray) -> tuple[FloatArray, float] | None:
    """Normal [3] and height of the largest plane that is about level and below the cameras, or None (RANSAC)."""
    if len(points) < 50:
        return None
    rng = np.random.default_rng(0)
    tolerance = 0.01 * float(np.linalg.norm(np.percentile(points, 90, axis=0) - np.percentile(points, 10, axis=0)))
    sample = points if len(points) <= 20_000 else points[rng.choice(len(points), 20_000, replace=False)]
    lowest_camera = float(np.percentile(centers @ up, 25))
    best, most = None, _PLANE_SHARE * len(sample) / 2
    for _ in range(_PLANE_TRIALS):
        a, b, c = sample[rng.choice(len(sample), 3, replace=False)]
        normal = np.cross(b - a, c - a)
        length = np.linalg.norm(normal)
        if length < 1e-12:
            continue
        normal = normal / length * np.sign(normal @ up)
        if normal @ up < np.cos(np.deg2rad(_PLANE_CONE_DEG)) or a @ up >= lowest_camera:
            continue
        heights = (sample - a) @ normal
        near = np.abs(heights) < tolerance
        tilt_deg = np.degrees(np.arccos(np.clip(normal @ up, -1, 1)))
        score = near.sum() * np.exp(-2 * (tilt_deg / _PLANE_CONE_DEG) ** 2)
        if score > most and (heights < -2 * tolerance).mean() < _BELOW_SHARE:
            most, best = score, near
    if best is None or best.sum() < _PLANE_SHARE * len(sample):
        return None
    on_plane = sample[best]
    middle = on_plane.mean(axis=0)
    normal = np.linalg.svd(on_plane - middle, full_matrices=False)[2][2]
    normal = normal * np.sign(normal @ up)
    return normal, float(middle @ normal)


def _ground_level(heights: FloatArray) -> float | None:
    """The height at which most points [P] lie, of those that have hardly a point below; None if none stands out."""
    tolerance = 0.015 * float(np.ptp(np.percentile(heights, [5, 95])))
    if len(heights) < 50 or tolerance <= 0:
        return None
    ordered = np.sort(heights)
    lowest = ordered[: int(2 * _BELOW_SHARE * len(ordered))]
    counts = np.searchsorted(ordered, lowest + tolerance) - np.searchsorted(ordered, lowest - tolerance)
    best = int(counts.argmax())
    return float(lowest[best]) if counts[best] >= _LEVEL_SHARE * len(ordered) else None


def _front(scene: SparseScene, up: FloatArray) -> FloatArray:
    """[3] level unit vector along which the first camera that does not look straight up or down looks."""
    for view in sorted(scene.views, key=lambda view: view.name):
        forward = view.cam_from_world[2, :3]
        level = forward - (forward @ up) * up
        if np.linalg.norm(level) > 0.2:
            return level / np.linalg.norm(level)
    level = np.eye(3)[np.abs(up).argmin()]
    level = level - (level @ up) * up
    return level / np.linalg.norm(level)


def _looked_at(scene: SparseScene, points: FloatArray) -> FloatArray:
    """[3] the point nearest to all optical axes, if they meet among the points; else the points' middle."""
    middle = np.median(points, axis=0)
    sums, target = np.zeros((3, 3)), np.zeros(3)
    for view in scene.views:
        across = np.eye(3) - np.outer(view.cam_from_world[2, :3], view.cam_from_world[2, :3])
        sums += across
        target += across @ view.center
    if np.linalg.cond(sums) > 1e3:
        return middle
    meeting = np.linalg.solve(sums, target)
    in_front = [view.cam_from_world[2, :3] @ (meeting - view.center) > 0 for view in scene.views]
    reach = np.percentile(np.linalg.norm(points - middle, axis=1), 75)
    meets = np.mean(in_front) > 0.9 and np.linalg.norm(meeting - middle) < reach
    return np.asarray(meeting if meets else middle, np.float64)
