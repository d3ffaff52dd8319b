"""What the training loop asks of a renderer; the loop knows nothing else about it.

Parameters are torch tensors on the renderer's device, named as gsplat names them, so that its densification
strategies work on them too:

    means [N, 3] · scales [N, 3] (logarithms) · quats [N, 4] wxyz · opacities [N] (logits) · sh0 [N, 1, 3] ·
    shN [N, K, 3]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from splatlib.artifacts import Camera
from splatlib.gaussians import Gaussians

ParameterDict = Mapping[str, Tensor]


@dataclass
class Rendering:
    """Views rendered together; ``image``, ``alpha``, ``depth`` and ``probe_image`` are differentiable.

    Attributes:
        image: [C, 3, H, W], linear in the background, not clamped.
        alpha: [C, H, W].
        depth: [C, H, W] Σ weight · depth in scene units, or None if not asked for.
        means2d: [C, N, 2] projected centres, pixels. After ``backward()`` its ``grad`` is the gradient by them, as
            densification wants it, and on a GPU its ``absgrad`` the sum of the absolute values over the pixels. A
            distorted lens leaves both None.
        radii: [C, N, 2] half extents on screen, pixels, 0 = not seen.
        gaussian_ids: [M] of a packed rendering, whose means2d and radii are [M, 2]: which Gaussian each row is of.
        probe_image: [C, H, W] zeros, or None if not asked for: the picture of a channel that is zero everywhere.
            Back-propagating any map through it leaves Σ over pixels of weight · map for each Gaussian in
            ``probe.grad`` [C, N, 1] and changes no other gradient.
    """

    image: Tensor
    alpha: Tensor
    depth: Tensor | None
    means2d: Tensor
    radii: Tensor
    probe: Tensor | None = None
    probe_image: Tensor | None = None
    gaussian_ids: Tensor | None = None

    @property
    def screen_gradient(self) -> Tensor:
        """[C, N, 2] absolute gradients by the projected centres where the renderer sums them, else plain ones."""
        absolute = getattr(self.means2d, "absgrad", None)
        gradient = self.means2d.grad if absolute is None else absolute
        assert gradient is not None, "backward() was not called, or the lens is distorted"
        return gradient


class OptimizerSet(dict[str, torch.optim.Optimizer]):
    """One optimiser a parameter, by its name, with ``exp_avg`` and ``exp_avg_sq`` in its state.

    That is what gsplat's strategies edit.
    """

    def step(self) -> None:
        """Move all parameters by their gradients, and forget the gradients."""
        for optimizer in self.values():
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)


class Renderer(Protocol):
    """Draws Gaussians on one device.

    Attributes:
        has_probe: whether ``render`` knows ``with_probe``.
        prefers_batches: whether small pictures are faster when several are drawn together.
    """

    name: str
    device: torch.device
    has_probe: bool
    prefers_batches: bool

    def place(self, cam_from_world: npt.NDArray[np.float64]) -> Tensor:
        """Poses [V, 4, 4] as ``render`` wants them: on its device, in its precision."""
        ...

    def render(
        self,
        parameters: ParameterDict,
        cameras: Sequence[Camera],
        cam_from_world: Tensor,
        *,
        sh_degree: int,
        background: Tensor,
        with_depth: bool = False,
        with_probe: bool = False,
    ) -> Rendering:
        """Render C views of one size and lens model; cam_from_world [C, 4, 4] from ``place``, background [3]."""
        ...

    def photometric_loss(self, image: Tensor, target: Tensor, mask: Tensor | None, ssim_weight: float) -> Tensor:
        """(1 - w) · L1 + w · (1 - SSIM) of image [C, 3, H, W] and target uint8 of that shape.

        mask [C, H, W] float32 weighs the pixels, None counts all; SSIM is the 11x11 Gaussian-window one (Wang et al.
        2004) with zero padding, as 3D Gaussian Splatting trains with.
        """
        ...

    def optimizers(self, parameters: ParameterDict, learning_rates: Mapping[str, float]) -> OptimizerSet:
        """Adam for each parameter, in the form that is fastest on this device."""
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
