"""The standard 3DGS PLY: the Gaussians as trained, in the scene's own axes."""

from __future__ import annotations

from pathlib import Path

from splatlib.export.comparison import Errors
from splatlib.gaussians import Gaussians

FRAME = "RDF"  # COLMAP's world as it came out: its first cameras look along +z with y down
TOLERANCE = Errors(mean=0.0, color=0.0, sh=0.0, opacity=0.0, log_scale=0.0, rotation=0.0)


def write(gaussians: Gaussians, path: Path) -> None:
    """Raises OSError."""
    gaussians.save_ply(path)


def read(path: Path) -> Gaussians:
    """Raises ArtifactError."""
    return Gaussians.load_ply(path)


def representable(gaussians: Gaussians) -> Gaussians:
    """What the format can hold of these Gaussians: all."""
    return gaussians


def tolerance(gaussians: Gaussians) -> Errors:
    """The largest errors that the format explains: none."""
    return TOLERANCE
