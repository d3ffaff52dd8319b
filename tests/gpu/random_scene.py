"""Random Gaussians before two cameras, and how results of two renderers are compared."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from splatlib.artifacts import Camera
from splatlib.render.protocol import Renderer, Rendering

WIDTH, HEIGHT = 161, 118  # no multiples of a tile


@dataclass(frozen=True)
class RandomScene:
    """Inputs of a rendering and of its loss, on the CPU.

    Attributes:
        parameters: as the renderers want them, see ``splatlib.render.protocol``.
        cam_from_world: [2, 4, 4]. target: [2, 3, H, W] uint8. mask: [2, H, W] float32.
    """

    parameters: dict[str, Tensor]
    cameras: tuple[Camera, ...]
    cam_from_world: np.ndarray
    target: Tensor
    mask: Tensor
    background: Tensor = field(default_factory=lambda: torch.tensor([0.2, 0.3, 0.4]))

    def leaves(self, renderer: Renderer) -> dict[str, Tensor]:
        """Fresh parameters on the renderer's device, whose gradients are wanted."""
        return {name: tensor.clone().to(renderer.device).requires_grad_() for name, tensor in self.parameters.items()}

    def render(
        self,
        renderer: Renderer,
        parameters: dict[str, Tensor],
        views: tuple[int, ...] = (0, 1),
        *,
        sh_degree: int = 3,
        with_depth: bool = False,
        with_probe: bool = False,
    ) -> Rendering:
        return renderer.render(
            parameters,
            [self.cameras[i] for i in views],
            renderer.place(self.cam_from_world[list(views)]),
            sh_degree=sh_degree,
            background=self.background.to(renderer.device),
            with_depth=with_depth,
            with_probe=with_probe,
        )

    def loss(
        self, renderer: Renderer, rendering: Rendering, views: tuple[int, ...] = (0, 1), *, masked: bool
    ) -> Tensor:
        target, mask = self.target[list(views)], self.mask[list(views)]
        return renderer.photometric_loss(
            rendering.image, target.to(renderer.device), mask.to(renderer.device) if masked else None, ssim_weight=0.2
        )


def random_scene(num_gaussians: int = 500, seed: int = 0) -> RandomScene:
    """Gaussians of all sizes about four units before two cameras that stand a little apart."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    n = num_gaussians
    parameters = {
        "means": normal(n, 3) * torch.tensor([1.0, 1.0, 0.5]) + torch.tensor([0.0, 0.0, 4.0]),
        "scales": torch.rand(n, 3, generator=generator) * 2 - 4,
        "quats": normal(n, 4),
        "opacities": normal(n),
        "sh0": normal(n, 1, 3),
        "shN": normal(n, 15, 3) * 0.2,
    }
    cameras = (
        Camera(WIDTH, HEIGHT, 150.0, 152.0, 80.3, 59.2),
        Camera(WIDTH, HEIGHT, 140.0, 139.0, 78.1, 60.4),
    )
    poses = np.stack([np.eye(4)] * 2)
    turn = 0.1
    poses[1, :3, :3] = [[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]]
    poses[1, :3, 3] = [0.3, -0.1, 0.2]
    target = torch.randint(0, 256, (2, 3, HEIGHT, WIDTH), generator=generator, dtype=torch.uint8)
    mask = (torch.rand(2, HEIGHT, WIDTH, generator=generator) > 0.3).float()
    return RandomScene(parameters, cameras, poses, target, mask)


def gradients_of(parameters: dict[str, Tensor]) -> dict[str, Tensor]:
    """On the CPU; the parameters forget them."""
    gradients = {}
    for name, tensor in parameters.items():
        assert tensor.grad is not None, name
        gradients[name], tensor.grad = tensor.grad.detach().cpu().clone(), None
    return gradients


def relative_error(value: Tensor, truth: Tensor) -> float:
    """Norm of the difference as a share of the truth's norm."""
    value, truth = value.detach().cpu().double(), truth.detach().cpu().double()
    assert value.shape == truth.shape and truth.norm() > 0
    return float((value - truth).norm() / truth.norm())


def assert_close_gradients(gradients: dict[str, Tensor], truth: dict[str, Tensor], tolerance: float) -> None:
    errors = {name: relative_error(gradients[name], truth[name]) for name in truth}
    assert all(error < tolerance for error in errors.values()), errors


def assert_close_pictures(picture: Tensor, truth: Tensor, tolerance: float) -> None:
    """To the tolerance but for one value in a thousand: an alpha within rounding of 1/255 may fall on either side of
    the threshold, and a transmittance within rounding of 1e-4 may end a pixel one Gaussian earlier."""
    difference = (picture.detach().cpu() - truth.detach().cpu()).abs().flatten()
    assert torch.quantile(difference, 0.999) < tolerance, f"{torch.quantile(difference, 0.999)=}"
    assert difference.max() < 10 * tolerance, f"{difference.max()=}"
