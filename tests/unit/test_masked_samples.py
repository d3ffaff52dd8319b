"""The made photos with a subject: the outline is the subject's, and everything else is as it is without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from splatlib.samples import camera_path
from splatlib.samples.objects import make_masked_sample
from splatlib.samples.raycast import render_view
from splatlib.samples.scene import build_scene

SMALL: dict[str, Any] = {"num_photos": 5, "width": 160, "height": 120}


def test_outside_the_outline_the_passer_by_changes_nothing(tmp_path: Path) -> None:
    sample = make_masked_sample(tmp_path, subject="passer_by", **SMALL)
    np.testing.assert_array_equal(sample.cam_from_world, camera_path(5))
    empty, _ = render_view(build_scene(0), sample.camera, sample.cam_from_world[0])
    visited = np.asarray(Image.open(sample.path / sample.names[0])).astype(float)
    outline = sample.outline(0)
    difference = np.abs(visited - empty).mean(axis=2)
    assert 0.05 < (outline > 0).mean() < 0.5
    assert difference[outline == 0].mean() < 3  # JPEG
    assert difference[outline == 255].mean() > 30


def test_the_object_stands_inside_every_photo_and_its_ground_is_plain(tmp_path: Path) -> None:
    sample = make_masked_sample(tmp_path, **SMALL)
    for index in range(len(sample.names)):
        outline = sample.outline(index)
        assert 0.05 < (outline == 255).mean() < 0.5
        assert not outline[[0, -1]].any() and not outline[:, [0, -1]].any()
        picture = np.asarray(Image.open(sample.path / sample.names[index])).astype(float)
        saturation = np.ptp(picture, axis=2)
        assert saturation[outline == 0].mean() < 15 < saturation[outline == 255].mean()


def test_alpha_is_the_outline(tmp_path: Path) -> None:
    sample = make_masked_sample(tmp_path, alpha=True, **SMALL)
    cut_out = np.asarray(Image.open(sample.path / "IMG_0002.png"))
    np.testing.assert_array_equal(cut_out[..., 3], sample.outline(1))
    assert not cut_out[cut_out[..., 3] == 0].any()
    assert set(np.unique(cut_out[..., 3])) - {0, 255}, "edges are soft"


def test_one_photo_is_too_few(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two photos"):
        make_masked_sample(tmp_path, num_photos=1)
