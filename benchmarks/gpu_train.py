"""Training on a GPU: seconds, held-out quality, memory, and where a step's time goes.

    python -m benchmarks.gpu_train [--scene DIR ...] [--presets preview,balanced,high,reference] [--seeds 3]
                                   [--profile balanced] [--out FILE]
    torchrun --nproc-per-node 2 -m benchmarks.gpu_train ...

``--scene`` is a COLMAP dataset (``sparse/0`` and ``images``) or the ``cameras`` folder of a workspace; every 8th
picture is held out. The clock runs from decoded pictures to the last step; start-up, decoding and evaluation are
outside, as for the peers in ``shared/benchmarks/peers.json``. A short training before the first one compiles the
kernels. Rows go to ``results/gpu_train.json``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.common import RESULTS, ROOT, append_row, commit
from splatlib.artifacts import SparseScene
from splatlib.config import TrainConfig
from splatlib.render import create_renderer
from splatlib.render.protocol import Renderer
from splatlib.train import distributed
from splatlib.train.dataset import ViewPyramid, split_held_out
from splatlib.train.evaluation import HeldOut
from splatlib.train.loop import Trainer
from splatlib.train.stage import create_trainer

FOX = ROOT.parent / "shared" / "benchmarks" / "fox_colmap"
HELD_OUT_EVERY = 8
PROFILED_STEPS = 50
# Which part of a step a kernel belongs to, by what its name holds; the first that fits.
PARTS = (
    ("rasterize, backward", ("rasterize_to_pixels_3dgs_bwd",)),
    ("rasterize", ("rasterize_to_pixels_3dgs_fwd",)),
    ("project", ("projection_",)),
    ("colours", ("spherical_harmonics",)),
    ("tiles and sorting", ("intersect", "radix", "Radix", "Scan", "scan")),
    ("loss", ("_down", "_across")),
    ("Adam", ("adam",)),
)


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--scene", type=Path, nargs="+", default=[FOX])
    arguments.add_argument("--presets", default="preview,balanced,high,reference")
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--set", nargs="*", default=[], help="FIELD=VALUE of TrainConfig")
    arguments.add_argument("--profile", default="", help="presets whose steps are taken apart")
    arguments.add_argument("--commit", default=None, help="where the checkout has no git")
    arguments.add_argument("--out", type=Path, default=RESULTS / "gpu_train.json")
    options = arguments.parse_args()
    changes = {name: json.loads(value) for name, value in (text.split("=", 1) for text in options.set)}
    stamp = {"commit": options.commit or commit()}
    if distributed.rank() > 0:
        distributed.serve()
        return
    if distributed.world_size() > 1:
        distributed.join()
    renderer = create_renderer("cuda")
    for folder in options.scene:
        scene = load(folder)
        warm_up(scene, renderer)
        for preset in options.presets.split(","):
            # The published schedule is slow and its spread known: once is enough.
            for seed in range(1 if preset == "reference" else options.seeds):
                config = TrainConfig(preset=preset, seed=seed, **changes)
                profiled = preset in options.profile.split(",") and seed == 0
                row = measure(scene, folder.name, config, renderer, profiled)
                print(json.dumps(append_row(options.out, {**row, "changes": changes, **stamp})), flush=True)
    distributed.dismiss()


def load(folder: Path) -> SparseScene:
    if (folder / "artifact.json").exists():
        return SparseScene.load(folder)
    from splatlib.cameras import load_colmap

    return load_colmap(folder / "sparse" / "0", folder / "images")


def warm_up(scene: SparseScene, renderer: Renderer) -> None:
    """Every resolution and number of views once, so that compiling kernels is outside the clock."""
    trainer = make(scene, TrainConfig(preset="preview", steps=100), renderer)[0]
    (train_together if distributed.world_size() > 1 else train)(scene, trainer)


def make(scene: SparseScene, config: TrainConfig, renderer: Renderer) -> tuple[Trainer, HeldOut]:
    settings = config.resolved(renderer.device.type)
    train_views, held_out_views = split_held_out(scene.views, HELD_OUT_EVERY)
    finest = ViewPyramid(scene, held_out_views, [settings.max_long_side_px], renderer)
    return create_trainer(scene, train_views, settings, renderer), HeldOut(finest.levels[settings.max_long_side_px])


def measure(scene: SparseScene, name: str, config: TrainConfig, renderer: Renderer, profiled: bool) -> dict[str, Any]:
    """One training."""
    trainer, held_out = make(scene, config, renderer)
    trainer, seconds, peak_gib = (train_together if distributed.world_size() > 1 else train)(scene, trainer)
    with tempfile.TemporaryDirectory() as folder:
        results = held_out.measure(trainer, Path(folder))
    return {
        "scene": name,
        "views": len(scene.views),
        "preset": config.preset,
        "seed": config.seed,
        "seconds": round(seconds, 2),
        "steps": trainer.step_index,
        "psnr_db": round(float(np.mean([result.psnr_db for result in results])), 3),
        "ssim": round(float(np.mean([result.ssim for result in results])), 4),
        "num_gaussians": trainer.num_gaussians,
        "peak_gpu_gib": round(peak_gib, 3),
        "device": torch.cuda.get_device_name(),
        "gpus": distributed.world_size(),
        "command": "python -m benchmarks.gpu_train",
        **({"step": take_apart(scene, config, renderer)} if profiled else {}),
    }


def train(scene: SparseScene, trainer: Trainer) -> tuple[Trainer, float, float]:
    """The finished training, its seconds, and the most memory it held, GiB."""
    torch.cuda.reset_peak_memory_stats()
    torch.cuda.synchronize()
    started_s = time.perf_counter()
    while not trainer.done:
        trainer.step()
    torch.cuda.synchronize()
    return trainer, time.perf_counter() - started_s, torch.cuda.max_memory_allocated() / 2**30


def train_together(scene: SparseScene, trainer: Trainer) -> tuple[Trainer, float, float]:
    """The same on the GPUs of all processes; memory is the first one's."""
    views = tuple(split_held_out(scene.views, HELD_OUT_EVERY)[0])
    task = distributed.Task(scene, views, trainer.schedule, trainer.gaussians())
    trained = distributed.train_together(task)
    whole = Trainer(trainer.config, trainer.schedule, trainer.renderer, trainer.views, trained.gaussians)
    whole.step_index = trained.steps
    return whole, trained.seconds, trained.peak_gpu_gib


def take_apart(scene: SparseScene, config: TrainConfig, renderer: Renderer) -> dict[str, Any]:
    """Milliseconds of a step late in the training by part, and how busy the GPU is; profiling slows the host."""
    trainer = make(scene, config, renderer)[0]
    late = max(0, int(0.8 * trainer.config.steps) - PROFILED_STEPS)
    while trainer.step_index < late:
        trainer.step()
    torch.cuda.synchronize()
    started_s = time.perf_counter()
    for _ in range(PROFILED_STEPS):
        trainer.step()
    torch.cuda.synchronize()
    step_ms = (time.perf_counter() - started_s) / PROFILED_STEPS * 1e3
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        for _ in range(PROFILED_STEPS):
            trainer.step()
        torch.cuda.synchronize()
    parts: dict[str, float] = {}
    for event in profile.key_averages():
        part = next((part for part, marks in PARTS if any(mark in event.key for mark in marks)), "other")
        parts[part] = parts.get(part, 0.0) + event.self_device_time_total / 1e3 / PROFILED_STEPS
    gpu_ms = sum(parts.values())
    ordered = dict(sorted(parts.items(), key=lambda item: -item[1]))
    return {
        "at_step": late,
        "num_gaussians": trainer.num_gaussians,
        "ms": round(step_ms, 3),
        "gpu_ms": {part: round(ms, 3) for part, ms in ordered.items() if ms >= 5e-4},
        "gpu_busy": round(min(1.0, gpu_ms / step_ms), 3),
    }


if __name__ == "__main__":
    main()
