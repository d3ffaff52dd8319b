"""Our own densification: a fixed budget of Gaussians, spent where the pictures are still wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from splatlib.errors import TrainingError
from splatlib.render.protocol import Rendering
from splatlib.train.rows import Optimizers, Parameters, keep_rows, most_opaque, replace_rows, rows_of
from splatlib.train.schedule import Schedule

# Share of the steps, before each refinement, that measure which Gaussians carry error: it costs a second drawing.
ERROR_SHARE = 0.3


class BudgetStrategy:
    """Split what moves most on screen, remove what carries nothing, and never exceed the budget.

    The score is the mean norm of the gradient by the projected centre in units of the picture (Kerbl et al. 2023),
    of absolute values where the renderer sums them (Ye et al., "AbsGS", 2024): it grows with the error that a Gaussian
    is responsible for and with how much moving it would help. Distorted lenses have no such gradient: there the score
    is the error itself, Σ weight · |render - photo| (Rota Bulò et al., "Revising Densification", 2024).

    At each refinement the best-scored Gaussians are split in two along their longest axis, at most half of all and
    only as many as the budget of that moment has room for (a fixed budget: Mallick et al., "Taming 3DGS", 2024): each
    child ``1 / 1.8`` as long, half a standard deviation to either side (Deng et al., "Efficient Density Control",
    2024). Removed are Gaussians that are transparent, as large as the scene, or without any effect on any pixel of two
    rounds of all views (hidden or out of sight).
    """

    MIN_OPACITY = 0.005
    MAX_SCALE = 0.5  # of the scene's extent
    CHILD_LENGTH, CHILD_OFFSET, CHILD_OPACITY = 1 / 1.8, 0.5, 0.7
    IDLE_ROUNDS = 2

    def __init__(self, schedule: Schedule, max_gaussians: int, num_views: int, *, score_by_error: bool = False) -> None:
        self.max_gaussians = max_gaussians
        self._schedule, self._num_views, self._score_by_error = schedule, num_views, score_by_error
        self._score: Tensor | None = None  # [N] since the last refinement
        self._seen: Tensor | None = None  # [N] in how many views
        self._idle: Tensor | None = None  # [N] views without any effect
        self._views_since = 0
        self._first_count: int | None = None

    def wants_probe(self, step: int) -> bool:
        """Whether this step's rendering should measure which Gaussians carry error."""
        soon = -step % self._schedule.refine_every < ERROR_SHARE * self._schedule.refine_every
        return self._score_by_error and soon and self._schedule.densifies(step)

    def after_step(self, parameters: Parameters, optimizers: Optimizers, step: int, rendering: Rendering) -> None:
        if not self._schedule.densifies(step):
            return
        if self._first_count is None:
            self._first_count = len(parameters["means"])
        if rendering.probe is not None or not self._score_by_error:
            self._note(rendering, len(parameters["means"]))
        if self._schedule.refines_at(step):
            self._refine(parameters, optimizers, self._budget_at(step))
            self._score = self._seen = None
            self._views_since = 0

    def _note(self, rendering: Rendering, num_gaussians: int) -> None:
        device, (num_views, height, width) = rendering.radii.device, rendering.alpha.shape
        if self._score is None or self._seen is None:
            self._score, self._seen = torch.zeros(2, num_gaussians, device=device)
        visible = rendering.radii[..., 0] > 0
        # Beside other processes, this one's Gaussians are noted in the views of all: more than it draws itself.
        self._views_since += num_views if rendering.gaussian_ids is not None else len(visible)
        if rendering.probe is not None:
            assert rendering.probe.grad is not None
            self._score.add_(rendering.probe.grad[..., 0].sum(dim=0))
            self._seen.add_(visible.sum(dim=0))
            return
        norms = rendering.screen_gradient.norm(dim=-1)
        to_pictures = num_views * max(height, width)  # the loss is a mean over the views, the gradient by pixels
        if rendering.gaussian_ids is not None:
            self._score.index_add_(0, rendering.gaussian_ids, norms, alpha=to_pictures)
            self._seen.index_add_(0, rendering.gaussian_ids, visible.to(norms.dtype))
        else:
            self._score.add_(norms.sum(dim=0) if len(norms) > 1 else norms[0], alpha=to_pictures)
            self._seen.add_(visible.sum(dim=0) if len(norms) > 1 else visible[0])

    def _budget_at(self, step: int) -> int:
        """Gaussians allowed after the refinement of a step."""
        first, full = self._first_count or 0, self.max_gaussians
        exponent = self._schedule.recipe.growth_exponent
        if not exponent or full <= first:
            return full
        progress = (step + self._schedule.refine_every) / (self._schedule.recipe.refine_until * self._schedule.steps)
        return round(first + (full - first) * min(progress, 1.0) ** exponent)

    def _kept(self, parameters: Parameters, opacity: Tensor) -> Tensor:
        """[N] bool: what is worth keeping. Also counts for how long each Gaussian has had no effect."""
        assert self._score is not None
        if self._idle is None:
            self._idle = torch.zeros_like(self._score)
        self._idle = torch.where(self._score > 0, 0.0, self._idle + self._views_since)
        largest = parameters["scales"].max(dim=1).values
        finite = torch.stack([tensor.isfinite().all(1) for tensor in rows_of(parameters)]).all(0)
        return (
            finite
            & (opacity > self.MIN_OPACITY)
            & (largest < math.log(self.MAX_SCALE * self._schedule.scene_extent))
            & (self._idle < self.IDLE_ROUNDS * self._num_views)
        )

    @torch.no_grad()
    def _refine(self, parameters: Parameters, optimizers: Optimizers, budget: int) -> None:
        assert self._score is not None and self._seen is not None
        # Error counts wherever it is; a gradient is a mean, else what many views see would always win.
        score = self._score if self._score_by_error else self._score / self._seen.clamp(min=1)
        opacity = torch.sigmoid(parameters["opacities"])
        keep = self._kept(parameters, opacity)
        kept = keep.nonzero()[:, 0]
        if not len(kept):
            raise TrainingError(
                "training lost all Gaussians",
                why="each one became transparent, larger than the scene, or no number",
                hint="look at the cameras and masks: the photos may contradict each other",
            )
        room = min(budget - len(kept), len(kept) // 2)
        split = kept[torch.topk(score[kept], room).indices] if room > 0 else kept[:0]

        index = torch.cat([kept, split])  # of the source row of every new row
        is_parent = torch.zeros_like(keep)
        is_parent[split] = True
        parent_rows = is_parent[kept].nonzero()[:, 0]
        child_rows = torch.arange(len(kept), len(index), device=kept.device)
        sources = kept[parent_rows]  # the same Gaussians as ``split``, in the order of their rows
        index[child_rows] = sources
        values = {name: tensor.detach()[index] for name, tensor in parameters.items()}
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
        assert self._idle is not None
        idle = self._idle[index]
        replace_rows(parameters, optimizers, values, index, fresh)
        self._idle = idle

    def shrink(self, parameters: Parameters, optimizers: Optimizers, count: int) -> None:
        """Keep the ``count`` most opaque Gaussians, and make that the budget: for a device that is full."""
        self.max_gaussians = min(count, self.max_gaussians)
        kept = most_opaque(parameters, count)
        keep_rows(parameters, optimizers, kept)
        self._idle = None if self._idle is None else self._idle[kept]
        self._score = self._seen = None
        self._views_since = 0

    def deal(self, deal: Callable[[Tensor], Tensor]) -> None:
        """Give what is noted of each Gaussian to the process that gets the Gaussian."""
        self._score, self._seen, self._idle = (
            None if noted is None else deal(noted) for noted in (self._score, self._seen, self._idle)
        )

    def state(self) -> dict[str, Any]:
        return {
            "score": self._score,
            "seen": self._seen,
            "idle": self._idle,
            "views_since": self._views_since,
            "first_count": self._first_count,
            "max_gaussians": self.max_gaussians,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self._score, self._seen, self._idle = state["score"], state["seen"], state["idle"]
        self._views_since, self._first_count = state["views_since"], state["first_count"]
        self.max_gaussians = state["max_gaussians"]


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
