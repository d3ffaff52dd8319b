"""``transforms.json``, as nerfstudio, instant-ngp, NeRFCapture and KIRI Engine write it.

One object a picture under ``frames``: ``file_path`` and ``transform_matrix`` (4x4 or 3x4, camera to world, OpenGL's
axes); intrinsics ``fl_x fl_y cx cy w h k1 … camera_model`` for all or for each. Depth maps and point clouds that it
names are not looked at, nor is whether its pictures exist. ``applied_transform`` says how nerfstudio turned the world
when it wrote the file; the poses are taken in the world that they are in.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from splatlib.cameras.priors.intrinsics import lens_of
from splatlib.cameras.priors.poses import PosePriors, rigid_transforms, unique_names
from splatlib.cameras.priors.reading import OPENGL_CAMERA_TO_WORLD, entries_of, stated_convention, text_of, value_of
from splatlib.config import CamerasConfig
from splatlib.files import digest_of_path


def from_transforms(path: Path, document: Mapping[str, Any], config: CamerasConfig) -> PosePriors:
    """The poses of a document with ``frames``; ``path`` is the file that it was read from."""
    frames = entries_of(path, document["frames"])
    names = unique_names(str(path), [text_of(path, frame, index, "file_path") for index, frame in enumerate(frames)])
    matrices = [value_of(path, frame, name, "transform_matrix") for name, frame in zip(names, frames, strict=True)]
    return PosePriors(
        origin=str(path),
        names=names,
        matrices=rigid_transforms(str(path), names, matrices),
        lenses=tuple(lens_of(path, {**document, **frame}) for frame in frames),
        convention=stated_convention(path, config, OPENGL_CAMERA_TO_WORLD),
        digest=digest_of_path(path),
    )
