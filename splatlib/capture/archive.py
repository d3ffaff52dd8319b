"""Photos read straight out of a zip: nothing is ever unpacked to disk, so no member can choose where it lands."""

from __future__ import annotations

import re
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from splatlib.capture.listing import PICTURE_SUFFIXES, VIDEO_SUFFIXES, is_hidden, natural_key, suffix_counts
from splatlib.errors import CaptureUnreadableError, CaptureUnsafeError
from splatlib.files import digest_of_path

# Pictures hardly compress (bitmaps of drawings perhaps 20:1), a bomb reaches 1000:1. Small archives are let be.
MAX_RATIO = 100
RATIO_MATTERS_FROM_BYTES = 64 * 2**20
# One member is held in memory while it is decoded.
MAX_MEMBER_BYTES = 2 * 2**30
MAX_MEMBERS = 100_000
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


class ZipPhotos:
    """The photos in a zip file, in natural order of their paths.

    Raises CaptureUnreadableError if it is damaged, encrypted, or holds no pictures; CaptureUnsafeError if a member's
    name leads out of the archive, a member is a link, or it would explode when read.
    """

    notes: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        self.name, self._path = path.name, path
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
            raise CaptureUnreadableError(
                f"{path.name} cannot be read as a zip", why=str(error), hint="it may be cut off: copy or export it anew"
            ) from error
        members = self._zip.infolist()
        _refuse_unsafe(path, members)
        pictures = [m for m in members if not m.is_dir() and _is_picture(m.filename)]
        if not pictures:
            raise _no_pictures(path, [m.filename for m in members if not m.is_dir()])
        _refuse_unreadable(path, pictures)
        self._members = sorted(pictures, key=lambda m: natural_key(m.filename))
        self.names = tuple(m.filename for m in self._members)

    def read(self, index: int) -> bytes:
        try:
            return self._zip.read(self._members[index])
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError) as error:
            raise CaptureUnreadableError(f"{self.names[index]} cannot be read from the zip", why=str(error)) from error

    def digest(self) -> str:
        try:
            return digest_of_path(self._path)
        except OSError as error:
            raise CaptureUnreadableError(
                f"{self._path} cannot be read", why=error.strerror or str(error), hint="check the file's permissions"
            ) from error


def _is_picture(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in PICTURE_SUFFIXES and not is_hidden(name)


def _refuse_unsafe(path: Path, members: list[zipfile.ZipInfo]) -> None:
    for member in members:
        # zipfile turns only the machine's own separator into "/", so a zip made on Windows keeps its backslashes
        name = member.filename.replace("\\", "/")
        if ".." in name.split("/"):
            raise _unsafe(path, f"its member {member.filename!r} leads out of the archive with '..'")
        if name.startswith("/") or re.match(r"[A-Za-z]:", name):
            raise _unsafe(path, f"its member {member.filename!r} has an absolute path")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise _unsafe(path, f"its member {member.filename!r} is a link")
    if len(members) > MAX_MEMBERS:
        raise _unsafe(path, f"it has {len(members)} members, more than {MAX_MEMBERS}")
    unpacked = sum(m.file_size for m in members)
    packed = max(path.stat().st_size, 1)
    if unpacked > RATIO_MATTERS_FROM_BYTES and unpacked > MAX_RATIO * packed:
        raise _unsafe(
            path,
            f"it would grow from {packed / 2**20:.1f} MiB to {unpacked / 2**20:.0f} MiB, {unpacked / packed:.0f} times "
            "its size, which photos never do: this looks like a zip bomb",
        )
    largest = max(members, key=lambda m: m.file_size, default=None)
    if largest is not None and largest.file_size > MAX_MEMBER_BYTES:
        raise _unsafe(path, f"its member {largest.filename!r} unpacks to {largest.file_size / 2**30:.1f} GiB")


def _unsafe(path: Path, why: str) -> CaptureUnsafeError:
    return CaptureUnsafeError(
        f"{path.name} is not safe to read", why=why, hint="zip the folder of photos anew, or pass the folder itself"
    )


def _refuse_unreadable(path: Path, pictures: list[zipfile.ZipInfo]) -> None:
    if any(member.flag_bits & 0x1 for member in pictures):
        raise CaptureUnreadableError(
            f"{path.name} is encrypted", why="its photos need a password", hint="unpack it and pass the folder"
        )
    strange = next((member for member in pictures if member.compress_type not in _METHODS), None)
    if strange is not None:
        raise CaptureUnreadableError(
            f"{path.name} uses a compression that Python's zipfile lacks",
            why=f"{strange.filename} is packed with method {strange.compress_type}",
            hint="unpack it and pass the folder",
        )


def _no_pictures(path: Path, names: list[str]) -> CaptureUnreadableError:
    why = f"it holds {suffix_counts(names)}" if names else "it is empty"
    has_video = any(PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES for name in names)
    return CaptureUnreadableError(
        f"{path.name} holds no pictures",
        why=why,
        hint="unpack it and pass the video" if has_video else "pictures are read as JPEG, PNG, WebP, HEIC, TIFF or BMP",
    )
