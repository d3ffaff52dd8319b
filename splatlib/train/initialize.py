"""The Gaussians that training starts from: one a point of the sparse cloud."""

from __future__ import annotations

import numpy as np

from splatlib.artifacts import SparseScene
from splatlib.gaussians import SH_C0, Gaussians
from splatlib.train.checks import require_points

# A point is trusted when seen by three frames and reprojected this well; with too few such points all are taken.
MIN_TRACK_LENGTH, MAX_ERROR_PX, MIN_TRUSTED = 3, 1.5, 500


def scene_extent(scene: SparseScene) -> float:
    """Radius of the cameras' bounding sphere, times 1.1, scene units: the length that learning rates scale with."""
    centers = np.array([view.center for view in scene.views])
    return max(1.1 * float(np.linalg.norm(centers - centers.mean(axis=0), axis=1).max()), 1e-6)


def gaussians_from_points(
    scene: SparseScene, sh_degree: int, *, initial_opacity: float, trusted_only: bool = True
) -> Gaussians:
    """Isotropic Gaussians as wide as the mean distance to the three nearest points (Kerbl et al. 2023).

    Raises TrainingError with hardly any points, or some that are no numbers.
    """
    from scipy.spatial import KDTree

    require_points(scene)
    trusted = (scene.point_errors_px < MAX_ERROR_PX) & (scene.point_track_lengths >= MIN_TRACK_LENGTH)
    enough = trusted_only and trusted.sum() >= MIN_TRUSTED
    chosen = trusted if enough else np.ones(len(trusted), dtype=bool)
    xyz, rgb = scene.points_xyz[chosen], scene.points_rgb[chosen]
    distances, _ = KDTree(xyz).query(xyz, k=4)
    width = np.sqrt(np.mean(np.square(distances[:, 1:]), axis=1))
    width = np.clip(width, 1e-7, scene_extent(scene))
    n = len(xyz)
    sh = np.zeros((n, (sh_degree + 1) ** 2, 3), np.float32)
    sh[:, 0] = (rgb / 255.0 - 0.5) / SH_C0
    return Gaussians(
        means=xyz.astype(np.float32),
        log_scales=np.repeat(np.log(width)[:, None], 3, axis=1).astype(np.float32),
        quats=np.tile(np.array([1, 0, 0, 0], np.float32), (n, 1)),
        opacity_logits=np.full(n, np.log(initial_opacity / (1 - initial_opacity)), np.float32),
        sh=sh,
    )
