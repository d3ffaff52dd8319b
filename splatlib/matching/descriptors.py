"""Descriptors as COLMAP stores them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Descriptors = npt.NDArray[np.uint8]  # [K, 128]


def root_sift(descriptors: npt.NDArray[np.float32]) -> Descriptors:
    """[K, 128] SIFT as COLMAP stores it: L1-normalised, square root, times 512 (Arandjelović & Zisserman, 2012)."""
    total = np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-12)
    return np.clip(np.round(512 * np.sqrt(descriptors / total)), 0, 255).astype(np.uint8)
