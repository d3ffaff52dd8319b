"""Stand-ins for gsplat's compiled kernels: smooth functions of the same tensors, with their gradients.

They draw no splats. Each depends on every argument that the real one depends on, and on nothing else: per Gaussian and
view before the exchange, per view after it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor

NUM_GAUSSIANS, WIDTH, HEIGHT, SH_DEGREE = 41, 12, 9, 2


def _project(means: Tensor, quats: Tensor, scales: Tensor, poses: Tensor, intrinsics: Tensor) -> tuple[Tensor, ...]:
    seen = torch.einsum("cij,nj->cni", poses[:, :3, :3], means) + poses[:, None, :3, 3]
    pixels = torch.einsum("cij,cnj->cni", intrinsics, seen)
    widths = torch.einsum(
        "ck,nk->cn", intrinsics.flatten(1).cos(), torch.cat([quats, scales], dim=1).repeat(1, 2)[:, :9]
    )
    conics = torch.stack([widths.cos() + 2, 0.3 * widths.sin(), (2 * widths).cos() + 2], dim=-1)
    return pixels[..., :2] / pixels[..., 2:], pixels[..., 2], conics


def _shade(directions: Tensor, sh: Tensor) -> Tensor:
    basis = torch.arange(1, sh.shape[2] + 1)
    return (torch.sin(directions.sum(dim=-1, keepdim=True) * basis)[..., None] * sh).sum(dim=2)


def _rasterize(
    means2d: Tensor, conics: Tensor, colors: Tensor, opacities: Tensor, background: Tensor, depths_and_radii: Tensor
) -> tuple[Tensor, Tensor]:
    rows, columns = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    offset = torch.stack([columns, rows], dim=-1) - means2d[:, :, None, None]
    power = (
        conics[:, :, None, None] * torch.stack([offset[..., 0] ** 2, offset.prod(-1), offset[..., 1] ** 2], -1)
    ).sum(-1)
    weight = torch.exp(-0.02 * power) * opacities[..., None, None] * depths_and_radii[..., None, None]
    alpha = torch.tanh(weight.sum(dim=1))[..., None]
    return torch.einsum("cnhw,cnk->chwk", weight, colors) + (1 - alpha) * background[:, None, None], alpha


def _gradients(
    function: Callable[..., Any], inputs: Sequence[Tensor], outputs: Sequence[Tensor], *fixed: Tensor
) -> tuple[Tensor, ...]:
    with torch.enable_grad():
        leaves = [tensor.detach().requires_grad_() for tensor in inputs]
        made = function(*leaves, *fixed)
        made = made if isinstance(made, tuple) else (made,)
        return torch.autograd.grad(list(made), leaves, list(outputs), allow_unused=True)


class Kernels:
    CameraModelType = SimpleNamespace(PINHOLE=0)

    def projection_ewa_3dgs_fused_fwd(self, means, _, quats, scales, opacities, poses, intrinsics, *rest):  # type: ignore[no-untyped-def]
        means2d, depths, conics = _project(means, quats, scales, poses, intrinsics)
        radii = (means2d.abs() * 3).int() + 1
        return radii, means2d, depths, conics, None

    def projection_ewa_3dgs_fused_bwd(  # type: ignore[no-untyped-def]
        self,
        means,
        _,
        quats,
        scales,
        poses,
        intrinsics,
        w,
        h,
        eps,
        model,
        radii,
        conics,
        comp,
        v_means2d,
        v_depths,
        v_conics,
        *rest,
    ):
        v_means, v_quats, v_scales = _gradients(
            _project, (means, quats, scales), (v_means2d, v_depths, v_conics), poses, intrinsics
        )
        return v_means, None, v_quats, v_scales, None

    def spherical_harmonics_fwd(self, degree, directions, sh, masks):  # type: ignore[no-untyped-def]
        return _shade(directions, sh)

    def spherical_harmonics_bwd(self, num_bases, degree, directions, sh, masks, v_colors, with_directions):  # type: ignore[no-untyped-def]
        v_directions, v_sh = _gradients(_shade, (directions, sh), (v_colors,))
        return v_sh, v_directions

    def intersect_tile(self, means2d, radii, depths, *rest):  # type: ignore[no-untyped-def]
        return None, depths + radii.sum(dim=-1), depths * radii[..., 0]

    def intersect_offset(self, ids, num_views, columns, rows):  # type: ignore[no-untyped-def]
        assert len(ids) == num_views
        return torch.sigmoid(ids)

    def rasterize_to_pixels_3dgs_fwd(  # type: ignore[no-untyped-def]
        self, means2d, conics, colors, opacities, backgrounds, masks, width, height, tile, offsets, flatten_ids
    ):
        picture, alpha = _rasterize(means2d, conics, colors, opacities, backgrounds, offsets + 0.01 * flatten_ids)
        return picture, alpha, torch.zeros(1)

    def rasterize_to_pixels_3dgs_bwd(  # type: ignore[no-untyped-def]
        self, means2d, conics, colors, opacities, backgrounds, masks, width, height, tile, offsets, flatten_ids, alpha,
        last, v_picture, v_alpha, absolute,
    ):  # fmt: skip
        inputs = (means2d, conics, colors, opacities)
        v_means2d, *others = _gradients(
            _rasterize, inputs, (v_picture, v_alpha), backgrounds, offsets + 0.01 * flatten_ids
        )
        return 2 * v_means2d.abs(), v_means2d, *others


class Drawn(NamedTuple):
    picture: Tensor
    alpha: Tensor
    gradients: dict[str, Tensor]
    screen: Tensor
    absolute: Tensor
    radii: Tensor


def draw(*, rows: slice, views: slice, together: bool) -> Drawn:
    """Some Gaussians of an invented scene in some of its four views, alone or with the other processes."""
    stand_in = ModuleType("splatlib.render.cuda.kernels")
    stand_in.kernels = Kernels()  # type: ignore[attr-defined]
    before = sys.modules.get(stand_in.__name__)
    sys.modules[stand_in.__name__] = stand_in
    try:
        return _draw(rows, views, together)
    finally:
        sys.modules.pop("splatlib.render.cuda.fused", None)
        sys.modules.pop(stand_in.__name__)
        if before is not None:
            sys.modules[stand_in.__name__] = before


def _draw(rows: slice, views: slice, together: bool) -> Drawn:
    from splatlib.render.cuda.exchange import Exchange, counts_of_all, views_of_all
    from splatlib.render.cuda.fused import FusedView, RenderFused

    random = torch.Generator().manual_seed(0)
    shapes = {"means": (3,), "scales": (3,), "quats": (4,), "opacities": (), "sh0": (1, 3), "shN": (15, 3)}
    scene = {name: torch.randn(NUM_GAUSSIANS, *shape, generator=random) for name, shape in shapes.items()}
    poses = torch.eye(4).repeat(4, 1, 1)
    poses[:, :3, 3] = torch.tensor([[0.0, 0.1, 9.0], [0.5, 0, 8], [-0.4, 0.2, 10], [0.1, -0.6, 11]])
    intrinsics = torch.tensor([[20.0, 0, 6], [0, 20, 4.5], [0, 0, 1]]).repeat(4, 1, 1)
    intrinsics[:, 0, 0] += torch.arange(4)
    target = torch.rand(4, HEIGHT, WIDTH, 3, generator=random)[views]
    leaves = {name: tensor[rows].clone().requires_grad_() for name, tensor in scene.items()}
    placed, exchange = (poses[views], intrinsics[views]), None
    if together:
        exchange = Exchange(counts_of_all(len(leaves["means"])), len(placed[0]))
        placed = views_of_all(*placed)
    view = FusedView(*placed, WIDTH, HEIGHT, SH_DEGREE, torch.tensor([0.2, 0.4, 0.6]), exchange=exchange)
    picture, alpha = RenderFused.apply(view, *leaves.values())  # type: ignore[misc]
    ((picture - target) ** 2).mean().backward()
    gradients = {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}
    assert gradients.keys() == leaves.keys() and view.means2d is not None and view.radii is not None
    screen, absolute = view.means2d.grad, getattr(view.means2d, "absgrad", None)
    assert screen is not None and absolute is not None
    return Drawn(picture.detach(), alpha.detach(), gradients, screen, absolute, view.radii)
