"""Splats for the browser tests, made from the sample's room: equal on every machine."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from splatlib.gaussians import SH_C0, Gaussians


def room(count: int = 20_000, sh_degree: int = 3, seed: int = 0) -> Gaussians:
    """Gaussians on the faces of a room with two balls in it, y down, with some colour that changes with the view."""
    rng = np.random.default_rng(seed)
    # the more there are, the smaller each is: as in a trained splat they share the same surfaces
    log_size = -3.6 - 0.5 * np.log(count / 20_000)
    walls = rng.uniform(-2, 2, (count, 3))
    face = rng.integers(0, 5, count)
    for axis, side, which in ((1, 1.2, 0), (0, -2, 1), (0, 2, 2), (2, 2, 3), (1, -1.6, 4)):
        walls[face == which, axis] = side
    ball = rng.normal(size=(count // 3, 3))
    ball *= 0.55 / np.linalg.norm(ball, axis=1, keepdims=True)
    ball[: len(ball) // 2] += [0.8, 0.6, 0.3]
    ball[len(ball) // 2 :] += [-0.7, 0.5, -0.1]
    means = walls
    means[: len(ball)] = ball
    color = 0.5 + 0.35 * np.sin(3.1 * means @ _MIX + [0, 2, 4])
    sh = rng.normal(0, 0.04, (count, (sh_degree + 1) ** 2, 3))
    sh[:, 0] = (color - 0.5) / SH_C0
    return Gaussians(
        means=means.astype(np.float32),
        log_scales=rng.normal(log_size, 0.35, (count, 3)).astype(np.float32),
        quats=rng.normal(size=(count, 4)).astype(np.float32),
        opacity_logits=rng.normal(2, 1.5, count).astype(np.float32),
        sh=sh.astype(np.float32),
    )


_MIX: npt.NDArray[np.float64] = np.array([[1.0, 0.3, -0.5], [0.2, -0.9, 0.7], [0.5, 0.8, 0.4]])
