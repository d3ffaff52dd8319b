"""Laws that hold for any splat: moving scene and camera together changes no picture, colours included."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from splatlib.artifacts import Camera
from splatlib.gaussians import Gaussians
from splatlib.render import render_image
from splatlib.train.metrics import psnr_db

CAMERA = Camera(width=64, height=48, fx=60.0, fy=60.0, cx=32.0, cy=24.0)


def random_gaussians(seed: int, sh_degree: int) -> Gaussians:
    rng = np.random.default_rng(seed)
    arrays = {
        "means": rng.normal(size=(80, 3)) * 0.8,
        "log_scales": np.log(rng.uniform(0.05, 0.4, (80, 3))),
        "quats": rng.normal(size=(80, 4)),
        "opacity_logits": rng.normal(size=80) + 1,
        "sh": rng.normal(size=(80, (sh_degree + 1) ** 2, 3)) * 0.5,
    }
    return Gaussians(**{name: array.astype(np.float32) for name, array in arrays.items()})


def random_rotation(seed: int) -> np.ndarray:
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    q *= np.sign(np.diag(r))
    return q * np.sign(np.linalg.det(q))


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    sh_degree=st.integers(0, 3),
    scale=st.floats(0.2, 5.0),
    shift=st.tuples(*[st.floats(-3, 3)] * 3),
)
def test_a_moved_splat_looks_the_same_to_a_camera_that_moves_along(
    seed: int, sh_degree: int, scale: float, shift: tuple[float, float, float]
) -> None:
    splat = random_gaussians(seed, sh_degree)
    cam_from_world = np.eye(4)
    cam_from_world[:3, :3] = random_rotation(seed + 1)
    cam_from_world[:3, 3] = [0.1, -0.2, 4.0]
    turn, translation = random_rotation(seed + 2), np.array(shift)
    # x' = scale · turn · x + translation; in the camera everything is just `scale` times as far and as large.
    moved = np.eye(4)
    moved[:3, :3] = cam_from_world[:3, :3] @ turn.T
    moved[:3, 3] = scale * cam_from_world[:3, 3] - moved[:3, :3] @ translation

    def psnr_of(other: Gaussians) -> float:
        pictures = render_image(other, CAMERA, moved), render_image(splat, CAMERA, cam_from_world)
        return psnr_db(*((picture / 255).astype(np.float32) for picture in pictures))

    turned = splat.transformed(scale, turn, translation)
    assert psnr_of(turned) > 50  # alpha's cut-off at 1/255 lets single pixels differ by rounding
    if sh_degree:  # and colours that do not turn along do look different
        assert psnr_of(replace(turned, sh=splat.sh)) < 40
