"""Which files of a folder are pictures, and in what order."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Media:
    """What a folder or an archive holds of a capture, in natural order of the paths inside it.

    Attributes:
        pictures, videos: paths with forward slashes.
        notes: what was left out, in plain sentences.
    """

    pictures: tuple[str, ...]
    videos: tuple[str, ...]
    notes: tuple[str, ...] = ()


def media_among(names: Iterable[str]) -> Media:
    """The pictures and videos among the files of a folder or an archive, hidden ones left out.

    Where a sub-folder ``images`` lies beside others, as in COLMAP's, nerfstudio's and instant-ngp's data sets, only
    that one counts: beside it are masks, depth maps, or the same pictures at other sizes. A video with the name of a
    photo beside it is the photo's moving part (Live Photos) and left out.
    """
    shown = sorted((name for name in names if not is_hidden(name)), key=natural_key)
    pictures = [name for name in shown if PurePosixPath(name).suffix.lower() in PICTURE_SUFFIXES]
    videos = [name for name in shown if PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES]
    kept, notes = _images_folder_only(pictures)
    moving = [name for name in videos if any(_stem(name) == _stem(picture) for picture in pictures)]
    if moving:
        notes.append(f"{_videos(moving)} with the name of a photo beside it (Live Photos) left out.")
    videos = [name for name in videos if name not in moving]
    folder = _common_folder(kept)
    if kept and folder[-1:] == ("images",):
        elsewhere = [name for name in videos if PurePosixPath(name).parts[: len(folder)] != folder]
        if elsewhere:
            notes.append(f"Beside the pictures in the folder images, {_videos(elsewhere)} left out.")
        videos = [name for name in videos if name not in elsewhere]
    return Media(tuple(kept), tuple(videos), tuple(notes))


class FolderPhotos:
    """Photos in a folder and its sub-folders."""

    def __init__(self, path: Path, media: Media) -> None:
        self.name = path.resolve().name
        self.names, self.notes = media.pictures, media.notes
        self.files = tuple(path / name for name in self.names)

    def read(self, index: int) -> bytes:
        try:
            return self.files[index].read_bytes()
        except OSError as error:
            raise CaptureUnreadableError(
                f"{self.names[index]} cannot be read", why=error.strerror or str(error)
            ) from error

    def digest(self) -> str:
        return digest_of([[name, file_digest(file)] for name, file in zip(self.names, self.files, strict=True)])


def file_digest(file: Path) -> str:
    """Digest of a file of the capture. Raises CaptureUnreadableError."""
    try:
        return digest_of_path(file)
    except OSError as error:
        raise CaptureUnreadableError(
            f"{file} cannot be read", why=error.strerror or str(error), hint="check the file's permissions"
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


def _images_folder_only(names: list[str]) -> tuple[list[str], list[str]]:
    depth = len(_common_folder(names))  # the data set may lie in a folder of its own
    inside = [PurePosixPath(name).parts[depth:] for name in names]
    folders = {parts[0] if len(parts) > 1 else "" for parts in inside}
    if "" in folders or "images" not in folders:
        return names, []
    kept = [name for name, parts in zip(names, inside, strict=True) if parts[0] == "images"]
    others = ", ".join(sorted(folders - {"images"}))
    return kept, [f"Only the pictures in the sub-folder images were taken; those in {others} were left out."]


def _common_folder(names: Iterable[str]) -> tuple[str, ...]:
    """Parts of the deepest folder that holds all of the files."""
    parents = [PurePosixPath(name).parts[:-1] for name in names]
    if not parents:
        return ()
    first, last = min(parents), max(parents)
    shared = 0
    while shared < min(len(first), len(last)) and first[shared] == last[shared]:
        shared += 1
    return first[:shared]


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix("")).casefold()


def _videos(names: list[str]) -> str:
    return f"the video {names[0]} was" if len(names) == 1 else f"{len(names)} videos were"
