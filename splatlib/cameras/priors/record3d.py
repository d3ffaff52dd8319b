"""Record3D's recordings: an ``.r3d`` file (a zip) or its ``metadata``, a JSON without a suffix.

``poses`` has seven numbers a frame: a quaternion xyzw and a translation in metres, camera to world, OpenGL's axes.
``K`` is the 3x3 intrinsic matrix column by column, for pictures of ``w`` x ``h``; ``perFrameIntrinsicCoeffs``, where
there, ``fx fy cx cy`` of each frame. (``dw`` and ``dh`` are of depth maps, ``initPose`` of the session.) Pictures are
``rgbd/0.jpg`` and so on; frames of a video count the same way.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from splatlib.cameras.priors.intrinsics import lens_of
from splatlib.cameras.priors.poses import Lens, PosePriors, from_quaternions
from splatlib.cameras.priors.reading import OPENGL_CAMERA_TO_WORLD, parsed, stated_convention
from splatlib.config import CamerasConfig
from splatlib.errors import CamerasError
from splatlib.files import digest_of

METADATA = "metadata"
# A pose is some 150 characters: hours of recording stay far below.
_MAX_METADATA_BYTES = 256 * 2**20


def is_record3d(document: object) -> bool:
    """Whether a JSON document is such metadata."""
    return isinstance(document, Mapping) and "poses" in document and "K" in document


def metadata_in(path: Path) -> Any:
    """The metadata of an ``.r3d`` file.

    Raises:
        CamerasError: it is no zip, has none, or one of absurd size.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            member = next((each for each in archive.infolist() if Path(each.filename).name == METADATA), None)
            if member is None:
                raise CamerasError(f"{path.name} holds no poses", why=f"there is no {METADATA} in it")
            if member.file_size > _MAX_METADATA_BYTES:
                raise CamerasError(f"the {METADATA} in {path.name} is of {member.file_size / 2**20:.0f} MiB")
            text = archive.read(member).decode("utf-8-sig")
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError) as error:
        raise CamerasError(
            f"{path} cannot be read as a Record3D recording", why=str(error), hint="export it from the app again"
        ) from error
    return parsed(text, path)


def from_record3d(path: Path, document: Any, config: CamerasConfig) -> PosePriors:
    """The poses of such metadata; ``path`` is the file that it came from."""
    if not is_record3d(document):
        raise CamerasError(f"{path.name} holds no poses", why=f"its {METADATA} has no poses and K")
    poses = document["poses"]
    if not isinstance(poses, list) or not poses or not all(isinstance(each, list) and len(each) == 7 for each in poses):
        raise CamerasError(
            f"{path.name} holds no poses", why="a list of seven numbers a frame (qx qy qz qw x y z) is wanted"
        )
    names = tuple(f"rgbd/{number}.jpg" for number in range(len(poses)))
    quaternions, translations = [pose[:4] for pose in poses], [pose[4:] for pose in poses]
    matrices, notes = from_quaternions(str(path), names, quaternions, translations, "xyzw")
    return PosePriors(
        origin=str(path),
        names=names,
        matrices=matrices,
        lenses=_lenses(path, document, len(poses)),
        convention=stated_convention(path, config, OPENGL_CAMERA_TO_WORLD),
        digest=digest_of(document),
        notes=notes,
        numbers=tuple(range(len(poses))),
    )


def _lenses(path: Path, document: Mapping[str, Any], count: int) -> tuple[Lens | None, ...]:
    size = {"w": document.get("w"), "h": document.get("h")}
    each = document.get("perFrameIntrinsicCoeffs") or []
    if len(each) == count and all(isinstance(values, list) and len(values) >= 4 for values in each):
        return tuple(lens_of(path, {**size, **dict(zip(("fx", "fy", "cx", "cy"), v, strict=False))}) for v in each)
    k = document["K"]
    if not isinstance(k, list) or len(k) != 9:
        raise CamerasError(f"K in {path.name} is no matrix", why="nine numbers, column by column, are wanted")
    return (lens_of(path, {**size, "fx": k[0], "fy": k[4], "cx": k[6], "cy": k[7]}),) * count
