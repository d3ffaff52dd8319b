"""Where the object probably is, when nobody said: what differs from the picture's borders, towards its middle."""

from __future__ import annotations

import cv2
import numpy as np

from splatlib.masks.thumbnails import Map, Picture

# Zhang et al. use a tenth of the picture for each border.
_BORDER_SHARE = 0.1
# Of the diagonal's half; photographers of objects keep them in the middle, but not exactly.
_CENTRE_SIGMA = 0.55
# Lab units (OpenCV's 8-bit scale): keeps a border of one colour from making any other colour infinitely far.
_COLOUR_NOISE = 4.0


def saliency(picture: Picture) -> Map:
    """[height, width, 3] RGB to [height, width] in 0..1: contrast of colour to the four borders, times a centre prior.

    The contrast is that of MB+ (Zhang et al., "Minimum Barrier Salient Object Detection at 80 FPS", ICCV 2015, section
    3.2): Mahalanobis distance to the mean colour of each border, summed without the largest of the four, so that an
    object which touches one border is still found.
    """
    lab = cv2.cvtColor(cv2.GaussianBlur(picture, (0, 0), 1.5), cv2.COLOR_RGB2LAB).astype(np.float32)
    height, width = lab.shape[:2]
    rows, columns = max(2, round(height * _BORDER_SHARE)), max(2, round(width * _BORDER_SHARE))
    borders = (lab[:rows], lab[-rows:], lab[:, :columns], lab[:, -columns:])
    distances = np.stack([_distance(lab, border.reshape(-1, 3)) for border in borders])
    distances /= distances.max(axis=(1, 2), keepdims=True) + 1e-6
    contrast = distances.sum(axis=0) - distances.max(axis=0)
    found = contrast * centre_prior(height, width)
    return (found / max(float(np.quantile(found, 0.99)), 1e-6)).clip(0, 1).astype(np.float32)


def centre_prior(height: int, width: int) -> Map:
    """[height, width]: 1 in the middle, a Gaussian in shares of the half sides."""
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None]
    return np.exp(-(x**2 + y**2) / (2 * _CENTRE_SIGMA**2)).astype(np.float32)


def _distance(lab: Map, border: Map) -> Map:
    """[height, width] Mahalanobis distance to the colours [N, 3]."""
    mean = border.mean(axis=0)
    covariance = np.cov(border.T) + _COLOUR_NOISE**2 * np.eye(3)
    whitened = (lab - mean) @ np.linalg.cholesky(np.linalg.inv(covariance)).astype(np.float32)
    return np.linalg.norm(whitened, axis=2)


class SharedColours:
    """How likely a colour is the object's, from all frames at once: a ratio of two histograms.

    The same object is in every frame, so what one frame cannot tell (the object's colour at its border, a patch of
    background in its middle) another can.
    """

    _BINS = 16

    def __init__(self) -> None:
        self._counts = np.zeros((2, self._BINS**3), np.float64)

    def add(self, picture: Picture, foreground: Map) -> None:
        """Count the colours of [height, width, 3] RGB, each pixel by how much it is foreground, 0..1."""
        bins, weight = self._bins(picture).ravel(), foreground.ravel()
        for side, weights in enumerate((1 - weight, weight)):
            self._counts[side] += np.bincount(bins, weights, minlength=self._BINS**3) / len(bins)

    def object_probability(self, picture: Picture) -> Map:
        """[height, width] in 0..1; 0.5 for a colour that was never seen. Both sides weigh the same."""
        counts = np.stack([cv2.GaussianBlur(_as_square(side), (3, 3), 0).ravel() for side in self._counts])
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-9) + 1e-6
        return (shares[1] / shares.sum(axis=0)).astype(np.float32)[self._bins(picture)]

    def _bins(self, picture: Picture) -> np.ndarray:
        lab = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB).astype(np.int32) * self._BINS // 256
        return (lab[..., 0] * self._BINS + lab[..., 1]) * self._BINS + lab[..., 2]


def _as_square(counts: np.ndarray) -> np.ndarray:
    """Lightness in rows, a and b in columns: neighbours in it are neighbouring colours (but for b's last step)."""
    return counts.reshape(SharedColours._BINS, -1)
