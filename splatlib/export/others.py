"""What is delivered beside splats: points, scenes for other trainers, pictures. One writer a format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from splatlib.artifacts import ExportedFile, SparseScene
from splatlib.config import ExportConfig
from splatlib.errors import ExportError
from splatlib.export import pictures
from splatlib.export.flythrough import save_film
from splatlib.export.mesh import FRAME, save_mesh
from splatlib.export.upright import moved_scene
from splatlib.export.views import Painter
from splatlib.formats import points
from splatlib.gaussians import Gaussians
from splatlib.progress import logger
from splatlib.scene_formats import write_colmap, write_nerfstudio
from splatlib.similarity import Similarity


@dataclass(frozen=True)
class Delivery:
    """Attributes:
    gaussians: in delivered axes (RDF). scene: the capture's cameras and points in the same axes, None if unknown.
    """

    gaussians: Gaussians
    scene: SparseScene | None
    painter: Painter
    config: ExportConfig

    def cameras(self, format: str) -> SparseScene:
        """Raises ExportError where no camera is known."""
        if self.scene is None:
            raise missing_cameras(format)
        return self.scene


def missing_cameras(format: str) -> ExportError:
    return ExportError(
        f"{format} needs the capture's cameras, and none are known here",
        hint="export in the workspace that the splat was trained in, or leave this format out",
    )


@dataclass(frozen=True)
class Other:
    """Attributes:
    file: name of the file or folder. frame: its world axes, "" where it has none. write: writes it.
    """

    file: str
    frame: str
    write: Callable[[Delivery, Path], None]
    needs_cameras: bool = True


def _points_ply(delivery: Delivery, path: Path) -> None:
    points.save_ply(delivery.gaussians, path)


def _points_glb(delivery: Delivery, path: Path) -> None:
    points.save_glb(delivery.gaussians, path)


def _colmap(delivery: Delivery, path: Path) -> None:
    write_colmap(delivery.cameras("colmap"), path)


def _nerfstudio(delivery: Delivery, path: Path) -> None:
    write_nerfstudio(moved_scene(delivery.cameras("nerfstudio"), Similarity(rotation=points.RFU_FROM_RDF)), path)


def _thumbnail(delivery: Delivery, path: Path) -> None:
    pictures.save_thumbnail(delivery.gaussians, delivery.cameras("thumbnail"), delivery.painter, path)


def _mesh(delivery: Delivery, path: Path) -> None:
    save_mesh(delivery.gaussians, delivery.cameras("mesh"), delivery.painter, path, delivery.config.mesh_voxels)


def _film(delivery: Delivery, path: Path) -> None:
    config = delivery.config
    scene, size_px = delivery.cameras("mp4"), config.film_long_side_px
    save_film(delivery.gaussians, scene, delivery.painter, path, config.film_seconds, size_px)


def _html(delivery: Delivery, path: Path) -> None:
    from splatlib.widgets.page import write_splat_page

    background = delivery.painter.background
    note = write_splat_page(delivery.gaussians, path, scene=delivery.scene, title="Splat", background=background)
    if note:
        logger.info("export: %s: %s", path.name, note)


OTHERS = {
    "points_ply": Other("scene.points.ply", points.PLY_FRAME, _points_ply, needs_cameras=False),
    "points_glb": Other("scene.points.glb", points.GLB_FRAME, _points_glb, needs_cameras=False),
    "colmap": Other("colmap", "RDF", _colmap),
    "nerfstudio": Other("nerfstudio", points.PLY_FRAME, _nerfstudio),
    "html": Other("scene.html", "", _html, needs_cameras=False),
    "mesh": Other("scene.mesh.glb", FRAME, _mesh),
    "mp4": Other("flythrough.mp4", "", _film),
    "thumbnail": Other("thumbnail.jpg", "", _thumbnail),
}


def write_other(name: str, delivery: Delivery, directory: Path) -> ExportedFile:
    """Raises ExportError, OSError, and what the format's own writer says it does."""
    other = OTHERS[name]
    path = directory / other.file
    other.write(delivery, path)
    size = sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) if path.is_dir() else path.stat().st_size
    logger.info("export: %s, %.2f MB", path.name, size / 1e6)
    return ExportedFile(format=name, name=path.name, bytes=size, frame=other.frame)
