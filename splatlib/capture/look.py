"""What is measured of a picture, all on a small grey copy: sharpness, brightness, and a thumbnail for motion."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

# Sharpness is scored at this long side, so that scores of pictures of all sizes compare. It is near what
# feature extraction and training see; blur that vanishes in it harms neither.
SCORE_PX = 512
THUMBNAIL_PX = 256

_FINE_SIGMA_PX, _COARSE_SIGMA_PX = 0.7, 2.0
# The share of pixels with the strongest coarse gradient is what counts as texture …
_TEXTURE_SHARE = 0.2
# … if the gradient exceeds what noise leaves after the coarse blur; without this much texture nothing can be said.
_MIN_GRADIENT = 2.0
_MIN_TEXTURE_SHARE = 0.005
_SCHARR_GAIN = 32.0

Grey = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Look:
    """Measurements of one picture.

    Attributes:
        thumbnail: [h, w] uint8, 256 px on the long side.
        mask: [h, w] uint8, 255 where the picture is not transparent; None if it is opaque.
        sharpness: see ``sharpness_of``; None where there is too little texture to tell.
        brightness: mean grey value, 0 to 255.
        white_share: share of pixels that are burnt out.
    """

    thumbnail: Grey
    mask: Grey | None
    sharpness: float | None
    brightness: float
    white_share: float


def look_at(grey: Grey, alpha: Grey | None = None) -> Look:
    """Measure a picture.

    Args:
        grey: [H, W] uint8, at least ``SCORE_PX`` on the long side unless the picture itself is smaller.
        alpha: [H, W] uint8, what is transparent (under half) does not count.
    """
    scored = shrink(grey, SCORE_PX)
    thumbnail = shrink(scored, THUMBNAIL_PX)
    opaque = thumbnail_mask = None
    if alpha is not None:
        opaque = _opaque(alpha, scored.shape)
        thumbnail_mask = _opaque(alpha, thumbnail.shape)
    counted = thumbnail if thumbnail_mask is None else thumbnail[thumbnail_mask > 0]
    if counted.size == 0:
        return Look(thumbnail, thumbnail_mask, None, 0.0, 0.0)
    return Look(
        thumbnail,
        thumbnail_mask,
        sharpness_of(scored, opaque),
        brightness=float(counted.mean()),
        white_share=float((counted >= 250).mean()),
    )


def shrink(picture: Grey, long_side_px: int) -> Grey:
    """Scale down by area averaging to a long side; smaller pictures stay as they are."""
    scale = long_side_px / max(picture.shape[:2])
    if scale >= 1:
        return picture
    size = [max(1, round(side * scale)) for side in picture.shape[1::-1]]
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def sharpness_of(grey: Grey, opaque: Grey | None = None) -> float | None:
    """How much finer detail there is than a blurred copy has, where there is texture: 0 is wholly blurred, ~0.5 sharp.

    The ratio of the gradients of the picture and of its re-blurred copy tells the blur at an edge whatever the
    edge's contrast (Zhuo & Sim, "Defocus map estimation from a single image", Pattern Recognition 2011). Here it is
    taken over the most textured fifth of the picture and in the direction in which it is lowest, since motion blurs
    in one direction only: the smallest generalised eigenvalue of the two structure tensors. A sharp but plain wall is
    thus not taken for blur. A Gaussian blur of 1 px (at 512 px) takes a score of 0.5 to 0.33, of 2 px to 0.18.

    Args:
        grey: [H, W] uint8.
        opaque: [H, W] uint8, 0 where the picture does not count.

    Returns None where there is too little texture to tell.
    """
    coarse_x, coarse_y = _gradients(cv2.GaussianBlur(grey, (0, 0), _COARSE_SIGMA_PX))
    energy = coarse_x * coarse_x + coarse_y * coarse_y
    if opaque is not None:
        # the cut-out's own outline is sharp however blurred the picture is
        margin_px = round(4 * _COARSE_SIGMA_PX) | 1
        energy[cv2.erode(opaque, np.ones((margin_px, margin_px), np.uint8), borderValue=0) == 0] = 0
    sample = energy[::4, ::4].ravel()
    if opaque is not None:
        sample = sample[sample > 0]
    if sample.size == 0:
        return None
    threshold = max(float(np.quantile(sample, 1 - _TEXTURE_SHARE)), (_MIN_GRADIENT * _SCHARR_GAIN) ** 2)
    textured = np.flatnonzero(energy >= threshold)
    if len(textured) < _MIN_TEXTURE_SHARE * sample.size * 16:
        return None
    fine_x, fine_y = _gradients(cv2.GaussianBlur(grey, (0, 0), _FINE_SIGMA_PX))
    coarse = _structure_tensor(coarse_x, coarse_y, textured)
    fine = _structure_tensor(fine_x, fine_y, textured)
    if np.linalg.det(coarse) < 1e-6 * np.trace(coarse) ** 2:  # all edges run in exactly one direction
        return float(np.sqrt(np.trace(fine) / np.trace(coarse))) - 1
    lowest = float(np.linalg.eigvals(np.linalg.solve(coarse, fine)).real.min())
    return float(np.sqrt(max(lowest, 0.0))) - 1


def _gradients(picture: cv2.typing.MatLike) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """[H, W] each, times ``_SCHARR_GAIN``."""
    x, y = cv2.Scharr(picture, cv2.CV_16S, 1, 0), cv2.Scharr(picture, cv2.CV_16S, 0, 1)
    return x.astype(np.float32), y.astype(np.float32)


def _structure_tensor(
    x: npt.NDArray[np.float32], y: npt.NDArray[np.float32], where: npt.NDArray[np.intp]
) -> npt.NDArray[np.float64]:
    """[2, 2] sum of the gradients' outer products over flat indices."""
    vectors = np.stack([x.ravel()[where], y.ravel()[where]])
    return (vectors @ vectors.T).astype(np.float64)


def _opaque(alpha: Grey, shape: tuple[int, ...]) -> Grey:
    """255 where alpha is at least a half, at the size of a smaller copy."""
    small = cv2.resize(alpha, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    return np.where(small >= 128, 255, 0).astype(np.uint8)
