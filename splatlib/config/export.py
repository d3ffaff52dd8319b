"""Configuration of the fifth stage, export_splat."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from splatlib.config.base import Config


class ExportConfig(Config):
    """Which files are delivered."""

    formats: tuple[Literal["ply", "spz"], ...] = Field(default=("ply", "spz"), min_length=1, description="a file each")
