"""Where each frame was taken: structure from motion by COLMAP, and existing COLMAP models."""

from splatlib.cameras.existing import load_colmap
from splatlib.cameras.solve import solve_cameras

__all__ = ["load_colmap", "solve_cameras"]
