"""Laws of the schedule and of the budget strategy."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from splatlib.config import TrainConfig
from splatlib.train.schedule import MIN_LONG_SIDE_PX, Schedule
from splatlib.train.strategies import BudgetStrategy, replace_rows

configs = st.builds(
    lambda steps, px, degree: TrainConfig(steps=steps, max_long_side_px=px, sh_degree=degree),
    st.integers(1, 5000),
    st.integers(32, 4096),
    st.integers(0, 3),
)


@given(configs, st.floats(0.01, 100))
def test_resolution_grows_to_the_full_one(config: TrainConfig, extent: float) -> None:
    schedule = Schedule(config, extent)
    sides = [schedule.long_side_px(step) for step in range(config.steps)]
    assert sides == sorted(sides)
    assert set(sides) == set(schedule.long_sides_px)
    assert sides[-1] == config.max_long_side_px
    assert sides[0] >= min(MIN_LONG_SIDE_PX, config.max_long_side_px)


@given(configs)
def test_colour_degrees_and_rates(config: TrainConfig) -> None:
    schedule = Schedule(config, 2.0)
    degrees = [schedule.sh_degree(step) for step in range(config.steps)]
    assert degrees == sorted(degrees)
    assert max(degrees) <= config.sh_degree
    first, last = schedule.learning_rates(0), schedule.learning_rates(config.steps - 1)
    assert all(0 < last[name] <= first[name] for name in first)


def parameters_of(n: int) -> dict[str, torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    shapes = {"means": (n, 3), "scales": (n, 3), "quats": (n, 4), "opacities": (n,), "sh0": (n, 1, 3), "shN": (n, 3, 3)}
    return {name: torch.nn.Parameter(torch.randn(shape, generator=generator)) for name, shape in shapes.items()}


@given(st.integers(2, 60), st.integers(100, 130), st.integers(0, 30))
def test_a_refinement_never_exceeds_the_budget_and_keeps_what_it_must(n: int, budget: int, transparent: int) -> None:
    config = TrainConfig(max_gaussians=budget)
    parameters = parameters_of(n)
    with torch.no_grad():
        parameters["opacities"][:transparent] = -20.0
    optimizers = {name: torch.optim.Adam([p]) for name, p in parameters.items()}
    for name, p in parameters.items():
        p.grad = torch.ones_like(p)
        optimizers[name].step()
    BudgetStrategy(config, Schedule(config, 1e3))._refine(parameters, optimizers, torch.rand(n))
    solid = max(n - transparent, 0)
    assert len(parameters["means"]) == min(max(budget, solid), solid + solid // 2)
    assert len({len(p) for p in parameters.values()}) == 1
    for name, p in parameters.items():
        assert optimizers[name].param_groups[0]["params"] == [p]
        assert optimizers[name].state[p]["exp_avg"].shape == p.shape


def test_a_split_halves_along_the_longest_axis() -> None:
    config = TrainConfig(max_gaussians=100)
    parameters = parameters_of(2)
    with torch.no_grad():
        parameters["means"].zero_()
        parameters["scales"].copy_(torch.tensor([[0.0, 1.0, -1.0]] * 2))
        parameters["quats"].copy_(torch.tensor([[1.0, 0, 0, 0]] * 2))
        parameters["opacities"].zero_()
    optimizers = {name: torch.optim.Adam([p]) for name, p in parameters.items()}
    BudgetStrategy(config, Schedule(config, 1e3))._refine(parameters, optimizers, torch.tensor([0.0, 1.0]))
    means, scales = parameters["means"].detach(), parameters["scales"].detach()
    assert len(means) == 3
    assert torch.equal(means[0], torch.zeros(3))
    assert torch.allclose(means[1], -means[2]) and means[2, 1] > 0.5
    assert (means[1:, [0, 2]] == 0).all()
    assert (scales[1:, 1] < 1).all() and torch.equal(scales[1:, [0, 2]], scales[:1, [0, 2]].expand(2, 2))


def test_replaced_rows_carry_their_moments() -> None:
    parameters = parameters_of(4)
    optimizers = {name: torch.optim.Adam([p]) for name, p in parameters.items()}
    for name, p in parameters.items():
        p.grad = torch.arange(p.numel(), dtype=torch.float32).reshape(p.shape)
        optimizers[name].step()
    before = optimizers["means"].state[parameters["means"]]["exp_avg"].clone()
    index = torch.tensor([3, 0, 0])
    values = {name: p.detach()[index].clone() for name, p in parameters.items()}
    replace_rows(parameters, optimizers, values, index, torch.tensor([False, False, True]))
    after = optimizers["means"].state[parameters["means"]]["exp_avg"]
    assert torch.equal(after[0], before[3]) and torch.equal(after[1], before[0]) and (after[2] == 0).all()
