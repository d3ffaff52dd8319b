"""What a training keeps when it goes wrong, and which checkpoints it goes on from."""

from __future__ import annotations

import json
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from splatlib.artifacts import SparseScene
from splatlib.config import TrainConfig
from splatlib.errors import TrainingError
from splatlib.train import loop as loop_module
from splatlib.train import train_splat
from splatlib.workspace import Workspace

STEPS = 60
CONFIG = TrainConfig(
    device="cpu", max_long_side_px=96, steps=STEPS, max_gaussians=400, sh_degree=1, checkpoint_every_s=0.0
)
STEP = loop_module.Trainer.step


def checkpoint_path(ws: Workspace) -> Path:
    return ws.root / "train" / "main" / "checkpoints" / "checkpoint.pt"


def checkpoint(ws: Workspace) -> dict[str, Any]:
    return torch.load(checkpoint_path(ws), weights_only=True)


def tensors_of(state: Any) -> list[torch.Tensor]:
    """All tensors in nested dictionaries and lists."""
    if isinstance(state, torch.Tensor):
        return [state]
    if isinstance(state, dict):
        state = list(state.values())
    return [tensor for part in state for tensor in tensors_of(part)] if isinstance(state, list | tuple) else []


def assert_sound(ws: Workspace, step: int) -> None:
    saved = checkpoint(ws)["trainer"]
    assert saved["step_index"] == step
    tensors = [*tensors_of(saved["parameters"]), *tensors_of(saved["optimizers"])]
    assert len(tensors) >= 18 and all(tensor.isfinite().all() for tensor in tensors)


def interrupted_at(step: int, monkeypatch: pytest.MonkeyPatch, scene: SparseScene, ws: Workspace) -> None:
    """A training that Ctrl-C stopped after so many steps."""

    def stepping(trainer: loop_module.Trainer) -> torch.Tensor:
        if trainer.step_index == step - 1:
            os.kill(os.getpid(), signal.SIGINT)
        return STEP(trainer)

    with monkeypatch.context() as patch:
        patch.setattr(loop_module.Trainer, "step", stepping)
        with pytest.raises(KeyboardInterrupt):
            train_splat(scene, ws, CONFIG)


def steps_taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    taken: list[int] = []
    monkeypatch.setattr(loop_module.Trainer, "step", lambda self: (taken.append(self.step_index), STEP(self))[1])
    return taken


def poisoned_before(trainer: loop_module.Trainer) -> torch.Tensor:
    """A colour is no number when the step begins: the step's own loss tells."""
    if trainer.step_index == 30:
        trainer.parameters["sh0"].data[0] = float("nan")
    return STEP(trainer)


def poisoned_after(trainer: loop_module.Trainer) -> torch.Tensor:
    """The step's update makes a colour no number, and its loss was still sound."""
    loss = STEP(trainer)
    if trainer.step_index == 30:
        trainer.parameters["sh0"].data[0] = float("nan")
    return loss


def poisoned_moments(trainer: loop_module.Trainer) -> torch.Tensor:
    """A moment of the optimiser is no number; parameters follow with the next step, and the loss with the one after."""
    loss = STEP(trainer)
    if trainer.step_index == 30:
        trainer.optimizers["sh0"].state[trainer.parameters["sh0"]]["exp_avg"][0] = float("nan")
    return loss


@pytest.mark.parametrize(("poison", "last_good"), [(poisoned_before, 30), (poisoned_after, 29), (poisoned_moments, 29)])
def test_a_training_that_diverges_stops_and_keeps_its_last_good_checkpoint(
    poison: Callable[[loop_module.Trainer], torch.Tensor],
    last_good: int,
    scene: SparseScene,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ws = Workspace(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(loop_module.Trainer, "step", poison)
        with pytest.raises(TrainingError, match="the loss became nan") as caught:
            train_splat(scene, ws, CONFIG)
    assert caught.value.why == "the optimisation diverged"
    assert f"the checkpoint of step {last_good} is kept" in caught.value.hint
    assert ws.splat() is None
    assert_sound(ws, last_good)

    taken = steps_taken(monkeypatch)  # and what is kept can be gone on from
    assert train_splat(scene, ws, CONFIG).psnr_db is not None
    assert taken == list(range(last_good, STEPS))


def test_a_training_that_diverges_at_once_has_nothing_to_keep(
    scene: SparseScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def poisoned(trainer: loop_module.Trainer) -> torch.Tensor:
        trainer.parameters["sh0"].data[:] = float("nan")
        return STEP(trainer)

    monkeypatch.setattr(loop_module.Trainer, "step", poisoned)
    with pytest.raises(TrainingError) as caught:
        train_splat(scene, ws := Workspace(tmp_path), CONFIG)
    assert "nothing was saved yet" in caught.value.hint
    assert not checkpoint_path(ws).exists()


def test_a_gaussian_that_is_never_drawn_again_does_not_reach_the_result(
    scene: SparseScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A centre that is no number is skipped by the renderer, so the loss says nothing, and after the last refinement
    nothing removes it any more."""
    counts: list[int] = []

    def poisoned(trainer: loop_module.Trainer) -> torch.Tensor:
        counts.append(trainer.num_gaussians)
        if trainer.step_index == STEPS - 2:
            trainer.parameters["means"].data[0, 0] = float("nan")
        return STEP(trainer)

    monkeypatch.setattr(loop_module.Trainer, "step", poisoned)
    splat = train_splat(scene, ws := Workspace(tmp_path), CONFIG)
    assert splat.num_gaussians == len(splat.gaussians()) == counts[-1] - 1
    assert all(np.isfinite(array).all() for array in vars(splat.gaussians()).values())
    assert splat.warnings == ("1 Gaussian was removed at the end: its values were no numbers any more.",)
    assert_sound(ws, STEPS - 2)


def other_settings(saved: dict[str, Any]) -> None:
    saved["settings"] = json.dumps({**json.loads(saved["settings"]), "ssim_weight": 0.5})


def other_device(saved: dict[str, Any]) -> None:
    saved["renderer"] = "gsplat"


@pytest.mark.parametrize("edit", [other_settings, other_device])
def test_a_checkpoint_of_another_device_or_other_settings_is_begun_anew(
    edit: Callable[[dict[str, Any]], None],
    scene: SparseScene,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    whole = train_splat(scene, Workspace(tmp_path / "whole"), CONFIG)
    interrupted_at(40, monkeypatch, scene, ws := Workspace(tmp_path / "ws"))
    saved = checkpoint(ws)
    edit(saved)
    torch.save(saved, checkpoint_path(ws))

    taken = steps_taken(monkeypatch)
    splat = train_splat(scene, ws, CONFIG)
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert "begun anew" in warning
    assert taken == list(range(STEPS))
    assert splat.ply_path.read_bytes() == whole.ply_path.read_bytes()
    steps = [
        [json.loads(line)["step"] for line in done.metrics_path.read_text().splitlines()] for done in (whole, splat)
    ]
    assert steps[0] == steps[1]


@pytest.mark.parametrize("content", [b"", b"no checkpoint", None], ids=["empty", "something else", "cut off"])
def test_a_damaged_checkpoint_is_begun_anew(
    content: bytes | None,
    scene: SparseScene,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    interrupted_at(40, monkeypatch, scene, ws := Workspace(tmp_path))
    path = checkpoint_path(ws)
    path.write_bytes(path.read_bytes()[:-2000] if content is None else content)

    taken = steps_taken(monkeypatch)
    train_splat(scene, ws, CONFIG)
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert "begun anew" in warning
    assert taken == list(range(STEPS))
