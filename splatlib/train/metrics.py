"""Image quality: PSNR, SSIM, LPIPS, on pictures in [0, 1]."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from splatlib.progress import logger

FloatArray = npt.NDArray[np.float32]


def psnr_db(image: FloatArray, truth: FloatArray, mask: FloatArray | None = None) -> float:
    """Peak signal-to-noise ratio, dB, of [H, W, 3] pictures, over pixels where mask [H, W] is positive."""
    squares = np.square(image.astype(np.float64) - truth)
    mean = squares.mean() if mask is None else squares[mask > 0].mean()
    return float(-10 * np.log10(max(mean, 1e-10)))


def with_fitted_colors(image: FloatArray, truth: FloatArray, mask: FloatArray | None = None) -> FloatArray:
    """[H, W, 3] with the 3x4 colour matrix that brings it closest to the truth in the least-squares sense.

    Fitted where mask [H, W] is positive, clipped to [0, 1]. Photos of one scene differ in exposure, and no training can
    know that of a held-out one: this is the affine form of the colour correction of Mildenhall et al., "NeRF in
    the Dark" (2022), which evaluations of appearance models use.
    """
    colors = np.concatenate([image, np.ones_like(image[..., :1])], axis=-1).astype(np.float64)
    counted = np.ones(image.shape[:2], bool) if mask is None else mask > 0
    matrix, *_ = np.linalg.lstsq(colors[counted], truth[counted].astype(np.float64), rcond=None)
    return np.clip(colors @ matrix, 0, 1).astype(np.float32)


def ssim(image: FloatArray, truth: FloatArray, mask: FloatArray | None = None) -> float:
    """Structural similarity of [H, W, 3] pictures (Wang et al. 2004): 11x11 Gaussian window, sigma 1.5, mean over
    windows that lie inside the picture and channels; with a mask [H, W], over windows centred in it.
    """
    a, b = image.astype(np.float64), truth.astype(np.float64)
    if mask is not None:
        a, b = a * (mask[..., None] > 0), b * (mask[..., None] > 0)

    def windowed(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray(cv2.GaussianBlur(x, (11, 11), 1.5), dtype=np.float64)

    mean_a, mean_b = windowed(a), windowed(b)
    var_a, var_b = windowed(a * a) - mean_a**2, windowed(b * b) - mean_b**2
    cov = windowed(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    values = (2 * mean_a * mean_b + c1) * (2 * cov + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    if min(values.shape[:2]) > 10:
        values = values[5:-5, 5:-5]
        mask = None if mask is None else mask[5:-5, 5:-5]
    if mask is None or not (mask > 0).any():
        return float(values.mean())
    return float(values[mask > 0].mean())


@functools.cache
def lpips_metric() -> Callable[[FloatArray, FloatArray], float] | None:
    """LPIPS (Zhang et al. 2018, AlexNet) if the ``lpips`` package and its weights are on this machine, else None.

    Nothing is downloaded: the AlexNet weights must already lie in torch's hub folder.
    """
    import torch

    try:
        import lpips  # pyright: ignore[reportMissingImports]
    except ImportError:
        logger.debug("LPIPS is not measured: the lpips package is not installed")
        return None
    weights = list((Path(torch.hub.get_dir()) / "checkpoints").glob("alexnet-*.pth"))
    if not weights:
        logger.debug("LPIPS is not measured: AlexNet's weights are not in torch's hub folder")
        return None
    network = lpips.LPIPS(net="alex", verbose=False).eval()

    def distance(image: FloatArray, truth: FloatArray) -> float:
        tensors = [torch.from_numpy(np.ascontiguousarray(x.transpose(2, 0, 1)))[None] * 2 - 1 for x in (image, truth)]
        with torch.no_grad():
            return float(network(*tensors))

    return distance
