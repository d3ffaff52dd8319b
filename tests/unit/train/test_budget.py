"""Laws of the budget strategy, on renderings made by hand."""

from __future__ import annotations

import pytest
import torch

from splatlib.config import TrainConfig
from splatlib.render.protocol import Rendering
from splatlib.train.budget import BudgetStrategy
from splatlib.train.schedule import Schedule, fast

N, VIEWS = 40, 3


def parameters_of(n: int) -> dict[str, torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    shapes = {"means": (n, 3), "scales": (n, 3), "quats": (n, 4), "opacities": (n,), "sh0": (n, 1, 3), "shN": (n, 3, 3)}
    return {name: torch.nn.Parameter(torch.randn(shape, generator=generator)) for name, shape in shapes.items()}


def strategy_of(score_by_error: bool = False, max_gaussians: int = 1000) -> BudgetStrategy:
    config = TrainConfig(steps=1000).resolved("cpu")
    return BudgetStrategy(Schedule(config, 1e3, fast(1000)), max_gaussians, VIEWS, score_by_error=score_by_error)


def rendering_of(gradient: torch.Tensor, *, seen: torch.Tensor | None = None) -> Rendering:
    """One view of 64x48 pixels; gradient [N, 2]."""
    means2d = torch.zeros(1, len(gradient), 2)
    means2d.grad = gradient[None]
    radii = torch.ones(1, len(gradient), 2, dtype=torch.int32)
    if seen is not None:
        radii[0, ~seen] = 0
    return Rendering(torch.zeros(1, 3, 48, 64), torch.zeros(1, 48, 64), None, means2d, radii)


def optimizers_of(parameters: dict[str, torch.nn.Parameter]) -> dict[str, torch.optim.Optimizer]:
    return {name: torch.optim.Adam([parameter]) for name, parameter in parameters.items()}


def run_to_refinement(strategy: BudgetStrategy, parameters, optimizers, rendering_at) -> None:
    every = fast(1000).refine_every
    schedule = strategy._schedule
    step = 0
    while True:
        strategy.after_step(parameters, optimizers, step, rendering_at(step))
        if schedule.refines_at(step):
            return
        step += 1
        assert step <= every


def test_those_that_move_most_are_split_and_the_budget_holds() -> None:
    parameters = parameters_of(N)
    gradient = torch.full((N, 2), 1e-6)
    gradient[[3, 17]] = 1e-2
    strategy = strategy_of(max_gaussians=N + 2)
    before = parameters["means"].detach().clone()
    run_to_refinement(strategy, parameters, optimizers_of(parameters), lambda step: rendering_of(gradient))
    after = parameters["means"].detach()
    assert len(after) == N + 2
    moved = (after[:N] != before).any(dim=1).nonzero()[:, 0].tolist()
    assert moved == [3, 17]


def test_a_mean_over_the_views_that_see_it_counts_and_not_how_many_do() -> None:
    parameters = parameters_of(N)
    strategy = strategy_of(max_gaussians=N + 1)

    def rendering(step: int) -> Rendering:
        gradient = torch.full((N, 2), 1e-3)
        seen = torch.ones(N, dtype=torch.bool)
        if step % 10:  # Gaussian 5 is seen seldom, but moves much then
            seen[5], gradient[5] = False, 0.0
        else:
            gradient[5] = 5e-3
        return rendering_of(gradient, seen=seen)

    before = parameters["means"].detach().clone()
    run_to_refinement(strategy, parameters, optimizers_of(parameters), rendering)
    assert (parameters["means"].detach()[:N] != before).any(dim=1).nonzero()[:, 0].tolist() == [5]


def test_absolute_gradients_are_preferred_where_there_are_some() -> None:
    rendering = rendering_of(torch.zeros(N, 2))
    rendering.means2d.absgrad = torch.ones(1, N, 2)  # type: ignore[attr-defined]
    assert torch.equal(rendering.screen_gradient, torch.ones(1, N, 2))


def test_what_moves_no_pixel_for_two_rounds_is_removed() -> None:
    parameters = parameters_of(N)
    gradient = torch.full((N, 2), 1e-3)
    gradient[7] = 0.0
    strategy = strategy_of(max_gaussians=N)
    marker = parameters["sh0"].detach()[7].clone()
    run_to_refinement(strategy, parameters, optimizers_of(parameters), lambda step: rendering_of(gradient))
    assert not (parameters["sh0"].detach() == marker).all(dim=(1, 2)).any()
    assert len(parameters["means"]) == N  # the room is used for a split


def test_beside_other_processes_the_views_of_all_count() -> None:
    """This process drew two views; its Gaussians were in those of another one too, and Gaussian 5 only there."""
    parameters = parameters_of(N)
    strategy = strategy_of(max_gaussians=N + 1)
    gradient = torch.full((4, N, 2), 1e-4)
    gradient[:2, 5], gradient[2:, 5] = 0.0, 1e-2
    means2d = torch.zeros(4, N, 2)
    means2d.grad = gradient
    radii = torch.ones(4, N, 2, dtype=torch.int32)
    made = Rendering(torch.zeros(2, 3, 48, 64), torch.zeros(2, 48, 64), None, means2d, radii)
    before = parameters["means"].detach().clone()
    strategy.after_step(parameters, optimizers_of(parameters), 0, made)
    assert strategy.state()["views_since"] == 4
    run_to_refinement(strategy, parameters, optimizers_of(parameters), lambda step: made)
    assert (parameters["means"].detach()[:N] != before).any(dim=1).nonzero()[:, 0].tolist() == [5]


def test_error_is_the_score_where_there_is_no_gradient() -> None:
    parameters = parameters_of(N)
    strategy = strategy_of(score_by_error=True, max_gaussians=N + 1)
    error = torch.full((1, N, 1), 0.1)
    error[0, 11] = 7.0
    probed: list[int] = []

    def rendering(step: int) -> Rendering:
        made = Rendering(
            torch.zeros(1, 3, 48, 64), torch.zeros(1, 48, 64), None, torch.zeros(1, N, 2),
            torch.ones(1, N, 2, dtype=torch.int32),
        )  # fmt: skip
        if strategy.wants_probe(step):
            probed.append(step)
            made.probe = torch.zeros(1, N, 1, requires_grad=True)
            made.probe.grad = error.clone()
        return made

    before = parameters["means"].detach().clone()
    run_to_refinement(strategy, parameters, optimizers_of(parameters), rendering)
    assert (parameters["means"].detach()[:N] != before).any(dim=1).nonzero()[:, 0].tolist() == [11]
    assert 0 < len(probed) < strategy._schedule.refine_every


@pytest.mark.parametrize("count", [1, 25, N])
def test_shrinking_keeps_the_most_opaque_and_lowers_the_budget(count: int) -> None:
    parameters = parameters_of(N)
    wanted = parameters["opacities"].detach().sort(descending=True).values[:count]
    strategy = strategy_of()
    strategy.after_step(parameters, optimizers := optimizers_of(parameters), 0, rendering_of(torch.ones(N, 2)))
    strategy.shrink(parameters, optimizers, count)
    assert torch.equal(parameters["opacities"].detach().sort(descending=True).values, wanted)
    assert {len(parameter) for parameter in parameters.values()} == {count}
    assert strategy.max_gaussians == count
    strategy.after_step(parameters, optimizers, 1, rendering_of(torch.ones(count, 2)))  # goes on with as many
