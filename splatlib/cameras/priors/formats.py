"""Which reader a file or folder of pose priors is for; the formats are described in the readers' own modules."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from splatlib.cameras.priors import polycam, record3d, scanner_app, stray_scanner
from splatlib.cameras.priors.colmap_model import from_colmap, model_folder
from splatlib.cameras.priors.plain import from_csv, from_poses
from splatlib.cameras.priors.poses import PosePriors
from splatlib.cameras.priors.reading import read_json
from splatlib.cameras.priors.transforms import from_transforms
from splatlib.config import CamerasConfig
from splatlib.errors import CamerasError

_TRANSFORMS = "transforms.json"
# For messages.
FORMATS = (
    "a transforms.json, a .json or .csv of poses, a COLMAP model, or what Polycam (raw data), Record3D (.r3d),"
    " Stray Scanner or 3d Scanner App exported"
)


def read_priors(path: str | Path, config: CamerasConfig) -> PosePriors:
    """Read and validate poses; which kind of file it is shows in its name and content.

    Args:
        path: a file, or a folder that holds one or is an app's export.
        config: its ``priors_convention`` and ``priors_direction`` go before what the file says.

    Raises:
        CamerasError: there is no such file, it cannot be understood, says nothing about its axes, holds a pose twice,
            or one that is no rigid transform.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise CamerasError(f"there are no pose priors at {path}", hint="check the field cameras.priors")
    try:
        return _from_folder(path, config) if path.is_dir() else _from_file(path, config)
    except OSError as error:
        raise CamerasError(f"{path} cannot be read", why=error.strerror or str(error)) from error


def _from_folder(path: Path, config: CamerasConfig) -> PosePriors:
    if (path / _TRANSFORMS).is_file():
        return _from_json(path / _TRANSFORMS, config)
    if (folder := polycam.camera_folder(path)) is not None:
        return polycam.from_polycam(folder, config)
    if (path / stray_scanner.ODOMETRY).is_file():
        return stray_scanner.from_stray_scanner(path, config)
    if (path / record3d.METADATA).is_file():
        return record3d.from_record3d(path / record3d.METADATA, read_json(path / record3d.METADATA), config)
    if scanner_app.is_scanner_app(path):
        return scanner_app.from_scanner_app(path, config)
    if (folder := model_folder(path)) is not None:
        return from_colmap(folder, config)
    raise CamerasError(
        f"{path} holds no pose priors",
        why="there is neither a transforms.json, nor a COLMAP model (cameras.bin or cameras.txt), nor an app's export",
        hint=f"check the field cameras.priors: {FORMATS}",
    )


def _from_file(path: Path, config: CamerasConfig) -> PosePriors:
    if path.name == stray_scanner.ODOMETRY:
        return stray_scanner.from_stray_scanner(path.parent, config)
    if path.name == record3d.METADATA:
        return record3d.from_record3d(path, read_json(path), config)
    match path.suffix.lower():
        case ".csv":
            return from_csv(path, config)
        case ".json":
            return _from_json(path, config)
        case ".r3d":
            return record3d.from_record3d(path, record3d.metadata_in(path), config)
        case _:
            raise CamerasError(f"{path.name} is of no kind of pose priors that splatlib reads", hint=f"give {FORMATS}")


def _from_json(path: Path, config: CamerasConfig) -> PosePriors:
    document = read_json(path)
    if isinstance(document, list):
        document = {"poses": document}
    if isinstance(document, Mapping) and "frames" in document:
        return from_transforms(path, document, config)
    if record3d.is_record3d(document):
        return record3d.from_record3d(path, document, config)
    if isinstance(document, Mapping) and "poses" in document:
        return from_poses(path, document, config)
    raise CamerasError(
        f"{path.name} holds no poses",
        why="it has neither `frames` (nerfstudio's transforms.json) nor `poses`",
        hint="docs: a list of poses has a name and a matrix, or a quaternion and a translation, each",
    )
