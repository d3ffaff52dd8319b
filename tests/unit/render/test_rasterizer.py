"""The CPU rasteriser against a float64 reference, finite differences and laws."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from splatlib.artifacts import Camera
from splatlib.render.cpu.renderer import CpuRenderer
from splatlib.render.protocol import Rendering
from tests.unit.render import reference

CAMERA = Camera(width=50, height=37, fx=55.0, fy=52.0, cx=23.7, cy=19.1)


def random_parameters(num: int, seed: int, sh_degree: int = 3) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(seed)
    arrays = {
        "means": rng.normal(size=(num, 3)) * [1.2, 0.9, 0.8],
        "scales": np.log(rng.uniform(0.03, 0.4, (num, 3))),
        "quats": rng.normal(size=(num, 4)),
        "opacities": rng.normal(size=num) * 2,
        "sh0": rng.normal(size=(num, 1, 3)),
        "shN": rng.normal(size=(num, (sh_degree + 1) ** 2 - 1, 3)) * 0.3,
    }
    return {name: torch.tensor(array, dtype=torch.float32, requires_grad=True) for name, array in arrays.items()}


def pose(seed: int = 0) -> torch.Tensor:
    """A camera three units away, a little turned."""
    rng = np.random.default_rng(seed)
    matrix = np.eye(4)
    matrix[:3, :3] = reference.rotation_matrices(torch.tensor(np.r_[1, rng.normal(size=3) * 0.1])[None])[0].numpy()
    matrix[:3, 3] = [0.1, -0.05, 3.0]
    return torch.from_numpy(matrix)


def as_float64(parameters: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().double().requires_grad_() for name, tensor in parameters.items()}


@pytest.mark.parametrize("sh_degree", [0, 1, 2, 3])
def test_picture_and_gradients_match_the_reference(sh_degree: int) -> None:
    parameters = random_parameters(60, seed=sh_degree)
    background = torch.tensor([0.2, 0.5, 0.9])
    weights = torch.rand(5, CAMERA.height, CAMERA.width, generator=torch.Generator().manual_seed(1))
    rendering = CpuRenderer().render(
        parameters, [CAMERA], pose()[None], sh_degree=sh_degree, background=background, with_depth=True
    )
    assert rendering.depth is not None
    ours = torch.cat([rendering.image[0], rendering.alpha, rendering.depth])
    (ours * weights).sum().backward()

    exact = as_float64(parameters)
    truth = torch.cat(
        [part.reshape(-1, CAMERA.height, CAMERA.width) for part in reference.render(
            exact, CAMERA, pose(), sh_degree, background.double()
        )]
    )  # fmt: skip
    (truth * weights).sum().backward()

    # A pixel whose alpha lies within rounding of 1/255 may fall on either side of the threshold.
    assert torch.quantile((ours - truth).abs().flatten(), 0.999) < 1e-5
    assert (ours - truth).abs().max() < 0.02
    for name, tensor in parameters.items():
        ours_grad, true_grad = tensor.grad, exact[name].grad
        assert ours_grad is not None and true_grad is not None
        error = (ours_grad - true_grad).norm()
        assert error <= 3e-4 * true_grad.norm(), f"{name}: {error / true_grad.norm()=}"


@pytest.mark.parametrize("masked", [False, True])
def test_two_views_at_once_equal_one_after_the_other(masked: bool) -> None:
    """Pictures, losses, and every gradient; the loss of several views is the mean of theirs."""
    renderer, generator = CpuRenderer(), torch.Generator().manual_seed(7)
    parameters, background = random_parameters(80, seed=7), torch.tensor([0.2, 0.5, 0.9])
    cameras = [CAMERA, dataclasses.replace(CAMERA, fx=48.0, cx=25.0)]
    poses = renderer.place(np.stack([pose(0), pose(1)]))
    target = torch.randint(0, 256, (2, 3, CAMERA.height, CAMERA.width), generator=generator, dtype=torch.uint8)
    mask = (torch.rand(2, CAMERA.height, CAMERA.width, generator=generator) > 0.3).float() if masked else None

    def drawn(chosen: list[int]) -> tuple[Rendering, torch.Tensor]:
        rendering = renderer.render(
            parameters, [cameras[i] for i in chosen], poses[chosen], sh_degree=3, background=background, with_depth=True
        )
        loss = renderer.photometric_loss(
            rendering.image, target[chosen], None if mask is None else mask[chosen], ssim_weight=0.2
        )
        assert rendering.depth is not None
        return rendering, loss + rendering.depth.mean() + rendering.alpha.mean()

    def taken_gradients() -> dict[str, torch.Tensor]:
        gradients = {name: tensor.grad.clone() for name, tensor in parameters.items() if tensor.grad is not None}
        for tensor in parameters.values():
            tensor.grad = None
        return gradients

    both, loss = drawn([0, 1])
    loss.backward()
    gradients = taken_gradients()
    single = [drawn([0]), drawn([1])]
    (0.5 * (single[0][1] + single[1][1])).backward()

    assert loss.item() == pytest.approx(0.5 * (single[0][1] + single[1][1]).item(), rel=1e-6)
    assert both.means2d.grad is not None
    for index, (one, _) in enumerate(single):
        for name in ("image", "alpha", "depth", "means2d", "radii"):
            assert torch.equal(getattr(both, name)[index], getattr(one, name)[0]), name
        assert one.means2d.grad is not None
        torch.testing.assert_close(both.means2d.grad[index], one.means2d.grad[0], rtol=1e-5, atol=1e-9)
    for name, gradient in taken_gradients().items():
        assert gradient.abs().max() > 0
        torch.testing.assert_close(gradients[name], gradient, rtol=1e-4, atol=1e-7)


def rendered_loss(parameters: dict[str, torch.Tensor], camera: Camera = CAMERA) -> torch.Tensor:
    weights = torch.rand(3, CAMERA.height, CAMERA.width, generator=torch.Generator().manual_seed(2))
    rendering = CpuRenderer().render(parameters, [camera], pose()[None], sh_degree=1, background=torch.zeros(3))
    return (rendering.image.double() * weights).sum()


@pytest.mark.parametrize(("name", "step"), [("sh0", 1e-2), ("shN", 1e-2), ("opacities", 2e-2)])
def test_gradients_match_central_differences(name: str, step: float) -> None:
    """Along a random direction. Positions and shapes are left to the reference: alpha's cut-off at 1/255 moves
    with them, a jump that differences see and the gradient, by definition of the method, does not."""
    parameters = random_parameters(40, seed=5, sh_degree=1)
    rendered_loss(parameters).backward()
    gradient = parameters[name].grad
    assert gradient is not None
    direction = torch.randn(parameters[name].shape, generator=torch.Generator().manual_seed(3))
    moved = [{**parameters, name: (parameters[name] + sign * step * direction).detach()} for sign in (1, -1)]
    plus, minus = (rendered_loss(p).item() for p in moved)
    assert (gradient * direction).sum().item() == pytest.approx((plus - minus) / (2 * step), rel=0.05)


@pytest.mark.parametrize("num_threads", [2, 3, 7])
def test_any_number_of_threads_gives_the_same_bits(num_threads: int) -> None:
    results = []
    for threads in (1, num_threads):
        parameters = random_parameters(500, seed=3)
        rendering = CpuRenderer(threads).render(
            parameters, [CAMERA], pose()[None], sh_degree=3, background=torch.ones(3), with_depth=True
        )
        assert rendering.depth is not None
        (rendering.image.square().sum() + rendering.alpha.sum() + rendering.depth.sum()).backward()
        results.append([rendering.image, rendering.depth, *(p.grad for p in parameters.values())])
    for one, many in zip(*results, strict=True):
        assert torch.equal(one, many)


def test_what_is_behind_or_broken_is_not_drawn() -> None:
    parameters = random_parameters(4, seed=0, sh_degree=0)
    with torch.no_grad():
        parameters["means"][0, 2] = -10.0
        parameters["means"][1, 0] = float("nan")
        parameters["opacities"][2] = -20.0
        parameters["scales"][3] = float("inf")
    rendering = CpuRenderer().render(parameters, [CAMERA], pose()[None], sh_degree=0, background=torch.full((3,), 0.25))
    rendering.image.sum().backward()
    assert torch.equal(rendering.image, torch.full_like(rendering.image, 0.25))
    assert (rendering.radii == 0).all()
    assert all((p.grad == 0).all() for p in parameters.values() if p.grad is not None)


def test_more_colour_degrees_than_the_gaussians_have_are_refused() -> None:
    parameters = random_parameters(4, seed=0, sh_degree=1)
    with pytest.raises(ValueError, match=r"degree 2: parameters.sh_rest.shape=\(4, 3, 3\)"):
        CpuRenderer().render(parameters, [CAMERA], pose()[None], sh_degree=2, background=torch.zeros(3))


def test_an_opaque_near_gaussian_hides_a_far_one() -> None:
    parameters = {
        "means": torch.tensor([[0.0, 0, 1.0], [0, 0, 0]]),
        "scales": torch.full((2, 3), -1.0),
        "quats": torch.tensor([[1.0, 0, 0, 0]] * 2),
        "opacities": torch.full((2,), 9.0),
        "sh0": torch.tensor([[[1.0, -1, -1]], [[-1.0, 1, -1]]]) * 1.7724538509,  # red behind, green in front
        "shN": torch.zeros(2, 0, 3),
    }
    view = torch.eye(4, dtype=torch.float64)
    view[2, 3] = 3.0
    rendering = CpuRenderer().render(
        parameters, [CAMERA], view[None], sh_degree=0, background=torch.zeros(3), with_depth=True
    )
    center = rendering.image[0, :, 19, 23]
    assert center[1] > 0.98 and center[0] < 0.02
    assert rendering.depth is not None
    assert rendering.depth[0, 19, 23].item() == pytest.approx(3.0, rel=0.01)
