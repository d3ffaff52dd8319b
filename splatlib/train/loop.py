"""The training loop. It knows its renderer only by the protocol, and nothing of the device it runs on."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from splatlib.config import TrainConfig
from splatlib.gaussians import Gaussians
from splatlib.render.protocol import Renderer, Rendering, gaussians_from_parameters, parameters_from_gaussians
from splatlib.train.dataset import TrainingView, ViewPyramid
from splatlib.train.schedule import Schedule
from splatlib.train.strategies import create_strategy


class Trainer:
    """Parameters, optimisers and the random state of one training; ``step`` moves all of them by one step."""

    def __init__(
        self, config: TrainConfig, schedule: Schedule, renderer: Renderer, views: ViewPyramid, start: Gaussians
    ) -> None:
        self.config, self.schedule, self.renderer, self.views = config, schedule, renderer, views
        self.step_index = 0
        tensors = parameters_from_gaussians(start, renderer.device)
        self.parameters = {name: torch.nn.Parameter(tensor) for name, tensor in tensors.items()}
        self.optimizers = renderer.optimizers(self.parameters, schedule.learning_rates(0))
        self.strategy = create_strategy(config, schedule)
        self._order = np.random.default_rng(config.seed)
        self._queue: list[int] = []
        self._generator = torch.Generator().manual_seed(config.seed)

    @property
    def num_gaussians(self) -> int:
        return len(self.parameters["means"])

    @property
    def done(self) -> bool:
        return self.step_index >= self.config.steps

    def gaussians(self) -> Gaussians:
        """A copy on the CPU."""
        return gaussians_from_parameters(self.parameters)

    def step(self) -> torch.Tensor:
        """One optimisation step on one view; returns the loss, which nobody has waited for yet."""
        step = self.step_index
        view = self._next_view(self.schedule.long_side_px(step))
        for name, rate in self.schedule.learning_rates(step).items():
            self.optimizers[name].param_groups[0]["lr"] = rate
        rendering = self.render(view, self.schedule.sh_degree(step), self._background())
        loss, _ = self.renderer.photometric_loss(rendering.image, view.target, view.mask, self.config.ssim_weight)
        loss.backward()
        for optimizer in self.optimizers.values():
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.strategy.after_step(self.parameters, self.optimizers, step, rendering, self._generator)
        self.step_index += 1
        return loss.detach()

    def render(
        self, view: TrainingView, sh_degree: int | None = None, background: torch.Tensor | None = None
    ) -> Rendering:
        """The view as it looks now; by default with all colour degrees, before the configured background."""
        return self.renderer.render(
            self.parameters,
            view.camera,
            view.cam_from_world,
            sh_degree=self.config.sh_degree if sh_degree is None else sh_degree,
            background=self._fixed_background() if background is None else background,
        )

    def _next_view(self, long_side_px: int) -> TrainingView:
        """Every view once in random order, then again."""
        if not self._queue:
            self._queue = self._order.permutation(len(self.views)).tolist()
        return self.views.levels[long_side_px][self._queue.pop()]

    def _background(self) -> torch.Tensor:
        if self.config.background == "random":
            return torch.rand(3, generator=self._generator).to(self.renderer.device)
        return self._fixed_background()

    def _fixed_background(self) -> torch.Tensor:
        value = 1.0 if self.config.background == "white" else 0.0
        return torch.full((3,), value, device=self.renderer.device)

    # Checkpoints

    def state(self) -> dict[str, Any]:
        """Everything needed to go on exactly where this training stands."""
        return {
            "step_index": self.step_index,
            "parameters": {name: tensor.detach() for name, tensor in self.parameters.items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "strategy": self.strategy.state(),
            "order": self._order.bit_generator.state,
            "queue": list(self._queue),
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
        self._order.bit_generator.state = state["order"]
        self._queue = list(state["queue"])
        self._generator.set_state(state["generator"])
