"""Distorted cameras: refused on the CPU before any picture is read; of strong ones only what is drawn counts."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from splatlib.artifacts import Distortion
from splatlib.config import TrainConfig
from splatlib.errors import ConfigError
from splatlib.render.cpu.renderer import CpuRenderer
from splatlib.train import train_splat
from splatlib.train.dataset import ViewPyramid
from splatlib.workspace import Workspace
from tests.unit.train.conftest import CAMERA, make_scene


def test_training_distorted_lenses_on_the_cpu_is_refused_before_pictures_are_read(tmp_path: Path) -> None:
    lens = Distortion("radial_tangential", (-0.1, 0.0, 0.0, 0.0, 0.0, 0.0))
    scene = replace(make_scene(tmp_path / "scene"), cameras=(replace(CAMERA, distortion=lens),))
    shutil.rmtree(scene.images_directory)  # reading one would be a TrainingError
    ws = Workspace(tmp_path / "workspace")
    with pytest.raises(ConfigError, match="lens distortion") as caught:
        train_splat(scene, ws, TrainConfig(device="cpu", steps=10))
    assert "undistort=true" in caught.value.hint and "GPU" in caught.value.hint
    assert ws.splat() is None


def test_what_no_renderer_draws_teaches_nothing_and_is_not_measured(tmp_path: Path) -> None:
    """A barrel of -0.2 is drawn up to 0.8 focal lengths from its middle: beyond, pixels are neither used nor empty."""
    lens = Distortion("radial_tangential", (-0.2, 0.0, 0.0, 0.0, 0.0, 0.0))
    bent = replace(CAMERA, fx=0.5 * CAMERA.width, fy=0.5 * CAMERA.width, distortion=lens)
    scene = replace(make_scene(tmp_path / "scene"), cameras=(bent,))
    for px in (CAMERA.width, CAMERA.width // 2):
        level = ViewPyramid(scene, scene.views[:2], [px], CpuRenderer()).levels[px]
        batch = level.batch([1])
        assert batch.mask is not None and batch.empty is not None
        rows, columns = np.indices(batch.mask.shape[1:])
        camera = level.cameras[1]
        distances = np.hypot((columns + 0.5 - camera.cx) / camera.fx, (rows + 0.5 - camera.cy) / camera.fy)
        np.testing.assert_array_equal(batch.mask[0].numpy() > 0, distances < 0.8)
        assert 0.05 < (distances >= 0.8).mean() < 0.5 and not batch.empty.any()


def test_an_ordinary_lens_needs_no_mask(tmp_path: Path) -> None:
    scene = make_scene(tmp_path / "scene")
    level = ViewPyramid(scene, scene.views[:2], [CAMERA.width], CpuRenderer()).levels[CAMERA.width]
    assert level.batch([0]).mask is None
