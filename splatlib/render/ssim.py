"""The window of SSIM (Wang et al., "Image Quality Assessment", 2004): 11 taps of a Gaussian of sigma 1.5."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

RADIUS_PX = 5
C1, C2 = 0.01**2, 0.03**2  # for values in [0, 1]


def _window() -> npt.NDArray[np.float32]:
    weights = np.exp(-(np.arange(-RADIUS_PX, RADIUS_PX + 1.0) ** 2) / (2 * 1.5**2))
    return (weights / weights.sum()).astype(np.float32)


WINDOW = _window()
