"""A triangle mesh with vertex colours: the splat's own depth pictures, fused, and the surface where they agree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from splatlib.artifacts import Camera, SparseScene
from splatlib.errors import ExportError, MissingDependencyError
from splatlib.export.tsdf import Volume
from splatlib.export.views import Painter
from splatlib.formats import glb
from splatlib.gaussians import Gaussians
from splatlib.progress import logger

FRAME = "RUB"
_LONG_SIDE_PX = 480
_MOST_VIEWS = 64
_MIN_ALPHA = 0.6
_EMPTY_ALPHA, _FAR = 0.05, np.float32(1e9)
_MIN_VIEWS = 2
_SMALLEST_PART = 0.01  # of all triangles: smaller pieces are crumbs
_EDGE_SHARE = 0.06  # depth that changes that fast from pixel to pixel mixes two surfaces


def save_mesh(gaussians: Gaussians, scene: SparseScene, painter: Painter, path: Path, voxels: int) -> int:
    """Write a GLB; the number of triangles.

    Args:
        gaussians, scene: in RDF axes. voxels: along the longest edge of the box that most Gaussians lie in.

    Raises ExportError: no surface is found. MissingDependencyError. OSError.
    """
    vertices, normals, colors, faces = _surface(_fused(gaussians, scene, painter, voxels))
    flip = glb.RUB_FROM_RDF.astype(np.float32)
    document = glb.Document()
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)  # glTF wants linear light
    rgba = np.concatenate([linear, np.ones((len(linear), 1))], axis=1)
    attributes = {
        "POSITION": document.accessor(vertices @ flip, bounds=True),
        "NORMAL": document.accessor(normals @ flip),
        "COLOR_0": document.accessor(np.rint(rgba * 255).astype(np.uint8), normalized=True),
    }
    indices = document.accessor(faces.astype(np.uint32).reshape(-1))
    document.single_mesh({"attributes": attributes, "indices": indices, "mode": 4, "material": 0})
    rough = {"metallicFactor": 0.0, "roughnessFactor": 1.0}
    document.json["materials"] = [{"pbrMetallicRoughness": rough, "doubleSided": True}]
    document.save(path)
    return len(faces)


def _fused(gaussians: Gaussians, scene: SparseScene, painter: Painter, voxels: int) -> Volume:
    solid = gaussians.means[gaussians.opacities > 0.3]
    if len(solid) < 10:
        raise ExportError("the splat has too few opaque Gaussians for a mesh")
    low, high = np.percentile(solid, [2, 98], axis=0).astype(np.float64)
    margin = 0.05 * (high - low)
    volume = Volume.empty(low - margin, high + margin, voxels)
    step = max(1, -(-len(scene.views) // _MOST_VIEWS))
    for view in scene.views[::step]:
        camera = scene.camera(view)
        scale = min(1.0, _LONG_SIDE_PX / max(camera.width, camera.height))
        plain = Camera(camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy)
        small = plain.scaled_to(round(camera.width * scale), round(camera.height * scale))
        picture = painter.forward(gaussians, small, view.cam_from_world, with_depth=True)
        assert picture.depth is not None
        alpha = 1 - picture.transmittances
        depth = np.where(alpha > _MIN_ALPHA, picture.depth / np.maximum(alpha, 1e-6), 0).astype(np.float32)
        depth[alpha < _EMPTY_ALPHA] = _FAR  # nothing on that ray: free space, which carves
        image = np.ascontiguousarray(np.clip(picture.image, 0, 1).transpose(1, 2, 0))
        volume.fuse(_without_edges(depth), image, small, view.cam_from_world)
    return volume


def _without_edges(depth: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Depth 0 where neighbours differ by much: blending has mixed what is near with what is far."""
    jumps = np.zeros(depth.shape, np.bool_)
    for axis in (0, 1):
        steep = np.abs(np.diff(depth, axis=axis)) > _EDGE_SHARE * np.minimum(
            *(np.take(depth, range(a, depth.shape[axis] - 1 + a), axis) for a in (0, 1))
        )
        ends = [(0, 0), (0, 0)]
        for side in ((0, 1), (1, 0)):
            ends[axis] = side
            jumps |= np.pad(steep, ends)
    return np.where(jumps, np.float32(0), depth)


def _surface(
    volume: Volume,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.floating], npt.NDArray[np.integer]]:
    """Vertices, normals and colours [V, 3], and triangles [T, 3], by scikit-image's marching cubes (Lewiner 2003)."""
    try:
        from skimage.measure import marching_cubes
    except ImportError as error:
        raise MissingDependencyError(
            "a mesh needs scikit-image", why=str(error), hint='pip install "splatlib[mesh]"'
        ) from error
    known = volume.weights >= _MIN_VIEWS
    # marching_cubes looks at a cell's first corner; all eight must have been seen
    cells = known.copy()
    for axis in range(3):
        cells &= np.roll(cells, -1, axis)
    try:
        vertices, faces, normals, _ = marching_cubes(volume.distances, 0.0, mask=cells)
    except (ValueError, RuntimeError) as error:
        raise ExportError(
            "no surface was found for a mesh", why=str(error), hint="train longer, or leave mesh out"
        ) from error
    kept = _large_parts(faces, len(vertices))
    used, faces = np.unique(faces[kept], return_inverse=True)
    faces = faces.reshape(-1, 3)
    vertices, normals = vertices[used], normals[used]
    nearest = np.rint(vertices).astype(int)
    colors = volume.colors[tuple(np.minimum(nearest, np.array(volume.distances.shape) - 1).T)]
    world = (volume.low + vertices * volume.voxel).astype(np.float32)
    logger.debug("export: mesh of %d vertices, %d triangles", len(world), len(faces))
    return world, normals.astype(np.float32), colors.astype(np.float64), faces


def _large_parts(faces: npt.NDArray[np.integer], num_vertices: int) -> npt.NDArray[np.bool_]:
    """[T] which triangles belong to a connected part of some size."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    edges = np.concatenate([faces[:, :2], faces[:, 1:]])
    graph = coo_matrix((np.ones(len(edges), np.bool_), edges.T), (num_vertices, num_vertices))
    part = connected_components(graph, directed=False)[1][faces[:, 0]]
    return np.bincount(part)[part] >= min(_SMALLEST_PART * len(faces), np.bincount(part).max())
