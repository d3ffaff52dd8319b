"""Small made-up artefacts, and stages that finish at once, for tests that are about something else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splatlib.artifacts import (
    Camera,
    CaptureCheck,
    CheckedFrame,
    DroppedFrame,
    ExportBundle,
    ExportedFile,
    Finding,
    Frame,
    FrameLink,
    FrameSet,
    HeldOutView,
    MaskSet,
    SparseScene,
    Splat,
    View,
)
from splatlib.config import CamerasConfig, Config, ExportConfig, FramesConfig, MasksConfig, TrainConfig
from splatlib.files import digest_of, write_atomically
from splatlib.workspace import Workspace


def fake_frames(directory: Path, has_alpha: bool = False) -> FrameSet:
    frame = Frame("000001.jpg", 64, 48, "a.png", 0, timestamp_s=0.5, gps=(48.1, 11.5, None), flags=("exposure_jump",))
    other = Frame("000002.jpg", 64, 48, "b.png", 1, has_alpha=has_alpha)
    dropped = (DroppedFrame("c.png", 2, "blurred", sharpness=0.1),)
    return FrameSet(
        directory=directory,
        capture="bench.mov",
        kind="photos",
        frames=(frame, other),
        dropped=dropped,
        warnings=("dark",),
    )


def fake_masks(directory: Path, backend: str = "alpha") -> MaskSet:
    return MaskSet(directory=directory, backend=backend, names=("000002.jpg",), mean_coverage=0.25)


def fake_check(directory: Path) -> CaptureCheck:
    """Two frames that share points; the second one is dark."""
    frames = (
        CheckedFrame("000001.jpg", "a.png", "places", 80, 400, 0.5, 120.0, 0.0, 0.5, 0.9),
        CheckedFrame("000002.jpg", "b.png", "doubtful", 14, 300, None, 20.0, 0.0, -0.5, 0.4, ("very dark",)),
    )
    finding = Finding("weak", "Frame b.png may not connect with the rest: very dark.", "Film it again.", (0, 1))
    return CaptureCheck(
        directory=directory,
        capture="bench.mov",
        verdict="weak",
        frames=frames,
        links=(FrameLink(0, 1, 80, "moved"),),
        findings=(finding,),
        in_order=True,
        closes=True,
    )


def fake_scene(directory: Path) -> SparseScene:
    cam_from_world = np.eye(4)
    cam_from_world[:3, 3] = (1.0, 2.0, 3.0)
    return SparseScene(
        directory=directory,
        cameras=(Camera(64, 48, 50.0, 51.0, 32.0, 24.0),),
        views=(View("000001.jpg", 0, cam_from_world), View("000002.jpg", 0, np.eye(4), has_mask=True)),
        points_xyz=np.array([[0, 0, 1], [1, 0, 2], [0, 1, 3]], dtype=np.float32),
        points_rgb=np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], dtype=np.uint8),
        point_errors_px=np.array([0.5, 0.6, 0.7], dtype=np.float32),
        point_track_lengths=np.array([2, 2, 2], dtype=np.int32),
        num_frames=2,
        mean_reprojection_error_px=0.6,
        mapper="incremental",
    )


def fake_splat(directory: Path, run: str = "main") -> Splat:
    return Splat(
        directory=directory,
        run=run,
        backend="cpu",
        device="cpu",
        steps=1200,
        num_gaussians=23_456,
        sh_degree=1,
        held_out=(HeldOutView("000001.jpg", 26.0, 0.8), HeldOutView("000009.jpg", 28.0, 0.9, lpips=0.1)),
    )


def fake_exports(directory: Path) -> ExportBundle:
    files = (ExportedFile("ply", "scene.ply", 5_100_000), ExportedFile("spz", "scene.spz", 400_000, "RUB", 24_000, 0.1))
    return ExportBundle(directory=directory, files=files)


class FakeStages:
    """Stages that work through the real workspace but make up their results; it counts the work they do.

    Attributes:
        worked: names of the stages that did work, in order; a reused stage is not among them.
        raising: an exception that a stage raises in the middle of its work, by stage.
        has_alpha: whether the capture has an alpha channel.
    """

    def __init__(self) -> None:
        self.worked: list[str] = []
        self.raising: dict[str, BaseException] = {}
        self.has_alpha = False

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("splatlib.capture.extract_frames", self.extract_frames)
        monkeypatch.setattr("splatlib.masks.mask_frames", self.mask_frames)
        monkeypatch.setattr("splatlib.check.check_capture", self.check_capture)
        monkeypatch.setattr("splatlib.cameras.solve_cameras", self.solve_cameras)
        monkeypatch.setattr("splatlib.train.train_splat", self.train_splat)
        monkeypatch.setattr("splatlib.export.export_splat", self.export_splat)
        monkeypatch.setattr("splatlib.report.write_report", self.write_report)

    def extract_frames(self, capture: str | tuple[str, ...], ws: Workspace, config: FramesConfig) -> FrameSet:
        sources = [capture] if isinstance(capture, str) else capture
        inputs = {"capture": digest_of([Path(source).read_text() for source in sources])}
        return self._stage(FrameSet, ws, config, inputs, lambda directory: fake_frames(directory, self.has_alpha))

    def mask_frames(self, frames: FrameSet, ws: Workspace, config: MasksConfig) -> MaskSet:
        inputs = {"frames": frames.digest}
        return self._stage(MaskSet, ws, config, inputs, lambda directory: fake_masks(directory, config.backend))

    def check_capture(self, frames: FrameSet, ws: Workspace, masks: MaskSet | None = None) -> CaptureCheck:
        inputs = {"frames": frames.digest, **({"masks": masks.digest} if masks else {})}
        return self._stage(CaptureCheck, ws, Config(), inputs, fake_check)

    def solve_cameras(
        self, frames: FrameSet, ws: Workspace, config: CamerasConfig, masks: MaskSet | None = None
    ) -> SparseScene:
        inputs = {"frames": frames.digest, **({"masks": masks.digest} if masks else {})}
        return self._stage(SparseScene, ws, config, inputs, fake_scene)

    def train_splat(self, scene: SparseScene, ws: Workspace, config: TrainConfig, run: str = "main") -> Splat:
        inputs = {"cameras": scene.digest}
        return self._stage(Splat, ws, config, inputs, lambda directory: fake_splat(directory, run), run)

    def export_splat(self, splat: Splat, ws: Workspace, config: ExportConfig) -> ExportBundle:
        return self._stage(ExportBundle, ws, config, {"splat": splat.digest}, fake_exports)

    def write_report(self, ws: Workspace, run: str = "main") -> None:
        self._begin("report")
        write_atomically(ws.report_json_path, "{}")
        write_atomically(ws.report_html_path, "<html></html>")

    def _begin(self, stage: str) -> None:
        self.worked.append(stage)
        if stage in self.raising:
            raise self.raising[stage]

    def _stage(
        self, kind: Any, ws: Workspace, config: Any, inputs: Mapping[str, str], make: Any, run: str = "main"
    ) -> Any:
        stage = ws.stage(kind, config, inputs, run)
        if (artifact := stage.reuse()) is not None:
            return artifact
        with stage.work() as directory:
            self._begin(kind.stage)
            artifact = make(directory)
            if isinstance(artifact, SparseScene):
                artifact.save_arrays()
            return stage.finish(artifact)
