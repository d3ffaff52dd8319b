"""Colour compensation: what a matrix and a grid do, that their mean stays the identity, and that it helps."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from splatlib.artifacts import SparseScene
from splatlib.config import TrainConfig
from splatlib.train import train_splat
from splatlib.train.appearance import (
    GRID_HEIGHT,
    GRID_LEVELS,
    GRID_WIDTH,
    LUMINANCE,
    TOTAL_VARIATION_WEIGHT,
    AffineAppearance,
    BilateralAppearance,
    create_appearance,
)
from splatlib.train.dataset import split_held_out
from splatlib.workspace import Workspace

CPU = torch.device("cpu")
KINDS = (AffineAppearance, BilateralAppearance)


def picture(num_views: int = 2, height: int = 20, width: int = 30) -> torch.Tensor:
    return torch.rand(num_views, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", KINDS)
def test_it_begins_with_the_identity(kind: type[AffineAppearance] | type[BilateralAppearance]) -> None:
    appearance = kind(5, 100, CPU)
    assert torch.equal(appearance.apply([1, 4], picture()), picture())
    with torch.no_grad():
        assert float(appearance.regularization([1, 4])) == 0


def test_a_constant_grid_is_a_matrix() -> None:
    matrices = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(1)) * 0.1
    affine, bilateral = AffineAppearance(2, 100, CPU), BilateralAppearance(2, 100, CPU)
    with torch.no_grad():
        affine.table.values.copy_(matrices)
        bilateral.table.values.copy_(matrices.reshape(2, 12, 1, 1, 1).expand_as(bilateral.table.values))
    image = picture()
    torch.testing.assert_close(affine.apply([0, 1], image), bilateral.apply([0, 1], image))
    by_hand = image[1, :, 3, 7] + matrices[1, :, :3] @ image[1, :, 3, 7] + matrices[1, :, 3]
    torch.testing.assert_close(affine.apply([0, 1], image)[1, :, 3, 7], by_hand)


@pytest.mark.parametrize("axis", ["x", "y", "luminance"])
def test_the_grid_is_looked_up_by_place_and_luminance(axis: str) -> None:
    """A ramp of offsets from 0 to 1 along one axis of the grid adds that coordinate to every channel."""
    appearance = BilateralAppearance(1, 100, CPU)
    size, dim = {"x": (GRID_WIDTH, -1), "y": (GRID_HEIGHT, -2), "luminance": (GRID_LEVELS, -3)}[axis]
    ramp = torch.linspace(0, 1, size).reshape([size if d == dim else 1 for d in (-3, -2, -1)])
    with torch.no_grad():
        appearance.table.values[:, 3::4] = ramp  # the offset of each row of the matrix
    image = picture(1)
    luminance = torch.einsum("c,chw->hw", torch.tensor(LUMINANCE), image[0])
    x = ((torch.arange(30) + 0.5) / 30).expand(20, 30)
    y = ((torch.arange(20) + 0.5) / 20)[:, None].expand(20, 30)
    expected = {"x": x, "y": y, "luminance": luminance}[axis]
    added = (appearance.apply([0], image) - image)[0]
    torch.testing.assert_close(added, expected.expand(3, -1, -1), atol=1e-5, rtol=0)


def test_total_variation_of_a_ramp() -> None:
    appearance = BilateralAppearance(3, 100, CPU)
    with torch.no_grad():
        appearance.table.values[1] = 0.5 * torch.arange(GRID_WIDTH)
        assert float(appearance.regularization([0, 2])) == 0
        assert float(appearance.regularization([1])) == pytest.approx(TOTAL_VARIATION_WEIGHT * 0.25)


@pytest.mark.parametrize("kind", KINDS)
def test_the_mean_over_the_views_stays_the_identity(kind: type[AffineAppearance] | type[BilateralAppearance]) -> None:
    appearance = kind(4, 10, CPU)
    for step in range(10):
        appearance.forget_gradients()
        (appearance.apply([step % 4], picture(1)) - 0.5).square().mean().backward()
        appearance.optimize(step)
    assert appearance.table.values.abs().max() > 1e-4
    assert appearance.table.values.mean(dim=0).abs().max() < 1e-6


def test_a_vignette_is_explained_by_a_grid_and_by_no_matrix() -> None:
    truth = picture(2, 32, 32)
    distance = torch.linspace(-1, 1, 32).square()
    photos = truth.clone()
    photos[0] *= 1 - 0.15 * (distance[:, None] + distance[None])
    photos[1] *= 1 + 0.15 * (distance[:, None] + distance[None])
    errors = {}
    for kind in KINDS:
        appearance = kind(2, 400, CPU)
        for step in range(400):
            appearance.forget_gradients()
            (appearance.apply([0, 1], truth) - photos).square().mean().backward()
            appearance.optimize(step)
        errors[kind] = float((appearance.apply([0, 1], truth) - photos).square().mean().detach())
    unexplained = float((truth - photos).square().mean())
    assert errors[BilateralAppearance] < 0.1 * unexplained < errors[AffineAppearance]


def test_none_is_nothing() -> None:
    assert create_appearance("none", 5, 100, CPU) is None


@pytest.fixture(scope="module")
def exposed_scene(scene: SparseScene, tmp_path_factory: pytest.TempPathFactory) -> SparseScene:
    """Half of the training pictures with other gains and offsets of each channel; held-out ones as they were."""
    directory = tmp_path_factory.mktemp("exposed") / "scene"
    shutil.copytree(scene.directory, directory)
    changed = dataclasses.replace(scene, directory=directory)
    rng = np.random.default_rng(0)
    for view in split_held_out(scene.views, 8)[0][::2]:
        image = cv2.imread(str(changed.image_path(view)))
        assert image is not None
        image = np.clip(image * rng.uniform(0.6, 1.0, 3) + rng.uniform(0, 25), 0, 255)
        cv2.imwrite(str(changed.image_path(view)), image.astype(np.uint8))
    return changed


def test_compensation_helps_where_exposures_differ(exposed_scene: SparseScene, tmp_path: Path) -> None:
    """Compared after colour correction: no training can know the exposure of a held-out picture."""
    config: dict[str, Any] = {
        "device": "cpu",
        "max_long_side_px": 96,
        "steps": 400,
        "max_gaussians": 600,
        "sh_degree": 1,
    }
    # the preset only makes the plain training measure corrected figures too
    plain = TrainConfig(**config, preset="reference", strategy="budget")
    compensated = TrainConfig(**config, preset="reference", strategy="budget", appearance="affine")
    without = train_splat(exposed_scene, Workspace(tmp_path), plain, run="without").psnr_corrected_db
    with_it = train_splat(exposed_scene, Workspace(tmp_path), compensated, run="with").psnr_corrected_db
    assert without is not None and with_it is not None
    assert with_it > without + 0.5
