"""A made workspace whose Gaussians lie on the sample's true surfaces."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from splatlib.artifacts import SparseScene, Splat
from splatlib.gaussians import Gaussians
from splatlib.samples import Sample
from splatlib.workspace import Workspace
from tests.made import made_frames, made_scene, made_splat


@pytest.fixture(scope="package")
def made(tmp_path_factory: pytest.TempPathFactory, sample_photos: Sample) -> tuple[Splat, SparseScene]:
    ws = Workspace(tmp_path_factory.mktemp("export"))
    scene = made_scene(ws, sample_photos, made_frames(ws, sample_photos), points_per_view=400)
    splat = made_splat(ws, sample_photos, scene)
    gaussians = splat.gaussians()
    # larger and more opaque than tests/made.py's, so that pictures are closed
    closed = replace(
        gaussians,
        log_scales=np.full_like(gaussians.log_scales, np.log(0.05)),
        opacity_logits=np.full_like(gaussians.opacity_logits, 3.0),
    )
    closed.save_ply(splat.ply_path)
    return splat, scene


def fog(count: int, around: np.ndarray, seed: int = 0) -> Gaussians:
    """Faint blobs, hanging about the places ``around`` [M, 3]."""
    rng = np.random.default_rng(seed)
    means = around[rng.integers(len(around), size=count)] + rng.normal(0, 0.15, (count, 3))
    arrays = {
        "means": means,
        "log_scales": np.full((count, 3), np.log(0.04)),
        "quats": rng.normal(size=(count, 4)),
        "opacity_logits": np.full(count, 1.0),
        "sh": rng.normal(size=(count, 4, 3)),
    }
    return Gaussians(**{name: array.astype(np.float32) for name, array in arrays.items()})
