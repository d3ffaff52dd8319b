"""Metrics against values known in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from splatlib.train.metrics import psnr_db, ssim


def test_psnr_of_a_constant_error() -> None:
    truth = np.full((20, 30, 3), 0.5, np.float32)
    assert psnr_db(truth + 0.1, truth) == pytest.approx(20.0, abs=1e-4)
    assert psnr_db(truth, truth) == pytest.approx(100.0)


def test_masked_metrics_see_only_the_mask() -> None:
    rng = np.random.default_rng(0)
    truth = rng.uniform(size=(40, 40, 3)).astype(np.float32)
    image = truth.copy()
    image[:, :10] = 0
    mask = np.ones((40, 40), np.float32)
    mask[:, :10] = 0
    assert psnr_db(image, truth, mask) == pytest.approx(100.0)
    assert ssim(image, truth, mask) == pytest.approx(1.0)
    assert ssim(image, truth) < 0.9


def test_ssim_of_constant_pictures_is_the_luminance_term() -> None:
    a, b = np.full((32, 32, 3), 0.4, np.float32), np.full((32, 32, 3), 0.6, np.float32)
    expected = (2 * 0.4 * 0.6 + 1e-4) / (0.4**2 + 0.6**2 + 1e-4)
    assert ssim(a, b) == pytest.approx(expected, abs=1e-5)
