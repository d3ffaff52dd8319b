"""What travels with a job: which local files it needs, under which names, and their content's SHA-256."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from splatlib.config import Job
from splatlib.errors import CaptureNotFoundError, CaptureUnreadableError
from splatlib.launch.contract import JobDocuments
from splatlib.threads import available_cpus, in_order

_HIDDEN = ("__MACOSX",)


@dataclass(frozen=True)
class LocalFile:
    """One file of the capture, or of masks, weights or poses that the job names.

    Attributes:
        name: in the capture's channel, with forward slashes; ``<number of the place>/<its name>/…``.
        sha256: of its content, 64 hex digits.
    """

    name: str
    path: Path
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Baggage:
    """A job whose local places are names in the capture's channel, and the files behind these names."""

    job: Job
    files: tuple[LocalFile, ...]

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)

    @property
    def documents(self) -> JobDocuments:
        return JobDocuments(self.job, {file.name: file.sha256 for file in self.files})


def pack(job: Job) -> Baggage:
    """Look for all that a job names on this machine. What lies in S3 stays there.

    Raises:
        CaptureNotFoundError: something is not there. CaptureUnreadableError: a file cannot be read.
    """
    found: dict[str, Path] = {}

    def name_of(place: str) -> str:
        if place.startswith("s3://"):
            return place
        path = Path(place).expanduser().absolute()
        name = f"{len(found)}/{path.name}"
        found[name] = path
        return name

    job = job.with_places(name_of)
    named = [(name, path) for place, root in found.items() for name, path in _files_of(place, root)]
    hashed = in_order(lambda item: _looked_at(*item), named, "hash", available_cpus())
    return Baggage(job, tuple(hashed))


def _files_of(name: str, path: Path) -> Iterator[tuple[str, Path]]:
    """A file itself, or those of a folder that are not hidden."""
    if path.is_file():
        yield name, path
    elif path.is_dir():
        for parent, folders, files in os.walk(path):
            folders[:] = sorted(folder for folder in folders if not _is_hidden(folder))
            for file in sorted(file for file in files if not _is_hidden(file)):
                below = (Path(parent) / file).relative_to(path)
                yield f"{name}/{PurePosixPath(below)}", Path(parent) / file
    else:
        raise CaptureNotFoundError(f"there is nothing at {path}", hint="check the path; the job names it")


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in _HIDDEN


def _looked_at(name: str, path: Path) -> LocalFile:
    try:
        with path.open("rb") as file:
            return LocalFile(name, path, path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as error:
        raise CaptureUnreadableError(f"{path} cannot be read", why=error.strerror or str(error)) from error


def job_name(job: Job) -> str:
    """A name that no job had before: the capture's, the time (UTC), four random digits; SageMaker's letters only."""
    stem = PurePosixPath(job.sources[0].rstrip("/")).stem
    words = re.sub(r"[^A-Za-z0-9]+", "-", stem).strip("-")[:24] or "capture"
    return f"splatlib-{words}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"
