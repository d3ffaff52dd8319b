"""The whole way from a capture to a report: ``reconstruct`` calls the stage functions, nothing else can."""

from __future__ import annotations

import base64
import contextlib
import gc
import os
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from splatlib.artifacts import CaptureCheck, ExportBundle, FrameSet, MaskSet, SparseScene, Splat
from splatlib.config import Job, MasksConfig
from splatlib.errors import ConfigError
from splatlib.progress import logger
from splatlib.s3 import is_s3_url
from splatlib.widgets.display import describe
from splatlib.workspace import Workspace


@dataclass(frozen=True)
class Reconstruction:
    """Everything a finished job left in its workspace.

    Attributes:
        masks: None where no frame has one.
        report_html, report_json: the report for people and for programs.
        check: what was foretold before the cameras were solved; None where their poses were given.
    """

    frames: FrameSet
    masks: MaskSet | None
    scene: SparseScene
    splat: Splat
    exports: ExportBundle
    report_html: Path
    report_json: Path
    check: CaptureCheck | None = None

    def __str__(self) -> str:
        artifacts = (self.frames, self.masks, self.check, self.scene, self.splat, self.exports)
        lines = [describe(artifact) for artifact in artifacts if artifact is not None]
        return "\n".join([*lines, f"report: {self.report_html}"])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """The summary, and the splat's own picture."""
        picture = self.splat._repr_mimebundle_().get("image/png", b"")
        encoded = base64.b64encode(picture).decode()
        return {
            "text/plain": str(self),
            "text/html": f'<pre>{escape(str(self))}</pre><img src="data:image/png;base64,{encoded}">',
        }


def reconstruct(job: Job, ws: Workspace | str | Path) -> Reconstruction:
    """Run a job in a workspace, reusing every stage that is done and unchanged.

    ``job.json`` is saved first, so that an interrupted run can be resumed from the workspace alone.

    Args:
        job: what to do.
        ws: where; a path makes or opens a workspace.

    Raises:
        SplatlibError: of the stage that failed. Finished stages are kept.
    """
    # Stage modules load here and not at the top: the command line answers --help and schema without them.
    from splatlib.cameras import solve_cameras
    from splatlib.export import export_splat
    from splatlib.render.device import choose_device
    from splatlib.report import write_report
    from splatlib.train import train_splat

    job = job.with_places(_absolute)
    ws = ws if isinstance(ws, Workspace) else Workspace(ws)
    if job.train.device == "cuda" and ws.splat(job.run) is None:
        choose_device("cuda")  # a GPU that is not there is told now, not after an hour of structure from motion
    if job.train.backend != "splatlib" and ws.splat(job.run) is None:
        _require_other_trainer(job)
    ws.save_job(job)
    logger.info("reconstructing %s in %s", ", ".join(job.sources), ws.root)

    frames, masks, check = _look_ahead(job, ws)
    scene = solve_cameras(frames, ws, job.cameras, masks=masks)
    gc.collect()  # pictures and matches of structure from motion, before training asks for its own
    splat = train_splat(scene, ws, job.train, run=job.run)
    gc.collect()
    exports = export_splat(splat, ws, job.export)
    write_report(ws, run=job.run)

    result = Reconstruction(frames, masks, scene, splat, exports, ws.report_html_path, ws.report_json_path, check)
    logger.info("report: %s", result.report_html)
    return result


def _require_other_trainer(job: Job) -> None:
    """Raises SplatlibError before any work: it makes no splat, lacks a setting, its environment, or a GPU."""
    from splatlib.train.external.stage import require_ready

    if job.train.backend == "nerfacto":
        raise ConfigError(
            "train.backend nerfacto makes a mesh, and a reconstruction delivers a splat",
            hint="reconstruct with another backend, then call train_splat(scene, ws, TrainConfig(backend='nerfacto'))",
        )
    require_ready(job.train)


def check(job: Job, ws: Workspace | str | Path) -> CaptureCheck:
    """The stages before the expensive ones: frames, masks, and what will come of them.

    ``reconstruct`` with the same job and workspace reuses all of it. The poses that ``job.cameras.priors`` may name do
    not count here. Raises SplatlibError of the stage that failed.
    """
    from splatlib.check import check_capture

    job = job.with_places(_absolute)
    ws = ws if isinstance(ws, Workspace) else Workspace(ws)
    if not ws.job_path.exists():
        ws.save_job(job)  # so that `splat resume` goes on from here; what a run asked for is not replaced
    frames, masks, checked = _look_ahead(job, ws)
    return checked or check_capture(frames, ws, masks)


def _look_ahead(job: Job, ws: Workspace) -> tuple[FrameSet, MaskSet | None, CaptureCheck | None]:
    """Frames, masks, and the capture check, which only warns. With known poses no frame has to find its place."""
    from splatlib.capture import extract_frames
    from splatlib.check import check_capture
    from splatlib.masks import mask_frames

    frames = extract_frames(job.capture, ws, job.frames)
    masks_config = job.masks or _masks_of_capture(frames)
    masks = mask_frames(frames, ws, masks_config) if masks_config else None
    return frames, masks, check_capture(frames, ws, masks) if job.cameras.priors is None else None


@contextlib.contextmanager
def together() -> Iterator[bool]:
    """Around the work of one command: whether this process is the one to do it.

    Under ``torchrun`` every process but the first only trains along when the first one calls, and leaves with it.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield True
        return
    from splatlib.train import distributed

    if distributed.rank() > 0:
        distributed.serve()
        yield False
        return
    distributed.join()
    try:
        yield True
    finally:
        distributed.dismiss()


def _masks_of_capture(frames: FrameSet) -> MasksConfig | None:
    """A capture with an alpha channel brings its own masks; without one every pixel counts."""
    return MasksConfig(backend="alpha") if any(frame.has_alpha for frame in frames.frames) else None


def _absolute(place: str) -> str:
    """A path from the root, so that it holds when the job is resumed from elsewhere; what lies in S3 stays."""
    return place if is_s3_url(place) else str(Path(place).expanduser().absolute())
