"""One stage of a workspace: what is reused, "done" markers, the lock, the log, resuming.

A stage's folder holds ``started.json`` from the moment work begins and ``artifact.json`` once it is complete,
written last, by rename. Both carry the digest of the stage's config and inputs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import platform
import shutil
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import filelock

from splatlib._version import __version__
from splatlib.artifacts import ARTIFACT_FILE, Artifact
from splatlib.config import Config
from splatlib.errors import ArtifactError, WorkspaceBusyError, WorkspaceError, WorkspaceNewerError
from splatlib.files import digest_of, os_errors_translated, write_atomically
from splatlib.progress import log_file, logger

SCHEMA = 1
STARTED_FILE, LOCK_FILE = "started.json", ".lock"
_LOCK_PATIENCE_S = 0.5  # somebody may only be looking whether it is held
_LIBRARIES = ("numpy", "numba", "pycolmap", "opencv-python-headless", "torch", "gsplat")

ArtifactT = TypeVar("ArtifactT", bound=Artifact)


class Place(Protocol):
    """What a stage knows of its workspace."""

    root: Path

    @property
    def logs_directory(self) -> Path: ...
    def control_path(self, run: str = "main") -> Path: ...


class Stage(Generic[ArtifactT]):
    """One stage of a workspace: reuse what is there, or do the work and mark it done.

    >>> stage = ws.stage(FrameSet, config, inputs={"capture": digest})
    >>> if (frames := stage.reuse()) is not None:
    ...     return frames
    >>> with stage.work() as directory:
    ...     frames = ...                 # write files under directory
    ...     return stage.finish(frames)
    """

    def __init__(
        self, ws: Place, kind: type[ArtifactT], config: Config, inputs: dict[str, str], directory: Path
    ) -> None:
        self.ws, self.kind, self.directory = ws, kind, directory
        self.config, self.inputs = config.result_fields(), inputs
        self.name = kind.stage
        self.digest = digest_of({"stage": self.name, "config": self.config, "inputs": inputs})
        self.resuming = False
        self._reopens = False
        self._started_s = 0.0

    def reuse(self) -> ArtifactT | None:
        """The finished artefact if config and inputs are the same as when it was made; else None."""
        document = read_document(self.directory / ARTIFACT_FILE)
        if document is None:
            return None
        if self._made_by(document) != self.digest:
            logger.info("%s: doing it again, %s", self.name, self._difference(document))
            return None
        try:
            artifact = self.kind.load(self.directory)
        except ArtifactError as error:
            logger.warning("%s: doing it again, %s (%s)", self.name, error.what, error.why)
            return None
        stopped = f" as it was stopped, {document['stopped_at']}" if "stopped_at" in document else ""
        logger.info("%s: unchanged, reused%s", self.name, stopped)
        return artifact

    def reopen(self) -> None:
        """Let ``work`` go on with a result that was stopped early, instead of beginning anew."""
        self._reopens = True

    def _made_by(self, document: dict[str, Any]) -> str | None:
        """The digest of the config and inputs that a marker's result came from."""
        return document.get("stopped_of", document.get("digest"))

    @contextlib.contextmanager
    def work(self, keep_partial: bool = False) -> Iterator[Path]:
        """Hold the workspace's lock and give the stage's folder, emptied.

        With ``keep_partial``, what an interrupted attempt with the same digest left is kept and ``resuming``
        is true. Full disks and unwritable folders become WorkspaceErrors; the log goes to ``logs/<stage>.log``.
        """
        lock = filelock.FileLock(self.ws.root / LOCK_FILE, timeout=_LOCK_PATIENCE_S)
        with os_errors_translated(self.ws.root), contextlib.ExitStack() as stack:
            try:
                stack.enter_context(lock)
            except filelock.Timeout as error:
                raise WorkspaceBusyError(
                    f"{self.ws.root} is in use by another process", hint="wait for it, or use another --out"
                ) from error
            self._prepare(keep_partial)
            stack.enter_context(log_file(self.ws.logs_directory / f"{self.name}.log"))
            logger.debug("%s: config %s, inputs %s", self.name, self.config, self.inputs)
            self._started_s = time.perf_counter()
            try:
                yield self.directory
            except Exception:
                logger.debug("%s: failed", self.name, exc_info=True)
                raise

    def finish(self, artifact: ArtifactT, stopped_at: str = "") -> ArtifactT:
        """Write ``artifact.json``: from here on the stage is complete.

        With ``stopped_at`` (how far it came, in words) the result is one that a user ended early: it is reused like any
        other and has a digest of its own, so that what is made from it is made again once the stage was gone on with.
        """
        started = read_document(self.directory / STARTED_FILE) or {}
        seconds = time.perf_counter() - self._started_s + started.get("seconds_before", 0.0)
        own = {"digest": digest_of([self.digest, stopped_at]), "stopped_of": self.digest, "stopped_at": stopped_at}
        marks = {**self._head(), **(own if stopped_at else {})}
        artifact = dataclasses.replace(artifact, digest=marks["digest"], seconds=seconds)
        document = {
            **marks,
            "seconds": seconds,
            "versions": library_versions(),
            "files": self._sizes(),
            "artifact": artifact.to_data(),
        }
        write_atomically(self.directory / ARTIFACT_FILE, json.dumps(document, indent=1))
        (self.directory / STARTED_FILE).unlink(missing_ok=True)
        logger.info("%s: done in %.1f s", self.name, seconds)
        return artifact

    def _sizes(self) -> dict[str, int]:
        """Bytes of each file of the stage: by them a copy of the workspace is seen to be whole."""
        files = [path for path in sorted(self.directory.rglob("*")) if path.is_file() and path.name != STARTED_FILE]
        return {str(path.relative_to(self.directory)): path.stat().st_size for path in files}

    def note_seconds(self) -> None:
        """Remember the time spent so far, so that a resumed stage reports the sum."""
        spent_s = time.perf_counter() - self._started_s
        started = read_document(self.directory / STARTED_FILE) or {}
        before_s = started.get("seconds_before", 0.0)
        write_atomically(
            self.directory / STARTED_FILE, json.dumps({**self._head(), "seconds_before": before_s + spent_s})
        )
        self._started_s += spent_s

    def leave_out(self, seconds: float) -> None:
        """Seconds that were no work, for instance a pause."""
        self._started_s += seconds

    def _prepare(self, keep_partial: bool) -> None:
        if self._reopens:
            self._reopen_stopped()
        started = read_document(self.directory / STARTED_FILE)
        self.resuming = keep_partial and started is not None and started.get("digest") == self.digest
        if not self.resuming:
            self._empty()
            write_atomically(self.directory / STARTED_FILE, json.dumps(self._head()))

    def _reopen_stopped(self) -> None:
        document = read_document(self.directory / ARTIFACT_FILE)
        if document is not None and document.get("stopped_of") == self.digest:
            started = {**self._head(), "seconds_before": document["seconds"]}
            write_atomically(self.directory / STARTED_FILE, json.dumps(started))
            (self.directory / ARTIFACT_FILE).unlink()

    def _empty(self) -> None:
        """Clear the stage's folder, a marker last: one without a marker is not ours, and nothing in it is touched."""
        self.directory.mkdir(parents=True, exist_ok=True)
        started = self.directory / STARTED_FILE
        contents = [path for path in self.directory.iterdir() if path.name != f"{STARTED_FILE}.part"]
        if contents and not started.exists() and not (self.directory / ARTIFACT_FILE).exists():
            raise WorkspaceError(
                f"{self.directory} holds files that splatlib did not put there",
                why=f"for instance {contents[0].name}; the {self.name} stage would have to delete them",
                hint="choose another output folder",
            )
        # Whatever a kill interrupts here, the folder stays marked, by a digest that nothing is resumed from.
        write_atomically(started, json.dumps({**self._head(), "digest": ""}))
        (self.directory / ARTIFACT_FILE).unlink(missing_ok=True)
        for path in contents:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path != started:
                path.unlink(missing_ok=True)

    def _head(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "splatlib": __version__,
            "stage": self.name,
            "digest": self.digest,
            "config": self.config,
            "inputs": self.inputs,
        }

    def _difference(self, document: dict[str, Any]) -> str:
        """Which fields or inputs differ from those of a finished artefact, in words."""
        old, old_inputs = document.get("config", {}), document.get("inputs", {})
        changed = [
            f"{self.name}.{key} changed from {old.get(key)!r} to {value!r}"
            for key, value in self.config.items()
            if old.get(key) != value
        ]
        changed += [f"input {key} changed" for key, value in self.inputs.items() if old_inputs.get(key) != value]
        changed += [f"input {key} is gone" for key in old_inputs if key not in self.inputs]
        return ", ".join(changed) or "the stage's definition changed"


def library_versions() -> dict[str, str]:
    """Versions of splatlib, Python and the libraries whose results enter an artefact."""
    versions = {"splatlib": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def read_document(path: Path) -> dict[str, Any] | None:
    """A marker file, None if absent or torn. Raises WorkspaceNewerError."""
    try:
        document = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError:
        document = None
    if not isinstance(document, dict):
        logger.warning("%s is damaged and is ignored", path)
        return None
    if document.get("schema", 0) > SCHEMA:
        raise WorkspaceNewerError(
            f"{path} was written by splatlib {document.get('splatlib')}, newer than this one ({__version__})",
            hint="upgrade splatlib, or use another output folder",
        )
    return document
