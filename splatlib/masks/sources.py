"""Where masks come from: one small protocol, and the two sources that find nothing themselves."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Protocol

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from splatlib.artifacts import Frame, FrameSet
from splatlib.errors import MasksError
from splatlib.files import digest_of, digest_of_path
from splatlib.masks.faces import MaskFaces
from splatlib.masks.thumbnails import Picture

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"})
# Sizes are rounded when pictures are scaled; a mask scaled by other software may be off by a pixel or two.
_MAX_SHAPE_DIFFERENCE = 0.02


class MaskSource(Protocol):
    """What a backend is to the stage.

    Attributes:
        by_engine: the masks are guesses, which ``finished`` tidies up more than a user's own.
        passes: how often a frame is looked at, the last time by ``mask``.
        workers: how many threads may call ``mask`` at once; None: as many as there are cores.
    """

    by_engine: bool
    passes: int
    workers: int | None

    def inputs(self) -> dict[str, str]:
        """Digests of what the masks depend on besides frames and config. Raises MasksError."""
        ...

    def prepare(self, done: Callable[[], object]) -> None:
        """Whatever needs all frames, ``done`` called once a frame and pass. Raises MasksError."""
        ...

    def mask(self, frame: Frame) -> Picture | None:
        """[height, width] of the frame, 0..255, high on the object; None if it has no mask. Raises MasksError."""
        ...


class AlphaMasks:
    """The transparency that the capture's own pictures came with. Raises MasksError if none has any."""

    by_engine = False
    passes = 1
    workers: int | None = None

    def __init__(self, frames: FrameSet) -> None:
        self._frames = frames
        if not any(frame.has_alpha for frame in frames.frames):
            raise MasksError(
                f"none of the {len(frames)} frames has an alpha channel",
                why=f"{frames.capture} holds opaque pictures",
                hint="take backend 'grabcut', pass your own with backend 'folder', or leave masks out",
            )

    def inputs(self) -> dict[str, str]:
        return {}

    def prepare(self, done: Callable[[], object]) -> None:
        """Nothing: each frame stands for itself."""

    def mask(self, frame: Frame) -> Picture | None:
        return np.asarray(_opened(self._frames.alpha_path(frame))) if frame.has_alpha else None


class FolderMasks:
    """A user's pictures, matched by name.

    A frame's mask is the picture named like its source (``IMG_7.png`` or ``IMG_7.jpg.png`` for ``IMG_7.jpg``), in the
    same sub-folder where the folder has such; or, as for a video, like the frame itself (``000001.png``). For the faces
    of a panorama it may be the panorama's own, which is 2:1 and rendered to the faces; of a 360° video it is named like
    the faces without their names (``000001.png`` for ``000001_front.jpg`` …). Raises MasksError if there is no folder
    or none of its pictures belongs to a frame.
    """

    by_engine = False
    passes = 1
    workers: int | None = None

    def __init__(self, frames: FrameSet, folder: Path) -> None:
        self._folder = folder.expanduser()
        self._faces = MaskFaces(frames)
        if not self._folder.is_dir():
            raise MasksError(f"there is no folder of masks at {self._folder}", hint="check the field masks.folder")
        try:
            paths = sorted(path for path in self._folder.rglob("*") if _is_picture(path.relative_to(self._folder)))
        except OSError as error:
            raise MasksError(f"{self._folder} cannot be read", why=error.strerror or str(error)) from error
        self._paths = _by_name(self._folder, paths)
        self._files = {frame.name: self._find(frame) for frame in frames.frames}
        if not any(self._files.values()):
            example = frames.frames[0]
            stem = example.name if example.is_of_video else example.source
            raise MasksError(
                f"no picture in {self._folder} belongs to a frame",
                why=f"it holds {len(paths)} pictures" + (f", the first is {paths[0].name}" if paths else ""),
                hint=f"name masks like the frames' sources, for instance {PurePosixPath(stem).stem}.png",
            )

    def inputs(self) -> dict[str, str]:
        """The digest of the masks in use."""
        used = {name: path for name, path in self._files.items() if path is not None}
        try:
            return {"folder": digest_of({name: digest_of_path(path) for name, path in used.items()})}
        except OSError as error:
            raise MasksError(f"{error.filename} cannot be read", why=error.strerror or str(error)) from error

    def prepare(self, done: Callable[[], object]) -> None:
        """Nothing: each frame stands for itself."""

    def mask(self, frame: Frame) -> Picture | None:
        path = self._files[frame.name]
        if path is None:
            return None
        picture = _opened(path)
        if frame.face is not None and _is_about(picture.width / picture.height, 2.0):
            return self._faces.render(np.asarray(picture), frame)
        if not _is_about(picture.width / picture.height, frame.width / frame.height):
            raise MasksError(
                f"the mask {path.name} does not fit its frame",
                why=f"it is {picture.width}x{picture.height}, the frame {frame.source} is "
                f"{frame.width}x{frame.height} after rotation: the proportions differ",
                hint="make masks from the pictures as they are shown, upright and uncropped",
            )
        # scaled while still grey, then decided: half-covered pixels go to the nearer side
        return np.asarray(picture.resize((frame.width, frame.height), Image.Resampling.BILINEAR))

    def _find(self, frame: Frame) -> Path | None:
        own_names = [frame.name] if frame.group is None else [frame.name, frame.group]
        for name in itertools.chain(*map(_spellings, own_names if frame.is_of_video else [frame.source, *own_names])):
            found = self._paths.get(name, [])
            if len(found) == 1:
                return found[0]
            if found:
                raise MasksError(
                    f"{len(found)} pictures could be the mask of {frame.source}",
                    why=", ".join(str(path.relative_to(self._folder)) for path in found[:3]),
                    hint="keep one of them, or put masks into sub-folders named like those of the photos",
                )
        return None


def iou_with_alpha(mask: Picture, frames: FrameSet, frame: Frame) -> float:
    """Intersection over union of a mask [height, width] with the frame's own alpha, opaque from one half on."""
    opaque = np.asarray(_opened(frames.alpha_path(frame))) > 127
    union = (mask > 0) | opaque
    return float(((mask > 0) & opaque).sum() / union.sum()) if union.any() else 1.0


def _is_about(shape: float, wanted: float) -> bool:
    """Of width over height."""
    return abs(shape / wanted - 1) <= _MAX_SHAPE_DIFFERENCE


def _spellings(name: str) -> list[str]:
    """How a mask for a picture may be called, without its own suffix, the most exact first."""
    path = PurePosixPath(name)
    return list(dict.fromkeys([str(path), str(path.with_suffix("")), path.name, path.stem]))


def _by_name(folder: Path, paths: list[Path]) -> dict[str, list[Path]]:
    """Masks by path and by bare name, each without its suffix."""
    found: dict[str, list[Path]] = {}
    for path in paths:
        relative = PurePosixPath(path.relative_to(folder).as_posix()).with_suffix("")
        for key in dict.fromkeys([str(relative), relative.name]):
            found.setdefault(key, []).append(path)
    return found


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in _SUFFIXES and not any(part.startswith(".") for part in path.parts)


def _opened(path: Path) -> Image.Image:
    """The mask as ``L``: its alpha channel where that says anything, else its brightness."""
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.has_transparency_data:
                alpha = upright.convert("RGBA").getchannel("A")
                if alpha.getextrema() != (255, 255):
                    return alpha
            if upright.mode.startswith("I"):
                return upright.point(lambda value: value / 257).convert("L")
            return upright.convert("L")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise MasksError(
            f"the mask {path.name} cannot be read", why=str(error), hint="save it again as a one-channel PNG"
        ) from error
