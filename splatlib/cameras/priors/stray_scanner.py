"""Stray Scanner's folders: ``odometry.csv`` and ``camera_matrix.csv`` beside ``rgb.mp4``.

``odometry.csv`` has the columns ``timestamp frame x y z qx qy qz qw``: camera to world in metres, OpenCV's axes (the
app turns ARKit's before it writes them), and in some versions ``fx fy cx cy``. ``camera_matrix.csv`` is 3x3. ``frame``
counts the frames of the video from 0.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from splatlib.cameras.priors.intrinsics import lens_of
from splatlib.cameras.priors.poses import Lens, PosePriors, from_quaternions, unique_names
from splatlib.cameras.priors.reading import stated_convention, values_of
from splatlib.config import CamerasConfig
from splatlib.errors import CamerasError
from splatlib.files import digest_of, digest_of_path

ODOMETRY = "odometry.csv"
_MATRIX = "camera_matrix.csv"
_COLUMNS = ("frame", "x", "y", "z", "qx", "qy", "qz", "qw")
_INTRINSICS = ("fx", "fy", "cx", "cy")
# The video's size, which the files do not tell; taken where the principal point is near its middle.
_VIDEO_SIZE = (1920, 1440)
_NEAR_MIDDLE = 0.05


def from_stray_scanner(folder: Path, config: CamerasConfig) -> PosePriors:
    """Raises CamerasError: a column or the camera matrix is missing, or a number is none."""
    path = folder / ODOMETRY
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file, skipinitialspace=True))
    if not rows or not set(_COLUMNS) <= {key.strip() for key in rows[0] if key}:
        raise CamerasError(f"{path} holds no poses", why=f"rows under the columns {', '.join(_COLUMNS)} are wanted")
    rows = [{key.strip(): value for key, value in row.items() if key} for row in rows]
    names = unique_names(str(path), [str(row["frame"] or "") for row in rows])
    if not all(name.isdigit() for name in names):
        raise CamerasError(f"the column frame in {path} holds something else than numbers of frames")
    quaternions = [values_of(row, ("qx", "qy", "qz", "qw")) for row in rows]
    translations = [values_of(row, ("x", "y", "z")) for row in rows]
    matrices, notes = from_quaternions(str(path), names, quaternions, translations, "xyzw")
    told = {"convention": "opencv", "direction": "camera_to_world"}
    matrix = folder / _MATRIX
    files = [file for file in (path, matrix) if file.is_file()]
    return PosePriors(
        origin=str(path),
        names=names,
        matrices=matrices,
        lenses=_lenses(path, matrix, rows),
        convention=stated_convention(path, config, told),
        digest=digest_of([[file.name, digest_of_path(file)] for file in files]),
        notes=notes,
        numbers=tuple(map(int, names)),
    )


def _lenses(path: Path, matrix: Path, rows: Sequence[Mapping[str, Any]]) -> tuple[Lens | None, ...]:
    if all(row.get(key) for row in rows for key in _INTRINSICS):
        return tuple(_lens(path, values_of(row, _INTRINSICS)) for row in rows)
    if not matrix.is_file():
        return (None,) * len(rows)
    numbers = [line.split(",") for line in matrix.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    if [len(line) for line in numbers] != [3, 3, 3]:
        raise CamerasError(f"{matrix} is no camera matrix", why="three lines of three numbers are wanted")
    return (_lens(matrix, [numbers[0][0], numbers[1][1], numbers[0][2], numbers[1][2]]),) * len(rows)


def _lens(path: Path, intrinsics: Sequence[Any]) -> Lens | None:
    fields = dict(zip(_INTRINSICS, intrinsics, strict=True))
    lens = lens_of(path, fields)
    if lens is None or lens.width is None or lens.height is None:
        return lens
    near = [abs(own / usual - 1) for own, usual in zip((lens.width, lens.height), _VIDEO_SIZE, strict=True)]
    if max(near) > _NEAR_MIDDLE:
        return lens
    return lens_of(path, {**fields, "w": _VIDEO_SIZE[0], "h": _VIDEO_SIZE[1]})
