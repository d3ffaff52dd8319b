"""Drives the kernels: one picture forward, its gradient backward, from reusable buffers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from splatlib.artifacts import Camera
from splatlib.render.cpu import binning, compositing, projection
from splatlib.render.cpu.binning import TILE_H, TILE_W
from splatlib.render.cpu.projection import BLUE, GREEN, RED
from splatlib.render.cpu.threads import ThreadPool
from splatlib.render.lenses import require_drawable

FloatArray = npt.NDArray[np.float32]
NEAR_PLANE = 0.01


@dataclass(frozen=True)
class Parameters:
    """Contiguous float32 arrays, N Gaussians, as the optimiser holds them.

    means [N, 3], log_scales [N, 3], quats [N, 4] wxyz, opacity_logits [N], sh0 [N, 1, 3], sh_rest [N, K, 3].
    """

    means: FloatArray
    log_scales: FloatArray
    quats: FloatArray
    opacity_logits: FloatArray
    sh0: FloatArray
    sh_rest: FloatArray

    def arrays(self) -> tuple[FloatArray, ...]:
        return self.means, self.log_scales, self.quats, self.opacity_logits, self.sh0, self.sh_rest


@dataclass
class Picture:
    """What a forward pass leaves for the caller and for the backward pass.

    Attributes:
        image: [3, H, W]. transmittances: [H, W], 1 - alpha. depth: [H, W] Σ weight · depth, or None.
        tile_counts: [N] tiles touched; 0 = not seen.
        projected: [N, 12], see ``projection``. Only rows of seen Gaussians mean anything.
    """

    image: FloatArray
    transmittances: FloatArray
    depth: FloatArray | None
    tile_counts: npt.NDArray[np.int32]
    projected: FloatArray
    depths: FloatArray
    camera: FloatArray
    sh_degree: int
    slot_offsets: npt.NDArray[np.int64]
    tile_gaussians: npt.NDArray[np.int32]
    tile_slots: npt.NDArray[np.int32]
    tile_offsets: npt.NDArray[np.int64]
    tile_ends: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Gradients:
    """By each of ``Parameters``, same shapes, and by the projected centres: means2d [N, 2], pixels."""

    parameters: Parameters
    means2d: FloatArray


def pack_camera(camera: Camera, cam_from_world: npt.ArrayLike) -> FloatArray:
    """The 22 numbers that ``projection`` reads. Raises ConfigError: the lens is distorted."""
    require_drawable([camera], "cpu")
    matrix = np.asarray(cam_from_world, dtype=np.float64)
    rotation, translation = matrix[:3, :3], matrix[:3, 3]
    intrinsics = [camera.fx, camera.fy, camera.cx, camera.cy, camera.width, camera.height]
    parts = [rotation.ravel(), translation, intrinsics, -rotation.T @ translation, [NEAR_PLANE]]
    return np.concatenate(parts).astype(np.float32)


class Rasterizer:
    """Forward and backward passes over a thread pool; the same bits for any number of threads."""

    def __init__(self, num_threads: int | None = None) -> None:
        self.pool = ThreadPool(num_threads)
        self._slot_gradients = np.empty((0, 9), np.float32)

    def forward(
        self,
        parameters: Parameters,
        camera: Camera,
        cam_from_world: npt.ArrayLike,
        sh_degree: int,
        background: FloatArray,
        with_depth: bool = False,
    ) -> Picture:
        """Render one view. ``sh_degree`` may be lower than what the parameters hold; background [3].

        Raises ConfigError: the camera has lens distortion. Raises ValueError: ``sh_degree`` is higher.
        """
        n, width, height = len(parameters.means), camera.width, camera.height
        if (sh_degree + 1) ** 2 - 1 > parameters.sh_rest.shape[1]:  # the kernels would read past the end
            raise ValueError(f"no SH coefficients for degree {sh_degree}: {parameters.sh_rest.shape=}")
        columns, rows = -(-width // TILE_W), -(-height // TILE_H)
        packed = pack_camera(camera, cam_from_world)
        projected = np.empty((n, 12), np.float32)
        depths, visible = np.empty(n, np.float32), np.empty(n, np.bool_)
        self.pool.over_range(projection.project, n, *parameters.arrays(), sh_degree, packed, projected, depths, visible)
        tile_rows, tile_counts = np.empty((n, 2), np.int32), np.empty(n, np.int32)
        self.pool.over_range(binning.count_tiles, n, projected, visible, packed[16], packed[17], tile_rows, tile_counts)
        slot_offsets = np.empty(n + 1, np.int64)
        order, scratch = np.empty(n, np.int32), np.empty(n, np.int32)
        num_visible = binning.order_by_depth(depths, tile_counts, slot_offsets, order, scratch)

        tile_offsets, tile_ends = np.empty(columns * rows + 1, np.int64), np.empty(columns * rows, np.int64)
        positions = np.empty((self.pool.num_threads, columns * rows), np.int64)
        tile_gaussians, tile_slots = (np.empty(int(slot_offsets[n]), np.int32) for _ in range(2))
        for placing in (False, True):
            self.pool.over_threads(
                binning.count_or_place, placing, projected, tile_rows, slot_offsets, order, num_visible, packed[16],
                columns, positions, tile_gaussians, tile_slots,
            )  # fmt: skip
            if not placing:
                binning.assign_places(positions, tile_offsets)

        picture = Picture(
            np.empty((3, height, width), np.float32), np.empty((height, width), np.float32), None, tile_counts,
            projected, depths, packed, sh_degree, slot_offsets, tile_gaussians, tile_slots, tile_offsets, tile_ends,
        )  # fmt: skip
        if with_depth:
            depth = np.empty_like(picture.image)
            self._composite(picture, self._depth_as_color(picture), np.zeros(3, np.float32), depth)
            picture.depth = depth[0]
        self._composite(picture, projected, background, picture.image)
        return picture

    def backward(
        self,
        parameters: Parameters,
        picture: Picture,
        v_image: FloatArray,
        v_transmittances: FloatArray | None = None,
        v_depth: FloatArray | None = None,
    ) -> Gradients:
        """Gradients of a scalar by the parameters, given its gradients by the picture's arrays."""
        if v_transmittances is None:
            v_transmittances = np.zeros_like(picture.transmittances)
        slots = self._slots(len(picture.tile_slots))
        self._composite_backward(picture, picture.projected, picture.image, v_image, v_transmittances, slots)
        depth_gradients = np.zeros(len(parameters.means), np.float32)
        if v_depth is not None and picture.depth is not None:
            v_planes, planes = np.zeros_like(picture.image), np.zeros_like(picture.image)
            v_planes[0], planes[0] = v_depth, picture.depth
            of_depth = np.empty_like(slots)
            nothing = np.zeros_like(v_transmittances)
            self._composite_backward(picture, self._depth_as_color(picture), planes, v_planes, nothing, of_depth)
            slots[:, :6] += of_depth[:, :6]
            owners = np.repeat(np.arange(len(depth_gradients)), np.diff(picture.slot_offsets))
            depth_gradients += np.bincount(owners, of_depth[:, 6], len(depth_gradients)).astype(np.float32)

        gradients = Gradients(
            Parameters(*(np.empty_like(array) for array in parameters.arrays())),
            np.empty((len(parameters.means), 2), np.float32),
        )
        self.pool.over_range(
            projection.project_backward, len(parameters.means), *parameters.arrays(), picture.sh_degree,
            picture.camera, picture.projected, picture.slot_offsets, slots, depth_gradients,
            *gradients.parameters.arrays(), gradients.means2d,
        )  # fmt: skip
        return gradients

    def _composite(self, picture: Picture, projected: FloatArray, background: FloatArray, image: FloatArray) -> None:
        columns = -(-image.shape[2] // TILE_W)
        self.pool.over_threads(
            compositing.composite, projected, picture.tile_gaussians, picture.tile_offsets, columns, background,
            image, picture.transmittances, picture.tile_ends,
        )  # fmt: skip

    def _composite_backward(
        self,
        picture: Picture,
        projected: FloatArray,
        image: FloatArray,
        v_image: FloatArray,
        v_transmittances: FloatArray,
        slots: FloatArray,
    ) -> None:
        columns = -(-image.shape[2] // TILE_W)
        self.pool.over_threads(
            compositing.composite_backward, projected, picture.tile_gaussians, picture.tile_slots,
            picture.tile_offsets, picture.tile_ends, columns, image, picture.transmittances, v_image,
            v_transmittances, slots,
        )  # fmt: skip

    @staticmethod
    def _depth_as_color(picture: Picture) -> FloatArray:
        """The projected Gaussians with their depth in place of red, so that the same kernels blend depth."""
        projected = picture.projected.copy()
        projected[:, RED] = picture.depths
        projected[:, GREEN] = projected[:, BLUE] = 0
        return projected

    def _slots(self, count: int) -> FloatArray:
        """A buffer kept from step to step; it grows with a margin."""
        if len(self._slot_gradients) < count:
            self._slot_gradients = np.empty((int(count * 1.3), 9), np.float32)
        return self._slot_gradients[:count]
