"""The CPU rasteriser against a float64 reference, finite differences and laws."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from splatlib.artifacts import PinholeCamera
from splatlib.render.cpu.renderer import CpuRenderer
from tests.unit.render import reference

CAMERA = PinholeCamera(width=50, height=37, fx=55.0, fy=52.0, cx=23.7, cy=19.1)


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
        parameters, CAMERA, pose(), sh_degree=sh_degree, background=background, with_depth=True
    )
    assert rendering.depth is not None
    ours = torch.cat([rendering.image, rendering.alpha[None], rendering.depth[None]])
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


def rendered_loss(parameters: dict[str, torch.Tensor], camera: PinholeCamera = CAMERA) -> torch.Tensor:
    weights = torch.rand(3, CAMERA.height, CAMERA.width, generator=torch.Generator().manual_seed(2))
    rendering = CpuRenderer().render(parameters, camera, pose(), sh_degree=1, background=torch.zeros(3))
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
            parameters, CAMERA, pose(), sh_degree=3, background=torch.ones(3), with_depth=True
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
    rendering = CpuRenderer().render(parameters, CAMERA, pose(), sh_degree=0, background=torch.full((3,), 0.25))
    rendering.image.sum().backward()
    assert torch.equal(rendering.image, torch.full_like(rendering.image, 0.25))
    assert (rendering.radii == 0).all()
    assert all((p.grad == 0).all() for p in parameters.values() if p.grad is not None)


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
    rendering = CpuRenderer().render(parameters, CAMERA, view, sh_degree=0, background=torch.zeros(3), with_depth=True)
    center = rendering.image[:, 19, 23]
    assert center[1] > 0.98 and center[0] < 0.02
    assert rendering.depth is not None
    assert rendering.depth[19, 23].item() == pytest.approx(3.0, rel=0.01)
