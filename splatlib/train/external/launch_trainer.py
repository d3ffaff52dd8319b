"""Starts another trainer inside its own environment: ``python launch_trainer.py ENTRY ARGUMENT …``.

It imports nothing of splatlib. It does three things that the trainers' own commands do not: it tells the progress in
lines that begin with ``@splatlib``, it ends when whoever started it dies (standard input closes), and it lets training
begin without a network, where the trainers would download the network of a metric (LPIPS) that is not used here.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

TOLD_EVERY_STEPS = 100


def tell(step: int, **figures: Any) -> None:
    print("@splatlib " + json.dumps({"step": step, **figures}), flush=True)


def end_with_parent() -> None:
    """Standard input stays open for as long as the parent lives."""

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts with it ignored
    descriptor = sys.stdin.fileno()

    def watch() -> None:
        while os.read(descriptor, 1):  # not through sys.stdin, whose lock would block the interpreter's end
            pass
        os.kill(os.getpid(), signal.SIGINT)

    if not sys.stdin.isatty():
        threading.Thread(target=watch, daemon=True).start()


def without_downloads() -> None:
    """A stand-in for LPIPS where the weights of its network are not on this machine: it measures nothing (NaN)."""
    import torch
    from torchmetrics.image import lpip  # pyright: ignore[reportMissingImports]

    real = lpip.LearnedPerceptualImagePatchSimilarity
    files = {"alex": "alexnet-*.pth", "vgg": "vgg16-*.pth", "squeeze": "squeezenet1_1-*.pth"}

    class NotMeasured(torch.nn.Module):
        def forward(self, *_: Any) -> torch.Tensor:
            return torch.tensor(float("nan"))

        def reset(self) -> None:
            pass

    def lpips(*args: Any, **options: Any) -> torch.nn.Module:
        net = options.get("net_type", args[0] if args else "alex")
        if list((Path(torch.hub.get_dir()) / "checkpoints").glob(files.get(net, "*"))):
            return real(*args, **options)
        return NotMeasured()

    lpip.LearnedPerceptualImagePatchSimilarity = lpips


def nerfstudio(script: str, arguments: list[str]) -> None:
    """One of nerfstudio's commands, by its script: train, render or exporter."""
    without_downloads()
    # Before its writer, which would import itself in a circle.
    module = importlib.import_module(f"nerfstudio.scripts.{script}")
    if script == "train":  # drawing and exporting come after it, and what is broken of them is told now
        importlib.import_module("nerfstudio.scripts.render")
        importlib.import_module("nerfstudio.scripts.exporter")
    from nerfstudio.utils import writer  # pyright: ignore[reportMissingImports]

    put_scalar, put_dict = writer.put_scalar, writer.put_dict
    newest: dict[str, Any] = {}

    def telling_scalar(name: Any, scalar: Any, step: int) -> None:
        if name == "Train Loss":
            newest["loss"] = scalar
        put_scalar(name=name, scalar=scalar, step=step)

    def telling_dict(name: str, scalar_dict: dict[str, Any], step: int) -> None:
        if name == "Train Metrics Dict" and "loss" in newest:
            figures = {"loss": float(newest["loss"])}
            if "gaussian_count" in scalar_dict:
                figures["num_gaussians"] = int(scalar_dict["gaussian_count"])
            tell(step + 1, **figures)
        put_dict(name=name, scalar_dict=scalar_dict, step=step)

    writer.put_scalar, writer.put_dict = telling_scalar, telling_dict
    sys.argv = [f"ns-{'export' if script == 'exporter' else script}", *arguments]
    module.entrypoint()


def splatfacto_w_export(arguments: list[str]) -> None:
    """The exporter that lies beside splatfacto-w's package: its path, then its arguments."""
    without_downloads()
    script, *rest = arguments
    sys.argv = [script, *rest]
    runpy.run_path(script, run_name="__main__")


def threedgrut_train(arguments: list[str]) -> None:
    """3DGRUT's training script: the folder of its checkout, then its arguments."""
    checkout, *rest = arguments
    sys.path.insert(0, checkout)
    os.chdir(checkout)
    without_downloads()
    from threedgrut.utils.logger import logger  # pyright: ignore[reportMissingImports]
    from torch.utils.tensorboard.writer import SummaryWriter

    add_scalar, log_progress = SummaryWriter.add_scalar, logger.log_progress
    newest: dict[str, int] = {}

    def noting_scalar(self: Any, tag: str, value: Any, *args: Any, **options: Any) -> Any:
        if tag == "train/num_GS":
            newest["num_gaussians"] = int(value)
        return add_scalar(self, tag, value, *args, **options)

    def telling_progress(task_name: str, advance: int, **metrics: Any) -> None:
        step = int(metrics.get("step", 0))
        if task_name == "Training" and step % TOLD_EVERY_STEPS == 0:
            tell(step, loss=float(metrics["loss"]), **newest)
        log_progress(task_name, advance, **metrics)

    SummaryWriter.add_scalar, logger.log_progress = noting_scalar, telling_progress  # pyright: ignore
    script = Path(checkout) / "train.py"
    sys.argv = [str(script), *rest]
    runpy.run_path(str(script), run_name="__main__")


def mesh_to_glb(arguments: list[str]) -> None:
    """An OBJ with its texture as one GLB, moved: paths of both, and a JSON list of 4x4 numbers."""
    import numpy as np
    import trimesh  # pyright: ignore[reportMissingImports]

    source, target, matrix = arguments
    mesh = trimesh.load(source, force="mesh", process=False)
    mesh.apply_transform(np.array(json.loads(matrix), float))
    mesh.export(target)


ENTRIES: dict[str, Callable[[list[str]], None]] = {
    "nerfstudio-train": lambda arguments: nerfstudio("train", arguments),
    "nerfstudio-render": lambda arguments: nerfstudio("render", arguments),
    "nerfstudio-export": lambda arguments: nerfstudio("exporter", arguments),
    "splatfacto-w-export": splatfacto_w_export,
    "threedgrut-train": threedgrut_train,
    "mesh-to-glb": mesh_to_glb,
}


def main() -> None:
    sys.path.pop(0)  # this folder: nothing of it is meant for the trainer
    end_with_parent()
    ENTRIES[sys.argv[1]](sys.argv[2:])


if __name__ == "__main__":
    main()
