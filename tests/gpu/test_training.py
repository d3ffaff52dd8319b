"""train_splat on a GPU: as good as on the CPU, and resumed where it was interrupted."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
import torch

from splatlib.artifacts import SparseScene, Splat
from splatlib.config import TrainConfig
from splatlib.errors import TrainingError
from splatlib.train import loop as loop_module
from splatlib.train import train_splat
from splatlib.workspace import Workspace

pytestmark = pytest.mark.gpu

STEPS, MAX_GAUSSIANS = 240, 600
SETTINGS = {
    "max_long_side_px": 96,
    "steps": STEPS,
    "max_gaussians": MAX_GAUSSIANS,
    "sh_degree": 1,
    "preview_every_steps": 80,
    "checkpoint_every_s": 1e6,
}
CONFIG = TrainConfig.from_dict({**SETTINGS, "device": "cuda"})
STEP = loop_module.Trainer.step


@pytest.mark.parametrize("masked", [False, True])
def test_it_learns_as_much_as_on_the_cpu(
    masked: bool, scene: SparseScene, masked_scene: SparseScene, tmp_path: Path
) -> None:
    chosen = masked_scene if masked else scene
    on_gpu = train_splat(chosen, Workspace(tmp_path / "gpu"), CONFIG)
    on_cpu = train_splat(chosen, Workspace(tmp_path / "cpu"), TrainConfig.from_dict({**SETTINGS, "device": "cpu"}))
    assert (on_gpu.backend, on_cpu.backend) == ("gsplat", "splatlib-cpu")
    assert on_gpu.psnr_db is not None and on_cpu.psnr_db is not None
    assert on_gpu.psnr_db > on_cpu.psnr_db - 1
    assert 200 < on_gpu.num_gaussians <= MAX_GAUSSIANS
    assert len(on_gpu.gaussians()) == on_gpu.num_gaussians
    lines = [json.loads(line) for line in on_gpu.metrics_path.read_text().splitlines()]
    psnr = [line["psnr_db"] for line in lines if "psnr_db" in line]
    assert len(psnr) == STEPS // 80 and psnr[-1] > psnr[0]
    assert psnr[-1] == pytest.approx(on_gpu.psnr_db, abs=0.1)  # measured on the device, and again on the CPU


def test_auto_takes_the_gpu(scene: SparseScene, tmp_path: Path) -> None:
    config = TrainConfig.from_dict({**SETTINGS, "steps": 10})
    splat = train_splat(scene, Workspace(tmp_path), config)
    assert config.device == "auto" and splat.backend == "gsplat" and splat.device.startswith("cuda")


@pytest.mark.parametrize("strategy", ["budget", "default", "mcmc"])
@pytest.mark.parametrize("stop_after", [101, 150])
def test_an_interrupted_training_goes_on_at_its_step(
    strategy: str, stop_after: int, scene: SparseScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not to the last bit: the kernels add up in any order, and what is split depends on the last bit."""
    config = TrainConfig.from_dict({**CONFIG.to_dict(), "strategy": strategy, "background": "random"})
    whole = train_splat(scene, Workspace(tmp_path / "whole"), config)

    def interrupted(trainer: loop_module.Trainer) -> torch.Tensor:
        if trainer.step_index == stop_after - 1:
            os.kill(os.getpid(), signal.SIGINT)
        return STEP(trainer)

    ws = Workspace(tmp_path / "interrupted")
    with monkeypatch.context() as patch:
        patch.setattr(loop_module.Trainer, "step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_splat(scene, ws, config)
    path = ws.root / "train" / "main" / "checkpoints" / "checkpoint.pt"
    saved = torch.load(path, weights_only=True, map_location="cpu")["trainer"]
    assert saved["step_index"] == stop_after

    resumed_at: list[int] = []
    restored: list[bool] = []

    def noted(trainer: loop_module.Trainer) -> torch.Tensor:
        if not resumed_at:
            now = {name: tensor.detach().cpu() for name, tensor in trainer.parameters.items()}
            restored.append(all(torch.equal(now[name], saved["parameters"][name]) for name in now))
        resumed_at.append(trainer.step_index)
        return STEP(trainer)

    monkeypatch.setattr(loop_module.Trainer, "step", noted)
    splat = train_splat(scene, ws, config)
    assert resumed_at == list(range(stop_after, STEPS)) and restored == [True]
    assert splat.psnr_db is not None and whole.psnr_db is not None
    assert splat.psnr_db == pytest.approx(whole.psnr_db, abs=2.0)
    assert steps_with_figures(splat) == steps_with_figures(whole)


def steps_with_figures(splat: Splat) -> list[int]:
    """Told of the training; an interrupted one has events beside them."""
    lines = [json.loads(line) for line in splat.metrics_path.read_text().splitlines()]
    return [line["step"] for line in lines if "event" not in line]


def test_a_checkpoint_of_the_cpu_is_begun_anew(
    scene: SparseScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With device auto, one machine may go on with what another one began."""
    config = TrainConfig.from_dict({**SETTINGS, "steps": 60})
    monkeypatch.setattr("splatlib.render.device.cuda_obstacle", _no_gpu)
    with monkeypatch.context() as patch:

        def interrupted(trainer: loop_module.Trainer) -> torch.Tensor:
            if trainer.step_index == 29:
                os.kill(os.getpid(), signal.SIGINT)
            return STEP(trainer)

        patch.setattr(loop_module.Trainer, "step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_splat(scene, Workspace(tmp_path), config)
    monkeypatch.undo()
    splat = train_splat(scene, Workspace(tmp_path), config)
    assert splat.backend == "gsplat" and splat.steps == 60
    assert "the checkpoint is of splatlib-cpu, begun anew on cuda" in caplog.text


def _no_gpu() -> object:
    from splatlib.errors import NoGpuError
    from splatlib.render.device import Obstacle

    return Obstacle(NoGpuError, "there is no CUDA device here", "a test says so", "use device cpu")


def test_a_training_that_diverges_stops(scene: SparseScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for the GPU at each step, so it is found out a while later, and nothing bad is saved meanwhile."""

    def poisoned(trainer: loop_module.Trainer) -> torch.Tensor:
        if trainer.step_index == 120:
            trainer.parameters["sh0"].data.fill_(float("nan"))
        return STEP(trainer)

    monkeypatch.setattr(loop_module.Trainer, "step", poisoned)
    config = TrainConfig.from_dict({**CONFIG.to_dict(), "checkpoint_every_s": 0.0})
    with pytest.raises(TrainingError, match="the loss became nan"):
        train_splat(scene, ws := Workspace(tmp_path), config)
    path = ws.root / "train" / "main" / "checkpoints" / "checkpoint.pt"
    saved = torch.load(path, weights_only=True, map_location="cpu")["trainer"]
    assert saved["step_index"] == 120
    assert all(tensor.isfinite().all() for tensor in saved["parameters"].values())
