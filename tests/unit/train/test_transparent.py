"""Masks that mean transparency: nothing is left outside the object, whatever the photos show there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from splatlib.artifacts import SparseScene, Splat
from splatlib.config import TrainConfig
from splatlib.gaussians import Gaussians
from splatlib.render import render_image
from splatlib.train import train_splat
from splatlib.workspace import Workspace
from tests.unit.train.conftest import CAMERA, make_scene

SETTINGS = {"device": "cpu", "steps": 400, "max_long_side_px": 96, "max_gaussians": 2000, "preview_every_steps": 0}


@pytest.fixture(scope="module")
def object_scene(tmp_path_factory: pytest.TempPathFactory) -> SparseScene:
    """A ball of Gaussians before noise, another noise in each photo; masks are where the ball is opaque or absent."""
    rng = np.random.default_rng(0)
    scene = make_scene(tmp_path_factory.mktemp("object"))
    n = 300
    directions = rng.normal(size=(n, 3))
    ball = Gaussians(
        means=(0.6 * directions / np.linalg.norm(directions, axis=1, keepdims=True)).astype(np.float32),
        log_scales=np.full((n, 3), np.log(0.08), np.float32),
        quats=np.tile(np.array([1, 0, 0, 0], np.float32), (n, 1)),
        opacity_logits=np.full(n, 4.0, np.float32),
        sh=rng.uniform(-1.5, 1.5, (n, 1, 3)).astype(np.float32),
    )
    views = []
    for view in scene.views:
        black, white = (render_image(ball, CAMERA, view.cam_from_world, (c, c, c)) for c in (0.0, 1.0))
        mask = 255 - (white.astype(np.int16) - black).mean(axis=2).round().clip(0, 255).astype(np.uint8)
        picture = np.where(mask[..., None] > 250, black, rng.integers(0, 256, black.shape)).astype(np.uint8)
        cv2.imwrite(str(scene.image_path(view)), picture[..., ::-1])
        cv2.imwrite(str(scene.images_directory.parent / "masks" / f"{view.name}.png"), mask)
        views.append(replace(view, has_mask=True))
    shown = rng.permutation(n)[:200]
    return replace(
        scene,
        views=tuple(views),
        points_xyz=ball.means[shown],
        points_rgb=(255 * ball.base_colors[shown].clip(0, 1)).astype(np.uint8),
        outside_mask="transparent",
    )


def alpha_outside(scene: SparseScene, splat: Splat) -> float:
    """Mean opacity over the pixels outside the masks of the held-out views."""
    gaussians, found = splat.gaussians(), []
    for view in scene.views[::8]:
        black, white = (render_image(gaussians, CAMERA, view.cam_from_world, (c, c, c)).astype(float) for c in (0, 1))
        alpha = 1 - (white - black).mean(axis=2) / 255
        mask = cv2.imread(str(scene.mask_path(view)), cv2.IMREAD_GRAYSCALE)
        assert mask is not None
        found.append(alpha[mask == 0].mean())
    return float(np.mean(found))


def test_nothing_is_left_outside_the_object(object_scene: SparseScene, tmp_path: Path) -> None:
    ws = Workspace(tmp_path)
    by_meaning = train_splat(object_scene, ws, TrainConfig(**SETTINGS), run="auto")
    ignored = train_splat(object_scene, ws, TrainConfig(**SETTINGS, outside_mask="ignore"), run="ignore")
    assert by_meaning.settings["outside_mask"] == "transparent"
    clean, smoky = alpha_outside(object_scene, by_meaning), alpha_outside(object_scene, ignored)
    assert clean < 0.005
    assert smoky > 5 * clean
    assert by_meaning.psnr_db is not None and ignored.psnr_db is not None
    assert by_meaning.psnr_db > ignored.psnr_db - 1.5
