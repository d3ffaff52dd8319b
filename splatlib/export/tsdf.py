"""Depth pictures of many views fused into one signed distance, truncated near the surface (Curless and Levoy 1996)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from splatlib.artifacts import Camera
from splatlib.threads import available_cpus

FloatArray = npt.NDArray[np.float32]
TRUNCATION_VOXELS = 4.0


@dataclass
class Volume:
    """Attributes:
    low: [3] centre of the first voxel. voxel: edge length. distances: [X, Y, Z] in truncations, -1 (behind)…1.
    weights: [X, Y, Z] views that saw it. colors: [X, Y, Z, 3] mean RGB.
    """

    low: npt.NDArray[np.float64]
    voxel: float
    distances: FloatArray
    weights: FloatArray
    colors: FloatArray

    @classmethod
    def empty(cls, low: npt.NDArray[np.float64], high: npt.NDArray[np.float64], voxels: int) -> Volume:
        """A box of ``voxels`` along its longest edge."""
        voxel = float((high - low).max()) / voxels
        shape = tuple(int(n) for n in np.maximum(np.ceil((high - low) / voxel), 2).astype(int))
        zeros = np.zeros(shape, np.float32)
        return cls(low, voxel, np.ones(shape, np.float32), zeros, np.zeros((*shape, 3), np.float32))

    def fuse(
        self, depth: FloatArray, image: FloatArray, camera: Camera, cam_from_world: npt.NDArray[np.float64]
    ) -> None:
        """Add a view.

        Args:
            depth: [H, W] along the optical axis, scene units; 0: unknown. image: [H, W, 3] RGB.
        """
        pose = np.ascontiguousarray(cam_from_world[:3], np.float32)
        lens = np.array([camera.fx, camera.fy, camera.cx, camera.cy], np.float32)
        shared: tuple[Any, ...] = (self.distances, self.weights, self.colors, depth, image, pose, lens)
        low, voxel = self.low.astype(np.float32), np.float32(self.voxel)
        count, cores = len(self.distances), available_cpus()
        with ThreadPoolExecutor(cores) as executor:
            shares = [(count * i // cores, count * (i + 1) // cores) for i in range(cores)]
            list(executor.map(lambda share: _fuse(*share, *shared, low, voxel), shares))  # pyright: ignore[reportCallIssue]


@numba.njit(nogil=True, cache=True, fastmath=True)
def _fuse(begin, end, distances, weights, colors, depth, image, pose, lens, low, voxel):
    height, width = depth.shape
    truncation = np.float32(TRUNCATION_VOXELS) * voxel
    for i in range(begin, end):
        x = low[0] + i * voxel
        for j in range(distances.shape[1]):
            y = low[1] + j * voxel
            for k in range(distances.shape[2]):
                z = low[2] + k * voxel
                in_z = pose[2, 0] * x + pose[2, 1] * y + pose[2, 2] * z + pose[2, 3]
                if in_z <= truncation:
                    continue
                in_x = pose[0, 0] * x + pose[0, 1] * y + pose[0, 2] * z + pose[0, 3]
                in_y = pose[1, 0] * x + pose[1, 1] * y + pose[1, 2] * z + pose[1, 3]
                column, row = lens[0] * in_x / in_z + lens[2], lens[1] * in_y / in_z + lens[3]
                if not (0 <= column < width and 0 <= row < height):
                    continue
                u, v = int(column), int(row)
                measured = depth[v, u]
                if measured <= 0:
                    continue
                signed = measured - in_z
                if signed < -truncation:
                    continue  # hidden behind what the view sees
                value = min(np.float32(1), signed / truncation)
                weight = weights[i, j, k]
                share = np.float32(1) / (weight + np.float32(1))
                distances[i, j, k] += (value - distances[i, j, k]) * share
                if value < 1:  # colours of free space say nothing
                    for channel in range(3):
                        colors[i, j, k, channel] += (image[v, u, channel] - colors[i, j, k, channel]) * share
                weights[i, j, k] = weight + np.float32(1)
