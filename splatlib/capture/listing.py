"""Which files of a folder are pictures, and in what order."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Protocol

from splatlib.errors import CaptureUnreadableError
from splatlib.files import digest_of, digest_of_path

PICTURE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".heic", ".heif", ".hif", ".tif", ".tiff", ".bmp"}
)
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".mov", ".m4v", ".qt", ".avi", ".mkv", ".webm", ".3gp", ".mts", ".m2ts", ".ts", ".mpg", ".mpeg", ".wmv"}
)
# What macOS puts into its zips, and a common network store beside every photo: thumbnails under the photos' names.
_NOT_THE_USERS = frozenset({"__MACOSX", "@eaDir"})


class PhotoCollection(Protocol):
    """Photos in natural order, wherever they lie.

    Attributes:
        name: of the folder or archive.
        names: path of each photo inside it, with forward slashes.
        notes: what the user should know about what was left out, in plain sentences.
    """

    name: str
    names: tuple[str, ...]
    notes: tuple[str, ...]

    def read(self, index: int) -> bytes:
        """The photo's file. Raises CaptureUnreadableError."""
        ...

    def digest(self) -> str:
        """Digest of everything in ``names``. Raises CaptureUnreadableError."""
        ...


class FolderPhotos:
    """The photos in a folder and its sub-folders.

    Where the folder has a sub-folder ``images``, as COLMAP's, nerfstudio's and instant-ngp's data sets do, only that
    one is taken: beside it lie masks, depth maps, or the same pictures at other sizes.
    """

    def __init__(self, path: Path, files: Iterable[Path]) -> None:
        self.name = path.resolve().name
        relative = {file.relative_to(path).as_posix(): file for file in files}
        names = sorted((n for n in relative if PurePosixPath(n).suffix.lower() in PICTURE_SUFFIXES), key=natural_key)
        self.names, self.notes = _images_folder_only(names)
        self._files = [relative[name] for name in self.names]

    def read(self, index: int) -> bytes:
        try:
            return self._files[index].read_bytes()
        except OSError as error:
            raise CaptureUnreadableError(
                f"{self.names[index]} cannot be read", why=error.strerror or str(error)
            ) from error

    def digest(self) -> str:
        try:
            return digest_of([[name, digest_of_path(file)] for name, file in zip(self.names, self._files, strict=True)])
        except OSError as error:
            raise CaptureUnreadableError(
                f"{error.filename} cannot be read",
                why=error.strerror or str(error),
                hint="check the file's permissions",
            ) from error


def files_below(folder: Path, ignore: Path) -> list[Path]:
    """All files of a folder and its sub-folders, without hidden ones and without what lies under ``ignore``."""
    ignore = ignore.resolve()
    found = []
    for parent, folders, files in os.walk(folder):
        here = Path(parent)
        folders[:] = [f for f in folders if not is_hidden(f) and (here / f).resolve() != ignore]
        found += [here / f for f in files if not is_hidden(f)]
    return found


def is_hidden(name: str) -> bool:
    """Whether any part of a path begins with a dot or is a file manager's own folder."""
    return any(part.startswith(".") or part in _NOT_THE_USERS for part in PurePosixPath(name).parts)


def natural_key(name: str) -> tuple[list[list[str | int]], str]:
    """Sort key that puts ``2.jpg`` before ``10.jpg`` and ignores case; the name itself settles ties."""
    parts = [re.split(r"(\d+)", part.casefold()) for part in PurePosixPath(name).parts]
    return [[int(text) if text.isdecimal() else text for text in part] for part in parts], name


def suffix_counts(names: Iterable[str]) -> str:
    """What kinds of files there are, in words: ``12 .dng, 3 .txt``."""
    counts: dict[str, int] = {}
    for name in names:
        suffix = PurePosixPath(name).suffix.lower() or "without a suffix"
        counts[suffix] = counts.get(suffix, 0) + 1
    most = sorted(counts.items(), key=lambda item: -item[1])[:5]
    return ", ".join(f"{count} {suffix}" for suffix, count in most)


def _images_folder_only(names: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    folders = {name.split("/")[0] if "/" in name else "" for name in names}
    if "" in folders or "images" not in folders or len(folders) == 1:
        return tuple(names), ()
    kept = tuple(name for name in names if name.startswith("images/"))
    others = ", ".join(sorted(folders - {"images"}))
    note = f"Only the pictures in the sub-folder images were taken; those in {others} were left out."
    return kept, (note,)
