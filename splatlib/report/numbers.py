"""What a run came to, as the JSON document that programs read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

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
from splatlib.errors import ArtifactError
from splatlib.workspace import Workspace

SCHEMA = 1


@dataclass(frozen=True)
class Run:
    """The artefacts of one training run and of the stages before and after it.

    Attributes:
        masks, check, exports: None where that stage was not run.
        configs: of each stage, as its artefact records it.
        versions: of the libraries that trained the splat.
    """

    ws: Workspace
    name: str
    frames: FrameSet
    masks: MaskSet | None
    check: CaptureCheck | None
    scene: SparseScene
    splat: Splat
    exports: ExportBundle | None
    configs: dict[str, dict[str, Any]]
    versions: dict[str, str]

    @classmethod
    def load(cls, ws: Workspace, name: str) -> Run:
        """Raises ArtifactError if frames, cameras or the splat are missing."""
        frames = FrameSet.load(ws.directory(FrameSet))
        scene = SparseScene.load(ws.directory(SparseScene))
        splat = Splat.load(ws.directory(Splat, name))
        masks, check, exports = ws.masks, ws.check, ws.exports
        records = {a.stage: _record(a) for a in (frames, masks, check, scene, splat, exports) if a is not None}
        if exports is not None and records["export"]["inputs"].get("splat") != splat.digest:
            exports = None  # of another training run
            del records["export"]
        if masks is not None and records["cameras"]["inputs"].get("masks") != masks.digest:
            masks = None  # made, but these cameras were solved without them
            del records["masks"]
        if check is not None and records["check"]["inputs"].get("frames") != frames.digest:
            check = None  # of other frames
            del records["check"]
        configs = {stage: record["config"] for stage, record in records.items()}
        configs["train"] = splat.settings or configs["train"]  # with the preset's values
        return cls(ws, name, frames, masks, check, scene, splat, exports, configs, records["train"]["versions"])

    @property
    def artifacts(self) -> list[Artifact]:
        """In the order they were made."""
        every = (self.frames, self.masks, self.check, self.scene, self.splat, self.exports)
        return [artifact for artifact in every if artifact is not None]

    @property
    def warnings(self) -> list[tuple[str, str]]:
        """Pairs of stage and warning."""
        return [(a.stage, warning) for a in self.artifacts for warning in getattr(a, "warnings", ())]


def report_document(run: Run) -> dict[str, Any]:
    """``report.json``, schema 1. Metrics are means over held-out views, null where there are none."""
    frames, scene, splat = run.frames, run.scene, run.splat
    seconds = {artifact.stage: round(artifact.seconds, 3) for artifact in run.artifacts}
    files = run.exports.files if run.exports else ()
    directory = run.exports.directory.relative_to(run.ws.root) if run.exports else None
    return {
        "schema": SCHEMA,
        "capture": frames.capture,
        "frames": {"total": len(frames.frames) + len(frames.dropped), "kept": len(frames.frames)},
        "masks": _masks(run.masks),
        "cameras": {
            "registered": len(scene.views),
            "total": scene.num_frames,
            "points": len(scene.points_xyz),
            "mean_reprojection_error_px": scene.mean_reprojection_error_px,
        },
        "train": {
            "backend": splat.backend,
            "device": splat.device,
            "steps": splat.steps,
            "num_gaussians": splat.num_gaussians,
            "psnr_db": splat.psnr_db,
            "ssim": splat.ssim,
            "lpips": splat.lpips,
        },
        "export": {file.format: {"path": f"{directory}/{file.name}", "bytes": file.bytes} for file in files},
        "seconds": {**seconds, "total": round(sum(seconds.values()), 3)},
        "cost_usd": (cost_of(run.ws) or {}).get("cost_usd"),
        "versions": run.versions,
    }


def cost_of(ws: Workspace) -> dict[str, Any] | None:
    """What a job elsewhere was billed; None where all was done here. Raises ArtifactError."""
    if not ws.cost_path.exists():
        return None
    try:
        return dict(json.loads(ws.cost_path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise ArtifactError(f"{ws.cost_path} is damaged", hint="delete it, or fetch the job again") from error


def _masks(masks: MaskSet | None) -> dict[str, Any] | None:
    """``mean_iou`` and ``min_iou`` are null where the frames have no alpha channel to compare with."""
    if masks is None:
        return None
    return {
        "backend": masks.backend,
        "masks": len(masks.names),
        "mean_coverage": masks.mean_coverage,
        "mean_iou": masks.mean_iou,
        "min_iou": masks.min_iou,
    }


def _record(artifact: Artifact) -> dict[str, Any]:
    """What the workspace noted beside an artefact: config, inputs, versions. Raises ArtifactError."""
    path = artifact.directory / ARTIFACT_FILE
    try:
        document = json.loads(path.read_text())
        return {key: document[key] for key in ("config", "inputs", "versions")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path} is damaged", why=f"{type(error).__name__}: {error}") from error
