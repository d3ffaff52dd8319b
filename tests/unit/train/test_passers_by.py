"""A passer-by in every photo: with him masked, the scene behind him comes out as if he had not been there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from splatlib.artifacts import SparseScene, Splat
from splatlib.config import TrainConfig
from splatlib.render import render_image
from splatlib.train import train_splat
from splatlib.workspace import Workspace
from tests.unit.train.conftest import CAMERA, make_scene

SETTINGS = {"device": "cpu", "steps": 300, "max_long_side_px": 96, "max_gaussians": 1500, "preview_every_steps": 0}


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> tuple[SparseScene, dict[str, np.ndarray]]:
    """A scene with somebody somewhere in each photo, masked out; and its photos without him, RGB by name."""
    scene = make_scene(tmp_path_factory.mktemp("crowded"))
    rng, clean, views = np.random.default_rng(1), {}, []
    for view in scene.views:
        picture = cv2.imread(str(scene.image_path(view)))
        assert picture is not None
        clean[view.name] = picture[..., ::-1].copy()
        x, y = rng.integers(5, CAMERA.width - 35), rng.integers(2, CAMERA.height - 47)
        mask = np.full(picture.shape[:2], 255, np.uint8)
        mask[y : y + 45, x : x + 30] = 0
        picture[mask == 0] = rng.integers(0, 256, 3)
        cv2.imwrite(str(scene.image_path(view)), picture)
        cv2.imwrite(str(scene.images_directory.parent / "masks" / f"{view.name}.png"), mask)
        views.append(replace(view, has_mask=True))
    return replace(scene, views=tuple(views)), clean


def psnr_db(splat: Splat, scene: SparseScene, clean: dict[str, np.ndarray]) -> float:
    """Of the held-out views, against the photos without the passer-by, where no mask hides anything."""
    gaussians, errors = splat.gaussians(), []
    for view in scene.views[::8]:
        render = render_image(gaussians, CAMERA, view.cam_from_world).astype(float)
        mask = cv2.imread(str(scene.mask_path(view)), cv2.IMREAD_GRAYSCALE)
        assert mask is not None
        errors.append(((render - clean[view.name]) ** 2)[mask > 0].mean())
    return float(-10 * np.log10(np.mean(errors) / 255**2))


def test_masking_a_passer_by_beats_training_on_him(
    crowded: tuple[SparseScene, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    scene, clean = crowded
    assert scene.outside_mask == "ignore"
    bare = replace(scene, digest="bare", views=tuple(replace(view, has_mask=False) for view in scene.views))
    ws, config = Workspace(tmp_path), TrainConfig(**SETTINGS)
    masked, unmasked = train_splat(scene, ws, config, run="masked"), train_splat(bare, ws, config, run="unmasked")
    with_mask, without = psnr_db(masked, scene, clean), psnr_db(unmasked, scene, clean)
    assert with_mask > without + 1.0, f"{with_mask:.2f} dB against {without:.2f} dB"
    assert masked.psnr_db == pytest.approx(with_mask, abs=0.5), "the reported figure counts unmasked pixels only"
