"""Camera poses that come along with a capture: ``transforms.json``, or a COLMAP model.

``cameras.priors="capture"`` means these. They are copied to ``capture/poses`` of the workspace, where ``solve_cameras``
finds them as it would find a user's own, whether the capture is a folder, a zip or lies in S3.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath

from splatlib.capture.listing import is_hidden
from splatlib.errors import CaptureUnsafeError
from splatlib.progress import logger

TRANSFORMS = "transforms.json"
_MODEL_FILES = ("cameras", "images", "points3D", "rigs", "frames")
_NEEDED = ("cameras", "images", "points3D")
_MODEL_SUFFIXES = (".bin", ".txt")
_MODEL_TARGET = "sparse/0"
# A model of a thousand pictures has about 100 MB.
MAX_BYTES = 2**30

# Copies one of the files to a path.
CopyTo = Callable[[Path], None]


def pose_names(names: Iterable[str]) -> dict[str, str]:
    """Which files of a capture are its poses: their paths in it, by the paths that they are to have.

    ``transforms.json`` and the COLMAP model nearest to the top are taken, in whatever folder the capture was packed.
    """
    shown = sorted((name for name in names if not is_hidden(name)), key=lambda name: (name.count("/"), name))
    found: dict[str, str] = {}
    for name in shown:
        if PurePosixPath(name).name == TRANSFORMS:
            found[TRANSFORMS] = name
            break
    files = set(shown)
    for folder in dict.fromkeys(PurePosixPath(name).parent for name in shown):
        for suffix in _MODEL_SUFFIXES:
            if all(str(folder / f"{stem}{suffix}") in files for stem in _NEEDED):
                model = [f"{stem}{suffix}" for stem in _MODEL_FILES if str(folder / f"{stem}{suffix}") in files]
                return found | {f"{_MODEL_TARGET}/{name}": str(folder / name) for name in model}
    return found


def put_poses(files: Mapping[str, CopyTo], sizes_bytes: Iterable[int], directory: Path) -> None:
    """Make a folder hold these files and nothing else; without any there is no folder.

    Args:
        files: by the path below ``directory``.
        sizes_bytes: of the files.

    Raises:
        CaptureUnsafeError: they are too large to be poses.
    """
    total_bytes = sum(sizes_bytes)
    if total_bytes > MAX_BYTES:
        raise CaptureUnsafeError(
            "the camera poses that came with the capture are too large",
            why=f"{', '.join(files)} have {total_bytes / 2**30:.1f} GiB",
            hint="pass the pictures alone, and the poses by cameras.priors",
        )
    fresh = directory.with_name(f"{directory.name}.part")
    for old in (fresh, directory) if files else (fresh,):
        shutil.rmtree(old, ignore_errors=True)
    if not files:
        shutil.rmtree(directory, ignore_errors=True)
        return
    for name, copy_to in files.items():
        target = fresh / name
        target.parent.mkdir(parents=True, exist_ok=True)
        copy_to(target)
    os.replace(fresh, directory)
    logger.debug("frames: the capture brings poses: %s", ", ".join(files))
