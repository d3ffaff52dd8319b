"""Media read out of a zip. Photos are never unpacked to disk; what must be, videos and poses, lands where we say: no
member can choose."""

from __future__ import annotations

import contextlib
import re
import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from splatlib.capture.listing import VIDEO_SUFFIXES, Media, file_digest
from splatlib.errors import CaptureUnreadableError, CaptureUnsafeError
from splatlib.progress import bar

# Pictures hardly compress (bitmaps of drawings perhaps 20:1), a bomb reaches 1000:1. Small archives are let be.
MAX_RATIO = 100
RATIO_MATTERS_FROM_BYTES = 64 * 2**20
# One member is held in memory while it is decoded; videos are not.
MAX_MEMBER_BYTES = 2 * 2**30
MAX_MEMBERS = 100_000
_CHUNK_BYTES = 2**20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


class Archive:
    """A zip file, found to be safe.

    Raises CaptureUnreadableError if it is damaged; CaptureUnsafeError if a member's name leads out of the archive, a
    member is a link, or it would explode when read.

    Attributes:
        names: of the files in it, with forward slashes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
            raise CaptureUnreadableError(
                f"{path.name} cannot be read as a zip", why=str(error), hint="it may be cut off: copy or export it anew"
            ) from error
        _refuse_unsafe(path, self._zip.infolist())
        # a zip made on Windows may keep its backslashes
        self._members = {m.filename.replace("\\", "/"): m for m in self._zip.infolist() if not m.is_dir()}
        self.names = tuple(self._members)

    def size_bytes(self, name: str) -> int:
        """Of a file once unpacked."""
        return self._members[name].file_size

    def refuse_unreadable(self, names: Iterable[str]) -> None:
        """Raise CaptureUnreadableError if files are encrypted, or packed by a method that Python lacks."""
        _refuse_unreadable(self.path, [self._members[name] for name in names])

    def read(self, name: str) -> bytes:
        with self._errors_translated(name):
            return self._zip.read(self._members[name])

    def head(self, name: str) -> bytes:
        """The first 512 bytes of a file."""
        with self._errors_translated(name), self._zip.open(self._members[name]) as member:
            return member.read(512)

    def unpack(self, name: str, file: Path) -> None:
        """Write one member to a file, which is there once it is complete. Where to is the caller's choice alone."""
        part = file.with_name(f"{file.name}.part")
        file.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as target, bar(self.size_bytes(name), f"unpacking {file.name}", unit="B") as progress:
            for chunk in self._chunks(name):
                target.write(chunk)
                progress.update(len(chunk))
        part.replace(file)

    def digest(self) -> str:
        return file_digest(self.path)

    def _chunks(self, name: str) -> Iterator[bytes]:
        with self._errors_translated(name):
            member = self._zip.open(self._members[name])
        with member:
            while True:
                with self._errors_translated(name):
                    chunk = member.read(_CHUNK_BYTES)
                if not chunk:
                    return
                yield chunk

    @contextlib.contextmanager
    def _errors_translated(self, name: str) -> Iterator[None]:
        try:
            yield
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError) as error:
            raise CaptureUnreadableError(f"{name} cannot be read from the zip", why=str(error)) from error


class ZipPhotos:
    """The photos in a zip file, read without unpacking them."""

    def __init__(self, archive: Archive, media: Media) -> None:
        self.name, self.archive = archive.path.name, archive
        self.names, self.notes = media.pictures, media.notes

    def read(self, index: int) -> bytes:
        return self.archive.read(self.names[index])

    def digest(self) -> str:
        return self.archive.digest()


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
    held = [m for m in members if PurePosixPath(m.filename).suffix.lower() not in VIDEO_SUFFIXES]
    largest = max(held, key=lambda m: m.file_size, default=None)
    if largest is not None and largest.file_size > MAX_MEMBER_BYTES:
        raise _unsafe(path, f"its member {largest.filename!r} unpacks to {largest.file_size / 2**30:.1f} GiB")


def _unsafe(path: Path, why: str) -> CaptureUnsafeError:
    return CaptureUnsafeError(
        f"{path.name} is not safe to read", why=why, hint="zip the folder of photos anew, or pass the folder itself"
    )


def _refuse_unreadable(path: Path, members: list[zipfile.ZipInfo]) -> None:
    if any(member.flag_bits & 0x1 for member in members):
        raise CaptureUnreadableError(
            f"{path.name} is encrypted", why="its files need a password", hint="unpack it and pass the folder"
        )
    strange = next((member for member in members if member.compress_type not in _METHODS), None)
    if strange is not None:
        raise CaptureUnreadableError(
            f"{path.name} uses a compression that Python's zipfile lacks",
            why=f"{strange.filename} is packed with method {strange.compress_type}",
            hint="unpack it and pass the folder",
        )
