"""COLMAP's lens models and ours see every point at the same place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from splatlib.artifacts import Camera, Distortion
from splatlib.cameras._pycolmap import cv2, pycolmap
from splatlib.cameras.lens import beyond_the_renderer, camera_of, is_fisheye
from splatlib.errors import CamerasError
from tests.lens_reference import project

# Each coefficient has its own value and matters by many pixels, so that a slip in their order shows.
PARAMS = {
    "SIMPLE_PINHOLE": [300.0, 161.0, 119.0],
    "PINHOLE": [300.0, 305.0, 161.0, 119.0],
    "SIMPLE_RADIAL": [300.0, 161.0, 119.0, -0.11],
    "RADIAL": [300.0, 161.0, 119.0, -0.11, 0.07],
    "OPENCV": [300.0, 305.0, 161.0, 119.0, -0.11, 0.07, 0.012, -0.023],
    "FULL_OPENCV": [300.0, 305.0, 161.0, 119.0, -0.11, 0.07, 0.012, -0.023, 0.031, 0.13, 0.043, 0.027],
    "SIMPLE_FISHEYE": [200.0, 161.0, 119.0],
    "FISHEYE": [200.0, 205.0, 161.0, 119.0],
    "SIMPLE_RADIAL_FISHEYE": [200.0, 161.0, 119.0, 0.06],
    "RADIAL_FISHEYE": [200.0, 161.0, 119.0, 0.06, -0.03],
    "OPENCV_FISHEYE": [200.0, 205.0, 161.0, 119.0, 0.06, -0.03, 0.021, -0.012],
}
PINHOLES = ("SIMPLE_PINHOLE", "PINHOLE")


def colmap_camera(model: str, params: list[float]) -> pycolmap.Camera:
    return pycolmap.Camera(camera_id=7, model=model, width=320, height=240, params=params)


def rays(reach: float = 0.9) -> np.ndarray:
    rng = np.random.default_rng(0)
    depth = rng.uniform(0.5, 4, 500)
    return np.stack([rng.uniform(-reach, reach, 500) * depth, rng.uniform(-reach, reach, 500) * depth, depth], axis=-1)


@pytest.mark.parametrize("model", PARAMS)
def test_ours_projects_as_colmap_does(model: str) -> None:
    theirs = colmap_camera(model, PARAMS[model])
    ours = camera_of(theirs)
    assert (ours.width, ours.height) == (320, 240)
    assert (ours.distortion is None) == (model in PINHOLES)
    assert is_fisheye(model) == (ours.distortion is not None and ours.distortion.model == "fisheye")
    expected = np.asarray(theirs.img_from_cam(rays()))
    np.testing.assert_allclose(project(ours, rays()), expected, atol=1e-6)
    if model not in PINHOLES:
        straight = project(replace(ours, distortion=None), rays())
        assert np.abs(straight - expected).max() > 10


@pytest.mark.parametrize("model", PARAMS)
def test_coefficients_are_opencvs(model: str) -> None:
    camera = camera_of(colmap_camera(model, PARAMS[model]))
    matrix = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
    lens = camera.distortion or Distortion("radial_tangential", (0.0,) * 6)
    zero = np.zeros(3)
    if lens.model == "fisheye":
        there, _ = cv2.fisheye.projectPoints(rays()[:, None], zero, zero, matrix, np.array(lens.radial))
    else:
        k1, k2, *others = lens.radial
        there, _ = cv2.projectPoints(rays()[:, None], zero, zero, matrix, np.array([k1, k2, *lens.tangential, *others]))
    np.testing.assert_allclose(project(camera, rays()), there.reshape(-1, 2), atol=1e-6)


def test_a_lens_without_coefficients_is_a_pinhole_but_a_fisheye_never_is() -> None:
    for model in ("SIMPLE_RADIAL", "RADIAL", "OPENCV", "FULL_OPENCV"):
        params = [value if value > 100 else 0.0 for value in PARAMS[model]]
        assert camera_of(colmap_camera(model, params)).distortion is None
    without = camera_of(colmap_camera("OPENCV_FISHEYE", [200.0, 205.0, 161.0, 119.0, 0, 0, 0, 0]))
    assert without.distortion == Distortion("fisheye", (0.0, 0.0, 0.0, 0.0))


def test_other_models_are_refused_by_name() -> None:
    camera = colmap_camera("FOV", [300.0, 305.0, 161.0, 119.0, 0.4])
    with pytest.raises(CamerasError, match="camera 7 is of COLMAP's model FOV") as caught:
        camera_of(camera)
    assert "OPENCV_FISHEYE" in caught.value.why and "image_undistorter" in caught.value.hint


def test_a_lens_that_bends_more_than_the_renderer_follows_is_told() -> None:
    usual = Camera(320, 240, 300.0, 300.0, 160.0, 120.0, Distortion("radial_tangential", (-0.12, 0.03, 0, 0, 0, 0)))
    bent = replace(usual, fx=160.0, fy=160.0, distortion=Distortion("radial_tangential", (-0.25, 0.0, 0, 0, 0, 0)))
    assert beyond_the_renderer([usual, replace(usual, distortion=None)]) == []
    (warning,) = beyond_the_renderer([usual, bent])
    assert warning.startswith("1 of 2 lenses bend more") and "undistort=true" in warning


@pytest.mark.parametrize(
    ("model", "radial", "tangential"),
    [
        ("fisheye", (0.1,) * 6, (0.0, 0.0)),
        ("fisheye", (0.1,) * 4, (0.01, 0.0)),
        ("radial_tangential", (0.1,) * 4, (0.0, 0.0)),
        ("radial_tangential", (0.1,) * 6, (0.01,)),
        ("division", (0.1,) * 4, (0.0, 0.0)),
    ],
)
def test_impossible_distortions_are_refused(
    model: str, radial: tuple[float, ...], tangential: tuple[float, ...]
) -> None:
    with pytest.raises(ValueError, match=model):
        Distortion(model, radial, tangential)  # pyright: ignore[reportArgumentType]
