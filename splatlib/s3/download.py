"""Objects copied into a folder: resumed, complete or not there at all, none fetched twice.

In the folder, ``.s3/`` holds the objects under way and a journal of those that arrived. An object is told by its size
and ETag: one that is here is never fetched again, one that was interrupted goes on where it stopped, one that was
replaced in the bucket is fetched anew.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from splatlib.errors import S3Error, WorkspaceFullError
from splatlib.files import digest_of, os_errors_translated
from splatlib.progress import bar, logger
from splatlib.s3.client import NUM_CONNECTIONS, make_client, s3_errors_translated
from splatlib.s3.listing import OWN_FOLDER, S3Object

MAX_BYTES = 100 * 2**30
_CHUNK_BYTES = 2**20
# botocore repeats requests by itself, but not a body that breaks off: so often in a row without a byte gained.
_MAX_FRUITLESS = 3


def download(
    objects: Sequence[S3Object], folder: Path, description: str, max_bytes: int = MAX_BYTES, exact: bool = False
) -> list[Path]:
    """Copy objects to ``folder/<name>``; what is there already is not fetched again.

    Each file appears under its name once it is complete. Ctrl-C, a kill or an error keeps what has arrived, and the
    same call goes on from there.

    Args:
        objects: of ``list_objects``.
        folder: where to; made if it is not there.
        description: of the progress bar.
        max_bytes: more than this in all is refused.
        exact: delete what an earlier call put there and ``objects`` does not name.

    Returns:
        The files, in the order of ``objects``.

    Raises:
        S3Error and its subclasses: see ``list_objects``; or an object was replaced meanwhile, is archived, or the
            connection keeps breaking off.
        WorkspaceFullError: the disk is full. WorkspaceError: it cannot be written.
    """
    total_bytes = sum(found.size_bytes for found in objects)
    if total_bytes > max_bytes:
        raise S3Error(
            f"{len(objects)} objects, the first of them {objects[0].url}, have {total_bytes / 2**30:.1f} GiB",
            why=f"at most {max_bytes / 2**30:.1f} GiB are downloaded",
            hint="name a smaller prefix, or copy what you need with: aws s3 sync",
        )
    with os_errors_translated(folder):
        copies = _Copies(folder)
        waiting = [found for found in objects if not copies.is_here(found)]
        arrived_bytes = total_bytes - sum(found.size_bytes - copies.part_bytes(found) for found in waiting)
        if exact:
            copies.delete_others(objects)
        copies.refuse_full_disk(total_bytes - arrived_bytes)
        if waiting:
            with bar(total_bytes, description, unit="B") as progress:
                progress.update(arrived_bytes)
                _fetch_all(waiting, copies, progress)
        else:
            logger.debug("%s: %d objects are here already", description, len(objects))
    return [folder / found.name for found in objects]


class _Copies:
    """The folder: which objects are here, whole or in part."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._own = folder, folder / OWN_FOLDER
        self._own.mkdir(parents=True, exist_ok=True)
        self._journal = self._own / "arrived.jsonl"
        self._lock = threading.Lock()
        self._arrived: dict[str, tuple[int, str]] = {}
        if self._journal.exists():
            for line in self._journal.read_text(encoding="utf-8").splitlines():
                with contextlib.suppress(ValueError):  # an empty line, or one torn by a kill
                    name, size_bytes, etag = json.loads(line)
                    self._arrived[name] = (size_bytes, etag)

    def part(self, found: S3Object) -> Path:
        """Where it grows. Named by what it is, so that a part of something else is never continued."""
        return self._own / f"{digest_of([found.name, found.size_bytes, found.etag])}.part"

    def part_bytes(self, found: S3Object) -> int:
        part = self.part(found)
        return min(part.stat().st_size, found.size_bytes) if part.exists() else 0

    def is_here(self, found: S3Object) -> bool:
        file = self.folder / found.name
        return (
            self._arrived.get(found.name) == (found.size_bytes, found.etag)
            and not self.part(found).exists()
            and file.is_file()
            and file.stat().st_size == found.size_bytes
        )

    def finish(self, found: S3Object) -> None:
        """Give a complete part its name. The journal comes first: a kill in between leaves a part that only waits for
        its name, and no object is fetched twice."""
        with self._lock:
            with self._journal.open("a", encoding="utf-8") as journal:
                # a line of its own also after one that a kill tore
                journal.write(f"\n{json.dumps([found.name, found.size_bytes, found.etag])}\n")
            self._arrived[found.name] = (found.size_bytes, found.etag)
        file = self.folder / found.name
        file.parent.mkdir(parents=True, exist_ok=True)
        self.part(found).replace(file)

    def delete_others(self, objects: Sequence[S3Object]) -> None:
        names, parts = {found.name for found in objects}, {self.part(found) for found in objects}
        for name in self._arrived.keys() - names:
            (self.folder / name).unlink(missing_ok=True)
        for part in self._own.glob("*.part"):
            if part not in parts:
                part.unlink()

    def refuse_full_disk(self, missing_bytes: int) -> None:
        free_bytes = shutil.disk_usage(self.folder).free
        if missing_bytes > free_bytes:
            raise WorkspaceFullError(
                f"the disk under {self.folder} is too small for the download",
                why=f"{missing_bytes / 2**30:.2f} GiB are missing, {free_bytes / 2**30:.2f} GiB are free",
                hint="free some space, or choose another folder",
            )


def _fetch_all(objects: Sequence[S3Object], copies: _Copies, progress: Any) -> None:
    client, stop, lock = make_client(objects[0].url), threading.Event(), threading.Lock()

    def advance(num_bytes: int) -> None:
        with lock:
            progress.update(num_bytes)

    pool = ThreadPoolExecutor(NUM_CONNECTIONS, thread_name_prefix="splatlib-s3")
    try:
        for done in as_completed([pool.submit(_fetch, client, found, copies, advance, stop) for found in objects]):
            done.result()
    finally:
        # also on Ctrl-C: those under way stop at the next chunk
        stop.set()
        pool.shutdown(cancel_futures=True)


def _fetch(
    client: Any, found: S3Object, copies: _Copies, advance: Callable[[int], None], stop: threading.Event
) -> None:
    from botocore.exceptions import HTTPClientError, IncompleteReadError

    part, fruitless = copies.part(found), 0
    part.touch()
    if part.stat().st_size > found.size_bytes:
        part.unlink()
        part.touch()
    while (position := part.stat().st_size) < found.size_bytes and not stop.is_set():
        with s3_errors_translated(found.url, replaced=part):
            # the ETag as a condition: halves of two versions never become one file
            asked = {"Range": f"bytes={position}-"} if position else {}
            body = client.get_object(Bucket=found.bucket, Key=found.key, IfMatch=f'"{found.etag}"', **asked)["Body"]
            try:
                with contextlib.closing(body), part.open("ab") as file:
                    while not stop.is_set() and (chunk := body.read(_CHUNK_BYTES)):
                        file.write(chunk)
                        advance(len(chunk))
            except (HTTPClientError, IncompleteReadError) as error:
                fruitless = fruitless + 1 if part.stat().st_size == position else 0
                logger.debug("%s broke off at byte %d: %s", found.url, part.stat().st_size, error)
                if fruitless >= _MAX_FRUITLESS:
                    raise S3Error(
                        f"the download of {found.url} keeps breaking off",
                        why=f"{error}, at byte {position} of {found.size_bytes}",
                        hint="check the network and run the same again: what has arrived is kept",
                    ) from error
    if not stop.is_set() or part.stat().st_size == found.size_bytes:
        copies.finish(found)
