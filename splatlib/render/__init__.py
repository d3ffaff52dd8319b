"""Renderers: what turns Gaussians and a camera into a picture, behind one protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from splatlib.artifacts import Camera
from splatlib.errors import ConfigError
from splatlib.gaussians import Gaussians

if TYPE_CHECKING:
    from splatlib.render.protocol import Renderer


def create_renderer(device: str = "auto", *, antialiased: bool = False) -> Renderer:
    """The renderer of a device: ``cpu``, ``cuda``, or ``auto`` for the best one that works here.

    Raises DeviceError if ``cuda`` is asked for and cannot be used; ``auto`` then takes the CPU and says why.
    """
    from splatlib.render.device import choose_device

    if choose_device(device) == "cuda":
        from splatlib.render.cuda.renderer import CudaRenderer

        return CudaRenderer(antialiased=antialiased)
    if antialiased:
        raise ConfigError("antialiased needs a GPU", hint="leave it off")
    from splatlib.render.cpu.renderer import CpuRenderer

    return CpuRenderer()


def render_image(
    gaussians: Gaussians,
    camera: Camera,
    cam_from_world: npt.ArrayLike,
    background: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> npt.NDArray[np.uint8]:
    """Draw Gaussians on the CPU, without torch.

    Args:
        camera: a pinhole; ``replace(camera, distortion=None)`` is the one of a distorted lens' size and focal length.
        cam_from_world: [4, 4].
        background: RGB in [0, 1].

    Returns:
        [H, W, 3] RGB.

    Raises:
        ConfigError: the camera has lens distortion.
    """
    from splatlib.render.cpu.rasterizer import Parameters, Rasterizer

    sh = np.ascontiguousarray(gaussians.sh[:, 1:])
    parameters = Parameters(
        gaussians.means,
        gaussians.log_scales,
        gaussians.quats,
        gaussians.opacity_logits,
        np.ascontiguousarray(gaussians.sh[:, :1]),
        sh,
    )
    picture = Rasterizer().forward(
        parameters, camera, cam_from_world, gaussians.sh_degree, np.asarray(background, np.float32)
    )
    return (np.clip(picture.image, 0, 1) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0)
