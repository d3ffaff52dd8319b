"""Distorted cameras on the CPU: refused before any picture is read."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from splatlib.artifacts import Distortion
from splatlib.config import TrainConfig
from splatlib.errors import ConfigError
from splatlib.train import train_splat
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
