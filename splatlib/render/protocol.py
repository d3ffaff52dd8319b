"""What the training loop asks of a renderer; the loop knows nothing else about it.

Parameters are torch tensors on the renderer's device, named as gsplat names them, so that its densification
strategies work on them too:

    means [N, 3] · scales [N, 3] (logarithms) · quats [N, 4] wxyz · opacities [N] (logits) · sh0 [N, 1, 3] ·
    shN [N, K, 3]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from splatlib.artifacts import PinholeCamera
from splatlib.gaussians import Gaussians

ParameterDict = Mapping[str, Tensor]


@dataclass
class Rendering:
    """One rendered view; ``image``, ``alpha`` and ``depth`` are differentiable.

    Attributes:
        image: [3, H, W], linear in the background, not clamped.
        alpha: [H, W].
        depth: [H, W] Σ weight · depth in scene units, or None if not asked for.
        means2d: [N, 2] projected centres, pixels. After ``backward()`` its ``grad`` is the gradient by them, as
            densification wants it.
        radii: [N, 2] half extents on screen, pixels, 0 = not seen.
    """

    image: Tensor
    alpha: Tensor
    depth: Tensor | None
    means2d: Tensor
    radii: Tensor


class Renderer(Protocol):
    """Draws Gaussians on one device."""

    name: str
    device: torch.device

    def render(
        self,
        parameters: ParameterDict,
        camera: PinholeCamera,
        cam_from_world: Tensor,
        *,
        sh_degree: int,
        background: Tensor,
        with_depth: bool = False,
    ) -> Rendering:
        """Render one view. cam_from_world [4, 4] float64 on the CPU; background [3] on the device."""
        ...

    def photometric_loss(
        self, image: Tensor, target: Tensor, mask: Tensor | None, ssim_weight: float
    ) -> tuple[Tensor, Tensor]:
        """(1 - w) · L1 + w · (1 - SSIM) of image [3, H, W] and target uint8 [3, H, W], and the L1 alone.

        mask [H, W] float32 weighs the pixels, None counts all; SSIM is the 11x11 Gaussian-window one (Wang et al.
        2004) with zero padding, as 3D Gaussian Splatting trains with.
        """
        ...

    def optimizers(
        self, parameters: ParameterDict, learning_rates: Mapping[str, float]
    ) -> dict[str, torch.optim.Optimizer]:
        """Adam for each parameter, in the form that is fastest on this device.

        One optimiser a parameter, with ``exp_avg`` and ``exp_avg_sq`` in its state: what gsplat's strategies edit.
        """
        ...


def parameters_from_gaussians(gaussians: Gaussians, device: torch.device | str) -> dict[str, Tensor]:
    """Fresh tensors on a device."""
    arrays = {
        "means": gaussians.means,
        "scales": gaussians.log_scales,
        "quats": gaussians.quats,
        "opacities": gaussians.opacity_logits,
        "sh0": gaussians.sh[:, :1],
        "shN": gaussians.sh[:, 1:],
    }
    return {name: torch.from_numpy(np.array(a, dtype=np.float32, order="C")).to(device) for name, a in arrays.items()}


def gaussians_from_parameters(parameters: ParameterDict) -> Gaussians:
    """Copies on the CPU."""
    arrays = {name: tensor.detach().cpu().numpy().copy() for name, tensor in parameters.items()}
    return Gaussians(
        means=arrays["means"],
        log_scales=arrays["scales"],
        quats=arrays["quats"],
        opacity_logits=arrays["opacities"],
        sh=np.concatenate([arrays["sh0"], arrays["shN"]], axis=1),
    )
