"""The standard 3DGS PLY: the Gaussians bit for bit, in the scene's own axes; reads compressed PLYs too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splatlib.errors import ArtifactError
from splatlib.formats import compressed_ply
from splatlib.formats.comparison import Errors
from splatlib.gaussians import Gaussians
from splatlib.ply import read_ply

FRAME = "RDF"  # COLMAP's world as it came out: its first cameras look along +z with y down
_EXACT = Errors(mean=0.0, color=0.0, sh=0.0, opacity=0.0, log_scale=0.0, rotation=0.0)


@dataclass(frozen=True)
class Encoded:
    held: Gaussians

    def gaussians(self) -> Gaussians:
        return self.held

    def save(self, path: Path) -> None:
        """Raises OSError."""
        self.held.save_ply(path)


def encode(gaussians: Gaussians, quality: Any = None, contributions: Any = None) -> Encoded:
    """Nothing is rounded, whatever the quality."""
    return Encoded(gaussians)


def read(path: Path) -> Gaussians:
    """Of any encoding and order, further properties ignored; also compressed. Raises ArtifactError."""
    tables = read_ply(path, ["chunk", "vertex", "sh"])
    if compressed_ply.is_compressed(tables):
        return compressed_ply.from_tables(tables, path)
    if "vertex" not in tables:
        raise ArtifactError(f"{path} is a PLY, but not of 3D Gaussians", why="it has no element 'vertex'")
    return Gaussians.from_table(tables["vertex"], path)


def representable(gaussians: Gaussians) -> Gaussians:
    """What the format can hold of these Gaussians: all."""
    return gaussians


def tolerance(gaussians: Gaussians) -> Errors:
    """The largest errors that the format explains: none."""
    return _EXACT
