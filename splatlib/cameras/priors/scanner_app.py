"""ARKit's frames as 3d Scanner App logs them ("all data"): ``frame_00000.json`` beside ``frame_00000.jpg``.

``cameraPoseARFrame`` is ARKit's ``camera.transform``, 16 numbers row by row: camera to world, ARKit's axes of the
picture as the sensor read it, in metres, y up. ``intrinsics`` is 3x3, row by row, for the sensor's picture, whose
size the file does not tell: twice the principal point.
"""

from __future__ import annotations

from pathlib import Path

from splatlib.cameras.priors.intrinsics import lens_of
from splatlib.cameras.priors.poses import Lens, PosePriors, rigid_transforms, unique_names
from splatlib.cameras.priors.reading import read_json, stated_convention, value_of
from splatlib.config import CamerasConfig
from splatlib.errors import CamerasError
from splatlib.files import digest_of, digest_of_path

_FRAMES = "frame_*.json"
_POSE, _INTRINSICS = "cameraPoseARFrame", "intrinsics"


def is_scanner_app(folder: Path) -> bool:
    """Whether a folder holds such frames."""
    first = min(folder.glob(_FRAMES), default=None)
    document = read_json(first) if first is not None else None
    return isinstance(document, dict) and _POSE in document


def from_scanner_app(folder: Path, config: CamerasConfig) -> PosePriors:
    """Raises CamerasError: a file has no pose, or one that is no rigid transform."""
    files = sorted(folder.glob(_FRAMES))
    names = unique_names(str(folder), [file.stem for file in files])
    documents = [read_json(file) for file in files]
    for file, document in zip(files, documents, strict=True):
        if not isinstance(document, dict):
            raise CamerasError(f"{file} holds no pose", why=f"an object with {_POSE} is wanted")
    matrices = [
        value_of(file, document, name, _POSE) for file, document, name in zip(files, documents, names, strict=True)
    ]
    arkit = {"convention": "arkit", "direction": "camera_to_world"}
    return PosePriors(
        origin=str(folder),
        names=names,
        matrices=rigid_transforms(str(folder), names, matrices),
        lenses=tuple(_lens(file, document.get(_INTRINSICS)) for file, document in zip(files, documents, strict=True)),
        convention=stated_convention(folder, config, arkit),
        digest=digest_of([[file.name, digest_of_path(file)] for file in files]),
    )


def _lens(file: Path, matrix: object) -> Lens | None:
    if matrix is None:
        return None
    if not isinstance(matrix, list) or len(matrix) != 9:
        raise CamerasError(f"{_INTRINSICS} in {file.name} is no matrix", why="nine numbers, row by row, are wanted")
    return lens_of(file, {"fx": matrix[0], "fy": matrix[4], "cx": matrix[2], "cy": matrix[5]})
