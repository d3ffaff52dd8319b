"""Plain poses as JSON or CSV.

JSON is ``{"convention": "ros", "direction": "camera_to_world", "poses": [...]}`` or the bare list. Each pose has a
``name`` and either a ``matrix`` (4x4 or 3x4) or a ``translation`` and a ``quaternion`` in the document's
``quaternion_order`` (``wxyz`` unless told). CSV has a header: ``name``, then ``qw qx qy qz tx ty tz`` in any order, or
``m00`` to ``m23`` (row, column), and may have ``fx fy cx cy width height``.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from splatlib.cameras.priors.intrinsics import lens_of
from splatlib.cameras.priors.poses import PosePriors, from_quaternions, rigid_transforms, unique_names
from splatlib.cameras.priors.reading import entries_of, stated_convention, text_of, value_of, values_of
from splatlib.config import CamerasConfig
from splatlib.errors import CamerasError
from splatlib.files import digest_of_path

_ORDERS = ("wxyz", "xyzw")


def from_poses(path: Path, document: Mapping[str, Any], config: CamerasConfig) -> PosePriors:
    """The poses of a document with ``poses``; ``path`` is the file that it was read from."""
    poses = entries_of(path, document["poses"])
    names = unique_names(str(path), [text_of(path, pose, index, "name") for index, pose in enumerate(poses)])
    order = document.get("quaternion_order", "wxyz")
    if order not in _ORDERS:
        raise CamerasError(f"quaternion_order {order!r} in {path.name} is unknown", hint=f"one of {', '.join(_ORDERS)}")
    swapped, notes = None, ()
    if "quaternion" in poses[0]:
        rotations = [value_of(path, pose, name, "quaternion") for name, pose in zip(names, poses, strict=True)]
        translations = [value_of(path, pose, name, "translation") for name, pose in zip(names, poses, strict=True)]
        other = _ORDERS[1 - _ORDERS.index(order)]
        matrices, notes = from_quaternions(str(path), names, rotations, translations, order)
        swapped, _ = from_quaternions(str(path), names, rotations, translations, other)
    else:
        given = [value_of(path, pose, name, "matrix") for name, pose in zip(names, poses, strict=True)]
        matrices = rigid_transforms(str(path), names, given)
    shared = {key: value for key, value in document.items() if key != "poses"}
    return PosePriors(
        origin=str(path),
        names=names,
        matrices=matrices,
        lenses=tuple(lens_of(path, {**shared, **pose}) for pose in poses),
        convention=stated_convention(path, config, document),
        digest=digest_of_path(path),
        swapped_matrices=swapped,
        notes=notes,
    )


def from_csv(path: Path, config: CamerasConfig) -> PosePriors:
    """The poses of a CSV of our own columns."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file, skipinitialspace=True))
    if not rows:
        raise CamerasError(f"{path.name} holds no poses", hint="its first line names the columns: name, qw, qx, …")
    columns = {key for key in rows[0] if key}
    names = unique_names(str(path), [text_of(path, row, index, "name") for index, row in enumerate(rows)])
    matrix = [f"m{row}{column}" for row in range(3) for column in range(4)]
    notes: tuple[str, ...] = ()
    if columns >= set(matrix):
        given = [np.reshape(values_of(row, matrix), (3, 4)).tolist() for row in rows]
        matrices = rigid_transforms(str(path), names, given)
    elif columns >= {"qw", "qx", "qy", "qz", "tx", "ty", "tz"}:
        quaternions = [values_of(row, ["qw", "qx", "qy", "qz"]) for row in rows]
        translations = [values_of(row, ["tx", "ty", "tz"]) for row in rows]
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
        convention=stated_convention(path, config, {}),
        digest=digest_of_path(path),
        notes=notes,
    )
