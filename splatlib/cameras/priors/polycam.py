"""Polycam's raw data: a JSON a picture under ``keyframes/cameras``, or ``corrected_cameras`` after its own adjustment.

Each holds ``t_00`` to ``t_23`` (row, column): camera to world, ARKit's axes of the picture as the sensor read it, in
metres, y up; and ``fx fy cx cy width height``. The picture has the same stem under ``images`` or ``corrected_images``.
The two kinds have different poses for pictures of one name, so they are never mixed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from splatlib.cameras.priors.intrinsics import lens_of
from splatlib.cameras.priors.poses import PosePriors, rigid_transforms, unique_names
from splatlib.cameras.priors.reading import read_json, stated_convention, value_of
from splatlib.config import CamerasConfig
from splatlib.errors import CamerasError
from splatlib.files import digest_of, digest_of_path

# The adjusted ones first: they fit the pictures better, and `images` were exported as `corrected_images` with them.
_FOLDERS = ("corrected_cameras", "cameras")
_ELEMENTS = [f"t_{row}{column}" for row in range(3) for column in range(4)]


def camera_folder(path: Path) -> Path | None:
    """The folder of the JSON files: ``path`` itself, or one under it; None if there is none."""
    if path.name in _FOLDERS and any(path.glob("*.json")):
        return path
    folders = [path / above / name for above in (".", "keyframes") for name in _FOLDERS]
    return next((folder for folder in folders if any(folder.glob("*.json"))), None)


def from_polycam(folder: Path, config: CamerasConfig) -> PosePriors:
    """Raises CamerasError: a file lacks an element or holds no rigid transform."""
    files = sorted(folder.glob("*.json"))
    pictures = "corrected_images" if folder.name == "corrected_cameras" else "images"
    names = unique_names(str(folder), [f"{pictures}/{file.stem}" for file in files])
    documents = [read_json(file) for file in files]
    for file, document in zip(files, documents, strict=True):
        if not isinstance(document, dict):
            raise CamerasError(f"{file} holds no pose", why="an object with t_00 to t_23 is wanted")
    matrices = [
        np.reshape([value_of(file, document, name, element) for element in _ELEMENTS], (3, 4)).tolist()
        for file, document, name in zip(files, documents, names, strict=True)
    ]
    arkit = {"convention": "arkit", "direction": "camera_to_world"}
    return PosePriors(
        origin=str(folder),
        names=names,
        matrices=rigid_transforms(str(folder), names, matrices),
        lenses=tuple(lens_of(file, document) for file, document in zip(files, documents, strict=True)),
        convention=stated_convention(folder, config, arkit),
        digest=digest_of([[file.name, digest_of_path(file)] for file in files]),
    )
