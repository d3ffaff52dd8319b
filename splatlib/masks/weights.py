"""Where a network's weights are found. Nothing is ever downloaded: a person, or the image's build, puts them there."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from splatlib.config import MasksConfig
from splatlib.errors import MasksError, MissingDependencyError

VARIABLE = "SPLATLIB_WEIGHTS"
SUMS_FILE = "SHA256SUMS"


def weights_path(name: str, config: MasksConfig, origin: str) -> Path:
    """A file or folder of weights in ``masks.weights``, else in the folder that SPLATLIB_WEIGHTS names.

    Args:
        name: of the file or folder, relative to the weights folder.
        origin: where a person gets it, for the error.

    Raises:
        MissingDependencyError: it is not there, or no folder is configured.
    """
    folder = config.weights or os.environ.get(VARIABLE, "")
    if folder.startswith("s3://"):
        raise MissingDependencyError(
            f"the weights {name} are not on this machine",
            why=f"weights are read from a folder, not from {folder}",
            hint=f"copy them first (aws s3 sync {folder} weights) and set masks.weights to that folder",
        )
    path = Path(folder).expanduser() / name
    if not folder or not path.exists():
        raise MissingDependencyError(
            f"the weights {name} are not here",
            why=f"there is no {path}" if folder else f"neither masks.weights nor {VARIABLE} names a folder",
            hint=f"get {name} from {origin}, put it into {folder or 'a folder'}"
            + ("" if folder else f" and set masks.weights, or {VARIABLE}, to that folder"),
        )
    return path


def checked_digest(path: Path) -> str:
    """SHA-256 over a file, or over the files of a folder. Each file named in a ``SHA256SUMS`` beside it must match.

    ``SHA256SUMS`` is what ``sha256sum * > SHA256SUMS`` writes; a file that it does not name is not checked.

    Raises:
        MasksError: a file cannot be read, or is not the one that SHA256SUMS promises.
    """
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    whole = hashlib.sha256()
    try:
        promised = _promised(path.parent) | (_promised(path) if path.is_dir() else {})
        for file in files:
            with file.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            if promised.get(file, digest) != digest:
                raise MasksError(
                    f"the weights {file.name} are damaged or another version",
                    why=f"SHA-256 is {digest[:12]}…, {SUMS_FILE} says {promised[file][:12]}…",
                    hint="copy the file again, or correct the checksum",
                )
            whole.update(f"{file.relative_to(path.parent).as_posix()} {digest}\n".encode())
    except OSError as error:
        raise MasksError(f"{error.filename} cannot be read", why=error.strerror or str(error)) from error
    return whole.hexdigest()


def _promised(folder: Path) -> dict[Path, str]:
    """Checksums by file, from a folder's SHA256SUMS; empty if there is none."""
    sums = folder / SUMS_FILE
    if not sums.is_file():
        return {}
    lines = [line.split(maxsplit=1) for line in sums.read_text(encoding="utf-8").splitlines() if line.strip()]
    return {folder / parts[1].lstrip("*").strip(): parts[0].lower() for parts in lines if len(parts) == 2}
