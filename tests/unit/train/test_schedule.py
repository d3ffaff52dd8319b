"""Laws of the schedule, of the budget strategy, and of the edits that densification is made of."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from splatlib.artifacts import SparseScene
from splatlib.config import ResolvedTrainConfig, TrainConfig
from splatlib.errors import TrainingError
from splatlib.render.protocol import Rendering
from splatlib.train.budget import BudgetStrategy
from splatlib.train.rows import keep_rows, most_opaque, replace_rows
from splatlib.train.schedule import MIN_LONG_SIDE_PX, Schedule, fast, published
from splatlib.train.stage import plan
from splatlib.train.strategies import McmcStrategy

configs = st.builds(
    lambda kind, steps, px, degree: TrainConfig(steps=steps, max_long_side_px=px, sh_degree=degree).resolved(kind),
    st.sampled_from(["cpu", "cuda"]),
    st.integers(1, 5000),
    st.integers(32, 4096),
    st.integers(0, 3),
)


@given(configs, st.floats(0.01, 100))
def test_resolution_grows_to_the_full_one(config: ResolvedTrainConfig, extent: float) -> None:
    schedule = Schedule(config, extent, fast(config.steps))
    sides = [schedule.long_side_px(step) for step in range(config.steps)]
    assert sides == sorted(sides)
    assert set(sides) == set(schedule.long_sides_px)
    assert sides[-1] == config.max_long_side_px
    assert sides[0] >= min(MIN_LONG_SIDE_PX, config.max_long_side_px)


@given(configs)
def test_colour_degrees_and_rates(config: ResolvedTrainConfig) -> None:
    schedule = Schedule(config, 2.0, fast(config.steps))
    degrees = [schedule.sh_degree(step) for step in range(config.steps)]
    assert degrees == sorted(degrees)
    assert max(degrees) <= config.sh_degree
    first, last = schedule.learning_rates(0), schedule.learning_rates(config.steps - 1)
    assert all(0 < last[name] <= first[name] for name in first)


@given(configs)
def test_small_pictures_come_in_larger_batches(config: ResolvedTrainConfig) -> None:
    schedule = Schedule(config, 1.0, fast(config.steps))
    views = [schedule.views_per_step(step) for step in range(config.steps)]
    assert views == sorted(views, reverse=True)
    assert views[-1] == 2


@given(configs)
def test_refinements_are_many_enough_and_end_in_time(config: ResolvedTrainConfig) -> None:
    recipe = fast(config.steps)
    schedule = Schedule(config, 1.0, recipe)
    refinements = [step for step in range(config.steps) if schedule.refines_at(step)]
    assert all(0 < step < recipe.refine_until * config.steps for step in refinements)
    if config.steps >= 100:
        assert len(refinements) >= recipe.min_refinements
        assert {b - a for a, b in itertools.pairwise(refinements)} == {schedule.refine_every}


def test_only_long_schedules_pull_opacities_down_as_hard_as_published() -> None:
    weights = [fast(steps).opacity_weight for steps in (100, 1300, 3600, 10_000, 100_000)]
    assert weights == sorted(weights) and weights[0] < 1e-3 and weights[-2:] == [0.01, 0.01]


@pytest.mark.parametrize("preset", ["balanced", "reference"])
def test_mcmc_has_its_own_weights_and_the_published_noise(preset: str, scene: SparseScene) -> None:
    """With noise by our rates, which stay high, a training on fox ended at 19.7 dB."""
    settings = TrainConfig.from_dict({"preset": preset, "strategy": "mcmc"}).resolved("cuda")
    settings, schedule, _ = plan(scene, scene.views, settings)
    assert schedule.recipe.opacity_weight == schedule.recipe.scale_weight == 0.01
    strategy = McmcStrategy(settings, schedule)
    first, last = strategy.noise_rate(0), strategy.noise_rate(settings.steps)
    assert first == pytest.approx(1.6e-4 / schedule.scene_extent)
    assert last == pytest.approx(first / 100)
    larger = McmcStrategy(settings, replace(schedule, scene_extent=3 * schedule.scene_extent))
    # Gaussians three times as large have nine times the covariance, and are to move three times as far.
    assert 3**2 * larger.noise_rate(0) == pytest.approx(3 * first)


def test_the_reference_is_the_published_schedule() -> None:
    """Kerbl et al. 2023, with the numbers of gsplat's simple_trainer."""
    schedule = Schedule(TrainConfig(preset="reference").resolved("cuda"), 2.0, published())
    assert schedule.long_sides_px == [1600]
    assert {schedule.views_per_step(step) for step in range(0, 30_000, 500)} == {1}
    assert schedule.learning_rates(0) == {
        "means": 2.0 * 1.6e-4,
        "scales": 5e-3,
        "quats": 1e-3,
        "opacities": 5e-2,
        "sh0": 2.5e-3,
        "shN": 2.5e-3 / 20,
    }
    last = schedule.learning_rates(30_000)
    assert last.pop("means") == pytest.approx(2.0 * 1.6e-6)  # the means' rate decays to a hundredth, no other does
    assert last == {name: rate for name, rate in schedule.learning_rates(0).items() if name != "means"}
    assert [schedule.sh_degree(step) for step in (0, 999, 1000, 2000, 3000, 29_999)] == [0, 0, 1, 2, 3, 3]
    refinements = [step for step in range(30_000) if schedule.refines_at(step)]
    assert (refinements[0], refinements[-1]) == (600, 14_900) and len(refinements) == 144


def parameters_of(n: int) -> dict[str, torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    shapes = {"means": (n, 3), "scales": (n, 3), "quats": (n, 4), "opacities": (n,), "sh0": (n, 1, 3), "shN": (n, 3, 3)}
    return {name: torch.nn.Parameter(torch.randn(shape, generator=generator)) for name, shape in shapes.items()}


def optimizers_of(parameters: dict[str, torch.nn.Parameter]) -> dict[str, torch.optim.Optimizer]:
    """After a first step, so that there are moments to carry along."""
    optimizers: dict[str, torch.optim.Optimizer] = {
        name: torch.optim.Adam([tensor], lr=0.0) for name, tensor in parameters.items()
    }
    for name, tensor in parameters.items():
        tensor.grad = torch.ones_like(tensor)
        optimizers[name].step()
    return optimizers


def budget_strategy(max_gaussians: int, num_views: int = 10) -> tuple[BudgetStrategy, int]:
    """In a scene so large that no Gaussian is too large for it, and the first step that refines."""
    config = TrainConfig(steps=1000).resolved("cpu")
    schedule = Schedule(config, 1e3, fast(config.steps))
    refining = next(step for step in range(config.steps) if schedule.refines_at(step))
    return BudgetStrategy(schedule, max_gaussians, num_views), refining


def rendering_with(scores: torch.Tensor) -> Rendering:
    """One view that saw every Gaussian, with these gradients by their centres."""
    means2d = torch.zeros(1, len(scores), 2, requires_grad=True)
    means2d.grad = torch.stack([scores, torch.zeros_like(scores)], dim=1)[None]
    radii = torch.ones(1, len(scores), 2, dtype=torch.int32)
    return Rendering(torch.zeros(1, 3, 4, 4), torch.zeros(1, 4, 4), None, means2d, radii)


@given(st.integers(2, 60), st.integers(100, 130), st.integers(0, 30))
def test_a_refinement_never_exceeds_the_budget_and_keeps_what_it_must(n: int, budget: int, transparent: int) -> None:
    parameters = parameters_of(n)
    with torch.no_grad():
        parameters["opacities"][:transparent] = -20.0
    optimizers = optimizers_of(parameters)
    strategy, step = budget_strategy(budget)
    solid = max(n - transparent, 0)
    if not solid:
        with pytest.raises(TrainingError, match="lost all Gaussians"):
            strategy.after_step(parameters, optimizers, step, rendering_with(torch.rand(n) + 0.1))
        return
    strategy.after_step(parameters, optimizers, step, rendering_with(torch.rand(n) + 0.1))
    assert len(parameters["means"]) == min(max(budget, solid), solid + solid // 2)
    assert len({len(p) for p in parameters.values()}) == 1
    for name, p in parameters.items():
        assert optimizers[name].param_groups[0]["params"] == [p]
        assert optimizers[name].state[p]["exp_avg"].shape == p.shape


def test_a_split_halves_along_the_longest_axis() -> None:
    parameters = parameters_of(2)
    with torch.no_grad():
        parameters["means"].zero_()
        parameters["scales"].copy_(torch.tensor([[0.0, 1.0, -1.0]] * 2))
        parameters["quats"].copy_(torch.tensor([[1.0, 0, 0, 0]] * 2))
        parameters["opacities"].zero_()
    strategy, step = budget_strategy(100)
    strategy.after_step(parameters, optimizers_of(parameters), step, rendering_with(torch.tensor([0.1, 1.0])))
    means, scales = parameters["means"].detach(), parameters["scales"].detach()
    assert len(means) == 3
    assert torch.equal(means[0], torch.zeros(3))
    assert torch.allclose(means[1], -means[2]) and means[2, 1] > 0.5
    assert (means[1:, [0, 2]] == 0).all()
    assert (scales[1:, 1] < 1).all() and torch.equal(scales[1:, [0, 2]], scales[:1, [0, 2]].expand(2, 2))


def test_what_is_broken_is_removed() -> None:
    parameters = parameters_of(6)
    with torch.no_grad():
        parameters["means"][1, 0] = float("nan")
        parameters["shN"][4, 2, 1] = float("inf")
        expected = parameters["quats"][[0, 2, 3, 5]].clone()
    strategy, step = budget_strategy(4)  # room for no more than what is left
    strategy.after_step(parameters, optimizers_of(parameters), step, rendering_with(torch.ones(6)))
    assert torch.equal(parameters["quats"], expected)


def test_what_changes_no_pixel_in_two_rounds_of_all_views_is_removed() -> None:
    """Three views, one between two refinements: until the sixth some view may not have had its second turn."""
    num_views = 3
    parameters, start = parameters_of(4), parameters_of(4)
    optimizers = optimizers_of(parameters)
    strategy, first = budget_strategy(4, num_views)
    for refinement in range(1, 2 * num_views + 1):
        assert torch.equal(parameters["sh0"], start["sh0"])
        strategy.after_step(parameters, optimizers, first * refinement, rendering_with(torch.tensor([0.0, 1, 1, 1])))
    colors = parameters["sh0"].detach()
    assert len(colors) == 4 and len(torch.unique(colors, dim=0)) == 3  # a split took its place
    assert not (colors == start["sh0"][0]).all(dim=-1).any()


def test_shrinking_keeps_the_most_opaque_and_is_the_new_budget() -> None:
    parameters = parameters_of(30)
    optimizers = optimizers_of(parameters)
    expected = parameters["opacities"].detach().sort(descending=True).values[:20].sort().values
    strategy, step = budget_strategy(40)
    strategy.after_step(parameters, optimizers, step - 1, rendering_with(torch.ones(30)))
    strategy.shrink(parameters, optimizers, 20)
    assert torch.equal(parameters["opacities"].detach().sort().values, expected)
    assert all(len(optimizers[name].state[p]["exp_avg"]) == 20 for name, p in parameters.items())
    strategy.after_step(parameters, optimizers, step, rendering_with(torch.ones(20)))
    assert len(parameters["means"]) <= 20


def test_the_most_opaque_rows_stay_in_their_order() -> None:
    parameters = parameters_of(5)
    with torch.no_grad():
        parameters["opacities"].copy_(torch.tensor([3.0, 1.0, 2.0, 5.0, 4.0]))
    assert most_opaque(parameters, 3).tolist() == [0, 3, 4]
    assert most_opaque(parameters, 9).tolist() == [0, 1, 2, 3, 4]


def test_kept_rows_keep_their_moments() -> None:
    parameters = parameters_of(4)
    optimizers = optimizers_of(parameters)
    moments = {name: optimizers[name].state[p]["exp_avg"].clone() for name, p in parameters.items()}
    index = torch.tensor([0, 2])
    values = {name: p.detach()[index].clone() for name, p in parameters.items()}
    keep_rows(parameters, optimizers, index)
    for name, p in parameters.items():
        assert torch.equal(p, values[name])
        assert torch.equal(optimizers[name].state[p]["exp_avg"], moments[name][index])


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
