"""Files that survive a kill, digests, and trouble with disks in our own words."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from splatlib.errors import WorkspaceError, WorkspaceFullError, WorkspaceNotWritableError


def digest_of(value: Any) -> str:
    """Digest of plain JSON data, 16 hex digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def digest_of_path(path: Path) -> str:
    """Digest of a file's content, or of the names and contents of all files in a folder."""
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file())
        return digest_of([[str(p.relative_to(path)), digest_of_path(p)] for p in files])
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that a reader, or a restart, finds the old one or the whole new one."""
    with replacing(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.write(text)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to; renamed to it at the end, deleted (file or folder) if anything goes wrong.

    A reader, or a restart, finds the old file or the whole new one. A folder at ``path`` is replaced if it is empty.
    """
    partial = path.with_name(path.name + ".part")
    try:
        yield partial
        if partial.is_file():
            with partial.open("rb") as file:
                os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            if partial.is_dir():
                shutil.rmtree(partial)
            else:
                partial.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def os_errors_translated(root: Path) -> Iterator[None]:
    """Trouble of the operating system with files under root, as WorkspaceErrors."""
    try:
        yield
    except OSError as error:
        raise _translated(error, root) from error


def _translated(error: OSError, root: Path) -> WorkspaceError:
    where = Path(error.filename) if isinstance(error.filename, str | os.PathLike) else root
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return WorkspaceFullError(
            f"the disk under {root} is full",
            why=f"writing {where}: {error.strerror}",
            hint="free some space and run the same command again: finished stages are kept",
        )
    refusals = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}
    if not root.exists():  # a folder that cannot be made; inside one, ENOENT is about a file that someone removed
        refusals.add(errno.ENOENT)
    if error.errno in refusals and (where.is_relative_to(root) or root.is_relative_to(where)):
        return WorkspaceNotWritableError(
            f"cannot write to {root}", why=f"{where}: {error.strerror}", hint="choose another output folder"
        )
    return WorkspaceError(f"working in {root} failed", why=f"{where}: {error.strerror or error}")
