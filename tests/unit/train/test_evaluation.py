"""Colour-corrected figures: what the fit does, and when it is measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splatlib.artifacts import HeldOutView, SparseScene, Splat
from splatlib.config import TrainConfig
from splatlib.train import train_splat
from splatlib.train.metrics import psnr_db, with_fitted_colors
from splatlib.workspace import Workspace
from tests.fakes import fake_splat

CONFIG: dict[str, Any] = {"device": "cpu", "max_long_side_px": 96, "steps": 10, "max_gaussians": 600, "sh_degree": 1}


def noise(seed: int, height: int = 24, width: int = 32) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(size=(height, width, 3)).astype(np.float32)


def test_the_fit_undoes_a_colour_matrix() -> None:
    truth = noise(0)
    matrix = np.array([[0.7, 0.1, 0.0], [0.0, 0.8, 0.05], [0.1, 0.0, 0.6]])
    changed = np.asarray(truth @ matrix + [0.02, 0.05, 0.0], np.float32)
    assert psnr_db(changed, truth) < 20
    assert psnr_db(with_fitted_colors(changed, truth), truth) > 80


def test_masked_pixels_do_not_enter_the_fit() -> None:
    truth = noise(0)
    changed = truth * np.float32(0.5)
    changed[:, :16] = noise(1)[:, :16]
    mask = np.ones(truth.shape[:2], np.float32)
    mask[:, :16] = 0
    assert psnr_db(with_fitted_colors(changed, truth, mask), truth, mask) > 80
    assert psnr_db(with_fitted_colors(changed, truth), truth, mask) < 30


@given(st.integers(0, 1000), st.floats(0, 1))
def test_the_fit_never_makes_it_worse(seed: int, share: float) -> None:
    truth = noise(seed)
    image = ((1 - share) * truth + share * noise(seed + 1)).astype(np.float32)
    assert psnr_db(with_fitted_colors(image, truth), truth) >= min(psnr_db(image, truth), 99) - 1e-3


def test_a_black_render_is_fitted_too() -> None:
    truth = noise(0)
    fitted = with_fitted_colors(np.zeros_like(truth), truth)
    np.testing.assert_allclose(fitted, np.broadcast_to(truth.mean(axis=(0, 1)), truth.shape), atol=1e-5)


@pytest.mark.parametrize(
    ("setting", "measured"),
    [({}, False), ({"preset": "reference", "strategy": "budget"}, True), ({"appearance": "affine"}, True)],
)
def test_when_it_is_measured(scene: SparseScene, tmp_path: Path, setting: dict[str, Any], measured: bool) -> None:
    splat = train_splat(scene, Workspace(tmp_path), TrainConfig(**CONFIG, **setting))
    assert splat.psnr_db is not None
    if not measured:
        assert splat.psnr_corrected_db is None
        return
    assert splat.psnr_corrected_db is not None and splat.psnr_corrected_db > splat.psnr_db
    assert Splat.load(splat.directory).psnr_corrected_db == splat.psnr_corrected_db


def test_the_mean_is_over_the_views_that_were_measured(tmp_path: Path) -> None:
    views = (HeldOutView("a", 20.0, 0.5, psnr_corrected_db=22.0), HeldOutView("b", 30.0, 0.7, psnr_corrected_db=32.0))
    splat = Splat(**{**vars(fake_splat(tmp_path)), "held_out": views})
    assert (splat.psnr_db, splat.psnr_corrected_db) == (25.0, 27.0)
    assert fake_splat(tmp_path).psnr_corrected_db is None


def test_a_splat_of_an_older_version_still_loads(tmp_path: Path) -> None:
    data = fake_splat(tmp_path).to_data()
    for view in data["held_out"]:
        del view["psnr_corrected_db"]
    (tmp_path / "artifact.json").write_text(json.dumps({"digest": "d", "seconds": 1.0, "artifact": data}))
    assert Splat.load(tmp_path).held_out == fake_splat(tmp_path).held_out
