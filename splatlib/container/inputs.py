"""The job with places that hold in this container: the capture's blobs get their names back, as links."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from splatlib.config import Job
from splatlib.errors import CaptureNotFoundError, CaptureUnsafeError
from splatlib.files import os_errors_translated
from splatlib.launch.contract import ContainerPaths, JobDocuments


def placed_job(paths: ContainerPaths) -> Job:
    """Read the job and make its relative places absolute.

    Raises ConfigError if there is no job or not one for this version, CaptureNotFoundError if a blob did not arrive.
    """
    documents = JobDocuments.read(paths.job)
    folder = paths.capture
    if documents.blobs:
        # Always the same folder: places of masks and poses are in the digests of their stages.
        folder = paths.root / "input" / "named"
        _give_names_back(documents.blobs, paths.capture, folder)
    return documents.job.with_places(lambda place: _placed(place, folder))


def _placed(place: str, folder: Path) -> str:
    return place if place.startswith("s3://") or Path(place).is_absolute() else str(folder / place)


def _give_names_back(blobs: Mapping[str, str], capture: Path, folder: Path) -> None:
    """A link for each name, to the file that is named by its SHA-256."""
    missing = [name for name, sha256 in blobs.items() if not (capture / sha256).is_file()]
    if missing:
        raise CaptureNotFoundError(
            f"{len(missing)} of {len(blobs)} files of the capture did not arrive, the first of them {missing[0]}",
            why=f"{capture} does not hold them",
            hint="submit the job again: what is missing is uploaded then",
        )
    with os_errors_translated(folder):
        shutil.rmtree(folder, ignore_errors=True)
        for name, sha256 in blobs.items():
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or "/" in sha256:
                raise CaptureUnsafeError(f"the name {name!r} leads out of the capture's folder")
            link = folder / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(capture / sha256)
