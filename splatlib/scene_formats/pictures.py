"""The pictures and masks of a scene in another folder: linked, or, where they are too large, scaled down."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from splatlib.artifacts import Camera, SparseScene, View
from splatlib.errors import ArtifactError
from splatlib.threads import available_cpus

# A pixel that is partly outside the mask belongs to neither side; training leaves it out.
_WHOLE = 250


@dataclass(frozen=True)
class PlacedView:
    """A view whose picture lies in the folder.

    Attributes:
        camera: of the picture as it lies there.
        picture, mask: relative to the folder, with forward slashes; mask None: every pixel counts.
    """

    view: View
    camera: Camera
    picture: str
    mask: str | None


def place_views(
    scene: SparseScene,
    views: Sequence[View],
    directory: Path,
    *,
    name_of: Callable[[View], str],
    mask_name_of: Callable[[str], str],
    max_long_side_px: int | None = None,
    mask_all: bool = False,
    portable: bool = True,
) -> list[PlacedView]:
    """Put pictures and masks under ``directory``.

    Args:
        name_of: the picture's name, relative to the folder. mask_name_of: the mask's, for the picture's.
        max_long_side_px: larger pictures are scaled down, by averaging, and written as PNG; None: none is.
        mask_all: if any view has a mask, the others get a white one.
        portable: hard links or copies, which may leave this machine; else links of any kind before a copy.

    Raises ArtifactError: a picture or mask is gone, cannot be read, or has another size than its camera.
    """
    any_mask = any(view.has_mask for view in views)

    def place(view: View) -> PlacedView:
        camera, name, source = scene.camera(view), name_of(view), scene.image_path(view)
        smaller = _scaled(camera, max_long_side_px)
        if smaller is not None:
            name = name if name.endswith(".png") else f"{name}.png"
            _write_scaled(source, directory / name, camera, smaller)
        else:
            _link(source, directory / name, portable)
        mask_path, mask = scene.mask_path(view), None
        if mask_path is not None or (mask_all and any_mask):
            mask = mask_name_of(name)
            _place_mask(mask_path, directory / mask, camera, smaller, portable)
        return PlacedView(view, smaller or camera, name, mask)

    with ThreadPoolExecutor(available_cpus()) as executor:
        return list(executor.map(place, views))


def _scaled(camera: Camera, long_side_px: int | None) -> Camera | None:
    """The camera of the smaller picture; None: it is small enough."""
    largest = max(camera.width, camera.height)
    if long_side_px is None or largest <= long_side_px:
        return None
    scale = long_side_px / largest
    return camera.scaled_to(max(1, round(camera.width * scale)), max(1, round(camera.height * scale)))


def _place_mask(source: Path | None, target: Path, camera: Camera, smaller: Camera | None, portable: bool) -> None:
    if source is None:
        at = smaller or camera
        _write(target, np.full((at.height, at.width), 255, np.uint8))
    elif smaller is not None:
        _write_scaled(source, target, camera, smaller, is_mask=True)
    else:
        _link(source, target, portable)


def _write_scaled(source: Path, target: Path, camera: Camera, smaller: Camera, is_mask: bool = False) -> None:
    import cv2

    kind = cv2.IMREAD_GRAYSCALE if is_mask else cv2.IMREAD_COLOR
    picture = cv2.imread(str(source), kind | cv2.IMREAD_IGNORE_ORIENTATION)
    if picture is None:
        raise ArtifactError(
            f"cannot read {source}", why="it is gone, or no picture", hint="solve the cameras again, or put it back"
        )
    if picture.shape[1::-1] != (camera.width, camera.height):
        raise ArtifactError(
            f"{source} is {picture.shape[1]}x{picture.shape[0]}, its camera {camera.width}x{camera.height}",
            why="the file was changed after its camera was solved",
            hint="solve the cameras again, or put the file back",
        )
    picture = cv2.resize(picture, (smaller.width, smaller.height), interpolation=cv2.INTER_AREA)
    if is_mask:
        picture = np.where(picture >= _WHOLE, 255, 0).astype(np.uint8)
    _write(target, np.asarray(picture))


def _write(target: Path, picture: np.ndarray) -> None:
    """As PNG, by Python, so that a full disk is an error and not a shorter file."""
    import cv2

    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes())


def _link(source: Path, target: Path, portable: bool) -> None:
    if not source.is_file():
        raise ArtifactError(f"{source} is gone", hint="solve the cameras again, or put the file back")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
        return
    except OSError:
        pass  # another file system, or one without hard links
    if not portable:
        try:
            target.symlink_to(source.resolve())
            return
        except OSError:
            pass  # a file system without symbolic links, or Windows without the right to make them
    shutil.copyfile(source, target)
