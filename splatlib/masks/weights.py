"""Where a network's weights are found: in a folder, under a prefix in S3, or, only if asked for, at their own place.

Copies from S3 and downloads go to ``weights/`` in splatlib's cache: ``SPLATLIB_CACHE``, else the user's cache folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from splatlib.config import DOWNLOAD, MasksConfig
from splatlib.errors import MasksError, MissingDependencyError, S3Error
from splatlib.files import digest_of, os_errors_translated, write_atomically
from splatlib.masks.downloads import sha256_of
from splatlib.progress import logger
from splatlib.s3 import download, is_s3_url, list_objects

VARIABLE = "SPLATLIB_WEIGHTS"
CACHE_VARIABLE = "SPLATLIB_CACHE"
SUMS_FILE = "SHA256SUMS"


@dataclass(frozen=True)
class Weights:
    """What a network needs.

    Attributes:
        name: of the file or folder, relative to a folder of weights.
        origin: where a person gets it.
        fetch: downloads it from there into a folder that may hold what an earlier attempt left. Raises
            MissingDependencyError or MasksError.
    """

    name: str
    origin: str
    fetch: Callable[[Path], None]


def weights_path(weights: Weights, config: MasksConfig) -> Path:
    """The file or folder, where ``masks.weights`` says, else SPLATLIB_WEIGHTS.

    Raises:
        MissingDependencyError: it is not there, cannot be reached, or nothing says where it is.
        MasksError: what was downloaded is not what was promised.
        WorkspaceError: the cache is full or cannot be written.
    """
    place = config.weights or os.environ.get(VARIABLE, "")
    if place == DOWNLOAD:
        return _downloaded(weights)
    if is_s3_url(place):
        return _copied_from_s3(weights, place)
    path = Path(place).expanduser() / weights.name
    if not place or not path.exists():
        raise MissingDependencyError(
            f"the weights {weights.name} are not here",
            why=f"there is no {path}" if place else f"neither masks.weights nor {VARIABLE} says where they are",
            hint=f"get {weights.name} from {weights.origin} and put it into "
            + (f"{place}; or " if place else "a folder that masks.weights names; or ")
            + f"set masks.weights to '{DOWNLOAD}', or to an s3://bucket/prefix that holds it",
        )
    return path


def checked_digest(path: Path) -> str:
    """SHA-256 over a file, or over the files of a folder. Each file named in a ``SHA256SUMS`` beside it must match.

    ``SHA256SUMS`` is what ``sha256sum * > SHA256SUMS`` writes; a file that it does not name is not checked.

    Raises:
        MasksError: a file cannot be read, or is not the one that SHA256SUMS promises.
    """
    files = [path] if path.is_file() else [file for file in sorted(path.rglob("*")) if _is_weights(file, path)]
    whole = hashlib.sha256()
    try:
        promised = _promised(path.parent) | (_promised(path) if path.is_dir() else {})
        for file in files:
            digest = sha256_of(file)
            if promised.get(file, digest) != digest:
                raise MasksError(
                    f"the weights {file.name} are damaged or another version",
                    why=f"SHA-256 of {file} is {digest[:12]}…, {SUMS_FILE} says {promised[file][:12]}…",
                    hint=f"copy the file again, or correct the checksum; in splatlib's cache, delete {path.parent}",
                )
            whole.update(f"{file.relative_to(path.parent).as_posix()} {digest}\n".encode())
    except OSError as error:
        raise MasksError(f"{error.filename} cannot be read", why=error.strerror or str(error)) from error
    return whole.hexdigest()


def cache_folder() -> Path:
    """Where copies of weights are kept from run to run."""
    from platformdirs import user_cache_path

    chosen = os.environ.get(CACHE_VARIABLE)
    return (Path(chosen).expanduser() if chosen else user_cache_path("splatlib", appauthor=False)) / "weights"


def _copied_from_s3(weights: Weights, prefix: str) -> Path:
    def is_wanted(name: str) -> bool:
        return name in (weights.name, SUMS_FILE) or name.startswith(f"{weights.name}/")

    folder = cache_folder() / f"{weights.name}-{digest_of(prefix)}"
    try:
        objects = list_objects(f"{prefix.rstrip('/')}/", is_wanted)
        if any(found.name != SUMS_FILE for found in objects):
            with _alone_in(folder):
                download(objects, folder, f"weights {weights.name}", exact=True)
            return folder / weights.name
    except S3Error as error:
        raise MissingDependencyError(
            f"the weights {weights.name} cannot be copied from {prefix}",
            why=f"{error.what}: {error.why}" if error.why else error.what,
            hint=f"{error.hint + '; or ' if error.hint else ''}{_other_ways(weights, 's3')}",
        ) from error
    raise MissingDependencyError(
        f"the weights {weights.name} are not in {prefix}",
        why=f"there is no {prefix.rstrip('/')}/{weights.name}",
        hint=f"copy {weights.name} there, from {weights.origin}; or {_other_ways(weights, 's3')}",
    )


def _downloaded(weights: Weights) -> Path:
    """From the cache, else from the weights' own place into it. Their checksums are recorded, to be held to ever after.

    A folder of the cache appears under its name once everything in it is complete.
    """
    folder = cache_folder() / weights.name
    arriving = folder.with_name(f"{folder.name}.part")
    with _alone_in(folder):
        recorded = _promised(folder)
        if not recorded or not all(file.is_file() for file in recorded):
            shutil.rmtree(folder, ignore_errors=True)
            arriving.mkdir(parents=True, exist_ok=True)
            logger.info("masks: downloading %s from %s", weights.name, weights.origin)
            try:
                weights.fetch(arriving)
            except (MissingDependencyError, MasksError) as error:
                raise type(error)(
                    f"the weights {weights.name} cannot be downloaded: {error.what}",
                    why=error.why,
                    hint=f"run it again (what has arrived is kept); or {_other_ways(weights, DOWNLOAD)}",
                ) from error
            files = sorted(file for file in arriving.rglob("*") if file.is_file())
            lines = [f"{sha256_of(file)}  {file.relative_to(arriving).as_posix()}" for file in files]
            write_atomically(arriving / SUMS_FILE, "\n".join(lines) + "\n")
            arriving.replace(folder)
            logger.info("masks: %s is in %s, its checksums in %s", weights.name, folder, SUMS_FILE)
    return folder / weights.name


def _other_ways(weights: Weights, tried: str) -> str:
    ways = [f"get {weights.name} from {weights.origin} and set masks.weights to the folder that holds it"]
    if tried != DOWNLOAD:
        ways.append(f"set masks.weights to '{DOWNLOAD}'")
    if tried != "s3":
        ways.append("copy it to S3 and set masks.weights to s3://bucket/prefix")
    return "; or ".join(ways)


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """One process at a time; another that wants the same weights waits, and then finds them there."""
    import filelock

    with os_errors_translated(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder.with_name(f"{folder.name}.lock")):
            yield


def _is_weights(file: Path, folder: Path) -> bool:
    """Not the checksums, nor what S3 and the hub note beside the files."""
    parts = file.relative_to(folder).parts
    return file.is_file() and file.name != SUMS_FILE and not any(part.startswith(".") for part in parts)


def _promised(folder: Path) -> dict[Path, str]:
    """Checksums by file, from a folder's SHA256SUMS; empty if there is none."""
    sums = folder / SUMS_FILE
    if not sums.is_file():
        return {}
    lines = [line.split(maxsplit=1) for line in sums.read_text(encoding="utf-8").splitlines() if line.strip()]
    return {folder / parts[1].lstrip("*").strip(): parts[0].lower() for parts in lines if len(parts) == 2}
