"""train_splat on a scene with known truth: it learns, repeats, resumes exactly, and leaves held-out views alone."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest

from splatlib.artifacts import SparseScene
from splatlib.config import TrainConfig
from splatlib.errors import TrainingError
from splatlib.train import loop as loop_module
from splatlib.train import train_splat
from splatlib.train.dataset import split_held_out
from splatlib.workspace import Workspace

STEPS, MAX_GAUSSIANS = 240, 600
CONFIG = TrainConfig(
    device="cpu",  # where a training ends with the same bits however often it is interrupted
    max_long_side_px=96,
    steps=STEPS,
    max_gaussians=MAX_GAUSSIANS,
    sh_degree=1,
    preview_every_steps=80,
    checkpoint_every_s=0.0,
)


def splat_bytes(ws: Workspace, run: str = "main") -> bytes:
    splat = ws.splat(run)
    assert splat is not None
    return splat.ply_path.read_bytes()


def figures(metrics: str) -> list[tuple[int, float | None, float | None]]:
    """Step, loss and PSNR of each line that tells any; events tell how often a training was begun."""
    lines = [json.loads(line) for line in metrics.splitlines()]
    return [(line["step"], line.get("loss"), line.get("psnr_db")) for line in lines if "event" not in line]


def test_it_learns_the_scene(scene: SparseScene, tmp_path: Path) -> None:
    ws = Workspace(tmp_path)
    splat = train_splat(scene, ws, CONFIG)
    assert splat.psnr_db is not None and splat.psnr_db > 24
    assert splat.ssim is not None and splat.ssim > 0.8
    assert 200 < splat.num_gaussians <= MAX_GAUSSIANS
    assert len(splat.gaussians()) == splat.num_gaussians
    assert [view.name for view in splat.held_out] == ["000001.png", "000009.png", "000017.png"]
    lines = [json.loads(line) for line in splat.metrics_path.read_text().splitlines()]
    psnr = [line["psnr_db"] for line in lines if "psnr_db" in line]
    assert psnr[-1] > psnr[0] + 1
    assert lines[-1]["step"] == STEPS
    assert len(list((splat.directory / "previews").iterdir())) == 3
    for view in splat.held_out:
        assert all(path.exists() for path in splat.held_out_paths(view))


def test_the_same_seed_gives_the_same_bytes(scene: SparseScene, tmp_path: Path) -> None:
    config = TrainConfig(**{**CONFIG.to_dict(), "steps": 60, "background": "random"})
    for run in ("one", "two"):
        train_splat(scene, Workspace(tmp_path), config, run=run)
    ws = Workspace(tmp_path)
    assert splat_bytes(ws, "one") == splat_bytes(ws, "two")
    other = TrainConfig(**{**config.to_dict(), "seed": 1})
    train_splat(scene, ws, other, run="three")
    assert splat_bytes(ws, "three") != splat_bytes(ws, "one")


@pytest.mark.parametrize("strategy", ["budget", "default"])
@pytest.mark.parametrize("stop_after", [1, 101, 150])
def test_an_interrupted_training_ends_with_the_same_bytes(
    scene: SparseScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int, strategy: str
) -> None:
    config = TrainConfig(**{**CONFIG.to_dict(), "steps": 170, "strategy": strategy, "background": "random"})
    train_splat(scene, whole := Workspace(tmp_path / "whole"), config)

    original = loop_module.Trainer.step

    def step_that_is_interrupted(self: loop_module.Trainer):
        if self.step_index == stop_after - 1:
            os.kill(os.getpid(), signal.SIGINT)  # Ctrl-C in the middle of a step
        return original(self)

    interrupted = Workspace(tmp_path / "interrupted")
    with monkeypatch.context() as patch:
        patch.setattr(loop_module.Trainer, "step", step_that_is_interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_splat(scene, interrupted, config)
    assert interrupted.splat() is None

    resumed_at: list[int] = []
    monkeypatch.setattr(
        loop_module.Trainer, "step", lambda self: (resumed_at.append(self.step_index), original(self))[1]
    )
    train_splat(scene, interrupted, config)
    assert resumed_at[0] == stop_after
    assert len(resumed_at) == 170 - stop_after
    assert splat_bytes(interrupted) == splat_bytes(whole)
    splats = [ws.splat() for ws in (whole, interrupted)]
    assert splats[0] and splats[1]
    first, second = (figures(splat.metrics_path.read_text()) for splat in splats if splat)
    assert first == second


def test_a_finished_training_is_reused_and_a_changed_one_is_not(scene: SparseScene, tmp_path: Path) -> None:
    ws = Workspace(tmp_path)
    config = TrainConfig(**{**CONFIG.to_dict(), "steps": 20})
    first = train_splat(scene, ws, config)
    written_ns = first.ply_path.stat().st_mtime_ns
    again = train_splat(scene, ws, TrainConfig(**{**config.to_dict(), "checkpoint_every_s": 7.0}))
    assert again.digest == first.digest and again.ply_path.stat().st_mtime_ns == written_ns
    changed = train_splat(scene, ws, TrainConfig(**{**config.to_dict(), "steps": 21}))
    assert changed.steps == 21 and changed.digest != first.digest


def test_held_out_views_do_not_enter_the_training(scene: SparseScene, tmp_path: Path) -> None:
    """The held-out pictures are blackened: the splat stays bit for bit the same, only its score changes."""
    config = TrainConfig(**{**CONFIG.to_dict(), "steps": 40})
    plain = train_splat(scene, Workspace(tmp_path / "plain"), config)
    shutil.copytree(scene.directory, tmp_path / "scene")
    changed = dataclasses.replace(scene, directory=tmp_path / "scene")
    for view in split_held_out(scene.views, 8)[1]:
        cv2.imwrite(str(changed.image_path(view)), np.zeros((72, 96, 3), np.uint8))
    blackened = train_splat(changed, Workspace(tmp_path / "blackened"), config)
    assert blackened.ply_path.read_bytes() == plain.ply_path.read_bytes()
    assert blackened.psnr_db != plain.psnr_db


def test_masked_pixels_teach_nothing(masked_scene: SparseScene, tmp_path: Path) -> None:
    """A third of each picture is noise under a mask; what is outside the mask is learned as if it were not there."""
    splat = train_splat(masked_scene, Workspace(tmp_path), CONFIG)
    assert splat.psnr_db is not None and splat.psnr_db > 23


def test_too_few_views_say_so(scene: SparseScene, tmp_path: Path) -> None:
    two = dataclasses.replace(scene, views=scene.views[:2])
    with pytest.raises(TrainingError, match="2 views leave 1 to train on"):
        train_splat(two, Workspace(tmp_path), CONFIG)


def test_a_held_out_view_under_a_full_mask_is_left_out_of_the_score(masked_scene: SparseScene, tmp_path: Path) -> None:
    shutil.copytree(masked_scene.directory, tmp_path / "scene")
    mask = tmp_path / "scene" / "undistorted" / "masks" / "000009.png.png"
    cv2.imwrite(str(mask), np.zeros((72, 96), np.uint8))
    hidden = dataclasses.replace(masked_scene, directory=tmp_path / "scene")
    splat = train_splat(hidden, Workspace(tmp_path / "ws"), TrainConfig(**{**CONFIG.to_dict(), "steps": 20}))
    assert [view.name for view in splat.held_out] == ["000001.png", "000017.png"]
    assert splat.psnr_db is not None and np.isfinite(splat.psnr_db)
    assert "000009.png" in splat.warnings[0]
