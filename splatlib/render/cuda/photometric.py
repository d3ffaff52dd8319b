"""L1 + SSIM on a GPU: by our Triton kernels, or by torch's convolutions where Triton is not installed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from splatlib.progress import logger
from splatlib.render import ssim

MAX_GRAPHS = 12


# Of image, target and mask: the loss, and its gradient [C, 3, H, W].
LossAndGradient = Callable[[Tensor, Tensor, Tensor | None], tuple[Tensor, Tensor]]


class _WithGradient(torch.autograd.Function):
    """The gradient is computed together with the loss: the training asks for it every time."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, compute: LossAndGradient, image: Tensor, target: Tensor, mask: Tensor | None
    ) -> Tensor:
        loss, ctx.v_image = compute(image, target, mask)
        return loss

    @staticmethod
    def backward(ctx: Any, *v_outputs: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        return None, ctx.v_image * v_outputs[0], None, None


class LossGraph:
    """The loss of pictures of one shape, recorded once: a dozen launches become one (CUDA graphs).

    A replay overwrites the gradient of the one before; training is done with it by then.
    """

    def __init__(self, image: Tensor, target: Tensor, mask: Tensor | None, ssim_weight: float) -> None:
        from splatlib.render.cuda.photometric_kernels import loss_and_gradient

        self._image = image.detach().contiguous().clone()
        self._target = target.contiguous().clone()
        self._mask = None if mask is None else mask.contiguous().clone()
        aside = torch.cuda.Stream(image.device)
        aside.wait_stream(torch.cuda.current_stream(image.device))
        with torch.cuda.stream(aside):  # compiles the kernels, which a recording cannot
            loss_and_gradient(self._image, self._target, self._mask, ssim_weight)
        torch.cuda.current_stream(image.device).wait_stream(aside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._loss, self._v_image = loss_and_gradient(self._image, self._target, self._mask, ssim_weight)

    def replay(self, image: Tensor, target: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Loss (a copy) and gradient [C, 3, H, W]."""
        self._image.copy_(image)
        self._target.copy_(target)
        if self._mask is not None and mask is not None:
            self._mask.copy_(mask)
        self._graph.replay()
        return self._loss.clone(), self._v_image


class PhotometricLoss:
    """(1 - w) · L1 + w · (1 - SSIM), means over unmasked pixels, then over views.

    Args:
        recorded: keep a graph a shape. Beside other processes torch would wait, before each recording, until no call
            between GPUs is under way.
    """

    def __init__(self, *, recorded: bool = True) -> None:
        self._recorded = recorded
        self._graphs: dict[tuple[Any, ...], LossGraph] = {}

    def __call__(self, image: Tensor, target: Tensor, mask: Tensor | None, ssim_weight: float) -> Tensor:
        """
        image: [C, 3, H, W] float32. target: [C, 3, H, W] uint8. mask: [C, H, W] or None. As the CPU renderer does,
        masked pixels count as black in both pictures.
        """
        if not has_triton():
            return photometric_loss_by_torch(image, target, mask, ssim_weight)
        compute = self._graph(image, target, mask, ssim_weight).replay if self._recorded else _launched(ssim_weight)
        return _WithGradient.apply(compute, image, target.contiguous(), mask)  # type: ignore[return-value]

    def _graph(self, image: Tensor, target: Tensor, mask: Tensor | None, ssim_weight: float) -> LossGraph:
        key = (*image.shape, mask is not None, ssim_weight)
        graph = self._graphs.get(key)
        if graph is None:
            if len(self._graphs) >= MAX_GRAPHS:  # a capture of many sizes
                self._graphs.clear()
            graph = self._graphs[key] = LossGraph(image, target, mask, ssim_weight)
        return graph


def _launched(ssim_weight: float) -> LossAndGradient:
    """The kernels, one launch after the other."""
    from splatlib.render.cuda.photometric_kernels import loss_and_gradient

    return functools.partial(loss_and_gradient, ssim_weight=ssim_weight)


@functools.cache
def has_triton() -> bool:
    """Whether the fast kernels can run; says once if not."""
    try:
        import triton  # noqa: F401 # pyright: ignore[reportMissingImports]
    except ImportError:
        logger.warning("training: without Triton the loss runs on torch's convolutions, which is slower")
        return False
    return True


def photometric_loss_by_torch(image: Tensor, target: Tensor, mask: Tensor | None, ssim_weight: float) -> Tensor:
    """The same through autograd, on any device."""
    truth = target.to(torch.float32) * (1 / 255)
    weights = torch.ones_like(image[:, :1]) if mask is None else mask[:, None]
    image, truth = image * weights, truth * weights
    total = 3 * weights.sum(dim=(1, 2, 3)).clamp(min=1.0)
    l1 = ((image - truth).abs().sum(dim=(1, 2, 3)) / total).mean()
    similarity = ((ssim_map(image, truth) * weights).sum(dim=(1, 2, 3)) / total).mean()
    return (1 - ssim_weight) * l1 + ssim_weight * (1 - similarity)


def ssim_map(image: Tensor, truth: Tensor) -> Tensor:
    """SSIM of each pixel of [C, 3, H, W] pictures, zero padding."""
    moments = torch.cat([image, truth, image * image, truth * truth, image * truth], dim=1)
    channels = moments.shape[1]
    window = torch.from_numpy(ssim.WINDOW).to(moments.device).expand(channels, 1, -1)
    moments = conv2d(moments, window[..., None], padding=(ssim.RADIUS_PX, 0), groups=channels)
    moments = conv2d(moments, window[..., None, :], padding=(0, ssim.RADIUS_PX), groups=channels)
    mean_a, mean_b, square_a, square_b, product = moments.chunk(5, dim=1)
    var_a, var_b, cov = square_a - mean_a**2, square_b - mean_b**2, product - mean_a * mean_b
    top = (2 * mean_a * mean_b + ssim.C1) * (2 * cov + ssim.C2)
    return top / ((mean_a**2 + mean_b**2 + ssim.C1) * (var_a + var_b + ssim.C2))
