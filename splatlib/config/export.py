"""Configuration of the fifth stage, export_splat."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from splatlib.config.base import Config

ExportFormat = Literal["ply", "compressed_ply", "spz", "spz4", "sog", "splat", "glb"]


class ExportConfig(Config):
    """Which files are delivered."""

    formats: tuple[ExportFormat, ...] = Field(default=("ply", "spz"), min_length=1, description="a file each")
    max_psnr_loss_db: float = Field(
        default=0.15,
        gt=0,
        le=10,
        description="of held-out photos, that the small formats (spz, spz4, sog) may cost against the PLY",
    )
