"""Reading priors: a COLMAP model, a transforms.json, or plain poses as JSON or CSV.

Plain JSON is ``{"convention": "ros", "direction": "camera_to_world", "poses": [...]}`` or the bare list. Each pose has
a ``name`` and either a ``matrix`` (4x4 or 3x4) or a ``translation`` and a ``quaternion`` in the document's
``quaternion_order`` (``wxyz`` unless told). CSV has a header: ``name``, then ``qw qx qy qz tx ty tz`` in any order, or
``m00`` to ``m23`` (row, column), and may have ``fx fy cx cy width height``.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from splatlib.cameras._pycolmap import colmap_errors_translated, pycolmap
from splatlib.cameras.priors.intrinsics import lens_of
from splatlib.cameras.priors.poses import (
    DIRECTIONS,
    OPENCV_FROM_AXES,
    Convention,
    Lens,
    PosePriors,
    from_quaternions,
    rigid_transforms,
    unique_names,
)
from splatlib.config import CamerasConfig
from splatlib.errors import CamerasError
from splatlib.files import digest_of, digest_of_path

_TRANSFORMS = "transforms.json"
# Where programs keep a COLMAP model under a folder that they call theirs.
_MODEL_FOLDERS = (".", "sparse/0", "sparse", "colmap/sparse/0", "0")
_MODEL_FILES = ("cameras", "images", "points3D", "rigs", "frames")
_ORDERS = ("wxyz", "xyzw")


def read_priors(path: str | Path, config: CamerasConfig) -> PosePriors:
    """Read and validate poses; which kind of file it is shows in its name and content.

    Args:
        path: a file, or a folder that holds ``transforms.json`` or a COLMAP model.
        config: its ``priors_convention`` and ``priors_direction`` go before what the file says.

    Raises:
        CamerasError: there is no such file, it cannot be understood, says nothing about its axes, holds a pose twice,
            or one that is no rigid transform.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise CamerasError(f"there are no pose priors at {path}", hint="check the field cameras.priors")
    try:
        if path.is_dir():
            if (path / _TRANSFORMS).is_file():
                return _from_json(path / _TRANSFORMS, config)
            return _from_colmap(path, config)
        if path.suffix.lower() == ".csv":
            return _from_csv(path, config)
        if path.suffix.lower() == ".json":
            return _from_json(path, config)
    except OSError as error:
        raise CamerasError(f"{path} cannot be read", why=error.strerror or str(error)) from error
    raise CamerasError(
        f"{path.name} is of no kind of pose priors that splatlib reads",
        hint="give a transforms.json, a .json or .csv of poses, or a folder with a COLMAP model",
    )


def _from_json(path: Path, config: CamerasConfig) -> PosePriors:
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise CamerasError(f"{path} is not valid JSON", why=str(error)) from error
    if isinstance(document, Mapping) and "frames" in document:
        return _from_transforms(path, document, config)
    if isinstance(document, list):
        document = {"poses": document}
    if isinstance(document, Mapping) and "poses" in document:
        return _from_poses(path, document, config)
    raise CamerasError(
        f"{path.name} holds no poses",
        why="it has neither `frames` (nerfstudio's transforms.json) nor `poses`",
        hint="docs: a list of poses has a name and a matrix, or a quaternion and a translation, each",
    )


def _from_transforms(path: Path, document: Mapping[str, Any], config: CamerasConfig) -> PosePriors:
    """As nerfstudio, instant-ngp, NeRFCapture, Record3D and Polycam write it: OpenGL's axes, camera to world.

    Depth maps and point clouds that it names are not looked at, nor is whether its pictures exist.
    """
    frames = _entries(path, document["frames"])
    names = unique_names(str(path), [_text(path, frame, index, "file_path") for index, frame in enumerate(frames)])
    matrices = [_value(path, frame, name, "transform_matrix") for name, frame in zip(names, frames, strict=True)]
    return PosePriors(
        origin=str(path),
        names=names,
        matrices=rigid_transforms(str(path), names, matrices),
        lenses=tuple(lens_of(path, {**document, **frame}) for frame in frames),
        convention=_convention(path, config, {"convention": "opengl", "direction": "camera_to_world"}),
        digest=digest_of_path(path),
    )


def _from_poses(path: Path, document: Mapping[str, Any], config: CamerasConfig) -> PosePriors:
    poses = _entries(path, document["poses"])
    names = unique_names(str(path), [_text(path, pose, index, "name") for index, pose in enumerate(poses)])
    order = document.get("quaternion_order", "wxyz")
    if order not in _ORDERS:
        raise CamerasError(f"quaternion_order {order!r} in {path.name} is unknown", hint=f"one of {', '.join(_ORDERS)}")
    swapped, notes = None, ()
    if "quaternion" in poses[0]:
        rotations = [_value(path, pose, name, "quaternion") for name, pose in zip(names, poses, strict=True)]
        translations = [_value(path, pose, name, "translation") for name, pose in zip(names, poses, strict=True)]
        other = _ORDERS[1 - _ORDERS.index(order)]
        matrices, notes = from_quaternions(str(path), names, rotations, translations, order)
        swapped, _ = from_quaternions(str(path), names, rotations, translations, other)
    else:
        given = [_value(path, pose, name, "matrix") for name, pose in zip(names, poses, strict=True)]
        matrices = rigid_transforms(str(path), names, given)
    shared = {key: value for key, value in document.items() if key != "poses"}
    return PosePriors(
        origin=str(path),
        names=names,
        matrices=matrices,
        lenses=tuple(lens_of(path, {**shared, **pose}) for pose in poses),
        convention=_convention(path, config, document),
        digest=digest_of_path(path),
        swapped_matrices=swapped,
        notes=notes,
    )


def _from_csv(path: Path, config: CamerasConfig) -> PosePriors:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file, skipinitialspace=True))
    if not rows:
        raise CamerasError(f"{path.name} holds no poses", hint="its first line names the columns: name, qw, qx, …")
    columns = {key for key in rows[0] if key}
    names = unique_names(str(path), [_text(path, row, index, "name") for index, row in enumerate(rows)])
    matrix = [f"m{row}{column}" for row in range(3) for column in range(4)]
    notes: tuple[str, ...] = ()
    if columns >= set(matrix):
        matrices = rigid_transforms(str(path), names, [np.reshape(_row(row, matrix), (3, 4)).tolist() for row in rows])
    elif columns >= {"qw", "qx", "qy", "qz", "tx", "ty", "tz"}:
        quaternions = [_row(row, ["qw", "qx", "qy", "qz"]) for row in rows]
        translations = [_row(row, ["tx", "ty", "tz"]) for row in rows]
        matrices, notes = from_quaternions(str(path), names, quaternions, translations, "wxyz")
    else:
        raise CamerasError(
            f"{path.name} lacks columns",
            why=f"it has {', '.join(sorted(columns))}",
            hint="name, qw, qx, qy, qz, tx, ty, tz are wanted, or name and m00 to m23",
        )
    return PosePriors(
        origin=str(path),
        names=names,
        matrices=matrices,
        lenses=tuple(lens_of(path, {key: value for key, value in row.items() if value}) for row in rows),
        convention=_convention(path, config, {}),
        digest=digest_of_path(path),
        notes=notes,
    )


def _from_colmap(path: Path, config: CamerasConfig) -> PosePriors:
    """A model, binary or text. Poses belong to pictures by name, whatever the order of ids or rows."""
    folder = next((path / place for place in _MODEL_FOLDERS if _is_model(path / place)), None)
    if folder is None:
        raise CamerasError(
            f"{path} holds no pose priors",
            why="there is neither a transforms.json nor a COLMAP model (cameras.bin or cameras.txt)",
            hint="check the field cameras.priors",
        )
    if config.priors_convention not in ("auto", "opencv") or config.priors_direction == "camera_to_world":
        raise CamerasError(
            f"the convention of the COLMAP model in {folder} is known: opencv, world_to_camera",
            hint="leave cameras.priors_convention and cameras.priors_direction out",
        )
    with colmap_errors_translated(f"reading the COLMAP model in {folder}"):
        model = pycolmap.Reconstruction(folder)
    images = sorted((model.images[image_id] for image_id in model.reg_image_ids()), key=lambda image: image.name)
    if not images:
        raise CamerasError(f"the COLMAP model in {folder} holds no registered image")
    cameras = [model.cameras[image.camera_id] for image in images]
    names = unique_names(str(folder), [image.name for image in images])
    files = [file for stem in _MODEL_FILES for file in sorted(folder.glob(f"{stem}.*"))]
    return PosePriors(
        origin=str(folder),
        names=names,
        matrices=rigid_transforms(str(folder), names, [image.cam_from_world().matrix() for image in images]),
        lenses=tuple(Lens(c.model_name, tuple(map(float, c.params)), c.width, c.height) for c in cameras),
        convention=Convention("opencv", "world_to_camera"),
        digest=digest_of([[file.name, digest_of_path(file)] for file in files]),
    )


def _is_model(folder: Path) -> bool:
    return any((folder / f"cameras{end}").is_file() and (folder / f"images{end}").is_file() for end in (".bin", ".txt"))


def _convention(path: Path, config: CamerasConfig, document: Mapping[str, Any]) -> Convention:
    axes = document.get("convention") if config.priors_convention == "auto" else config.priors_convention
    direction = document.get("direction", "camera_to_world")
    if config.priors_direction != "auto":
        direction = config.priors_direction
    if axes not in OPENCV_FROM_AXES:
        raise CamerasError(
            f"{path.name} does not say whose camera axes its poses have" if axes is None else f"no convention {axes!r}",
            hint=f"set cameras.priors_convention to one of {', '.join(OPENCV_FROM_AXES)}",
        )
    if direction not in DIRECTIONS:
        raise CamerasError(f"no direction {direction!r} in {path.name}", hint=f"one of {', '.join(DIRECTIONS)}")
    return Convention(axes, direction)


def _entries(path: Path, entries: object) -> list[Mapping[str, Any]]:
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, Mapping) for entry in entries):
        raise CamerasError(f"{path.name} holds no poses", why="a list of objects, one a picture, is wanted")
    return entries


def _text(path: Path, entry: Mapping[str, Any], index: int, key: str) -> str:
    text = entry.get(key)
    if not isinstance(text, str):
        raise CamerasError(f"pose {index + 1} in {path.name} has no {key}")
    return text


def _value(path: Path, entry: Mapping[str, Any], name: str, key: str) -> Any:
    if key not in entry:
        raise CamerasError(f"the pose of {name} in {path.name} has no {key}", why=f"it has {', '.join(entry)}")
    return entry[key]


def _row(row: Mapping[str, Any], columns: Sequence[str]) -> list[Any]:
    return [row[column] for column in columns]
