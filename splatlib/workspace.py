"""The workspace: the only file that knows directory names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Self, TypeVar

import filelock

from splatlib.artifacts import (
    ARTIFACT_FILE,
    Artifact,
    CaptureCheck,
    ExportBundle,
    FrameSet,
    MaskSet,
    SparseScene,
    Splat,
)
from splatlib.config import Config, Job
from splatlib.errors import (
    ArtifactError,
)
from splatlib.files import os_errors_translated, write_atomically
from splatlib.progress import show_messages
from splatlib.stage import LOCK_FILE, STARTED_FILE, Stage, read_document

ArtifactT = TypeVar("ArtifactT", bound=Artifact)


class Workspace:
    """A folder that holds one reconstruction, made if it is not there.

    Raises WorkspaceNotWritableError or WorkspaceFullError if it cannot be created or written, WorkspaceNewerError
    if a newer splatlib wrote it.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).expanduser()
        with os_errors_translated(self.root):
            self.logs_directory.mkdir(parents=True, exist_ok=True)
            probe = self.root / f".write-probe-{os.getpid()}"
            probe.write_text("probe")
            probe.unlink()
        self._refuse_newer()
        show_messages()

    @classmethod
    def open(cls, root: str | Path) -> Self:
        """An existing workspace, to look at; nothing is written. Raises ArtifactError where there is none."""
        ws = cls.__new__(cls)
        ws.root = Path(root).expanduser()
        if not ws.logs_directory.is_dir():
            raise ArtifactError(f"{root} is no workspace", hint="start one with: splat run CAPTURE --out DIR")
        ws._refuse_newer()
        return ws

    def _refuse_newer(self) -> None:
        for document in self.root.glob(f"*/{ARTIFACT_FILE}"):
            read_document(document)
        for document in self.root.glob(f"train/*/{ARTIFACT_FILE}"):
            read_document(document)

    def __repr__(self) -> str:
        return f"Workspace({str(self.root)!r})"

    # Directory names

    @property
    def logs_directory(self) -> Path:
        return self.root / "logs"

    @property
    def capture_directory(self) -> Path:
        """What was fetched from S3 or unpacked of the capture: needed until the frames are there, and may be deleted
        then. Here and not in a user's cache: the disk is the one that the user chose, a checkpointed workspace resumes
        its download on another machine, and what is deleted with the workspace leaves nothing behind."""
        return self.root / "capture"

    @property
    def poses_directory(self) -> Path:
        """Camera poses that came along with the capture; there if any did."""
        return self.root / "capture" / "poses"

    @property
    def job_path(self) -> Path:
        return self.root / "job.json"

    @property
    def report_json_path(self) -> Path:
        return self.root / "report.json"

    @property
    def report_html_path(self) -> Path:
        return self.root / "report.html"

    @property
    def cost_path(self) -> Path:
        """What a job elsewhere was billed, of a workspace that was fetched from it."""
        return self.root / "cost.json"

    @property
    def check_html_path(self) -> Path:
        return self.root / "check.html"

    def control_path(self, run: str = "main") -> Path:
        """Requests to a training that runs; beside its folder, which a training that begins empties."""
        return self.root / "train" / f"{run}.control.json"

    def directory(self, kind: type[Artifact], run: str = "main") -> Path:
        return self.root / "train" / run if kind is Splat else self.root / kind.stage

    def in_use(self) -> bool:
        """Whether some process works in it at this moment."""
        if not (self.root / LOCK_FILE).exists():
            return False
        lock = filelock.FileLock(self.root / LOCK_FILE, timeout=0)
        try:
            with lock:
                return False
        except filelock.Timeout:
            return True

    # What is there

    def find(self, kind: type[ArtifactT], run: str = "main") -> ArtifactT | None:
        """The finished artefact of a kind, or None."""
        directory = self.directory(kind, run)
        return kind.load(directory) if (directory / ARTIFACT_FILE).exists() else None

    @property
    def frames(self) -> FrameSet | None:
        return self.find(FrameSet)

    @property
    def masks(self) -> MaskSet | None:
        return self.find(MaskSet)

    @property
    def check(self) -> CaptureCheck | None:
        return self.find(CaptureCheck)

    @property
    def scene(self) -> SparseScene | None:
        return self.find(SparseScene)

    def splat(self, run: str = "main") -> Splat | None:
        return self.find(Splat, run)

    @property
    def exports(self) -> ExportBundle | None:
        return self.find(ExportBundle)

    def save_job(self, job: Job) -> None:
        with os_errors_translated(self.root):
            write_atomically(self.job_path, job.to_json())

    def load_job(self) -> Job:
        """The job that made this workspace. Raises ArtifactError if there is none, ConfigError if it is damaged."""
        try:
            return Job.from_json(self.job_path.read_text())
        except OSError as error:
            raise ArtifactError(
                f"{self.root} holds no job.json", hint="start one with: splat run CAPTURE --out DIR"
            ) from error

    def runs(self) -> list[str]:
        """Names of the training runs, finished or not."""
        return sorted(path.name for path in (self.root / "train").glob("*") if path.is_dir())

    def is_started(self, kind: type[Artifact], run: str = "main") -> bool:
        """Whether work on a stage began and was not finished."""
        directory = self.directory(kind, run)
        return (directory / STARTED_FILE).exists() and not (directory / ARTIFACT_FILE).exists()

    # Work

    def stage(
        self, kind: type[ArtifactT], config: Config, inputs: Mapping[str, str], run: str = "main"
    ) -> Stage[ArtifactT]:
        """Open a stage.

        Args:
            kind: what the stage makes.
            config: what governs it.
            inputs: digest of each input.
            run: name of the training run, for Splat.
        """
        return Stage(self, kind, config, dict(inputs), self.directory(kind, run))
