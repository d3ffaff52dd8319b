"""Which lenses can be drawn, and what the others are told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from splatlib.artifacts import Camera, Distortion
from splatlib.errors import ConfigError
from splatlib.gaussians import Gaussians
from splatlib.render import render_image
from splatlib.render.lenses import drawn_share, require_drawable
from splatlib.render.protocol import parameters_from_gaussians

PINHOLE = Camera(64, 48, 50.0, 50.0, 32.0, 24.0)
BARREL = replace(PINHOLE, distortion=Distortion("radial_tangential", (-0.1, 0.01, 0.0, 0.0, 0.0, 0.0)))
FISHEYE = replace(PINHOLE, distortion=Distortion("fisheye", (0.0, 0.0, 0.0, 0.0)))


def one_gaussian() -> Gaussians:
    return Gaussians(
        means=np.array([[0, 0, 2]], np.float32),
        log_scales=np.full((1, 3), -2, np.float32),
        quats=np.array([[1, 0, 0, 0]], np.float32),
        opacity_logits=np.array([3], np.float32),
        sh=np.ones((1, 1, 3), np.float32),
    )


@pytest.mark.parametrize("camera", [BARREL, FISHEYE])
def test_the_cpu_renderer_refuses_distorted_lenses_and_says_what_to_do(camera: Camera) -> None:
    from splatlib.render.cpu.renderer import CpuRenderer

    with pytest.raises(ConfigError, match="undistort=true") as caught:
        render_image(one_gaussian(), camera, np.eye(4))
    assert "GPU" in caught.value.hint
    renderer, parameters = CpuRenderer(1), parameters_from_gaussians(one_gaussian(), "cpu")
    pose = renderer.place(np.eye(4)[None])
    with pytest.raises(ConfigError, match="undistort=true"):
        renderer.render(parameters, [camera], pose, sh_degree=0, background=pose.new_zeros(3).float())
    picture = render_image(one_gaussian(), replace(camera, distortion=None), np.eye(4))
    assert picture[24, 32].min() > 100


def test_who_can_draw_what() -> None:
    require_drawable([PINHOLE], "cpu")
    require_drawable([PINHOLE, BARREL, FISHEYE], "cuda")
    with pytest.raises(ConfigError, match="lens distortion"):
        require_drawable([PINHOLE, BARREL], "cpu")


def test_usual_lenses_are_drawn_whole() -> None:
    assert drawn_share(PINHOLE) == drawn_share(BARREL) == drawn_share(FISHEYE) == 1.0
    assert drawn_share(replace(FISHEYE, distortion=Distortion("fisheye", (0.05, 0.0, 0.0, 0.0)))) == 1.0


def test_the_drawn_part_of_a_strong_barrel_is_a_disc_of_known_size() -> None:
    """1 - 0.2 r² falls to 0.8 at r = 1, which the lens shows at a distance of 0.8 focal lengths."""
    camera = Camera(
        400, 400, 200.0, 200.0, 200.0, 200.0, Distortion("radial_tangential", (-0.2, 0.0, 0.0, 0.0, 0.0, 0.0))
    )
    assert drawn_share(camera) == pytest.approx(np.pi * 0.8**2 * 200**2 / 400**2, rel=0.01)


def test_the_drawn_part_of_a_folding_lens_ends_where_it_folds() -> None:
    """A denominator pulls inwards too; a fisheye folds where its polynomial has its largest value."""
    camera = Camera(
        400, 400, 150.0, 150.0, 200.0, 200.0, Distortion("radial_tangential", (0.0, 0.0, 0.0, 0.1, 0.0, 0.0))
    )
    limit = 1 / np.sqrt(0.4) * 0.8  # 1 / (1 + 0.1 r²) = 0.8 at r² = 2.5; it folds at r² = 10 only
    inside = np.pi * (limit * 150) ** 2 / 400**2
    assert limit * 150 < 200 and drawn_share(camera) == pytest.approx(inside, rel=0.01)
    fisheye = Camera(400, 400, 120.0, 120.0, 200.0, 200.0, Distortion("fisheye", (-0.2, 0.0, 0.0, 0.0)))
    angle = np.sqrt(1 / 0.6)  # where 1 - 0.6 θ² vanishes
    radius = 120 * angle * (1 - 0.2 * angle**2)
    assert drawn_share(fisheye) == pytest.approx(np.pi * radius**2 / 400**2, rel=0.01)


def test_the_share_does_not_depend_on_resolution() -> None:
    camera = Camera(
        400, 300, 160.0, 160.0, 190.0, 155.0, Distortion("radial_tangential", (-0.25, 0.0, 0.0, 0.0, 0.0, 0.0))
    )
    assert 0.3 < drawn_share(camera) < 0.9
    assert drawn_share(camera.scaled_to(200, 150)) == pytest.approx(drawn_share(camera), abs=0.01)
