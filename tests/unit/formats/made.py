"""Gaussians to write, and the pictures by which what was read back is judged."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from splatlib.artifacts import Camera
from splatlib.export.views import Painter
from splatlib.gaussians import Gaussians
from splatlib.spherical_harmonics import evaluate_sh

CAMERA = Camera(width=120, height=90, fx=110.0, fy=110.0, cx=60.0, cy=45.0)


def random_gaussians(seed: int, sh_degree: int, count: int = 30, reach: float = 3.0) -> Gaussians:
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> npt.NDArray[np.float32]:
        return rng.normal(size=(count, *shape)).astype(np.float32)

    sh = normal((sh_degree + 1) ** 2, 3) * np.float32(0.2)
    return Gaussians(normal(3) * np.float32(reach), normal(3) - 4, normal(4), normal() * 3, sh)


def shell(count: int = 3000, sh_degree: int = 3, seed: int = 0) -> Gaussians:
    """Discs on a sphere of radius 1 whose colours follow one smooth function, and the direction they are seen from."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(count, 3))
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    sh = np.zeros((count, (sh_degree + 1) ** 2, 3))
    sh[:, 0] = np.sin(2 * means + np.array([0, 1, 2]))
    field = rng.normal(size=(3, sh.shape[1] - 1, 3)) * 0.12
    sh[:, 1:] = np.einsum("na,akc->nkc", means, field)
    arrays = {
        "means": means,
        "log_scales": np.log(rng.uniform(0.03, 0.09, (count, 3))),
        "quats": rng.normal(size=(count, 4)),
        "opacity_logits": rng.normal(1.5, 1.0, count),
        "sh": sh,
    }
    return Gaussians(**{name: array.astype(np.float32) for name, array in arrays.items()})


def poses() -> list[npt.NDArray[np.float64]]:
    """From three sides, 3 away."""
    front = np.eye(4)
    front[2, 3] = 3
    side, top = front.copy(), front.copy()
    side[:3, :3] = [[0, 0, -1], [0, 1, 0], [1, 0, 0]]
    top[:3, :3] = [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
    return [front, side, top]


def likeness_db(one: Gaussians, other: Gaussians) -> float:
    """Mean PSNR between their pictures; 100 for equal ones."""
    painter = Painter()
    pairs = [[painter.picture(g, CAMERA, pose) for g in (one, other)] for pose in poses()]
    return float(np.mean([min(100.0, -10 * np.log10(max(1e-10, np.square(a - b).mean()))) for a, b in pairs]))


def colors_along(gaussians: Gaussians, directions: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return evaluate_sh(gaussians.sh, directions)
