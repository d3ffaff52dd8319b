"""The fused L1 + SSIM against torch, values and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as nn

from splatlib.render.cpu.photometric import PhotometricLoss
from splatlib.render.cpu.threads import ThreadPool


def reference_loss(image: torch.Tensor, target: torch.Tensor, mask: torch.Tensor, ssim_weight: float) -> torch.Tensor:
    a, b = image * mask, target * mask
    weights = torch.exp(-((torch.arange(11, dtype=torch.float64) - 5) ** 2) / (2 * 1.5**2))
    weights = weights / weights.sum()
    window = (weights[:, None] * weights[None, :]).expand(3, 1, 11, 11)

    def windowed(x: torch.Tensor) -> torch.Tensor:
        return nn.conv2d(x[None], window, padding=5, groups=3)[0]

    mean_a, mean_b = windowed(a), windowed(b)
    var_a, var_b = windowed(a * a) - mean_a**2, windowed(b * b) - mean_b**2
    cov = windowed(a * b) - mean_a * mean_b
    ssim = (2 * mean_a * mean_b + 1e-4) * (2 * cov + 9e-4) / ((mean_a**2 + mean_b**2 + 1e-4) * (var_a + var_b + 9e-4))
    count = mask.sum() * 3
    l1 = (a - b).abs().sum() / count
    return (1 - ssim_weight) * l1 + ssim_weight * (1 - (ssim * mask).sum() / count)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("ssim_weight", [0.0, 0.2, 1.0])
def test_value_and_gradient_match_torch(masked: bool, ssim_weight: float) -> None:
    rng = np.random.default_rng(0)
    image = rng.uniform(-0.1, 1.2, (3, 23, 31)).astype(np.float32)
    target = rng.integers(0, 256, (3, 23, 31), dtype=np.uint8)
    mask = (rng.uniform(size=(23, 31)) > 0.4).astype(np.float32) if masked else None
    loss, l1, gradient = PhotometricLoss(ThreadPool(2))(image, target, mask, ssim_weight)

    exact = torch.tensor(image, dtype=torch.float64, requires_grad=True)
    full_mask = torch.ones(23, 31, dtype=torch.float64) if mask is None else torch.tensor(mask, dtype=torch.float64)
    truth = torch.tensor(target, dtype=torch.float64) / 255
    reference = reference_loss(exact, truth, full_mask, ssim_weight)
    reference.backward()
    assert exact.grad is not None
    assert loss == pytest.approx(reference.item(), abs=2e-6)
    assert l1 == pytest.approx(reference_loss(exact, truth, full_mask, 0.0).item(), abs=2e-6)
    np.testing.assert_allclose(
        gradient, exact.grad.numpy(), atol=2e-5 * float(exact.grad.abs().max()) + 1e-9, rtol=1e-3
    )


def test_equal_pictures_have_no_loss() -> None:
    target = np.random.default_rng(1).integers(0, 256, (3, 20, 20), dtype=np.uint8)
    loss, l1, _ = PhotometricLoss(ThreadPool(1))((target / 255).astype(np.float32), target, None, 0.2)
    assert loss == pytest.approx(0, abs=1e-6)
    assert l1 == pytest.approx(0, abs=1e-7)
