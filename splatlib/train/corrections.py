"""What is learned beside the Gaussians where photos and cameras are not perfect. All of it is off by default."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from splatlib.config import ResolvedTrainConfig
from splatlib.train.appearance import create_appearance
from splatlib.train.dataset import ViewBatch, ViewPyramid
from splatlib.train.poses import PoseRefinement, check_lenses
from splatlib.train.robust import RobustLoss


class Corrections:
    """Poses, colours and pixel weights of the training views, as far as the config asks for them.

    Raises ConfigError where a lens cannot be refined.
    """

    def __init__(
        self, config: ResolvedTrainConfig, views: ViewPyramid, scene_extent: float, device: torch.device
    ) -> None:
        self.poses: PoseRefinement | None = None
        if config.refine_poses:
            check_lenses(views.cameras)
            solved = views.levels[max(views.levels)].cam_from_world
            self.poses = PoseRefinement(solved, scene_extent, config.steps)
        self.appearance = create_appearance(config.appearance, len(views), config.steps, device)
        self.robust = RobustLoss(config.steps, device) if config.robust else None
        self._learned = [part for part in (self.poses, self.appearance) if part is not None]

    def placed(self, views: ViewBatch) -> ViewBatch:
        """Views with their refined poses. The first call of a step."""
        for part in self._learned:
            part.forget_gradients()  # a step that ran out of memory leaves some behind
        if self.poses is None:
            return views
        return replace(views, cam_from_world=self.poses.apply(views.indices, views.cam_from_world))

    def applied(self, views: ViewBatch, image: Tensor, step: int) -> tuple[Tensor, ViewBatch]:
        """Renders [C, 3, H, W] in the colours of their photos, and views whose mask leaves out passers-by."""
        if self.appearance is not None:
            image = self.appearance.apply(views.indices, image)
        if self.robust is not None:
            views = replace(views, mask=self.robust.weights(error_map(image, views), views.mask, step))
        return image, views

    def regularization(self, views: ViewBatch) -> Tensor | float:
        """To be added to the loss."""
        return 0.0 if self.appearance is None else self.appearance.regularization(views.indices)

    def optimize(self, step: int) -> None:
        """Move all by their gradients."""
        for part in self._learned:
            part.optimize(step)

    def state(self) -> dict[str, Any]:
        """Tensors and numbers; empty if all is off."""
        return {name: part.state() for name, part in self._parts().items()}

    def restore(self, state: dict[str, Any]) -> None:
        for name, part in self._parts().items():
            part.restore(state[name])

    def _parts(self) -> dict[str, Any]:
        parts = {"poses": self.poses, "appearance": self.appearance, "robust": self.robust}
        return {name: part for name, part in parts.items() if part is not None}


@torch.no_grad()
def error_map(image: Tensor, views: ViewBatch) -> Tensor:
    """[C, H, W] mean absolute error over the channels, 0 where masked."""
    error = (image - views.target.to(torch.float32) * (1 / 255)).abs().mean(dim=1)
    return error if views.mask is None else error * views.mask
