"""Held-out views of another trainer, measured as ours are: drawn by its own renderer, and by ours where it can."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from splatlib.artifacts import HeldOutView
from splatlib.config import TrainConfig
from splatlib.errors import TrainingError
from splatlib.gaussians import Gaussians
from splatlib.progress import logger
from splatlib.render import create_renderer
from splatlib.render.lenses import drawn_share
from splatlib.render.protocol import parameters_from_gaussians
from splatlib.scene_formats import PlacedView
from splatlib.train.dataset import WHOLE
from splatlib.train.evaluation import write_picture
from splatlib.train.external.protocol import Results
from splatlib.train.metrics import lpips_metric, psnr_db, ssim

FloatArray = npt.NDArray[np.float32]
TOLD_FROM_DB = 0.5
ROUNDED_DB = 58.9  # what rounding to 8 bits leaves of a perfect picture: above it, all are alike


def measure_renders(placed: Sequence[PlacedView], results: Results, data: Path, folder: Path) -> list[HeldOutView]:
    """Of the pictures that the trainer drew; truth and render are kept under ``folder``.

    Raises TrainingError: a picture is missing, damaged, or of another size than the photo.
    """

    def render(one: PlacedView) -> FloatArray:
        path = results.renders.get(one.view.name)
        if path is None or not path.is_file():
            raise TrainingError(
                f"the trainer did not draw {one.view.name}", why=f"there is no {path or 'picture of it'}"
            )
        return _picture(path)

    return _measured(placed, data, folder, render, "render")


def measure_gaussians(
    gaussians: Gaussians, placed: Sequence[PlacedView], config: TrainConfig, data: Path, folder: Path
) -> tuple[list[HeldOutView], list[str]]:
    """Of the Gaussians, drawn by the best renderer here; and why it was not done, if it was not."""
    renderer = create_renderer("auto", antialiased=False)
    on_gpu = renderer.device.type == "cuda"
    if config.antialiased:
        if not on_gpu:
            return [], ["Not measured with splatlib's renderer: only a GPU draws antialiased."]
        renderer = create_renderer("cuda", antialiased=True)
    if any(one.camera.distortion is not None for one in placed) and not on_gpu:
        return [], ["Not measured with splatlib's renderer: only a GPU draws distorted lenses."]
    if any(drawn_share(one.camera) < 1 for one in placed):
        return [], ["Not measured with splatlib's renderer: it does not draw these lenses to their edges."]
    import torch

    parameters = parameters_from_gaussians(gaussians, renderer.device)
    background = torch.full((3,), float(config.background == "white"), device=renderer.device)

    @torch.no_grad()
    def render(one: PlacedView) -> FloatArray:
        poses = renderer.place(np.asarray(one.view.cam_from_world).reshape(1, 4, 4))
        drawn = renderer.render(
            parameters, (one.camera,), poses, sh_degree=gaussians.sh_degree, background=background, with_probe=False
        )
        return drawn.image[0].clamp(0, 1).cpu().numpy().astype(np.float32).transpose(1, 2, 0)

    return _measured(placed, data, folder, render, "splatlib"), []


def drawn_elsewhere(own: Sequence[HeldOutView], by_splatlib: Sequence[HeldOutView]) -> list[str]:
    """What who opens the PLY in a viewer must know: that it is drawn worse there than by its trainer."""
    if not own or not by_splatlib:
        return []
    theirs, ours = (np.mean([min(view.psnr_db, ROUNDED_DB) for view in views]) for views in (own, by_splatlib))
    lost_db = float(theirs - ours)
    if not lost_db > TOLD_FROM_DB:
        return []
    return [f"Drawn as 3D Gaussians, as viewers do, the splat is {lost_db:.1f} dB below its trainer's own renderer."]


def _measured(
    placed: Sequence[PlacedView], data: Path, folder: Path, render: Callable[[PlacedView], FloatArray], kind: str
) -> list[HeldOutView]:
    folder.mkdir(exist_ok=True)
    lpips, results = lpips_metric(), []
    for one in placed:
        truth, image = _picture(data / one.picture), render(one)
        if image.shape != truth.shape:
            raise TrainingError(
                f"the trainer drew {one.view.name} with {image.shape[1]}x{image.shape[0]} pixels",
                why=f"its photo has {truth.shape[1]}x{truth.shape[0]}",
            )
        mask = None if one.mask is None else _mask(data / one.mask)
        if mask is not None and not mask.any():
            logger.warning("training: not measured, since the mask leaves no pixel: %s", one.view.name)
            continue
        distance = lpips(image, truth) if lpips else None
        results.append(HeldOutView(one.view.name, psnr_db(image, truth, mask), ssim(image, truth, mask), distance))
        stem = folder / Path(one.view.name).stem
        if kind == "render":
            write_picture(stem.with_name(stem.name + ".truth.png"), truth)
        write_picture(stem.with_name(f"{stem.name}.{kind}.png"), image)
    return results


def _picture(path: Path) -> FloatArray:
    """[H, W, 3] RGB in [0, 1]. Raises TrainingError."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if picture is None:
        raise TrainingError(f"cannot read {path}", why="it is gone, or no picture")
    return np.asarray(picture[..., ::-1], np.float32) / np.float32(255)


def _mask(path: Path) -> FloatArray:
    """[H, W], 1 where a pixel is whole inside. Raises TrainingError."""
    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise TrainingError(f"cannot read {path}", why="it is gone, or no picture")
    return (np.asarray(mask) >= WHOLE).astype(np.float32)
