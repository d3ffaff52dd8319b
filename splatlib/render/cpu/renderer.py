"""The CPU rasteriser as the training loop's renderer: torch tensors in and out, gradients through autograd."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from splatlib.artifacts import PinholeCamera
from splatlib.render.cpu.adam import PooledAdam
from splatlib.render.cpu.photometric import PhotometricLoss
from splatlib.render.cpu.projection import EXTENT_X, EXTENT_Y
from splatlib.render.cpu.rasterizer import Parameters, Picture, Rasterizer
from splatlib.render.protocol import ParameterDict, Rendering

_NAMES = ("means", "scales", "quats", "opacities", "sh0", "shN")


class _Rasterize(torch.autograd.Function):
    """Tensors share memory with the kernels' arrays; nothing is copied."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        rasterizer: Rasterizer,
        picture: Picture,
        parameters: Parameters,
        means2d: Tensor,
        *tensors: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.rasterizer, ctx.picture, ctx.parameters = rasterizer, picture, parameters
        ctx.set_materialize_grads(False)
        depth = picture.depth if picture.depth is not None else np.empty((0, 0), np.float32)
        alpha = torch.from_numpy(1 - picture.transmittances)
        return torch.from_numpy(picture.image), alpha, torch.from_numpy(depth)

    @staticmethod
    def backward(ctx: Any, *v_outputs: Tensor | None) -> tuple[Any, ...]:  # type: ignore[override]
        v_image, v_alpha, v_depth = v_outputs
        image = ctx.picture.image
        gradients = ctx.rasterizer.backward(
            ctx.parameters,
            ctx.picture,
            np.zeros_like(image) if v_image is None else np.ascontiguousarray(v_image.numpy()),
            None if v_alpha is None else np.ascontiguousarray(-v_alpha.numpy()),
            None if v_depth is None else np.ascontiguousarray(v_depth.numpy()),
        )
        tensors = [torch.from_numpy(array) for array in gradients.parameters.arrays()]
        return None, None, None, torch.from_numpy(gradients.means2d), *tensors


class _Photometric(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, loss: PhotometricLoss, image: Tensor, target: Tensor, mask: Tensor | None, ssim_weight: float
    ) -> tuple[Tensor, Tensor]:
        total, l1, v_image = loss(image.numpy(), target.numpy(), None if mask is None else mask.numpy(), ssim_weight)
        ctx.v_image = torch.from_numpy(v_image)
        l1_tensor = torch.tensor(l1)
        ctx.mark_non_differentiable(l1_tensor)
        return torch.tensor(total), l1_tensor

    @staticmethod
    def backward(ctx: Any, *v_outputs: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        scale = float(v_outputs[0])
        return None, ctx.v_image if scale == 1.0 else ctx.v_image * scale, None, None, None


class CpuRenderer:
    """Numba kernels on the cores this process may use."""

    name = "splatlib-cpu"

    def __init__(self, num_threads: int | None = None) -> None:
        self.device = torch.device("cpu")
        self.rasterizer = Rasterizer(num_threads)
        self._loss = PhotometricLoss(self.rasterizer.pool)

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
        tensors = [parameters[name] for name in _NAMES]
        arrays = Parameters(*(tensor.detach().numpy() for tensor in tensors))
        picture = self.rasterizer.forward(
            arrays, camera, cam_from_world.numpy(), sh_degree, background.numpy(), with_depth
        )
        # Rows of unseen Gaussians hold whatever memory held.
        seen = np.where(picture.tile_counts[:, None] > 0, picture.projected, np.float32(0))
        means2d = torch.from_numpy(seen[:, :2].copy()).requires_grad_(torch.is_grad_enabled())
        radii = torch.from_numpy(np.ceil(seen[:, EXTENT_X : EXTENT_Y + 1]).astype(np.int32))
        image, alpha, depth = _Rasterize.apply(self.rasterizer, picture, arrays, means2d, *tensors)  # type: ignore[misc]
        return Rendering(image, alpha, depth if with_depth else None, means2d, radii)

    def photometric_loss(
        self, image: Tensor, target: Tensor, mask: Tensor | None, ssim_weight: float
    ) -> tuple[Tensor, Tensor]:
        return _Photometric.apply(self._loss, image, target, mask, ssim_weight)  # type: ignore[return-value]

    def optimizers(
        self, parameters: ParameterDict, learning_rates: Mapping[str, float]
    ) -> dict[str, torch.optim.Optimizer]:
        pool = self.rasterizer.pool
        return {name: PooledAdam(tensor, learning_rates[name], pool) for name, tensor in parameters.items()}
