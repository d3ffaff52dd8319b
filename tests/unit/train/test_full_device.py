"""A device that runs out of memory loses Gaussians, not the training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from splatlib.artifacts import SparseScene
from splatlib.config import TrainConfig
from splatlib.errors import TrainingError
from splatlib.train import train_splat
from splatlib.train.loop import Trainer
from splatlib.workspace import Workspace

CONFIG = TrainConfig(device="cpu", steps=150, max_long_side_px=96, max_gaussians=2000, preview_every_steps=0)


def full_above(monkeypatch: pytest.MonkeyPatch, limit: int) -> list[int]:
    """A device that holds only so many Gaussians; returns the steps at which it was full."""
    original, full_at = Trainer.step, []

    def step(self: Trainer) -> torch.Tensor:
        if self.num_gaussians > limit:
            full_at.append(self.step_index)
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has …")
        return original(self)

    monkeypatch.setattr(Trainer, "step", step)
    return full_at


def test_a_full_device_lowers_the_budget_and_says_so(
    scene: SparseScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    full_at = full_above(monkeypatch, 1500)
    splat = train_splat(scene, Workspace(tmp_path), CONFIG)
    assert full_at and splat.steps == 150
    assert splat.num_gaussians <= 1500
    assert len(splat.warnings) == len(full_at)
    assert "The device was full at" in splat.warnings[0]
    assert "CUDA out of memory" in caplog.text
    assert splat.psnr_db is not None and splat.psnr_db > 15


def test_a_device_full_of_something_else_is_an_error(
    scene: SparseScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_above(monkeypatch, 0)
    with pytest.raises(TrainingError, match=r"out of memory with only \d+ Gaussians"):
        train_splat(scene, Workspace(tmp_path), CONFIG)
