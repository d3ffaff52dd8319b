"""Configuration of the fifth stage, export_splat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

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


class CropBox(Config):
    """A turned box in the axes and units of the trained splat, as ``view_splat(splat).crop`` gives it."""

    center: tuple[float, float, float] = Field(description="in scene units")
    size: tuple[float, float, float] = Field(description="whole lengths of its edges, scene units")
    rotation: tuple[float, float, float, float, float, float, float, float, float] = Field(
        default=(1, 0, 0, 0, 1, 0, 0, 0, 1), description="box_from_world, row by row"
    )

    @model_validator(mode="after")
    def _is_a_box(self) -> Self:
        if min(self.size) <= 0:
            raise ValueError(f"a box has three positive lengths, got {list(self.size)}")
        rows = [self.rotation[3 * k : 3 * k + 3] for k in range(3)]
        products = [sum(a * b for a, b in zip(one, other, strict=True)) for one in rows for other in rows]
        if any(abs(product - (k % 4 == 0)) > 1e-3 for k, product in enumerate(products)):
            raise ValueError("rotation is no rotation: its rows are not perpendicular and of length 1")
        return self


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
    crop: CropBox | None = Field(
        default=None,
        description="`center`, `size`, `rotation` of a turned box of what is kept, in the trained splat's axes: "
        "`view_splat(splat).crop`",
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

    @field_validator("crop", mode="before")
    @classmethod
    def _nothing_drawn(cls, value: Any) -> Any:
        """A view without a crop box holds an empty dict."""
        return None if isinstance(value, Mapping) and not value else value
