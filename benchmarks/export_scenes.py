"""The scenes of ``benchmarks/export.py``, and how files of them are judged."""

from __future__ import annotations

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
from splatlib.formats.quality import Quality
from splatlib.gaussians import Gaussians

SETTINGS = {"preset": "preview", "device": "cpu", "sh_degree": 3, "steps": 2200, "max_gaussians": 100_000}
SPLIT = 10


def fox(workspace: Path) -> tuple[Splat, SparseScene]:
    """Trained, or reused."""
    scene = load_colmap(FOX / "sparse" / "0", FOX / "images")
    return sl.train_splat(scene, sl.Workspace(workspace), sl.TrainConfig(**SETTINGS, pixels_per_gaussian=30)), scene


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


def prepare(workspace: Path, scene_name: str, folder: Path, max_loss_db: float) -> dict[str, Any]:
    """Leaves scene.ply and contributions.npy; tells how coarse each adapted format may be."""
    splat, scene = fox(workspace)
    gaussians = splat.gaussians() if scene_name == "fox" else split(splat.gaussians(), SPLIT)
    gaussians.save_ply(folder / "scene.ply")
    judge = Judge.of(splat, scene, gaussians)
    known = judge.contributions
    assert known is not None
    np.save(folder / "contributions.npy", known.weights)
    factors = {name: _factor(judge, name, max_loss_db, known.weights) for name in ("spz", "spz4", "sog")}
    return {
        "num_gaussians": len(gaussians),
        "sh_degree": gaussians.sh_degree,
        "psnr_db": judge.psnr_db,
        "factors": factors,
        "suffixes": {name: format.suffix for name, format in FORMATS.items()},
    }


def _factor(judge: Judge, name: str, max_loss_db: float, weights: Any) -> float:
    """On all rounding steps: what the export stage would choose."""
    factors: list[float] = []
    losses_db: list[float] = []

    def encode(g: Gaussians, quality: Quality | None = None, contributions: Any = None) -> Any:
        factors.append(1 / 16 if quality is None else quality.position / Quality().position)
        return FORMATS[name].encode(g, quality, contributions)

    def loss_db(other: Gaussians) -> float:
        losses_db.append(judge.cautious_loss_db(other))
        return losses_db[-1]

    encode_within(judge.gaussians, replace(FORMATS[name], encode=encode), loss_db, max_loss_db, weights)
    allowed = [f for f, loss in zip(factors, losses_db, strict=False) if loss <= max_loss_db]
    return max(allowed, default=1 / 16)


def losses(workspace: Path, paths: list[Path]) -> list[dict[str, Any]]:
    """Of each file but the first, which is the reference: lost PSNR, and Gaussians held."""
    splat, scene = fox(workspace)
    judge = Judge.of(splat, scene, read_gaussians(paths[0]))
    found = []
    for path in paths[1:]:
        held = read_gaussians(path)
        found.append({"psnr_loss_db": judge.loss_db(held), "num_gaussians": len(held)})
    return found
