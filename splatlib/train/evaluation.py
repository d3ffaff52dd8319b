"""Held-out views: how well a training renders what it never saw."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from splatlib.artifacts import HeldOutView
from splatlib.errors import TrainingError
from splatlib.progress import logger
from splatlib.train.dataset import Level, ViewBatch
from splatlib.train.loop import Trainer
from splatlib.train.metrics import lpips_metric, psnr_db, ssim, with_fitted_colors


class HeldOut:
    """The views to measure with, at the training resolution.

    Attributes:
        warnings: names the views that are masked from edge to edge and cannot be measured.
    """

    def __init__(self, level: Level) -> None:
        self._level = level
        self.warnings: list[str] = []
        hidden = [i for i in range(len(level)) if not _shows_something(level.batch([i]))]
        self._indices = [i for i in range(len(level)) if i not in hidden]
        if hidden:
            names = ", ".join(level.names[i] for i in hidden)
            self.warnings.append(f"Not measured, since the mask leaves no pixel: {names}.")
            logger.warning("training: %s", self.warnings[0])

    def __len__(self) -> int:
        return len(self._indices)

    def views(self) -> Sequence[ViewBatch]:
        """One at a time."""
        return [self._level.batch([index]) for index in self._indices]

    @torch.no_grad()
    def mean_psnr_db(self, trainer: Trainer) -> float:
        """Mean over the views, computed on the device: cheap enough to do while training."""
        return float(torch.stack([_psnr_db(trainer.render(view).image, view) for view in self.views()]).mean())

    def measure(self, trainer: Trainer, directory: Path) -> list[HeldOutView]:
        """Quality on each view; truth and render are kept as pictures under ``held_out/``.

        With fitted colours too for the preset ``reference``, whose figures are compared with others', and where the
        training compensated colours, so that the splat has none of its photos' own.
        """
        folder = directory / "held_out"
        folder.mkdir(exist_ok=True)
        lpips = lpips_metric()
        corrects = trainer.config.preset == "reference" or trainer.config.appearance != "none"
        results = []
        for view in self.views():
            render, truth = render_picture(trainer, view), _as_picture(view.target / 255)
            mask = None if view.mask is None else view.mask[0].cpu().numpy()
            distance = lpips(render, truth) if lpips else None
            corrected = psnr_db(with_fitted_colors(render, truth, mask), truth, mask) if corrects else None
            name, similarity = view.names[0], ssim(render, truth, mask)
            results.append(HeldOutView(name, psnr_db(render, truth, mask), similarity, distance, corrected))
            stem = folder / Path(name).stem
            write_picture(stem.with_name(stem.name + ".truth.png"), truth)
            write_picture(stem.with_name(stem.name + ".render.png"), render)
        if results:
            mean_psnr, mean_ssim = np.mean([r.psnr_db for r in results]), np.mean([r.ssim for r in results])
            logger.info("training: held-out PSNR %.2f dB, SSIM %.3f over %d views", mean_psnr, mean_ssim, len(results))
        return results


def _shows_something(view: ViewBatch) -> bool:
    return view.mask is None or bool(view.mask.any())


def _psnr_db(image: Tensor, view: ViewBatch) -> Tensor:
    squares = (image.clamp(0, 1) - view.target.to(torch.float32) / 255).square().mean(dim=1)
    mean = squares.mean() if view.mask is None else (squares * view.mask).sum() / view.mask.sum()
    return -10 * torch.log10(mean.clamp(min=1e-10))


@torch.no_grad()
def render_picture(trainer: Trainer, view: ViewBatch) -> np.ndarray:
    """[H, W, 3] float32 in [0, 1]."""
    return _as_picture(trainer.render(view).image)


def _as_picture(image: Tensor) -> np.ndarray:
    return image[0].cpu().numpy().astype(np.float32).transpose(1, 2, 0).clip(0, 1)


def write_picture(path: Path, image: np.ndarray) -> None:
    """Write [H, W, 3] float RGB in [0, 1]. Raises TrainingError."""
    pixels = (image * 255 + 0.5).astype(np.uint8)
    if not cv2.imwrite(str(path), np.ascontiguousarray(pixels[..., ::-1])):
        raise TrainingError(f"cannot write {path}", hint="is the disk full?")
