"""Weights from the networks' own places: files at a URL, in parts or whole, and repositories of the Hugging Face hub.

What has arrived whole stays when the rest does not: the same call again goes on from there.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from splatlib.errors import MasksError, MissingDependencyError
from splatlib.progress import bar

_CHUNK_BYTES = 2**20
_TIMEOUT_S = 60


def sha256_of(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fetch_parts(base_url: str, parts: Mapping[str, str], target: Path) -> None:
    """Download the parts of a file and join them.

    Args:
        base_url: of the folder that holds the parts.
        parts: names, in order, each with the id that git gives its content.
        target: the file; the parts lie beside it until it is whole.

    Raises:
        MissingDependencyError: a part cannot be reached, or the connection broke off.
        MasksError: what came is not what git's id promises.
    """
    paths = []
    for name, blob_id in parts.items():
        path = target.with_name(name)
        paths.append(path)
        if path.is_file() and _git_blob_id(path) == blob_id:
            continue
        arriving = target.with_name(f"{name}.part")
        _fetch(f"{base_url}/{name}", arriving)
        if (found := _git_blob_id(arriving)) != blob_id:
            arriving.unlink()
            raise _another_file(f"{base_url}/{name}", f"git's id of its content is {found[:12]}…, not {blob_id[:12]}…")
        arriving.replace(path)
    joined = target.with_name(f"{target.name}.joined")
    with joined.open("wb") as whole:
        for path in paths:
            with path.open("rb") as part:
                shutil.copyfileobj(part, whole, _CHUNK_BYTES)
    for path in paths:
        path.unlink()
    joined.replace(target)


def fetch_from_hub(repository: str, revision: str, files: Mapping[str, str], folder: Path) -> None:
    """Download files of a repository at a revision, by ``huggingface_hub``, which resumes and knows tokens and mirrors.

    Args:
        repository: ``owner/name``. revision: a commit.
        files: names, each with its SHA-256.
        folder: where to.

    Raises:
        MissingDependencyError: the hub cannot be reached, or refuses.
        MasksError: a file has another checksum.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    # Its own base is what the HTTP library raises for everything, whichever library this version of the hub uses.
    http_error: type[Exception] = HfHubHTTPError.__mro__[1]
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    for name, sha256 in files.items():
        place = f"{endpoint}/{repository}/resolve/{revision}/{name}"
        try:
            path = Path(hf_hub_download(repository, name, revision=revision, local_dir=folder, endpoint=endpoint))
        except (http_error, OSError, ValueError, RuntimeError) as error:
            raise _unreachable(place, error) from error
        if (found := sha256_of(path)) != sha256:
            path.unlink()
            raise _another_file(place, f"its SHA-256 is {found[:12]}…, not {sha256[:12]}…")
    # the hub's own notes on what it was downloading
    shutil.rmtree(folder / ".cache", ignore_errors=True)


def _fetch(url: str, path: Path) -> None:
    """Raises MissingDependencyError: not to be reached, or not all of it came."""
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response, path.open("wb") as file:
            announced = int(response.headers.get("Content-Length") or 0)
            with bar(announced or None, f"weights {path.stem}", unit="B") as progress:
                while chunk := response.read(_CHUNK_BYTES):
                    file.write(chunk)
                    progress.update(len(chunk))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _unreachable(url, error) from error
    if (size := path.stat().st_size) < announced:
        raise _unreachable(url, ConnectionError(f"the connection broke off after {size} of {announced} bytes"))


def _git_blob_id(path: Path) -> str:
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _unreachable(place: str, error: Exception) -> MissingDependencyError:
    said = str(error).strip().splitlines()
    return MissingDependencyError(f"{place} cannot be downloaded", why=said[0] if said else type(error).__name__)


def _another_file(place: str, why: str) -> MasksError:
    return MasksError(f"{place} is not the file that was expected", why=why)
