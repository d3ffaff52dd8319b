"""Densification: where Gaussians are added and removed while training.

``BudgetStrategy`` is ours, for short schedules under a fixed budget. ``GsplatDefaultStrategy`` is gsplat's
DefaultStrategy, the published rules of 3D Gaussian Splatting. Both edit parameters and optimiser states in place of
the dictionaries that they are given, and run on any device.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from splatlib.config import TrainConfig
from splatlib.errors import MissingDependencyError
from splatlib.render.protocol import Rendering
from splatlib.train.schedule import REFINE_UNTIL, Schedule

Optimizers = Mapping[str, torch.optim.Optimizer]
Parameters = dict[str, torch.nn.Parameter]


class Strategy(Protocol):
    """What the loop calls after each step."""

    def after_step(
        self,
        parameters: Parameters,
        optimizers: Optimizers,
        step: int,
        rendering: Rendering,
        generator: torch.Generator,
    ) -> None: ...

    def state(self) -> dict[str, Any]:
        """Everything needed to go on exactly, as tensors and numbers."""
        ...

    def restore(self, state: dict[str, Any]) -> None: ...


def create_strategy(config: TrainConfig, schedule: Schedule) -> Strategy:
    return GsplatDefaultStrategy(config, schedule) if config.strategy == "default" else BudgetStrategy(config, schedule)


class BudgetStrategy:
    """Split what moves most on screen, remove what is transparent, and never exceed ``max_gaussians``.

    The score is the mean norm of the gradient by the projected centre in units of the picture (Kerbl et al. 2023).
    At each refinement the best-scored Gaussians are split in two along their longest axis, at most half of all and
    only as many as the budget has room for: each child ``1 / 1.8`` as long, half a standard deviation to either
    side. (A fixed budget: Mallick et al., "Taming 3DGS", 2024; the long-axis split: Deng et al., "Efficient Density
    Control", 2024.)
    """

    MIN_OPACITY = 0.005
    MAX_SCALE = 0.5  # of the scene's extent
    CHILD_LENGTH, CHILD_OFFSET, CHILD_OPACITY = 1 / 1.8, 0.5, 0.7

    def __init__(self, config: TrainConfig, schedule: Schedule) -> None:
        self._config, self._schedule = config, schedule
        self._score: Tensor | None = None
        self._seen: Tensor | None = None

    def after_step(
        self,
        parameters: Parameters,
        optimizers: Optimizers,
        step: int,
        rendering: Rendering,
        generator: torch.Generator,
    ) -> None:
        if step >= REFINE_UNTIL * self._config.steps:
            return
        if self._score is None or self._seen is None:
            self._score = torch.zeros_like(parameters["opacities"].detach())
            self._seen = torch.zeros_like(self._score)
        assert rendering.means2d.grad is not None
        long_side_px = max(rendering.alpha.shape)
        self._score += rendering.means2d.grad.norm(dim=1) * long_side_px
        self._seen += (rendering.radii[:, 0] > 0).to(self._seen.dtype)
        if self._schedule.refines_at(step):
            self._refine(parameters, optimizers, self._score / self._seen.clamp(min=1))
            self._score = self._seen = None

    @torch.no_grad()
    def _refine(self, parameters: Parameters, optimizers: Optimizers, score: Tensor) -> None:
        opacity = torch.sigmoid(parameters["opacities"])
        largest = parameters["scales"].max(dim=1).values
        finite = torch.stack([tensor.flatten(1).isfinite().all(1) for tensor in _rows(parameters)]).all(0)
        keep = (
            (opacity > self.MIN_OPACITY) & (largest < math.log(self.MAX_SCALE * self._schedule.scene_extent)) & finite
        )
        kept = keep.nonzero()[:, 0]
        room = min(self._config.max_gaussians - len(kept), len(kept) // 2)
        split = kept[torch.topk(score[kept], room).indices] if room > 0 else kept[:0]

        index = torch.cat([kept, split])  # of the source row of every new row
        is_parent = torch.zeros_like(keep)
        is_parent[split] = True
        parent_rows = is_parent[kept].nonzero()[:, 0]
        child_rows = torch.arange(len(kept), len(index), device=kept.device)
        sources = kept[parent_rows]  # the same Gaussians as ``split``, in the order of their rows
        index[child_rows] = sources
        values = {name: tensor.detach()[index].clone() for name, tensor in parameters.items()}
        axis = parameters["scales"][sources].argmax(dim=1)
        log_length = parameters["scales"][sources].gather(1, axis[:, None])[:, 0]
        direction = _rotation_columns(parameters["quats"][sources], axis)
        offset = direction * (self.CHILD_OFFSET * torch.exp(log_length))[:, None]
        child_logit = torch.logit(opacity[sources] * self.CHILD_OPACITY)
        for rows, sign in ((parent_rows, -1), (child_rows, 1)):
            values["means"][rows] += sign * offset
            values["scales"][rows, axis] += math.log(self.CHILD_LENGTH)
            values["opacities"][rows] = child_logit
        fresh = torch.zeros(len(index), dtype=torch.bool, device=kept.device)
        fresh[parent_rows] = True
        fresh[child_rows] = True
        replace_rows(parameters, optimizers, values, index, fresh)

    def state(self) -> dict[str, Any]:
        return {"score": self._score, "seen": self._seen}

    def restore(self, state: dict[str, Any]) -> None:
        self._score, self._seen = state["score"], state["seen"]


class GsplatDefaultStrategy:
    """gsplat's DefaultStrategy (Ye et al. 2024), its schedule scaled from 30,000 steps to the configured number.

    Growth pauses at ``max_gaussians``; a growth that begins below may end above it. Raises MissingDependencyError
    if gsplat is not installed; its strategies need no CUDA.
    """

    def __init__(self, config: TrainConfig, schedule: Schedule) -> None:
        try:
            from gsplat.strategy import DefaultStrategy
        except ImportError as error:
            raise MissingDependencyError(
                "strategy 'default' needs gsplat", why=str(error), hint="pip install gsplat, or strategy 'budget'"
            ) from error

        class Bounded(DefaultStrategy):
            def _grow_gs(self, params: Any, *args: Any) -> tuple[int, int]:
                return (0, 0) if len(params["means"]) >= config.max_gaussians else super()._grow_gs(params, *args)

        shorter = config.steps / 30_000
        self._strategy = Bounded(
            refine_start_iter=max(1, round(500 * shorter)),
            refine_stop_iter=round(15_000 * shorter),
            reset_every=max(200, round(3_000 * shorter)),
            refine_every=max(20, round(100 * shorter)),
            verbose=False,
        )
        self._state = self._strategy.initialize_state(scene_scale=schedule.scene_extent)

    def after_step(
        self,
        parameters: Parameters,
        optimizers: Optimizers,
        step: int,
        rendering: Rendering,
        generator: torch.Generator,
    ) -> None:
        height, width = rendering.alpha.shape
        means2d = rendering.means2d.detach()[None]
        assert rendering.means2d.grad is not None
        means2d.grad = rendering.means2d.grad[None]
        info = {
            "means2d": means2d,
            "radii": rendering.radii[None],
            "width": width,
            "height": height,
            "n_cameras": 1,
            "gaussian_ids": None,
        }
        # gsplat draws split positions from torch's global generator: lend it ours, so that a run repeats.
        with torch.random.fork_rng():
            torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
            self._strategy.step_post_backward(parameters, dict(optimizers), self._state, step, info, packed=False)

    def state(self) -> dict[str, Any]:
        return dict(self._state)

    def restore(self, state: dict[str, Any]) -> None:
        self._state.update(state)


def replace_rows(
    parameters: Parameters, optimizers: Optimizers, values: dict[str, Tensor], index: Tensor, fresh: Tensor
) -> None:
    """Give every parameter new rows, and its optimiser the matching moments.

    Args:
        values: new tensors [M, …] by name.
        index: [M] which old row each new row comes from.
        fresh: [M] rows whose moments start at zero.
    """
    for name, value in values.items():
        old, new = parameters[name], torch.nn.Parameter(value)
        optimizer = optimizers[name]
        state = optimizer.state.pop(old, {})
        for key, moment in state.items():
            if key != "step":
                moved = moment[index]
                moved[fresh] = 0
                state[key] = moved
        if state:
            optimizer.state[new] = state
        optimizer.param_groups[0]["params"] = [new]
        parameters[name] = new


def _rows(parameters: Parameters) -> list[Tensor]:
    """Every parameter as [N, -1]; those without columns are left out."""
    return [tensor.detach().reshape(len(tensor), -1) for tensor in parameters.values() if tensor.numel()]


def _rotation_columns(quats: Tensor, axis: Tensor) -> Tensor:
    """[M, 3] column ``axis`` [M] of the rotation matrix of each quaternion [M, 4] wxyz."""
    w, x, y, z = torch.nn.functional.normalize(quats, dim=1).unbind(1)
    columns = torch.stack(
        [
            torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)], dim=1),
            torch.stack([2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)], dim=1),
            torch.stack([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)], dim=1),
        ],
        dim=1,
    )
    return columns[torch.arange(len(axis), device=axis.device), axis]
