"""The CPU rasteriser as the training loop's renderer: torch tensors in and out, gradients through autograd."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from splatlib.artifacts import Camera
from splatlib.render.cpu.adam import PooledAdam
from splatlib.render.cpu.photometric import PhotometricLoss
from splatlib.render.cpu.projection import EXTENT_X, EXTENT_Y
from splatlib.render.cpu.rasterizer import Parameters, Picture, Rasterizer
from splatlib.render.protocol import OptimizerSet, ParameterDict, Rendering

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
    ) -> Tensor:
        total, _, v_image = loss(image.numpy(), target.numpy(), None if mask is None else mask.numpy(), ssim_weight)
        ctx.v_image = torch.from_numpy(v_image)
        return torch.tensor(total)

    @staticmethod
    def backward(ctx: Any, *v_outputs: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        scale = float(v_outputs[0])
        return None, ctx.v_image if scale == 1.0 else ctx.v_image * scale, None, None, None


class CpuRenderer:
    """Numba kernels on the cores this process may use. Several views are drawn one after the other."""

    name = "splatlib-cpu"
    has_probe = False
    prefers_batches = False

    def __init__(self, num_threads: int | None = None) -> None:
        self.device = torch.device("cpu")
        self.rasterizer = Rasterizer(num_threads)
        self._loss = PhotometricLoss(self.rasterizer.pool)

    def place(self, cam_from_world: npt.NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(cam_from_world, np.float64))

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
        tensors = [parameters[name] for name in _NAMES]
        arrays = Parameters(*(tensor.detach().numpy() for tensor in tensors))
        pictures = [
            self.rasterizer.forward(arrays, camera, pose, sh_degree, background.numpy(), with_depth)
            for camera, pose in zip(cameras, cam_from_world.numpy(), strict=True)
        ]
        # Rows of unseen Gaussians hold whatever memory held.
        seen = np.stack([np.where(p.tile_counts[:, None] > 0, p.projected, np.float32(0)) for p in pictures])
        means2d = torch.from_numpy(seen[..., :2].copy()).requires_grad_(torch.is_grad_enabled())
        radii = torch.from_numpy(np.ceil(seen[..., EXTENT_X : EXTENT_Y + 1]).astype(np.int32))
        views = [
            _Rasterize.apply(self.rasterizer, picture, arrays, means2d[index], *tensors)
            for index, picture in enumerate(pictures)
        ]
        image, alpha, depth = (_stacked(parts) for parts in zip(*views, strict=True))  # type: ignore[arg-type]
        return Rendering(image, alpha, depth if with_depth else None, means2d, radii)

    def photometric_loss(self, image: Tensor, target: Tensor, mask: Tensor | None, ssim_weight: float) -> Tensor:
        losses = [
            _Photometric.apply(self._loss, image[i], target[i], None if mask is None else mask[i], ssim_weight)
            for i in range(len(image))
        ]
        return losses[0] if len(losses) == 1 else torch.stack(losses).mean()  # type: ignore[return-value]

    def optimizers(self, parameters: ParameterDict, learning_rates: Mapping[str, float]) -> OptimizerSet:
        pool = self.rasterizer.pool
        return OptimizerSet(
            {name: PooledAdam(tensor, learning_rates[name], pool) for name, tensor in parameters.items()}
        )


def _stacked(views: Sequence[Tensor]) -> Tensor:
    """[C, …]; of a single view without a copy."""
    return views[0][None] if len(views) == 1 else torch.stack(list(views))
