"""The scenes of ``benchmarks/export.py``, and how files of them are judged."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import splatlib as sl
from benchmarks.export import FOX
from splatlib.artifacts import SparseScene, Splat
from splatlib.cameras.existing import load_colmap
from splatlib.export.adaptive import encode_within
from splatlib.export.judge import Judge
from splatlib.formats import FORMATS, read_gaussians
from splatlib.gaussians import Gaussians

SETTINGS: dict[str, Any] = {
    "preset": "preview",
    "device": "cpu",
    "sh_degree": 3,
    "steps": 2200,
    "max_gaussians": 100_000,
}
# Small enough that splat-transform's SOG is done on a CPU in minutes.
SMALL: dict[str, Any] = {**SETTINGS, "steps": 800, "max_gaussians": 15_000}
SPLIT, FURTHER_STEPS = 10, 120
MILLION_FILE = "million.ply"


def fox(workspace: Path, scene_name: str = "fox") -> tuple[Splat, SparseScene]:
    """Trained, or reused."""
    scene, ws = load_colmap(FOX / "sparse" / "0", FOX / "images"), sl.Workspace(workspace)
    if scene_name == "fox_small":
        return sl.train_splat(scene, ws, sl.TrainConfig(**SMALL), run="small"), scene
    return sl.train_splat(scene, ws, sl.TrainConfig(**SETTINGS, pixels_per_gaussian=30)), scene


def split(gaussians: Gaussians, parts: int) -> Gaussians:
    """Each as ``parts`` smaller ones, scattered where it was; SH and all else jittered, so that nothing repeats."""
    rng = np.random.default_rng(0)
    many = gaussians.select(np.repeat(np.arange(len(gaussians)), parts))

    def noise(shape: tuple[int, ...], size: float) -> np.ndarray:
        return rng.normal(0, size, shape).astype(np.float32)

    quats = many.quats / np.linalg.norm(many.quats, axis=1, keepdims=True)
    w, xyz = quats[:, :1], quats[:, 1:]
    step = noise(many.means.shape, 0.6) * many.scales
    turned = step + 2 * np.cross(xyz, np.cross(xyz, step) + w * step)
    return replace(
        many,
        means=many.means + turned,
        log_scales=many.log_scales + np.float32(np.log(0.62)) + noise(many.log_scales.shape, 0.1),
        quats=quats + noise(quats.shape, 0.05),
        opacity_logits=many.opacity_logits - np.float32(1.0) + noise(many.opacity_logits.shape, 0.3),
        sh=many.sh + noise(many.sh.shape, 0.01),
    )


def million(workspace: Path) -> Gaussians:
    """Fox with every Gaussian split into ten, and then trained on: a million that differ, and show the photos.

    Made once (three minutes on two cores) and kept beside the workspace's training.
    """
    path = workspace / MILLION_FILE
    if not path.exists():
        _trained_on(*fox(workspace)).save_ply(path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)
    return Gaussians.load_ply(path)


def _trained_on(splat: Splat, scene: SparseScene) -> Gaussians:
    """The last steps of a training of ``SETTINGS``, in which nothing is added any more, with the split Gaussians."""
    import torch

    from splatlib.render import create_renderer
    from splatlib.train.dataset import ViewPyramid
    from splatlib.train.loop import Trainer
    from splatlib.train.stage import checked_views, plan

    torch.set_num_threads(1)
    config = sl.TrainConfig(**{**SETTINGS, "max_gaussians": 1_000_000})
    views, _ = checked_views(scene, config)
    settings, schedule, _ = plan(scene, views, config.resolved("cpu"))
    renderer = create_renderer("cpu")
    pictures = ViewPyramid(scene, views, schedule.long_sides_px, renderer)
    trainer = Trainer(settings, schedule, renderer, pictures, split(splat.gaussians(), SPLIT))
    trainer.step_index = settings.steps - FURTHER_STEPS
    while not trainer.done:
        trainer.step()
    return trainer.gaussians()


def prepare(workspace: Path, scene_name: str, folder: Path, max_loss_db: float) -> dict[str, Any]:
    """Leaves scene.ply and contributions.npy; tells how coarse each format may be, and what it took to find out."""
    splat, scene = fox(workspace, scene_name)
    gaussians = million(workspace) if scene_name == "million" else splat.gaussians()
    gaussians.save_ply(folder / "scene.ply")
    judge = Judge.of(splat, scene, gaussians)
    known = judge.contributions
    assert known is not None
    np.save(folder / "contributions.npy", known.weights)
    factors, searches = {}, {}
    for name, format in FORMATS.items():
        if format.rounds_as:
            wall_s, cpu_s = time.perf_counter(), time.process_time()
            factors[name] = encode_within(gaussians, format, judge, max_loss_db).factor
            searches[name] = {
                "search_seconds": round(time.perf_counter() - wall_s, 1),
                "search_cpu_seconds": round(time.process_time() - cpu_s, 1),
            }
    return {
        "num_gaussians": len(gaussians),
        "sh_degree": gaussians.sh_degree,
        "psnr_db": judge.psnr_db,
        "factors": factors,
        "searches": searches,
        "suffixes": {name: format.suffix for name, format in FORMATS.items()},
    }


def losses(workspace: Path, paths: list[Path]) -> list[dict[str, Any]]:
    """Of each file but the first, which is the reference: lost PSNR, and Gaussians held."""
    splat, scene = fox(workspace)
    judge = Judge.of(splat, scene, read_gaussians(paths[0]))
    found = []
    for path in paths[1:]:
        held = read_gaussians(path)
        found.append({"psnr_loss_db": judge.loss_db(held), "num_gaussians": len(held)})
    return found
