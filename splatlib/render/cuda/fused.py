"""The training step's rendering as one autograd node.

gsplat's own functions cost the host as much time as the GPU needs for half a megapixel: each is a node of its own,
with checks, and with activations between them. Here the same kernels of gsplat 1.5 run back to back, forwards and
backwards. Pinhole cameras, no extra channels, no gradient by the cameras; the general path is in renderer.py, and a
test holds them equal.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from splatlib.render.cuda.exchange import Exchange
from splatlib.render.cuda.kernels import kernels

TILE_PX = 16
EPS_2D, NEAR_PLANE, FAR_PLANE = 0.3, 0.01, 1e10


@dataclass
class FusedView:
    """What a rendering needs besides the Gaussians, and what densification reads afterwards.

    Attributes:
        cam_from_world: [C, 4, 4]. intrinsics: [C, 3, 3]. background: [3].
        means2d: [C, N, 2], its ``grad`` and ``absgrad`` set by the backward pass. radii: [C, N, 2].
        exchange: with other processes. Then C above are the views of all, of which this process draws its own, of the
            Gaussians of all.
    """

    cam_from_world: Tensor
    intrinsics: Tensor
    width: int
    height: int
    sh_degree: int
    background: Tensor
    means2d: Tensor | None = None
    radii: Tensor | None = None
    exchange: Exchange | None = None


class RenderFused(torch.autograd.Function):
    """(view, means, scales, quats, opacities, sh0, shN) → picture [C, H, W, 3], alpha [C, H, W, 1]."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        view: FusedView,
        means: Tensor,
        log_scales: Tensor,
        quats: Tensor,
        logits: Tensor,
        sh0: Tensor,
        sh_rest: Tensor,
    ) -> tuple[Tensor, Tensor]:
        num_views, width, height = len(view.cam_from_world), view.width, view.height
        scales, opacities = torch.exp(log_scales), torch.sigmoid(logits)
        pinhole = kernels.CameraModelType.PINHOLE
        radii, means2d, depths, conics, _ = kernels.projection_ewa_3dgs_fused_fwd(
            means, None, quats, scales, opacities, view.cam_from_world, view.intrinsics, width, height,
            EPS_2D, NEAR_PLANE, FAR_PLANE, 0.0, False, pinhole,
        )  # fmt: skip
        num_bases = (view.sh_degree + 1) ** 2
        sh = torch.cat([sh0, sh_rest[:, : num_bases - 1]], dim=1) if num_bases > 1 else sh0
        sh = sh.expand(num_views, *sh.shape).contiguous()
        # means - camera centre, the centre being -Rᵀt
        minus_centers = (view.cam_from_world[:, :3, :3] * view.cam_from_world[:, :3, 3:]).sum(dim=1)
        directions = means + minus_centers[:, None]
        seen = radii[..., 0] > 0
        colors = kernels.spherical_harmonics_fwd(view.sh_degree, directions, sh, seen)
        colors.add_(0.5).clamp_min_(0.0)
        drawn = [radii, depths, means2d, conics, colors, opacities.expand(num_views, -1).contiguous()]
        if view.exchange is not None:
            drawn = view.exchange.there(drawn)
        drawn_radii, drawn_depths, *drawn = drawn
        num_drawn = len(drawn_radii)
        rows, columns = -(-height // TILE_PX), -(-width // TILE_PX)
        _, isect_ids, flatten_ids = kernels.intersect_tile(
            drawn[0], drawn_radii, drawn_depths, None, None, num_drawn, TILE_PX, columns, rows, True, False
        )
        offsets = kernels.intersect_offset(isect_ids, num_drawn, columns, rows)
        backgrounds = view.background.expand(num_drawn, -1).contiguous()
        picture, alpha, last_ids = kernels.rasterize_to_pixels_3dgs_fwd(
            *drawn, backgrounds, None, width, height, TILE_PX, offsets, flatten_ids
        )
        view.means2d, view.radii = means2d, radii
        ctx.view, ctx.pinhole, ctx.num_rest = view, pinhole, sh_rest.shape[1]
        ctx.save_for_backward(
            means, scales, quats, opacities, sh, directions, seen, radii, means2d, conics, colors, *drawn,
            backgrounds, offsets, flatten_ids, alpha, last_ids,
        )  # fmt: skip
        ctx.set_materialize_grads(False)
        return picture, alpha

    @staticmethod
    def backward(ctx: Any, *v_outputs: Tensor | None) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        (
            means, scales, quats, opacities, sh, directions, seen, radii, means2d, conics, colors, *drawn,
            backgrounds, offsets, flatten_ids, alpha, last_ids,
        ) = ctx.saved_tensors  # fmt: skip
        view: FusedView = ctx.view
        v_picture, v_alpha = v_outputs
        v_picture = _zeros((*alpha.shape[:-1], 3), alpha.device) if v_picture is None else v_picture
        v_alpha = _zeros(alpha.shape, alpha.device) if v_alpha is None else v_alpha
        v_drawn = kernels.rasterize_to_pixels_3dgs_bwd(
            *drawn, backgrounds, None, view.width, view.height, TILE_PX, offsets,
            flatten_ids, alpha, last_ids, v_picture.contiguous(), v_alpha.contiguous(), True,
        )  # fmt: skip
        if view.exchange is not None:
            v_drawn = view.exchange.back(v_drawn)
        v_means2d_absolute, v_means2d, v_conics, v_colors, v_by_view = v_drawn
        means2d.grad, means2d.absgrad = v_means2d, v_means2d_absolute
        v_colors.mul_(colors > 0)
        num_bases = sh.shape[2]
        v_sh, v_directions = kernels.spherical_harmonics_bwd(
            num_bases, view.sh_degree, directions, sh, seen, v_colors, view.sh_degree > 0
        )
        v_means, _, v_quats, v_scales, _ = kernels.projection_ewa_3dgs_fused_bwd(
            means, None, quats, scales, view.cam_from_world, view.intrinsics, view.width, view.height, EPS_2D,
            ctx.pinhole, radii, conics, None, v_means2d, _zeros(v_by_view.shape, means.device), v_conics, None, False,
        )  # fmt: skip
        if view.sh_degree > 0:
            v_means.add_(_over_views(v_directions))
        v_sh = _over_views(v_sh)
        v_rest = v_sh[:, 1:]
        if num_bases - 1 < ctx.num_rest:
            v_rest = torch.nn.functional.pad(v_rest, (0, 0, 0, ctx.num_rest + 1 - num_bases))
        v_logits = torch.ops.aten.sigmoid_backward(_over_views(v_by_view), opacities)
        return None, v_means, v_scales.mul_(scales), v_quats, v_logits, v_sh[:, :1].contiguous(), v_rest.contiguous()


@functools.lru_cache(maxsize=8)
def _zeros(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Zeros that nobody writes to."""
    return torch.zeros(shape, device=device)


def _over_views(gradient: Tensor) -> Tensor:
    """[C, N, …] → [N, …]; of a single view without a kernel."""
    return gradient[0] if len(gradient) == 1 else gradient.sum(dim=0)
