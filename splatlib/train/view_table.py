"""Numbers that are learned for each training view, beside the Gaussians."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class RateSchedule:
    """A learning rate over a training: linear warm-up, exponential decay to a share of the first rate.

    Attributes:
        final: last rate as a share of the first.
        warm_up: share of the steps in which it rises from a hundredth.
    """

    rate: float
    final: float = 0.01
    warm_up: float = 0.0

    def at(self, step: int, steps: int) -> float:
        progress = step / steps
        rising = 1.0 if progress >= self.warm_up else 0.01 + 0.99 * progress / self.warm_up
        return self.rate * rising * self.final**progress


class ViewTable:
    """A row for each of V views, zero at first, moved by Adam (Kingma & Ba 2015).

    Attributes:
        values: [V, *shape] float32.
    """

    def __init__(
        self,
        num_views: int,
        shape: Sequence[int],
        device: torch.device,
        *,
        schedule: RateSchedule,
        steps: int,
        weight_decay: float = 0.0,
    ) -> None:
        self._schedule, self._steps = schedule, steps
        self.values = torch.nn.Parameter(torch.zeros(num_views, *shape, device=device))
        # The fused form keeps its step count on the device: after a restore nothing waits for it either.
        self._adam = torch.optim.Adam([self.values], eps=1e-15, weight_decay=weight_decay, fused=True)

    def rows(self, indices: Sequence[int]) -> Tensor:
        """[C, *shape] of some views, differentiable; picked one by one, since a list of indices would be uploaded."""
        return torch.stack([self.values[index] for index in indices])

    def forget_gradients(self) -> None:
        self.values.grad = None

    def step(self, step: int) -> None:
        """Move all rows by their gradients."""
        self._adam.param_groups[0]["lr"] = self._schedule.at(step, self._steps)
        self._adam.step()
        self.forget_gradients()

    def state(self) -> dict[str, Any]:
        return {"values": self.values.detach(), "adam": self._adam.state_dict()}

    @torch.no_grad()
    def restore(self, state: dict[str, Any]) -> None:
        self.values.copy_(state["values"])
        self._adam.load_state_dict(state["adam"])
