"""Small corrections of the training cameras' poses, learned with the Gaussians.

A correction turns a camera about its own centre and moves the centre, both along the world's axes. Nothing in the
pictures fixes where the whole scene lies: all cameras can turn, move and grow together, and the Gaussians with them.
Held-out cameras would stay behind, since nothing trains theirs. So after each step that common motion (a
similarity, seven degrees of freedom) is projected out of the corrections; the mean translation is part of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from splatlib.artifacts import Camera
from splatlib.errors import ConfigError
from splatlib.train.view_table import RateSchedule, ViewTable

# gsplat's simple_trainer: 1e-5 decaying to a hundredth, weight decay 1e-6.
RATE, WEIGHT_DECAY = RateSchedule(1e-5, final=0.01), 1e-6


def check_lenses(cameras: Sequence[Camera]) -> None:
    """Raises ConfigError where the renderer has no gradient by the pose."""
    if any(camera.distortion is not None for camera in cameras):
        raise ConfigError(
            "refine_poses cannot be used with distorted lenses",
            why="gsplat's 3DGUT kernels give no gradient by the pose",
            hint="leave it off, or undistort the pictures",
        )


class PoseRefinement:
    """Corrections of V poses.

    Args:
        cam_from_world: [V, 4, 4] as solved.
        scene_extent: scene units; translations are learned in units of it, so that the rate fits any scene.
    """

    def __init__(self, cam_from_world: Tensor, scene_extent: float, steps: int) -> None:
        poses = cam_from_world.double().cpu().numpy()
        centers = -np.einsum("vji,vj->vi", poses[:, :3, :3], poses[:, :3, 3])
        device = cam_from_world.device
        self._extent = scene_extent
        self._centers = torch.from_numpy(centers).to(cam_from_world)
        self._common = torch.from_numpy(common_motions(centers / scene_extent)).to(device, torch.float32)
        # [V, 6]: rotation vector in radians, then translation in extents, both in world axes.
        self.table = ViewTable(len(poses), (6,), device, schedule=RATE, steps=steps, weight_decay=WEIGHT_DECAY)

    def apply(self, indices: Sequence[int], cam_from_world: Tensor) -> Tensor:
        """Poses [C, 4, 4] of some views, as solved, with their corrections."""
        turn, shift = self.table.rows(indices).to(cam_from_world.dtype).split(3, dim=1)
        rotation = cam_from_world[:, :3, :3] @ rotations(turn).transpose(1, 2)
        center = torch.stack([self._centers[index] for index in indices]) + self._extent * shift
        upper = torch.cat([rotation, -rotation @ center[..., None]], dim=2)
        return torch.cat([upper, cam_from_world[:, 3:]], dim=1)

    def forget_gradients(self) -> None:
        self.table.forget_gradients()

    def optimize(self, step: int) -> None:
        self.table.step(step)
        with torch.no_grad():
            flat = self.table.values.view(-1)
            flat -= self._common @ (flat @ self._common)

    def state(self) -> dict[str, Any]:
        return self.table.state()

    def restore(self, state: dict[str, Any]) -> None:
        self.table.restore(state)


def rotations(vectors: Tensor) -> Tensor:
    """[C, 3, 3] from rotation vectors [C, 3] (Rodrigues), differentiable at zero too."""
    angles = (vectors.square().sum(dim=1) + 1e-12).sqrt()[:, None, None]
    x, y, z = vectors.unbind(1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).view(-1, 3, 3)
    half = torch.sin(angles / 2) / angles  # 1 - cos would lose all digits of small angles
    identity = torch.eye(3, dtype=vectors.dtype, device=vectors.device)
    return identity + torch.sin(angles) / angles * cross + 2 * half.square() * (cross @ cross)


def common_motions(centers: np.ndarray) -> np.ndarray:
    """[6 V, ≤ 7] orthonormal corrections that move all cameras as one body, or scale them, to first order.

    Args:
        centers: [V, 3] in extents. Cameras on one spot cannot be scaled apart: a direction less.
    """
    offsets = centers - centers.mean(axis=0)
    motions = np.zeros((7, len(centers), 6))
    for axis, unit in enumerate(np.eye(3)):
        motions[axis, :, 3:] = unit
        motions[3 + axis, :, :3], motions[3 + axis, :, 3:] = unit, np.cross(unit, offsets)
    motions[6, :, 3:] = offsets
    basis, lengths, _ = np.linalg.svd(motions.reshape(7, -1).T, full_matrices=False)
    return basis[:, lengths > 1e-6 * lengths[0]]
