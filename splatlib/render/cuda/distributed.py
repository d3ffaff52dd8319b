"""Rendering on several GPUs: each holds a share of the Gaussians and draws its own views."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from gsplat import rasterization
from torch import Tensor

from splatlib.artifacts import Camera
from splatlib.errors import ConfigError
from splatlib.render.cuda.exchange import Exchange, counts_of_all, views_of_all
from splatlib.render.cuda.fused import EPS_2D, NEAR_PLANE, TILE_PX, FusedView
from splatlib.render.cuda.photometric import PhotometricLoss
from splatlib.render.cuda.renderer import CudaRenderer, Lens, render_fused
from splatlib.render.protocol import ParameterDict, Rendering


class DistributedRenderer(CudaRenderer):
    """One process of several, each with one GPU. All must render at the same time, as many views of the same size."""

    name = "gsplat-distributed"
    has_probe = False

    def __init__(self, device: torch.device | str = "cuda", *, antialiased: bool = False) -> None:
        super().__init__(device, antialiased=antialiased)
        self._loss = PhotometricLoss(recorded=False)

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
        """As ``Renderer.render``; means2d and radii are of this process's Gaussians in the views of all processes.

        Antialiased by gsplat's own distributed rasterisation, and never packed: gsplat 1.5.3 then sorts by the cameras
        that it had before the exchange, and draws whatever lies beyond the end of its lists.
        """
        lens = self._lens_of(cameras)
        if lens.distortion:
            raise ConfigError(
                "several GPUs cannot train distorted lenses",
                why="gsplat's distributed rendering projects pinhole cameras only",
                hint="train on one GPU, or solve the cameras with undistort=true",
            )
        if not self.antialiased:
            return self._render_fused(parameters, lens, cam_from_world, sh_degree, background)
        picture, alpha, info = rasterization(
            parameters["means"], parameters["quats"], torch.exp(parameters["scales"]),
            torch.sigmoid(parameters["opacities"]), torch.cat([parameters["sh0"], parameters["shN"]], dim=1),
            cam_from_world, lens.intrinsics, lens.width, lens.height, near_plane=NEAR_PLANE, eps2d=EPS_2D,
            sh_degree=sh_degree, packed=False, tile_size=TILE_PX, distributed=True, rasterize_mode="antialiased",
        )  # fmt: skip
        means2d = info["means2d"]
        if means2d.requires_grad:
            means2d.retain_grad()
        image = (picture + (1 - alpha) * background).permute(0, 3, 1, 2)
        return Rendering(image, alpha[..., 0], None, means2d, info["radii"])

    def _render_fused(
        self, parameters: ParameterDict, lens: Lens, cam_from_world: Tensor, sh_degree: int, background: Tensor
    ) -> Rendering:
        exchange = Exchange(counts_of_all(len(parameters["means"])), len(cam_from_world))
        poses, intrinsics = views_of_all(cam_from_world, lens.intrinsics)
        view = FusedView(poses, intrinsics, lens.width, lens.height, sh_degree, background, exchange=exchange)
        return render_fused(parameters, view)
