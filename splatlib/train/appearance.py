"""What a photo's exposure, white balance and tone mapping did to its colours: learned for each training view.

The render is compensated before it meets the photo, so the Gaussians need not explain with fog and view-dependent
colour what the photographer's camera did.

Nothing in the training views says which of them is exposed right: brighter Gaussians under darker compensations
give the same pictures. So after each step the compensations are shifted until their mean over the views is the
identity. The splat then has the mean appearance of its photos, which is also the best guess for a view that was
held out, and cannot drift away from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from splatlib.train.view_table import RateSchedule, ViewTable

# Grid, rate, warm-up of 1,000 in 30,000 steps and weight as in gsplat's simple_trainer and nerfstudio's splatfacto.
RATE = RateSchedule(2e-3, final=0.01, warm_up=1 / 30)
GRID_WIDTH, GRID_HEIGHT, GRID_LEVELS = 16, 16, 8
TOTAL_VARIATION_WEIGHT = 10.0
LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601


class Appearance(Protocol):
    """Colour compensation of training views."""

    def apply(self, indices: Sequence[int], image: Tensor) -> Tensor:
        """Renders [C, 3, H, W] of some views as their cameras would have coloured them."""
        ...

    def regularization(self, indices: Sequence[int]) -> Tensor | float:
        """To be added to the loss."""
        ...

    def forget_gradients(self) -> None: ...

    def optimize(self, step: int) -> None: ...

    def state(self) -> dict[str, Any]: ...

    def restore(self, state: dict[str, Any]) -> None: ...


def create_appearance(
    kind: Literal["none", "affine", "bilateral"], num_views: int, steps: int, device: torch.device
) -> Appearance | None:
    """None for ``none``."""
    if kind == "none":
        return None
    return (AffineAppearance if kind == "affine" else BilateralAppearance)(num_views, steps, device)


class _CenteredAppearance:
    """What both kinds share: a table of departures from the identity whose mean over the views stays zero."""

    shape: tuple[int, ...]

    def __init__(self, num_views: int, steps: int, device: torch.device) -> None:
        self.table = ViewTable(num_views, self.shape, device, schedule=RATE, steps=steps)

    def regularization(self, indices: Sequence[int]) -> Tensor | float:
        return 0.0

    def forget_gradients(self) -> None:
        self.table.forget_gradients()

    def optimize(self, step: int) -> None:
        self.table.step(step)
        with torch.no_grad():
            self.table.values.sub_(self.table.values.mean(dim=0))

    def state(self) -> dict[str, Any]:
        return self.table.state()

    def restore(self, state: dict[str, Any]) -> None:
        self.table.restore(state)


class AffineAppearance(_CenteredAppearance):
    """One 3x4 matrix a view: gains, colour mixing, offset."""

    shape = (3, 4)

    def apply(self, indices: Sequence[int], image: Tensor) -> Tensor:
        matrices = self.table.rows(indices)
        mixed = torch.einsum("cij,cjhw->cihw", matrices[..., :3], image)
        return image + mixed + matrices[..., 3, None, None]


class BilateralAppearance(_CenteredAppearance):
    """A grid of 3x4 matrices a view, looked up by place in the picture and by luminance.

    That also covers vignettes and a phone's local tone mapping. Wang et al., "Bilateral Guided Radiance Field
    Processing" (2024).
    """

    shape = (12, GRID_LEVELS, GRID_HEIGHT, GRID_WIDTH)

    def apply(self, indices: Sequence[int], image: Tensor) -> Tensor:
        num_views, _, height, width = image.shape
        red, green, blue = (weight * image[:, channel] for channel, weight in enumerate(LUMINANCE))
        luminance = red + green + blue
        y, x = (2 * (torch.arange(n, device=image.device) + 0.5) / n - 1 for n in (height, width))
        y, x = (axis.expand_as(luminance) for axis in (y[:, None], x))
        where = torch.stack([x, y, 2 * luminance - 1], dim=-1)[:, None]
        grids = self.table.rows(indices)
        matrices = grid_sample(grids, where, mode="bilinear", padding_mode="border", align_corners=True)
        matrices = matrices.reshape(num_views, 3, 4, height, width)
        return image + (matrices[:, :, :3] * image[:, None]).sum(dim=2) + matrices[:, :, 3]

    def regularization(self, indices: Sequence[int]) -> Tensor:
        """Squared total variation of the drawn views' grids: in the mean that of all views, and cheaper."""
        grids = self.table.rows(indices)
        return TOTAL_VARIATION_WEIGHT * torch.stack([grids.diff(dim=axis).square().mean() for axis in (2, 3, 4)]).sum()
