"""Where lenses see points, by OpenCV's formulas written out in NumPy, for tests to compare with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from splatlib.artifacts import Camera

FloatArray = npt.NDArray[np.float64]


def project(camera: Camera, points: FloatArray) -> FloatArray:
    """[P, 2] pixels of points [P, 3] in camera coordinates, in front of the camera.

    docs.opencv.org, "Camera Calibration and 3D Reconstruction" and "Fisheye camera model".
    """
    x, y = points[:, 0] / points[:, 2], points[:, 1] / points[:, 2]
    lens = camera.distortion
    if lens is not None and lens.model == "fisheye":
        k1, k2, k3, k4 = lens.radial
        r = np.hypot(x, y)
        theta = np.arctan(r)
        scale = theta * (1 + k1 * theta**2 + k2 * theta**4 + k3 * theta**6 + k4 * theta**8) / np.where(r > 0, r, 1)
        x, y = x * scale, y * scale
    elif lens is not None:
        k1, k2, k3, k4, k5, k6 = lens.radial
        p1, p2 = lens.tangential
        r2 = x**2 + y**2
        scale = (1 + k1 * r2 + k2 * r2**2 + k3 * r2**3) / (1 + k4 * r2 + k5 * r2**2 + k6 * r2**3)
        x, y = (
            x * scale + 2 * p1 * x * y + p2 * (r2 + 2 * x**2),
            y * scale + p1 * (r2 + 2 * y**2) + 2 * p2 * x * y,
        )
    return np.stack([camera.fx * x + camera.cx, camera.fy * y + camera.cy], axis=-1)
