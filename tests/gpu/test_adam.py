"""CudaAdam takes torch's steps, and its state has the form that checkpoints and gsplat's strategies want."""

from __future__ import annotations

import copy

import pytest
import torch

from tests.gpu.random_scene import relative_error

pytestmark = pytest.mark.gpu

SHAPES = [(101, 3), (1000,), (33, 15, 3), (7, 1, 3)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("rate", [0.01, 1.6e-4])
def test_twenty_steps_equal_those_of_torch(shape: tuple[int, ...], rate: float) -> None:
    from splatlib.render.cuda.adam import CudaAdam

    generator = torch.Generator().manual_seed(0)
    start = torch.randn(shape, generator=generator).cuda() * 0.01  # near zero, where small steps are not rounded away
    ours, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    cuda_adam, adam = CudaAdam(ours, rate), torch.optim.Adam([theirs], lr=rate, eps=1e-15)
    for step in range(20):
        gradient = torch.randn(shape, generator=generator).cuda() * 10.0 ** (step % 5 - 4)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        cuda_adam.step()
        adam.step()
    assert relative_error(ours - start, theirs - start) < 1e-4
    for key in ("exp_avg", "exp_avg_sq"):
        assert relative_error(cuda_adam.state[ours][key], adam.state[theirs][key]) < 1e-4


def test_a_rate_that_changes_is_followed() -> None:
    from splatlib.render.cuda.adam import CudaAdam

    ours, theirs = (torch.nn.Parameter(torch.zeros(64, 3, device="cuda")) for _ in range(2))
    cuda_adam, adam = CudaAdam(ours, 1.0), torch.optim.Adam([theirs], lr=1.0, eps=1e-15)
    for step in range(5):
        for parameter, optimizer in ((ours, cuda_adam), (theirs, adam)):
            optimizer.param_groups[0]["lr"] = 0.1 / (step + 1)
            parameter.grad = torch.full_like(parameter, step - 1.5)
            optimizer.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_gradients_may_lie_in_any_layout() -> None:
    from splatlib.render.cuda.adam import CudaAdam

    ours = torch.nn.Parameter(torch.zeros(5, 3, device="cuda"))
    signs = torch.tensor([[1.0, -1.0, 1.0]] * 5, device="cuda")
    ours.grad = signs.t().contiguous().t()
    CudaAdam(ours, 0.5).step()
    torch.testing.assert_close(ours.detach(), -0.5 * signs, rtol=1e-4, atol=0.0)


def test_nothing_to_do_is_no_trouble() -> None:
    """No gradient, or no coefficient above degree 0."""
    from splatlib.render.cuda.adam import CudaAdam

    without_gradient = torch.nn.Parameter(torch.ones(4, 3, device="cuda"))
    CudaAdam(without_gradient, 0.1).step()
    assert (without_gradient == 1).all()
    empty = torch.nn.Parameter(torch.zeros(4, 0, 3, device="cuda"))
    empty.grad = torch.zeros_like(empty)
    CudaAdam(empty, 0.1).step()


def test_a_set_moves_all_and_forgets_their_gradients() -> None:
    from splatlib.render.cuda.renderer import CudaRenderer

    parameters = {name: torch.nn.Parameter(torch.zeros(4, 3, device="cuda")) for name in ("means", "scales")}
    optimizers = CudaRenderer().optimizers(parameters, {"means": 0.1, "scales": 0.2})
    for parameter in parameters.values():
        parameter.grad = torch.ones_like(parameter)
    optimizers.step()
    torch.testing.assert_close(
        parameters["means"].detach(), torch.full((4, 3), -0.1, device="cuda"), rtol=1e-4, atol=0.0
    )
    torch.testing.assert_close(
        parameters["scales"].detach(), torch.full((4, 3), -0.2, device="cuda"), rtol=1e-4, atol=0.0
    )
    assert all(parameter.grad is None for parameter in parameters.values())


def test_a_restored_optimiser_goes_on_as_if_nothing_had_happened() -> None:
    from splatlib.render.cuda.adam import CudaAdam

    generator = torch.Generator().manual_seed(1)
    gradients = torch.randn(6, 50, 3, generator=generator).cuda()
    whole = torch.nn.Parameter(torch.zeros(50, 3, device="cuda"))
    optimizer = CudaAdam(whole, 0.01)
    saved: dict[str, object] = {}
    restored = torch.nn.Parameter(torch.zeros(50, 3, device="cuda"))
    for step, gradient in enumerate(gradients):
        if step == 3:
            saved, restored = copy.deepcopy(optimizer.state_dict()), torch.nn.Parameter(whole.detach().clone())
        whole.grad = gradient.clone()
        optimizer.step()
    other = CudaAdam(restored, 0.01)
    other.load_state_dict(saved)
    for gradient in gradients[3:]:
        restored.grad = gradient.clone()
        other.step()
    assert torch.equal(restored, whole)
