"""What the readers of the formats share: JSON, entries and their values, and the convention that applies."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from splatlib.cameras.priors.poses import DIRECTIONS, OPENCV_FROM_AXES, Convention
from splatlib.config import CamerasConfig
from splatlib.errors import CamerasError

OPENGL_CAMERA_TO_WORLD = {"convention": "opengl", "direction": "camera_to_world"}


def parsed(text: str, where: str | Path) -> Any:
    """A JSON document. Raises CamerasError: it is none."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise CamerasError(f"{where} is not valid JSON", why=str(error)) from error


def read_json(path: Path) -> Any:
    """Raises CamerasError: the file is not UTF-8, or no JSON."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except ValueError as error:
        raise CamerasError(f"{path} is not valid JSON", why=str(error)) from error
    return parsed(text, path)


def stated_convention(origin: Path, config: CamerasConfig, document: Mapping[str, Any]) -> Convention:
    """The config's convention and direction, for what it leaves to ``auto`` the document's."""
    axes = document.get("convention") if config.priors_convention == "auto" else config.priors_convention
    direction = document.get("direction", "camera_to_world")
    if config.priors_direction != "auto":
        direction = config.priors_direction
    if axes not in OPENCV_FROM_AXES:
        raise CamerasError(
            f"{origin.name} does not say whose camera axes its poses have"
            if axes is None
            else f"no convention {axes!r}",
            hint=f"set cameras.priors_convention to one of {', '.join(OPENCV_FROM_AXES)}",
        )
    if direction not in DIRECTIONS:
        raise CamerasError(f"no direction {direction!r} in {origin.name}", hint=f"one of {', '.join(DIRECTIONS)}")
    return Convention(axes, direction)


def entries_of(origin: Path, entries: object) -> list[Mapping[str, Any]]:
    """A list of objects that is not empty."""
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, Mapping) for entry in entries):
        raise CamerasError(f"{origin.name} holds no poses", why="a list of objects, one a picture, is wanted")
    return entries


def text_of(origin: Path, entry: Mapping[str, Any], index: int, key: str) -> str:
    """A name. ``index`` of the entry is for the message."""
    text = entry.get(key)
    if not isinstance(text, str):
        raise CamerasError(f"pose {index + 1} in {origin.name} has no {key}")
    return text


def value_of(origin: Path, entry: Mapping[str, Any], name: str, key: str) -> Any:
    """Whatever an entry has there; ``name`` of its picture is for the message."""
    if key not in entry:
        raise CamerasError(f"the pose of {name} in {origin.name} has no {key}", why=f"it has {', '.join(entry)}")
    return entry[key]


def values_of(row: Mapping[str, Any], columns: Sequence[str]) -> list[Any]:
    """Several of them, in the order of ``columns``."""
    return [row[column] for column in columns]
