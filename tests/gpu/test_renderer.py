"""gsplat's kernels behind the protocol: they agree with the CPU renderer, and every path with every other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import Tensor

from splatlib.artifacts import Distortion
from splatlib.render.cpu.renderer import CpuRenderer
from splatlib.render.protocol import Rendering
from tests.gpu.random_scene import (
    HEIGHT,
    WIDTH,
    RandomScene,
    assert_close_gradients,
    assert_close_pictures,
    gradients_of,
    random_scene,
    relative_error,
)

if TYPE_CHECKING:
    from splatlib.render.cuda.renderer import CudaRenderer

pytestmark = pytest.mark.gpu

# The kernels are compiled with fast mathematics, and add gradients up in any order.
IMAGE_TOLERANCE, GRADIENT_TOLERANCE = 2e-3, 2e-2
# The same kernels, called in another way.
SAME_IMAGE, SAME_GRADIENT = 1e-4, 1e-3
NO_DISTORTION = Distortion("radial_tangential", (0.0,) * 6)
NO_FISHEYE = Distortion("fisheye", (0.02, 0.0, 0.0, 0.0))


@pytest.fixture
def cuda() -> CudaRenderer:
    from splatlib.render.cuda.renderer import CudaRenderer

    return CudaRenderer(packed=False)


@pytest.fixture(scope="module")
def made() -> RandomScene:
    return random_scene()


def through(made: RandomScene, lens: Distortion | None) -> RandomScene:
    return replace(made, cameras=tuple(replace(camera, distortion=lens) for camera in made.cameras))


@pytest.mark.parametrize("sh_degree", [0, 1, 2, 3])
@pytest.mark.parametrize("with_depth", [False, True], ids=["fused", "general"])
def test_both_devices_draw_the_same_pictures(
    cuda: CudaRenderer, made: RandomScene, with_depth: bool, sh_degree: int
) -> None:
    cpu = CpuRenderer()
    truth = made.render(cpu, made.parameters, sh_degree=sh_degree, with_depth=with_depth)
    rendering = made.render(cuda, made.leaves(cuda), sh_degree=sh_degree, with_depth=with_depth)
    assert rendering.image.shape == (2, 3, HEIGHT, WIDTH) and rendering.alpha.shape == (2, HEIGHT, WIDTH)
    assert_close_pictures(rendering.image, truth.image, IMAGE_TOLERANCE)
    assert_close_pictures(rendering.alpha, truth.alpha, IMAGE_TOLERANCE)
    assert (rendering.depth is None) == (not with_depth)
    if rendering.depth is not None and truth.depth is not None:
        assert_close_pictures(rendering.depth / 4, truth.depth / 4, IMAGE_TOLERANCE)  # the scene is 4 units away
    seen, truly_seen = rendering.radii[..., 0].cpu() > 0, truth.radii[..., 0] > 0
    # gsplat bounds a Gaussian by its tile's edges, the CPU by what passes 1/255: a few at the rim are counted by one.
    assert (seen & truly_seen).sum() > 0.95 * truly_seen.sum()
    both = seen & truly_seen
    torch.testing.assert_close(rendering.means2d.detach().cpu()[both], truth.means2d.detach()[both], rtol=0, atol=0.01)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("with_depth", [False, True], ids=["fused", "general"])
def test_both_devices_learn_the_same_from_pictures(
    cuda: CudaRenderer, made: RandomScene, with_depth: bool, masked: bool
) -> None:
    """The loss, and its gradient by every parameter and by the projected centres."""
    results: list[tuple[Tensor, dict[str, Tensor], Tensor]] = []
    for renderer in (CpuRenderer(), cuda):
        parameters = made.leaves(renderer)
        rendering = made.render(renderer, parameters, with_depth=with_depth)
        loss = made.loss(renderer, rendering, masked=masked)
        loss.backward()
        assert rendering.means2d.grad is not None
        results.append((loss.detach().cpu(), gradients_of(parameters), rendering.means2d.grad.cpu()))
    (true_loss, truth, true_centers), (loss, gradients, centers) = results
    assert loss.item() == pytest.approx(true_loss.item(), abs=1e-3)
    assert_close_gradients(gradients, truth, GRADIENT_TOLERANCE)
    assert relative_error(centers, true_centers) < GRADIENT_TOLERANCE


def test_both_devices_learn_the_same_from_alpha_and_depth(cuda: CudaRenderer, made: RandomScene) -> None:
    weights = torch.rand(2, 2, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(3))
    results: list[dict[str, Tensor]] = []
    for renderer in (CpuRenderer(), cuda):
        parameters = made.leaves(renderer)
        rendering = made.render(renderer, parameters, with_depth=True)
        assert rendering.depth is not None
        on_device = weights.to(renderer.device)
        (rendering.alpha * on_device[0] + rendering.depth * on_device[1]).sum().backward()
        geometry = {name: tensor for name, tensor in parameters.items() if name not in ("sh0", "shN")}
        results.append(gradients_of(geometry))
    assert_close_gradients(results[1], results[0], GRADIENT_TOLERANCE)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("sh_degree", [0, 2, 3])
def test_the_fused_path_equals_the_general_one(
    cuda: CudaRenderer, made: RandomScene, sh_degree: int, masked: bool
) -> None:
    results: list[tuple[Rendering, dict[str, Tensor]]] = []
    for with_depth in (False, True):  # depth is what the fused path does not know
        parameters = made.leaves(cuda)
        rendering = made.render(cuda, parameters, sh_degree=sh_degree, with_depth=with_depth)
        made.loss(cuda, rendering, masked=masked).backward()
        if sh_degree == 0:
            assert parameters["shN"].grad is None or not parameters["shN"].grad.any()
            del parameters["shN"]
        results.append((rendering, gradients_of(parameters)))
    (fused, gradients), (general, truth) = results
    for name in ("image", "alpha"):
        torch.testing.assert_close(getattr(fused, name), getattr(general, name), rtol=0, atol=SAME_IMAGE)
    assert torch.equal(fused.radii, general.radii)
    assert_close_gradients(gradients, truth, SAME_GRADIENT)
    assert fused.means2d.grad is not None and general.means2d.grad is not None
    assert relative_error(fused.means2d.grad, general.means2d.grad) < SAME_GRADIENT
    assert relative_error(fused.screen_gradient, general.screen_gradient) < SAME_GRADIENT
    # The sum of absolute values over the pixels is no smaller than the absolute value of their sum.
    assert (fused.screen_gradient >= fused.means2d.grad.abs() * 0.99 - 1e-9).all()


def test_the_fused_path_knows_alphas_gradient(cuda: CudaRenderer, made: RandomScene) -> None:
    """The photometric loss does not ask for it; a loss that does must not be told nothing."""
    weights = torch.rand(2, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(4)).to(cuda.device)
    results: list[dict[str, Tensor]] = []
    for with_depth in (False, True):
        parameters = made.leaves(cuda)
        (made.render(cuda, parameters, with_depth=with_depth).alpha * weights).sum().backward()
        geometry = {name: tensor for name, tensor in parameters.items() if name not in ("sh0", "shN")}
        results.append(gradients_of(geometry))
    assert_close_gradients(results[0], results[1], SAME_GRADIENT)


@pytest.mark.parametrize("antialiased", [False, True])
@pytest.mark.parametrize("with_depth", [False, True])
def test_packed_equals_dense(made: RandomScene, with_depth: bool, antialiased: bool) -> None:
    from splatlib.render.cuda.renderer import CudaRenderer

    results: list[tuple[Rendering, dict[str, Tensor]]] = []
    for packed in (False, True):
        renderer = CudaRenderer(packed=packed, antialiased=antialiased)
        parameters = made.leaves(renderer)
        rendering = made.render(renderer, parameters, with_depth=with_depth)
        made.loss(renderer, rendering, masked=True).backward()
        results.append((rendering, gradients_of(parameters)))
    (dense, truth), (packed_one, gradients) = results
    for name in ("image", "alpha", *(["depth"] if with_depth else [])):
        torch.testing.assert_close(getattr(packed_one, name), getattr(dense, name), rtol=1e-4, atol=SAME_IMAGE)
    assert_close_gradients(gradients, truth, SAME_GRADIENT)

    ids = packed_one.gaussian_ids
    assert dense.gaussian_ids is None and ids is not None
    assert packed_one.means2d.shape == (len(ids), 2) and packed_one.radii.shape == (len(ids), 2)
    assert torch.equal(torch.bincount(ids, minlength=500), (dense.radii > 0).all(dim=-1).sum(dim=0))
    scattered = torch.zeros(500, 2, device=ids.device).index_add_(0, ids, packed_one.screen_gradient)
    assert relative_error(scattered, dense.screen_gradient.sum(dim=0)) < SAME_GRADIENT


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("with_depth", [False, True], ids=["fused", "general"])
def test_two_views_at_once_equal_one_after_the_other(
    cuda: CudaRenderer, made: RandomScene, with_depth: bool, masked: bool
) -> None:
    parameters = made.leaves(cuda)
    both = made.render(cuda, parameters, with_depth=with_depth)
    loss = made.loss(cuda, both, masked=masked)
    loss.backward()
    gradients = gradients_of(parameters)

    losses: list[float] = []
    for index in (0, 1):
        one = made.render(cuda, parameters, (index,), with_depth=with_depth)
        single = made.loss(cuda, one, (index,), masked=masked) / 2
        single.backward()
        losses.append(single.item())
        for name in ("image", "alpha", *(["depth"] if with_depth else [])):
            torch.testing.assert_close(getattr(both, name)[index], getattr(one, name)[0], rtol=0, atol=SAME_IMAGE)
        assert torch.equal(both.radii[index], one.radii[0])
        assert both.means2d.grad is not None and one.means2d.grad is not None
        assert relative_error(both.means2d.grad[index], one.means2d.grad[0]) < SAME_GRADIENT
    assert loss.item() == pytest.approx(sum(losses), rel=1e-5)
    assert_close_gradients(gradients, gradients_of(parameters), SAME_GRADIENT)


@pytest.mark.parametrize("lens", [None, NO_DISTORTION, NO_FISHEYE], ids=["pinhole", "radial", "fisheye"])
def test_a_probe_measures_weights_and_changes_no_other_gradient(
    cuda: CudaRenderer, made: RandomScene, lens: Distortion | None
) -> None:
    seen = through(made, lens)
    plain_parameters, probed_parameters = seen.leaves(cuda), seen.leaves(cuda)
    plain = seen.render(cuda, plain_parameters, with_depth=True)
    seen.loss(cuda, plain, masked=True).backward()
    probed = seen.render(cuda, probed_parameters, with_depth=True, with_probe=True)
    assert probed.probe is not None and probed.probe_image is not None
    assert probed.probe_image.shape == (2, HEIGHT, WIDTH) and not probed.probe_image.any()
    loss = seen.loss(cuda, probed, masked=True)
    (loss + (probed.probe_image * torch.ones_like(probed.alpha)).sum()).backward()

    assert probed.probe.grad is not None and probed.probe.grad.shape == (2, 500, 1)
    per_view = probed.probe.grad.sum(dim=(1, 2))
    torch.testing.assert_close(per_view, probed.alpha.detach().sum(dim=(1, 2)), rtol=1e-3, atol=0.0)
    assert (probed.probe.grad >= 0).all()
    torch.testing.assert_close(probed.image, plain.image, rtol=0, atol=SAME_IMAGE)
    torch.testing.assert_close(probed.depth, plain.depth, rtol=1e-4, atol=SAME_IMAGE)
    assert_close_gradients(gradients_of(probed_parameters), gradients_of(plain_parameters), SAME_GRADIENT)


def test_a_probe_weighs_by_the_map(cuda: CudaRenderer, made: RandomScene) -> None:
    """Half the map is half the sum, and a view whose map is zero measures nothing."""
    sums: list[Tensor] = []
    for scale in (1.0, 0.5):
        rendering = made.render(cuda, made.leaves(cuda), with_probe=True)
        assert rendering.probe is not None and rendering.probe_image is not None
        weights = torch.zeros_like(rendering.alpha)
        weights[0, :, 40:90] = scale
        (rendering.probe_image * weights).sum().backward()
        assert rendering.probe.grad is not None
        assert not rendering.probe.grad[1].any()
        sums.append(rendering.probe.grad[0])
        expected = (rendering.alpha.detach() * weights).sum()
        torch.testing.assert_close(rendering.probe.grad.sum(), expected, rtol=1e-3, atol=0.0)
    assert relative_error(sums[1] * 2, sums[0]) < SAME_GRADIENT


@pytest.mark.parametrize("with_depth", [False, True])
def test_a_lens_without_distortion_is_a_pinhole(cuda: CudaRenderer, made: RandomScene, with_depth: bool) -> None:
    """Nearly: 3DGUT evaluates Gaussians in the scene, EWA splatting their projections with a blur of 0.3 px²."""
    pinhole = made.render(cuda, made.leaves(cuda), with_depth=with_depth)
    seen = through(made, NO_DISTORTION)
    parameters = seen.leaves(cuda)
    rendering = seen.render(cuda, parameters, with_depth=with_depth)
    assert (rendering.image - pinhole.image).abs().mean() < 0.02
    assert (rendering.alpha - pinhole.alpha).abs().mean() < 0.02
    if rendering.depth is not None and pinhole.depth is not None:
        assert (rendering.depth - pinhole.depth).abs().mean() < 0.08  # the scene is 4 units away
    seen.loss(cuda, rendering, masked=False).backward()
    assert all(gradient.isfinite().all() and gradient.any() for gradient in gradients_of(parameters).values())


def test_antialiasing_only_ever_dims(made: RandomScene) -> None:
    """Gaussians of a tenth of a pixel, which the blur of 0.3 px² would brighten."""
    from splatlib.render.cuda.renderer import CudaRenderer

    tiny = replace(made, parameters={**made.parameters, "scales": torch.full((500, 3), -6.0)})
    plain, antialiased = CudaRenderer(), CudaRenderer(antialiased=True)
    classic = tiny.render(plain, tiny.leaves(plain))
    dimmed = tiny.render(antialiased, tiny.leaves(antialiased))
    assert (dimmed.alpha <= classic.alpha + 1e-5).all()
    assert dimmed.alpha.sum() < 0.5 * classic.alpha.sum()


@pytest.mark.parametrize("with_depth", [False, True], ids=["fused", "general"])
def test_a_view_that_sees_nothing_shows_the_background_and_teaches_nothing(
    cuda: CudaRenderer, made: RandomScene, with_depth: bool
) -> None:
    behind = replace(made, parameters={**made.parameters, "means": made.parameters["means"] - torch.tensor([0, 0, 20])})
    parameters = behind.leaves(cuda)
    rendering = behind.render(cuda, parameters, with_depth=with_depth)
    background = behind.background.to(cuda.device)[None, :, None, None]
    assert torch.equal(rendering.image, background.expand_as(rendering.image))
    assert not rendering.alpha.any() and not rendering.radii.any()
    behind.loss(cuda, rendering, masked=False).backward()
    assert not any(gradient.any() for gradient in gradients_of(parameters).values())


def test_poses_are_placed_on_the_device(cuda: CudaRenderer, made: RandomScene) -> None:
    placed = cuda.place(made.cam_from_world)
    assert placed.device.type == "cuda" and placed.dtype == torch.float32
    np.testing.assert_allclose(placed.cpu().numpy(), made.cam_from_world, atol=1e-6)
