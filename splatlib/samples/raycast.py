"""Render the sample's world with NumPy: exact rays of a pinhole or a panorama, mip-mapped surfaces, smooth edges."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from splatlib.artifacts import Camera
from splatlib.samples.scene import LIGHT_FROM_SURFACE, Solid, Vector, dot, unit
from splatlib.samples.textures import FloatArray

# Four rays on a turned grid for pixels that an edge crosses; inside a surface its mip-mapped picture is smooth already.
_SUB_PIXELS = ((-0.125, -0.375), (0.375, -0.125), (0.125, 0.375), (-0.375, 0.125))


@dataclass(frozen=True)
class _Eye:
    """Where rays start, and how: ``rays_through`` gives [3, K] directions in camera axes of picture points [K], [K].

    Attributes:
        px_per_unit: pixels across a thing of size 1 at distance 1 (depth 1, of a pinhole).
        is_pinhole: directions have unit depth; else unit length.
    """

    rays_through: Callable[[FloatArray, FloatArray], FloatArray]
    px_per_unit: float
    is_pinhole: bool
    cam_from_world: npt.NDArray[np.float64]

    def origin(self, solid: Solid) -> FloatArray:
        """[3] camera centre in the solid's axes."""
        rotation, translation = self.cam_from_world[:3, :3], self.cam_from_world[:3, 3]
        return (solid.own_from_world @ (-rotation.T @ translation - solid.center)).astype(np.float32)

    def turned(self, solid: Solid, rays: FloatArray) -> Vector:
        """Rays [3, K] in the solid's axes."""
        m = (solid.own_from_world @ self.cam_from_world[:3, :3].T).astype(np.float32)
        x, y, z = rays
        return (
            m[0, 0] * x + m[0, 1] * y + m[0, 2] * z,
            m[1, 0] * x + m[1, 1] * y + m[1, 2] * z,
            m[2, 0] * x + m[2, 1] * y + m[2, 2] * z,
        )

    def may_see(self, solid: Solid, rays: FloatArray) -> npt.NDArray[np.intp]:
        """Which rays pass through the bounds of the solid's projected box: a quick first choice."""
        x, y, _ = rays
        if not self.is_pinhole:
            return np.arange(len(x))
        signs = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, 8).T
        corners = (signs * solid.half) @ solid.own_from_world + solid.center
        cx, cy, cz = self.cam_from_world[:3, :3] @ corners.T + self.cam_from_world[:3, 3:]
        if solid.kind == "room" or cz.min() < 1e-3:
            return np.arange(len(x))
        u, v = cx / cz, cy / cz
        return np.flatnonzero((x >= u.min()) & (x <= u.max()) & (y >= v.min()) & (y <= v.max()))


def render_view(
    solids: tuple[Solid, ...], camera: Camera, cam_from_world: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.uint8], FloatArray]:
    """What a camera sees.

    Args:
        cam_from_world: [4, 4], OpenCV axes.

    Returns:
        RGB [H, W, 3], and depth along the optical axis at the pixel centres [H, W] in scene units.
    """
    eye = _Eye(_pinhole_rays(camera), camera.fx, True, cam_from_world)
    return _render(solids, eye, camera.width, camera.height)


def render_panorama(
    solids: tuple[Solid, ...], width: int, cam_from_world: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.uint8], FloatArray]:
    """All that is round a point, equirectangular: the middle column looks along the camera's z axis, up is -y.

    Args:
        width: pixels, even; the height is half of it.
        cam_from_world: [4, 4], OpenCV axes.

    Returns:
        RGB [H, W, 3], and distance from the camera's centre at the pixel centres [H, W] in scene units.
    """
    height = width // 2

    def rays_through(u_px: FloatArray, v_px: FloatArray) -> FloatArray:
        longitude, latitude = (u_px / width - 0.5) * (2 * np.pi), (0.5 - v_px / height) * np.pi
        level = np.cos(latitude)
        rays = np.stack([level * np.sin(longitude), -np.sin(latitude), level * np.cos(longitude)])
        return rays.astype(np.float32)

    return _render(solids, _Eye(rays_through, width / (2 * np.pi), False, cam_from_world), width, height)


def render_share(
    solids: tuple[Solid, ...], camera: Camera, cam_from_world: npt.NDArray[np.float64], of: Iterable[int]
) -> FloatArray:
    """[H, W] 0…1: how much of each pixel the solids with these indices cover, in quarters."""
    eye = _Eye(_pinhole_rays(camera), camera.fx, True, cam_from_world)
    rows, columns = (index.reshape(-1) for index in np.indices((camera.height, camera.width), np.float32))
    wanted, share = np.isin(np.arange(len(solids)), list(of)), np.zeros(len(rows), np.float32)
    for dx, dy in _SUB_PIXELS:
        _, owner = _nearest(solids, eye, eye.rays_through(columns + 0.5 + dx, rows + 0.5 + dy))
        share += wanted[owner] / len(_SUB_PIXELS)
    return share.reshape(camera.height, camera.width)


def _pinhole_rays(camera: Camera) -> Callable[[FloatArray, FloatArray], FloatArray]:
    def rays_through(u_px: FloatArray, v_px: FloatArray) -> FloatArray:
        x, y = (u_px - camera.cx) / np.float32(camera.fx), (v_px - camera.cy) / np.float32(camera.fy)
        return np.stack([x, y, np.ones_like(x)])

    return rays_through


def _render(solids: tuple[Solid, ...], eye: _Eye, width: int, height: int) -> tuple[npt.NDArray[np.uint8], FloatArray]:
    rows, columns = (index.reshape(-1) for index in np.indices((height, width), np.float32))
    colors, depth, patch = _cast(solids, eye, columns + 0.5, rows + 0.5)
    edges = np.flatnonzero(_on_edge(patch.reshape(height, width)))
    if len(edges):
        dx, dy = np.array(_SUB_PIXELS, np.float32).T[..., None]
        finer, _, _ = _cast(solids, eye, (columns[edges] + 0.5 + dx).reshape(-1), (rows[edges] + 0.5 + dy).reshape(-1))
        colors[:, edges] = finer.reshape(3, len(_SUB_PIXELS), len(edges)).mean(axis=1)
    picture = np.ascontiguousarray(colors.T).reshape(height, width, 3)
    return np.round(picture).astype(np.uint8), depth.reshape(height, width)


def _on_edge(patch: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
    """Pixels whose right, left, upper or lower neighbour shows another patch [H, W]."""
    across, down = patch[:, 1:] != patch[:, :-1], patch[1:] != patch[:-1]
    edge = np.zeros(patch.shape, bool)
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[1:] |= down
    edge[:-1] |= down
    return edge


def _cast(
    solids: tuple[Solid, ...], eye: _Eye, u_px: FloatArray, v_px: FloatArray
) -> tuple[FloatArray, FloatArray, npt.NDArray[np.int32]]:
    """At picture points [K]: colours [3, K] in 0…255, depths [K] in lengths of the rays, and the number of the patch
    (solid and face) [K]."""
    rays = eye.rays_through(u_px, v_px)
    depth, owner = _nearest(solids, eye, rays)
    colors = np.zeros((3, len(u_px)), np.float32)
    patch = np.zeros(len(u_px), np.int32)
    for index, solid in enumerate(solids):
        which = np.flatnonzero(owner == index)
        if len(which):
            colors[:, which], face = _shaded(solid, eye, rays[:, which], depth[which])
            patch[which] = 8 * index + face * (solid.kind != "ball")  # a ball's faces meet without an edge
    return colors, depth, patch


def _nearest(solids: tuple[Solid, ...], eye: _Eye, rays: FloatArray) -> tuple[FloatArray, npt.NDArray[np.int32]]:
    """Along rays [3, K] in camera axes: depths [K] in lengths of the rays, and the index of the solid there [K]."""
    depth = np.full(rays.shape[1], np.inf, np.float32)
    owner = np.zeros(rays.shape[1], np.int32)
    for index, solid in enumerate(solids):
        which = eye.may_see(solid, rays)
        hit = solid.intersect(tuple(eye.origin(solid)), eye.turned(solid, rays[:, which]))
        nearer = hit < depth[which]
        depth[which[nearer]] = hit[nearer]
        owner[which[nearer]] = index
    return depth, owner


def _shaded(
    solid: Solid, eye: _Eye, rays_cam: FloatArray, depth: FloatArray
) -> tuple[FloatArray, npt.NDArray[np.intp]]:
    """Colours [3, K] in 0…255 and faces [K] of a solid along rays [3, K] in camera axes at these depths [K]."""
    rays, origin = eye.turned(solid, rays_cam), eye.origin(solid)
    normal, face, u, v = solid.surface(tuple(origin[k] + rays[k] * depth for k in range(3)))
    toward_eye = unit(tuple(-component for component in rays))
    # A slanted surface stretches the footprint one way only; the root is a compromise between blur and aliasing.
    stretch = np.sqrt(np.maximum(dot(normal, toward_eye), 0.05))
    colors = solid.atlas.sample(face, u, v, depth / np.float32(eye.px_per_unit) / stretch) * solid.shade(normal)
    if solid.gloss:
        toward_light = (solid.own_from_world @ LIGHT_FROM_SURFACE).astype(np.float32)
        half_way = unit(tuple(toward_eye[k] + toward_light[k] for k in range(3)))
        colors += 255 * solid.gloss * np.maximum(dot(normal, half_way), 0) ** 40  # Blinn (1977)
    return np.clip(colors, 0, 255), face
