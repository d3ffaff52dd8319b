"""Where priors lie: at the user's path, or, for ``cameras.priors="capture"``, where the frames' stage left those that
came along with the capture."""

from __future__ import annotations

from pathlib import Path

from splatlib.config import PRIORS_OF_CAPTURE
from splatlib.errors import CamerasError
from splatlib.workspace import Workspace


def priors_path(priors: str, ws: Workspace) -> Path:
    """A path for ``read_priors``. Raises CamerasError where the capture brought no poses."""
    if priors != PRIORS_OF_CAPTURE:
        return Path(priors)
    if not ws.poses_directory.is_dir():
        raise CamerasError(
            "cameras.priors=capture, but no poses came along with the capture",
            why="it has neither a transforms.json nor a COLMAP model (sparse/0), or several of its sources have",
            hint="put one of them beside the pictures and extract the frames again, or name its path",
        )
    return ws.poses_directory
