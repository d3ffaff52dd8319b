"""Configuration of the fifth stage, export_splat."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from splatlib.config.base import Config

ExportFormat = Literal[
    "ply",
    "compressed_ply",
    "spz",
    "spz4",
    "sog",
    "splat",
    "glb",
    "usdz",
    "points_ply",
    "points_glb",
    "colmap",
    "nerfstudio",
    "mesh",
    "mp4",
    "thumbnail",
    "html",
]


class ExportConfig(Config):
    """Which files are delivered, and what of the splat."""

    formats: tuple[ExportFormat, ...] = Field(default=("ply", "spz"), min_length=1, description="a file or folder each")
    max_psnr_loss_db: float = Field(
        default=0.15,
        gt=0,
        le=10,
        description="of held-out photos, that the small formats (spz, spz4, sog) may cost against the PLY",
    )
    upright: bool = Field(
        default=True, description="turn gravity along +y of the PLY, put the ground at 0, scale to metres where known"
    )
    clean: bool = Field(default=True, description="remove fog and floaters that the cameras do not stand for")
    clean_max_psnr_loss_db: float = Field(
        default=0.1, ge=0, le=10, description="of held-out photos, that cleaning may cost"
    )
    crop_box: tuple[float, float, float, float, float, float] | None = Field(
        default=None, description="low x, y, z, high x, y, z of what is kept, in the delivered PLY's axes"
    )
    crop_sphere: tuple[float, float, float, float] | None = Field(
        default=None, description="center x, y, z and radius of what is kept, in the delivered PLY's axes"
    )
    mesh_voxels: int = Field(default=256, ge=16, le=1024, description="along the longest edge of the mesh's box")
    film_seconds: float = Field(default=8.0, gt=0, le=600, description="length of the MP4, of 30 frames a second")
    film_long_side_px: int = Field(default=960, ge=64, le=4096, description="of the MP4's frames")
