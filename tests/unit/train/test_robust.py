"""Passers-by are left out of the loss, details are not; and all corrections survive an interruption."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from splatlib.artifacts import SparseScene
from splatlib.config import TrainConfig
from splatlib.train import loop as loop_module
from splatlib.train import train_splat
from splatlib.train.dataset import split_held_out
from splatlib.train.robust import INLIER_QUANTILE, MIN_OUTLIER_ERROR, WARM_UP_SHARE, RobustLoss, inlier_mask
from splatlib.workspace import Workspace

CPU = torch.device("cpu")
CONFIG: dict[str, Any] = {"device": "cpu", "max_long_side_px": 96, "max_gaussians": 600, "sh_degree": 1}
THRESHOLD = torch.tensor(0.2)


def small_errors(height: int = 60, width: int = 83) -> torch.Tensor:
    """[1, H, W] up to 0.1, in a size that no patch divides."""
    return 0.1 * torch.rand(1, height, width, generator=torch.Generator().manual_seed(0))


def test_a_large_square_is_left_out_and_all_else_kept() -> None:
    error = small_errors()
    error[:, 16:48, 16:48] = 0.6
    inliers = inlier_mask(error, THRESHOLD)
    assert inliers.shape == error.shape
    assert (inliers[:, 20:44, 20:44] == 0).all()
    inliers[:, 16:48, 16:48] = 1
    assert (inliers == 1).all()


def test_single_pixels_and_thin_lines_are_kept() -> None:
    error = small_errors()
    error[:, 5, 7] = error[:, 30] = error[:, :, 40] = 0.6
    assert (inlier_mask(error, THRESHOLD) == 1).all()


def test_masked_pixels_have_no_vote() -> None:
    """Half of a passer-by lies under the mask: what is left of it is judged by what is left of its surroundings."""
    error = small_errors()
    mask = torch.ones_like(error)
    mask[:, :, 24:] = 0
    error[:, :, 18:24] = 0.6
    assert (inlier_mask(error * mask, THRESHOLD, mask)[:, :, 18:24] == 0).all()
    assert (inlier_mask(error * mask, THRESHOLD)[:, :, 18:24] == 1).all()  # without the mask its zeros would vote


def test_no_small_error_is_an_outlier() -> None:
    assert (inlier_mask(torch.full((1, 40, 40), 0.9 * MIN_OUTLIER_ERROR), torch.tensor(0.0)) == 1).all()
    assert (inlier_mask(torch.full((1, 40, 40), 1.1 * MIN_OUTLIER_ERROR), torch.tensor(0.0)) == 0).all()


def test_the_threshold_is_the_running_quantile_of_unmasked_errors() -> None:
    robust = RobustLoss(100, CPU)
    error = torch.rand(2, 300, 200, generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(error)
    mask[:, :150], error[:, :150] = 0, 0.0
    robust.weights(error, mask, 0)
    assert float(robust.state()["threshold"]) == pytest.approx(INLIER_QUANTILE, abs=0.02)
    before = robust.state()["threshold"]
    robust.weights(error, torch.zeros_like(error), 1)  # masked from edge to edge
    assert torch.equal(robust.state()["threshold"], before)
    for step in range(100):
        robust.weights(0.5 * error, mask, step)
    assert float(robust.state()["threshold"]) == pytest.approx(0.5 * INLIER_QUANTILE, abs=0.02)


def test_nothing_is_left_out_during_the_warm_up() -> None:
    robust = RobustLoss(100, CPU)
    error, mask = small_errors(), torch.ones(1, 60, 83)
    error[:, 16:40, 16:40] = 0.6
    for step in range(round(100 * WARM_UP_SHARE)):
        assert robust.weights(error, None, step) is None
        assert robust.weights(error, mask, step) is mask
    mask[:, :8] = 0
    weights = robust.weights(error, mask, round(100 * WARM_UP_SHARE))
    assert weights is not None
    assert (weights[:, 20:36, 20:36] == 0).all() and (weights[:, :8] == 0).all() and (weights[:, 48:] == 1).all()


@pytest.fixture(scope="module")
def crowded_scene(scene: SparseScene, tmp_path_factory: pytest.TempPathFactory) -> SparseScene:
    """An opaque square of one random colour in every third training picture, each somewhere else."""
    directory = tmp_path_factory.mktemp("crowded") / "scene"
    shutil.copytree(scene.directory, directory)
    changed = dataclasses.replace(scene, directory=directory)
    rng = np.random.default_rng(0)
    for view in split_held_out(scene.views, 8)[0][::3]:
        image = cv2.imread(str(changed.image_path(view)))
        assert image is not None
        y, x = rng.integers(0, 72 - 40), rng.integers(0, 96 - 40)
        image[y : y + 40, x : x + 40] = rng.integers(0, 256, 3)
        cv2.imwrite(str(changed.image_path(view)), image)
    return changed


def psnr_db(of: SparseScene, directory: Path, run: str, robust: bool) -> float:
    psnr = train_splat(of, Workspace(directory), TrainConfig(**CONFIG, steps=500, robust=robust), run=run).psnr_db
    assert psnr is not None
    return psnr


def test_it_helps_where_something_passed_by(crowded_scene: SparseScene, tmp_path: Path) -> None:
    plain = psnr_db(crowded_scene, tmp_path, "plain", False)
    assert psnr_db(crowded_scene, tmp_path, "robust", True) > plain + 0.3


def test_it_costs_little_where_nothing_passed_by(scene: SparseScene, tmp_path: Path) -> None:
    plain = psnr_db(scene, tmp_path, "clean", False)
    assert psnr_db(scene, tmp_path, "clean-robust", True) > plain - 0.2


@pytest.mark.parametrize("corrections", [{"appearance": "affine", "robust": True}, {"appearance": "bilateral"}])
def test_an_interrupted_training_with_corrections_ends_with_the_same_bytes(
    crowded_scene: SparseScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, corrections: dict[str, Any]
) -> None:
    config = TrainConfig(**CONFIG, steps=60, checkpoint_every_s=0.0, **corrections)
    whole = train_splat(crowded_scene, Workspace(tmp_path / "whole"), config)
    interrupted, original = Workspace(tmp_path / "interrupted"), loop_module.Trainer.step

    def step_that_is_interrupted(self: loop_module.Trainer) -> torch.Tensor:
        if self.step_index == 37:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self)

    with monkeypatch.context() as patch:
        patch.setattr(loop_module.Trainer, "step", step_that_is_interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_splat(crowded_scene, interrupted, config)
    resumed = train_splat(crowded_scene, interrupted, config)
    assert resumed.ply_path.read_bytes() == whole.ply_path.read_bytes()
    plain = train_splat(crowded_scene, Workspace(tmp_path / "plain"), TrainConfig(**CONFIG, steps=60))
    assert plain.ply_path.read_bytes() != whole.ply_path.read_bytes()
