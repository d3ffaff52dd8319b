"""gsplat's CUDA kernels as the training loop's renderer.

The steps of ``gsplat.rasterization`` are called one by one: what does not change between steps (intrinsics, camera
centres) is computed once, and nothing in between waits for the GPU but gsplat's own count of tile intersections.
Kernels: Ye et al., "gsplat: An Open-Source Library for Gaussian Splatting" (2024); lenses with distortion by 3DGUT
(Wu et al. 2024).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from gsplat import (
    fully_fused_projection,
    fully_fused_projection_with_ut,
    isect_offset_encode,
    isect_tiles,
    rasterization,
    rasterize_to_pixels,
    rasterize_to_pixels_eval3d,
    spherical_harmonics,
)
from torch import Tensor

from splatlib.artifacts import Camera
from splatlib.render.cuda.adam import CudaAdam, CudaAdamSet
from splatlib.render.cuda.fused import EPS_2D, NEAR_PLANE, TILE_PX, FusedView, RenderFused
from splatlib.render.cuda.photometric import PhotometricLoss
from splatlib.render.protocol import OptimizerSet, ParameterDict, Rendering

# Views times Gaussians; each takes about 150 bytes with its gradients.
PACKED_FROM = 8_000_000
_NAMES = ("means", "scales", "quats", "opacities", "sh0", "shN")


class Lens(NamedTuple):
    """Of C cameras of one size and model: intrinsics [C, 3, 3], and gsplat's arguments for the distortion."""

    width: int
    height: int
    intrinsics: Tensor
    distortion: dict[str, Any]


class CudaRenderer:
    """One NVIDIA GPU.

    Args:
        antialiased: dim Gaussians that are smaller than a pixel (Yu et al., "Mip-Splatting", 2024) instead of
            letting the screen-space blur brighten them.
        packed: keep only what a view sees in memory, which saves memory where cameras see a small part of the scene
            and costs time where they see most of it. None: where it would be a gigabyte and more. Distorted lenses are
            never packed: gsplat cannot.
    """

    name = "gsplat"
    has_probe = True
    prefers_batches = True

    def __init__(
        self, device: torch.device | str = "cuda", *, antialiased: bool = False, packed: bool | None = None
    ) -> None:
        self.device = torch.device(device)
        self.antialiased, self.packed = antialiased, packed
        self._loss = PhotometricLoss()
        self._lenses: dict[tuple[Camera, ...], Lens] = {}

    def place(self, cam_from_world: npt.NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(cam_from_world, np.float32)).to(self.device)

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
        lens = self._lens_of(cameras)
        many = len(cameras) * len(parameters["means"]) > PACKED_FROM
        can_pack = not (lens.distortion or with_probe)
        if can_pack and (many if self.packed is None else self.packed):
            return self._render_packed(parameters, lens, cam_from_world, sh_degree, background, with_depth)
        plain = not (lens.distortion or self.antialiased or with_depth or with_probe or cam_from_world.requires_grad)
        if plain:
            view = FusedView(cam_from_world, lens.intrinsics, lens.width, lens.height, sh_degree, background)
            return render_fused(parameters, view)
        width, height, num_views = lens.width, lens.height, len(cameras)
        scales, opacities = torch.exp(parameters["scales"]), torch.sigmoid(parameters["opacities"])
        radii, means2d, depths, conics, compensations = self._project(
            parameters, scales, opacities, cam_from_world, lens
        )
        if means2d.requires_grad:
            means2d.retain_grad()
        opacities = opacities.expand(num_views, -1)
        if compensations is not None:
            opacities = opacities * compensations
        colors = self._colors(parameters, cam_from_world, sh_degree, radii)
        probe = torch.zeros_like(depths)[..., None].requires_grad_() if with_probe else None
        extras = [extra for extra in (depths[..., None] if with_depth else None, probe) if extra is not None]
        rows, columns = -(-height // TILE_PX), -(-width // TILE_PX)
        _, isect_ids, flatten_ids = isect_tiles(means2d, radii, depths, TILE_PX, columns, rows)
        offsets = isect_offset_encode(isect_ids, num_views, columns, rows)
        if lens.distortion:
            draw = functools.partial(
                rasterize_to_pixels_eval3d, parameters["means"], parameters["quats"], scales, opacities=opacities,
                viewmats=cam_from_world, Ks=lens.intrinsics, image_width=width, image_height=height,
                tile_size=TILE_PX, isect_offsets=offsets, flatten_ids=flatten_ids, **lens.distortion,
            )  # fmt: skip
            picture, alpha = _rasterize_distorted(draw, colors, extras, background.expand(num_views, -1))
        else:
            backgrounds = torch.cat([background, background.new_zeros(len(extras))]).expand(num_views, -1)
            picture, alpha = rasterize_to_pixels(
                means2d, conics, torch.cat([colors, *extras], dim=-1), opacities, width, height, TILE_PX, offsets,
                flatten_ids, backgrounds=backgrounds, absgrad=True,
            )  # fmt: skip
        picture = picture.permute(0, 3, 1, 2)
        return Rendering(
            image=picture[:, :3],
            alpha=alpha[..., 0],
            depth=picture[:, 3] if with_depth else None,
            means2d=means2d,
            radii=radii,
            probe=probe,
            probe_image=picture[:, 2 + len(extras)] if with_probe else None,
        )

    def _lens_of(self, cameras: Sequence[Camera]) -> Lens:
        key = tuple(cameras)
        if key not in self._lenses:
            self._lenses[key] = _lens(key, self.device)
        return self._lenses[key]

    def _project(
        self, parameters: ParameterDict, scales: Tensor, opacities: Tensor, cam_from_world: Tensor, lens: Lens
    ) -> tuple[Tensor, ...]:
        """gsplat's radii, means2d, depths, conics and compensations, [C, N, …]."""
        shared: dict[str, Any] = {
            "eps2d": EPS_2D,
            "near_plane": NEAR_PLANE,
            "calc_compensations": self.antialiased,
            "opacities": opacities,
        }
        means, quats, size = parameters["means"], parameters["quats"], {"width": lens.width, "height": lens.height}
        cameras = {"viewmats": cam_from_world, "Ks": lens.intrinsics, **size}
        if lens.distortion:
            shared.pop("opacities")
            return fully_fused_projection_with_ut(
                means, quats, scales, opacities, **cameras, **shared, **lens.distortion
            )
        return fully_fused_projection(means, None, quats, scales, **cameras, **shared)

    def _colors(self, parameters: ParameterDict, cam_from_world: Tensor, sh_degree: int, radii: Tensor) -> Tensor:
        """[C, N, 3] RGB as seen from each camera."""
        rotations, translations = cam_from_world[:, :3, :3], cam_from_world[:, :3, 3:]
        centers = -(rotations.transpose(1, 2) @ translations)[..., 0]
        directions = parameters["means"] - centers[:, None]
        num_bases = (sh_degree + 1) ** 2
        # Only the bases in use are read and given gradients.
        sh = torch.cat([parameters["sh0"], parameters["shN"][:, : num_bases - 1]], dim=1)
        sh = sh.expand(len(centers), *sh.shape)
        colors = spherical_harmonics(sh_degree, directions, sh, masks=(radii > 0).all(dim=-1))
        return torch.clamp_min(colors + 0.5, 0.0)

    def _render_packed(
        self,
        parameters: ParameterDict,
        lens: Lens,
        cam_from_world: Tensor,
        sh_degree: int,
        background: Tensor,
        with_depth: bool,
    ) -> Rendering:
        """Through ``gsplat.rasterization``, which knows how to pack. No probe."""
        picture, alpha, info = rasterization(
            parameters["means"], parameters["quats"], torch.exp(parameters["scales"]),
            torch.sigmoid(parameters["opacities"]), torch.cat([parameters["sh0"], parameters["shN"]], dim=1),
            cam_from_world, lens.intrinsics, lens.width, lens.height, near_plane=NEAR_PLANE, eps2d=EPS_2D,
            sh_degree=sh_degree, packed=True, absgrad=True, tile_size=TILE_PX,
            render_mode="RGB+D" if with_depth else "RGB",
            rasterize_mode="antialiased" if self.antialiased else "classic",
        )  # fmt: skip
        means2d = info["means2d"]
        if means2d.requires_grad:
            means2d.retain_grad()
        # gsplat 1.5.3 refuses backgrounds of packed pictures.
        image = (picture[..., :3] + (1 - alpha) * background).permute(0, 3, 1, 2)
        depth, ids = picture[..., 3] if with_depth else None, info["gaussian_ids"]
        return Rendering(image, alpha[..., 0], depth, means2d, info["radii"], gaussian_ids=ids)

    def photometric_loss(self, image: Tensor, target: Tensor, mask: Tensor | None, ssim_weight: float) -> Tensor:
        return self._loss(image, target, mask, ssim_weight)

    def optimizers(self, parameters: ParameterDict, learning_rates: Mapping[str, float]) -> OptimizerSet:
        return CudaAdamSet({name: CudaAdam(tensor, learning_rates[name]) for name, tensor in parameters.items()})


def render_fused(parameters: ParameterDict, view: FusedView) -> Rendering:
    """By the kernels one after the other. The view gets what densification reads."""
    picture, alpha = RenderFused.apply(view, *(parameters[name] for name in _NAMES))  # type: ignore[misc]
    assert view.means2d is not None and view.radii is not None
    return Rendering(picture.permute(0, 3, 1, 2), alpha[..., 0], None, view.means2d, view.radii)


def _rasterize_distorted(
    draw: Callable[..., tuple[Tensor, Tensor]], colors: Tensor, extras: Sequence[Tensor], backgrounds: Tensor
) -> tuple[Tensor, Tensor]:
    """3DGUT's kernel knows three channels: what is extra is drawn in a second pass, and appended to the picture."""
    picture, alpha = draw(colors=colors, backgrounds=backgrounds)
    if extras:
        padding = [torch.zeros_like(extras[0])] * (3 - len(extras))
        more, _ = draw(colors=torch.cat([*extras, *padding], dim=-1))
        picture = torch.cat([picture, more[..., : len(extras)]], dim=-1)
    return picture, alpha


def _lens(cameras: tuple[Camera, ...], device: torch.device) -> Lens:
    intrinsics = [[[c.fx, 0, c.cx], [0, c.fy, c.cy], [0, 0, 1]] for c in cameras]
    distortions = [camera.distortion for camera in cameras if camera.distortion is not None]
    arguments: dict[str, Any] = {}
    if distortions:
        arguments["radial_coeffs"] = torch.tensor([d.radial for d in distortions], device=device)
        if distortions[0].model == "fisheye":
            arguments["camera_model"] = "fisheye"
        else:
            arguments["tangential_coeffs"] = torch.tensor([d.tangential for d in distortions], device=device)
    return Lens(
        cameras[0].width, cameras[0].height, torch.tensor(intrinsics, dtype=torch.float32, device=device), arguments
    )
