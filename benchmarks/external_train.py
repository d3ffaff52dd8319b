"""Other trainers beside ours on one GPU: seconds, held-out quality, Gaussians, size.

    python -m benchmarks.external_train [--scene DIR ...] [--backends splatfacto,3dgut] [--presets balanced]
                                        [--steps N] [--warm-up-steps 300] [--keep DIR] [--out FILE]

Each backend needs its environment: ``splat backend install NAME``, or one made in another way, named by a variable
(``SPLATLIB_ENVIRONMENT_NERFSTUDIO=/opt/conda/envs/nerfstudio``); ``splat backend list`` says what is there. A short
training before the measured one compiles its kernels. ``seconds`` is the loop alone, as of ours: from the trainer's own
first to its last line of progress, spread over all steps; ``process_seconds`` has its imports and the reading of
pictures too.

``--presets`` are of splatlib, measured in the same run as ``benchmarks.gpu_train`` does. Rows go to
``results/gpu_train.json``; a backend that fails is told, and the exit status is 1. ``--keep`` keeps the workspaces, for
``splat compare``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS, append_row, commit
from benchmarks.gpu_train import FOX, HELD_OUT_EVERY, load
from splatlib.artifacts import SparseScene, Splat
from splatlib.config import TrainConfig
from splatlib.environments import description_for, require
from splatlib.errors import SplatlibError
from splatlib.events import read_progress
from splatlib.train import train_splat
from splatlib.workspace import Workspace


def main(words: list[str] | None = None) -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--scene", type=Path, nargs="+", default=[FOX])
    arguments.add_argument("--backends", default="splatfacto")
    arguments.add_argument("--presets", default="balanced", help="of splatlib, in the same run; empty: none")
    arguments.add_argument("--steps", type=int, default=None, help="default: each trainer's own")
    arguments.add_argument("--warm-up-steps", type=int, default=300, help="0: none")
    arguments.add_argument("--keep", type=Path, default=None, help="folder for the workspaces")
    arguments.add_argument("--commit", default=None, help="where the checkout has no git")
    arguments.add_argument("--out", type=Path, default=RESULTS / "gpu_train.json")
    options = arguments.parse_args(words)
    stamp = {"commit": options.commit or commit(), "command": "python -m benchmarks.external_train"}
    failed = 0
    with tempfile.TemporaryDirectory() as temporary:
        for folder in options.scene:
            scene, ws = load(folder), Workspace((options.keep or Path(temporary)) / folder.name)
            for row in ours(scene, folder.name, options.presets):
                print(json.dumps(append_row(options.out, {**row, **stamp})), flush=True)
            for backend in filter(None, options.backends.split(",")):
                try:
                    row = measure(scene, folder.name, backend, ws, options.steps, options.warm_up_steps)
                except SplatlibError as error:
                    print(f"{backend} on {folder.name} failed: {error}", file=sys.stderr, flush=True)
                    failed += 1
                    continue
                print(json.dumps(append_row(options.out, {**row, **stamp})), flush=True)
    return 1 if failed else 0


def ours(scene: SparseScene, name: str, presets: str) -> list[dict[str, Any]]:
    """Rows of splatlib's own trainer, with the clock of ``benchmarks.gpu_train``."""
    if not presets:
        return []
    from benchmarks import gpu_train
    from splatlib.render import create_renderer

    renderer = create_renderer("cuda")
    gpu_train.warm_up(scene, renderer)
    configs = [TrainConfig.from_dict({"preset": preset}) for preset in presets.split(",")]
    rows = [gpu_train.measure(scene, name, config, renderer, profiled=False) for config in configs]
    return [{**row, "backend": "splatlib"} for row in rows]


def measure(
    scene: SparseScene, name: str, backend: str, ws: Workspace, steps: int | None, warm_up_steps: int
) -> dict[str, Any]:
    """One training by another trainer. Raises SplatlibError."""
    fields = {"backend": backend, "held_out_every": HELD_OUT_EVERY}
    gpu = require(description_for(backend)).gpu
    if warm_up_steps:
        train_splat(scene, ws, TrainConfig.from_dict({**fields, "steps": warm_up_steps}), run=f"{backend}-warm-up")
    splat = train_splat(scene, ws, TrainConfig.from_dict({**fields, "steps": steps}), run=backend)
    file = splat.ply_path if splat.mesh is None else splat.directory / splat.mesh
    return {
        "scene": name,
        "views": len(scene.views),
        "backend": backend,
        "trainer": splat.trainer,
        "seconds": round(loop_seconds(splat), 2),
        "process_seconds": round(splat.train_seconds, 2),
        "steps": splat.steps,
        "psnr_db": _rounded(splat.psnr_db, 3),
        "ssim": _rounded(splat.ssim, 4),
        "psnr_by_splatlib_db": _rounded(splat.psnr_by_splatlib_db, 3),
        "num_gaussians": splat.num_gaussians,
        "bytes": file.stat().st_size,
        "device": gpu,
        "gpus": 1,
        "warnings": list(splat.warnings),
    }


def loop_seconds(splat: Splat) -> float:
    """Of the loop, at the pace between the first and the last line of progress."""
    lines = read_progress(splat.metrics_path).losses
    first, last = min(lines), max(lines)
    if first == last:
        return splat.train_seconds
    return (lines[last]["seconds"] - lines[first]["seconds"]) / (last - first) * splat.steps


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


if __name__ == "__main__":
    sys.exit(main())
