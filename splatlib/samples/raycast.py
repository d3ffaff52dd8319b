"""Render the sample's world with NumPy: exact pinhole rays, mip-mapped surfaces, anti-aliased edges."""

from __future__ import annotations

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
    camera: Camera
    cam_from_world: npt.NDArray[np.float64]

    def origin(self, solid: Solid) -> FloatArray:
        """[3] camera centre in the solid's axes."""
        rotation, translation = self.cam_from_world[:3, :3], self.cam_from_world[:3, 3]
        return (solid.own_from_world @ (-rotation.T @ translation - solid.center)).astype(np.float32)

    def rays(self, solid: Solid, x: FloatArray, y: FloatArray) -> Vector:
        """Ray directions of unit depth through normalised picture coordinates x, y [K], in the solid's axes."""
        m = (solid.own_from_world @ self.cam_from_world[:3, :3].T).astype(np.float32)
        return (
            m[0, 0] * x + m[0, 1] * y + m[0, 2],
            m[1, 0] * x + m[1, 1] * y + m[1, 2],
            m[2, 0] * x + m[2, 1] * y + m[2, 2],
        )

    def may_see(self, solid: Solid, x: FloatArray, y: FloatArray) -> npt.NDArray[np.intp]:
        """Which rays pass through the bounds of the solid's projected box: a quick first choice."""
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
    eye = _Eye(camera, cam_from_world)
    rows, columns = (index.reshape(-1) for index in np.indices((camera.height, camera.width), np.float32))
    colors, depth, patch = _cast(solids, eye, columns + 0.5, rows + 0.5)
    edges = np.flatnonzero(_on_edge(patch.reshape(camera.height, camera.width)))
    if len(edges):
        dx, dy = np.array(_SUB_PIXELS, np.float32).T[..., None]
        finer, _, _ = _cast(solids, eye, (columns[edges] + 0.5 + dx).reshape(-1), (rows[edges] + 0.5 + dy).reshape(-1))
        colors[:, edges] = finer.reshape(3, len(_SUB_PIXELS), len(edges)).mean(axis=1)
    picture = np.ascontiguousarray(colors.T).reshape(camera.height, camera.width, 3)
    return np.round(picture).astype(np.uint8), depth.reshape(camera.height, camera.width)


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
    """Colours [3, K] in 0…255, depths [K] and the number of the patch (solid and face) [K] at picture points [K]."""
    x, y = (u_px - eye.camera.cx) / np.float32(eye.camera.fx), (v_px - eye.camera.cy) / np.float32(eye.camera.fy)
    depth = np.full(len(x), np.inf, np.float32)
    owner = np.zeros(len(x), np.int32)
    for index, solid in enumerate(solids):
        which = eye.may_see(solid, x, y)
        hit = solid.intersect(tuple(eye.origin(solid)), eye.rays(solid, x[which], y[which]))
        nearer = hit < depth[which]
        depth[which[nearer]] = hit[nearer]
        owner[which[nearer]] = index
    colors = np.zeros((3, len(x)), np.float32)
    patch = np.zeros(len(x), np.int32)
    for index, solid in enumerate(solids):
        which = np.flatnonzero(owner == index)
        if len(which):
            colors[:, which], face = _shaded(solid, eye, x[which], y[which], depth[which])
            patch[which] = 8 * index + face * (solid.kind != "ball")  # a ball's faces meet without an edge
    return colors, depth, patch


def _shaded(
    solid: Solid, eye: _Eye, x: FloatArray, y: FloatArray, depth: FloatArray
) -> tuple[FloatArray, npt.NDArray[np.intp]]:
    """Colours [3, K] in 0…255 and faces [K] of a solid along the rays x, y [K] at these depths [K]."""
    rays, origin = eye.rays(solid, x, y), eye.origin(solid)
    normal, face, u, v = solid.surface(tuple(origin[k] + rays[k] * depth for k in range(3)))
    toward_eye = unit(tuple(-component for component in rays))
    # A slanted surface stretches the footprint one way only; the root is a compromise between blur and aliasing.
    stretch = np.sqrt(np.maximum(dot(normal, toward_eye), 0.05))
    colors = solid.atlas.sample(face, u, v, depth / np.float32(eye.camera.fx) / stretch) * solid.shade(normal)
    if solid.gloss:
        toward_light = (solid.own_from_world @ LIGHT_FROM_SURFACE).astype(np.float32)
        half_way = unit(tuple(toward_eye[k] + toward_light[k] for k in range(3)))
        colors += 255 * solid.gloss * np.maximum(dot(normal, half_way), 0) ** 40  # Blinn (1977)
    return np.clip(colors, 0, 255), face
