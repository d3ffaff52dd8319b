"""The training loop. It knows its renderer only by the protocol, and nothing of the device it runs on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from splatlib.config import ResolvedTrainConfig
from splatlib.gaussians import Gaussians
from splatlib.render.protocol import Renderer, Rendering, gaussians_from_parameters, parameters_from_gaussians
from splatlib.train.corrections import Corrections, error_map
from splatlib.train.dataset import Level, ViewBatch, ViewPyramid
from splatlib.train.order import ViewOrder
from splatlib.train.schedule import Schedule
from splatlib.train.strategies import create_strategy

AVERAGE_EVERY_STEPS = 5


class Trainer:
    """Parameters, optimisers and the random state of one training; ``step`` moves all of them by one step."""

    def __init__(
        self,
        config: ResolvedTrainConfig,
        schedule: Schedule,
        renderer: Renderer,
        views: ViewPyramid,
        start: Gaussians,
        order: ViewOrder | None = None,
    ) -> None:
        self.config, self.schedule, self.renderer, self.views = config, schedule, renderer, views
        self.step_index = 0
        tensors = parameters_from_gaussians(start, renderer.device)
        self.parameters = {name: torch.nn.Parameter(tensor) for name, tensor in tensors.items()}
        self.optimizers = renderer.optimizers(self.parameters, schedule.learning_rates(0))
        self.strategy = create_strategy(config, schedule, renderer, views.cameras)
        self.corrections = Corrections(config, views, schedule.scene_extent, renderer.device)
        self._averages: list[Tensor] | None = None  # as self.parameters
        self._order = order or ViewOrder(views.cameras, config.seed)
        self._generator = torch.Generator(renderer.device).manual_seed(config.seed)
        self._plain_background = torch.full((3,), float(config.background == "white"), device=renderer.device)

    @property
    def num_gaussians(self) -> int:
        return len(self.parameters["means"])

    @property
    def done(self) -> bool:
        return self.step_index >= self.config.steps

    def gaussians(self) -> Gaussians:
        """A copy on the CPU."""
        return gaussians_from_parameters(self.parameters)

    def step(self) -> Tensor:
        """One optimisation step on one or several views; returns the loss, which nobody has waited for yet."""
        step = self.step_index
        background = self._background()
        views = self._with_empty_shown(self.corrections.placed(self._next_views(step)), background)
        for name, rate in self.schedule.learning_rates(step).items():
            self.optimizers[name].param_groups[0]["lr"] = rate
        probed = self.strategy.wants_probe(step)
        rendering = self.render(views, self.schedule.sh_degree(step), background, with_probe=probed)
        image, views = self.corrections.applied(views, rendering.image, step)
        loss = self.renderer.photometric_loss(image, views.target, views.mask, self.config.ssim_weight)
        total = loss + (self._regularization() + self.corrections.regularization(views))
        if rendering.probe_image is not None:
            total = total + (rendering.probe_image * error_map(image, views)).sum()
        total.backward()
        self.optimizers.step()
        self.corrections.optimize(step)
        self.strategy.after_step(self.parameters, self.optimizers, step, rendering)
        self.step_index += 1
        self._average()
        return loss.detach()

    @torch.no_grad()
    def _average(self) -> None:
        """Once the number of Gaussians stays, note a running mean of the parameters; at the end, it is the result.

        Rates that are still high explore around the optimum, and the mean of that walk lies nearer to it than any
        point of it (Polyak & Juditsky 1992; Izmailov et al., "Averaging Weights", 2018).
        """
        every, weight = AVERAGE_EVERY_STEPS, self.schedule.average_weight(AVERAGE_EVERY_STEPS)
        if not weight or self.schedule.densifies(self.step_index - 1) or (self.step_index % every and not self.done):
            return
        current = [parameter.detach() for parameter in self.parameters.values()]
        if self._averages is None or len(self._averages[0]) != self.num_gaussians:  # a full device may lose some
            self._averages = [tensor.clone() for tensor in current]
        else:
            for average, tensor in zip(self._averages, current, strict=True):
                average.lerp_(tensor, weight)
        if self.done:
            self.take_average()

    @torch.no_grad()
    def take_average(self) -> None:
        """Replace the parameters by their running mean, where there is one: what a training ends with."""
        if self._averages is not None and len(self._averages[0]) == self.num_gaussians:
            for parameter, average in zip(self.parameters.values(), self._averages, strict=True):
                parameter.copy_(average)

    def render(
        self,
        views: ViewBatch,
        sh_degree: int | None = None,
        background: Tensor | None = None,
        *,
        with_probe: bool = False,
    ) -> Rendering:
        """Render views, by default with all colour degrees, before the configured background."""
        return self.renderer.render(
            self.parameters,
            views.cameras,
            views.cam_from_world,
            sh_degree=self.config.sh_degree if sh_degree is None else sh_degree,
            background=self._fixed_background() if background is None else background,
            with_probe=with_probe,
        )

    def _regularization(self) -> Tensor | float:
        """Pulls what the pictures do not need towards transparent and small (Kheradmand et al. 2024)."""
        recipe, total = self.schedule.recipe, 0.0
        if recipe.opacity_weight:
            total = total + recipe.opacity_weight * torch.sigmoid(self.parameters["opacities"]).mean()
        if recipe.scale_weight:
            widths = torch.exp(self.parameters["scales"]).mean() / self.schedule.scene_extent
            total = total + recipe.scale_weight * widths
        return total

    def _next_views(self, step: int) -> ViewBatch:
        level, indices = self._level_and_views(step)
        views = level.batch(indices)
        if step + 1 < self.config.steps:
            next_level, next_indices = self._level_and_views(step + 1, peek=True)
            next_level.prefetch(next_indices)
        return views

    def _level_and_views(self, step: int, peek: bool = False) -> tuple[Level, list[int]]:
        level = self.views.levels[self.schedule.long_side_px(step)]
        count = self.schedule.views_per_step(step) if self.renderer.prefers_batches else 1
        return level, self._order.peek(count) if peek else self._order.take(count)

    def _background(self) -> Tensor:
        if self.config.background == "random" or self.config.outside_mask == "transparent":
            levels = torch.randint(256, (3,), generator=self._generator, device=self.renderer.device)
            return levels.to(torch.float32) / 255
        return self._fixed_background()

    def _with_empty_shown(self, views: ViewBatch, background: Tensor) -> ViewBatch:
        """Where masks mean transparency, the photos get the background's colour outside, another at every step.

        So whatever is left there, of any colour, costs: no smoke, no halo, no dark rim.
        """
        if self.config.outside_mask != "transparent" or views.empty is None or views.mask is None:
            return views
        color = (background * 255).round().to(torch.uint8)[None, :, None, None]
        target = torch.where(views.empty[:, None], color, views.target)
        return replace(views, target=target, mask=torch.where(views.empty, 1.0, views.mask))

    def _fixed_background(self) -> Tensor:
        return self._plain_background

    # Checkpoints

    def state(self) -> dict[str, Any]:
        """Everything needed to go on exactly where this training stands."""
        return {
            "step_index": self.step_index,
            "parameters": {name: tensor.detach() for name, tensor in self.parameters.items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "strategy": self.strategy.state(),
            "corrections": self.corrections.state(),
            "averages": None if self._averages is None else dict(zip(self.parameters, self._averages, strict=True)),
            "order": self._order.state(),
            "generator": self._generator.get_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a ``state``."""
        device = self.renderer.device
        self.step_index = state["step_index"]
        self.parameters = {name: torch.nn.Parameter(t.to(device)) for name, t in state["parameters"].items()}
        self.optimizers = self.renderer.optimizers(self.parameters, self.schedule.learning_rates(self.step_index))
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        self.strategy.restore(state["strategy"])
        self.corrections.restore(state["corrections"])
        averages = state["averages"]
        self._averages = None if averages is None else [averages[name].to(device) for name in self.parameters]
        self._order.restore(state["order"])
        self._generator.set_state(state["generator"].cpu())
