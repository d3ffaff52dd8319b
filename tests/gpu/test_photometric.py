"""The loss in Triton against the same in torch, and against the float64 reference of the CPU's loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from tests.gpu.random_scene import relative_error
from tests.unit.render.test_photometric import reference_loss

if TYPE_CHECKING:
    from splatlib.render.cuda.photometric import PhotometricLoss

pytestmark = pytest.mark.gpu

# (views, height, width): smaller than the window, odd, one column, larger than a program's tile, and even
SHAPES = [(1, 5, 7), (2, 37, 53), (1, 200, 1), (1, 1, 131), (3, 118, 161), (1, 64, 128)]


@pytest.fixture(scope="module", params=[True, False], ids=["recorded", "launched"])
def loss_of(request: pytest.FixtureRequest) -> PhotometricLoss:
    from splatlib.render.cuda.photometric import PhotometricLoss, has_triton

    assert has_triton(), "Triton is not installed: nothing would be tested"
    return PhotometricLoss(recorded=request.param)


def pictures(shape: tuple[int, int, int], seed: int, masked: bool) -> tuple[Tensor, Tensor, Tensor | None]:
    """Image [C, 3, H, W], beyond [0, 1] in places and laid out as gsplat draws it, target and mask."""
    views, height, width = shape
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(views, height, width, 3, generator=generator) * 1.3 - 0.1
    target = torch.randint(0, 256, (views, 3, height, width), generator=generator, dtype=torch.uint8)
    mask = (torch.rand(views, height, width, generator=generator) > 0.4).float() if masked else None
    return image.cuda().permute(0, 3, 1, 2), target.cuda(), None if mask is None else mask.cuda()


def value_and_gradient(loss: Tensor, image: Tensor) -> tuple[float, Tensor]:
    (gradient,) = torch.autograd.grad(loss, image)
    return loss.item(), gradient.clone()


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("ssim_weight", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_triton_equals_torch(
    loss_of: PhotometricLoss, shape: tuple[int, int, int], ssim_weight: float, masked: bool
) -> None:
    from splatlib.render.cuda.photometric import photometric_loss_by_torch

    image, target, mask = pictures(shape, 0, masked)
    image = image.requires_grad_()
    value, gradient = value_and_gradient(loss_of(image, target, mask, ssim_weight), image)
    by_torch, true_gradient = value_and_gradient(photometric_loss_by_torch(image, target, mask, ssim_weight), image)
    assert value == pytest.approx(by_torch, abs=1e-5)
    assert relative_error(gradient, true_gradient) < 1e-4


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("shape", [(2, 37, 53), (1, 118, 161)], ids=str)
def test_triton_equals_the_float64_reference(
    loss_of: PhotometricLoss, shape: tuple[int, int, int], masked: bool
) -> None:
    image, target, mask = pictures(shape, 1, masked)
    value, gradient = value_and_gradient(loss_of(image.requires_grad_(), target, mask, 0.2), image)
    exact = image.detach().cpu().double().requires_grad_()
    weights = torch.ones(shape) if mask is None else mask.cpu()
    losses = [
        reference_loss(exact[i], target[i].cpu().double() / 255, weights[i].double(), 0.2) for i in range(shape[0])
    ]
    reference, true_gradient = value_and_gradient(torch.stack(losses).mean(), exact)
    assert value == pytest.approx(reference, abs=1e-5)
    assert relative_error(gradient, true_gradient) < 1e-4


def test_a_recorded_loss_looks_at_new_pictures_and_masks(loss_of: PhotometricLoss) -> None:
    """The first call of a shape records the kernels, later ones replay them."""
    from splatlib.render.cuda.photometric import photometric_loss_by_torch

    for seed in range(3):
        image, target, mask = pictures((2, 40, 50), seed, masked=True)
        value, gradient = value_and_gradient(loss_of(image.requires_grad_(), target, mask, 0.2), image)
        by_torch, truth = value_and_gradient(photometric_loss_by_torch(image, target, mask, 0.2), image)
        assert value == pytest.approx(by_torch, abs=1e-5)
        assert relative_error(gradient, truth) < 1e-4


def test_a_loss_that_was_returned_stays_when_the_next_is_computed(loss_of: PhotometricLoss) -> None:
    """The loop reads losses many steps later."""
    values: list[float] = []
    kept: list[Tensor] = []
    for seed in range(3):
        image, target, mask = pictures((1, 30, 50), seed, masked=False)
        kept.append(loss_of(image.requires_grad_(), target, mask, 0.2).detach())
        values.append(kept[-1].item())
    assert [loss.item() for loss in kept] == values and len(set(values)) == 3


def test_a_capture_of_many_sizes_forgets_old_recordings(loss_of: PhotometricLoss) -> None:
    from splatlib.render.cuda.photometric import MAX_GRAPHS, photometric_loss_by_torch

    for width in [*range(20, 20 + MAX_GRAPHS + 3), 20]:
        image, target, mask = pictures((1, 21, width), width, masked=False)
        value = loss_of(image, target, mask, 0.2).item()
        assert value == pytest.approx(photometric_loss_by_torch(image, target, mask, 0.2).item(), abs=1e-5)
        assert len(loss_of._graphs) <= MAX_GRAPHS


def test_a_view_without_a_single_pixel_teaches_nothing(loss_of: PhotometricLoss) -> None:
    image, target, mask = pictures((2, 20, 30), 0, masked=True)
    assert mask is not None
    mask[1] = 0
    value, gradient = value_and_gradient(loss_of(image.requires_grad_(), target, mask, 0.2), image)
    assert gradient[0].any() and not gradient[1].any() and value > 0


def test_a_scaled_loss_has_a_scaled_gradient(loss_of: PhotometricLoss) -> None:
    image, target, mask = pictures((1, 20, 30), 0, masked=False)
    _, gradient = value_and_gradient(loss_of(image.requires_grad_(), target, mask, 0.2), image)
    _, tripled = value_and_gradient(3 * loss_of(image, target, mask, 0.2), image)
    torch.testing.assert_close(tripled, 3 * gradient)
