"""What the browser is sent shows the picture that the Gaussians make, whatever they are."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
import pytest

from splatlib.errors import ConfigError
from splatlib.gaussians import Gaussians
from splatlib.render import render_image
from splatlib.widgets.packing import CHUNK, _morton_order, pack, unpack
from splatlib.widgets.viewing import start_round_gaussians
from tests.browser.made import room
from tests.browser.pages import psnr_db
from tests.unit.test_turns import covariances


def picture(gaussians: Gaussians) -> np.ndarray:
    start = start_round_gaussians(room(3000))
    return render_image(gaussians, start.camera(), start.cam_from_world)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_what_was_packed_looks_as_before(degree: int) -> None:
    gaussians = room(8000, degree)
    packed = pack(gaussians)
    assert packed.total == packed.info["count"] == 8000 and packed.note == ""
    assert psnr_db(picture(gaussians), picture(unpack(packed))) > 42


def test_each_column_keeps_its_precision() -> None:
    gaussians = room(3000, 2)
    gaussians = gaussians.select(_morton_order(gaussians.means))
    read = unpack(pack(gaussians))
    size = np.median(gaussians.scales)
    assert np.abs(read.means - gaussians.means).max() < 0.05 * size
    assert np.abs(read.opacities - gaussians.opacities).max() <= 0.51 / 255
    inside = np.abs(gaussians.base_colors - 0.5) <= 1
    assert np.abs(read.base_colors - gaussians.base_colors)[inside].max() <= 1.01 / 255
    assert np.abs(read.sh[:, 1:] - gaussians.sh[:, 1:]).max() < 0.56 * max(pack(gaussians).info["sh_steps"][:2])
    before = covariances(gaussians.quats, gaussians.log_scales)
    after = covariances(read.quats, read.log_scales)
    error = np.linalg.norm(after - before, axis=(1, 2)) / np.linalg.norm(before, axis=(1, 2))
    assert error.max() < 0.1  # steps of 5 % of a length and about 0.7° of a turn


def test_channels_that_are_alike_take_fewer_bytes() -> None:
    gaussians = room(4000, 3)
    alike = replace(gaussians, sh=np.repeat(gaussians.sh[:, :, :1], 3, axis=2))
    packed = pack(alike)
    assert packed.info["differences"] and not pack(gaussians).info["differences"]
    assert len(packed.data) < 0.7 * len(pack(gaussians).data)
    read = unpack(packed)
    assert np.array_equal(read.sh[..., 0], read.sh[..., 2])
    assert psnr_db(picture(alike), picture(read)) > 42


def test_coefficients_of_any_size_fit() -> None:
    gaussians = room(1000, 1)
    large = replace(gaussians, sh=gaussians.sh * np.float32(200))
    read = unpack(pack(large))
    share = np.abs(read.sh[:, 1:]).max() / np.quantile(np.abs(large.sh[:, 1:]), 0.999)
    assert 0.98 < share < 1.02  # what is larger still is cut to this


def test_the_data_are_one_sound_gzip_file() -> None:
    packed = pack(room(1000, 2))
    reader = zlib.decompressobj(31)  # checks length and checksum, as DecompressionStream does
    reader.decompress(packed.data)
    assert reader.eof and reader.unused_data == b""


def test_one_far_away_does_not_coarsen_the_others() -> None:
    gaussians = room(2000, 0)
    gaussians.means[7] = 1e6
    gaussians = gaussians.select(_morton_order(gaussians.means))
    error = np.abs(unpack(pack(gaussians)).means - gaussians.means).max(axis=1)
    assert (error < 0.05 * np.median(gaussians.scales)).sum() >= len(gaussians) - CHUNK


def test_nan_is_left_out_and_told() -> None:
    gaussians = room(1000, 1)
    gaussians.means[3, 1] = np.nan
    gaussians.sh[9, 2, 0] = np.inf
    packed = pack(gaussians)
    assert packed.info["count"] == 998 and packed.total == 1000
    assert packed.note.startswith("2 Gaussians hold NaN or infinite numbers")


def test_of_too_many_the_most_visible_are_shown_and_told() -> None:
    gaussians = room(1000, 0)
    gaussians.opacity_logits[:400] = -6
    packed = pack(gaussians, most=600)
    assert packed.info["count"] == 600
    assert "600 most visible of 1,000" in packed.note
    assert unpack(packed).opacities.min() > 0.01


@pytest.mark.parametrize("count", [0, 1, CHUNK, CHUNK + 1])
def test_any_number_can_be_packed(count: int) -> None:
    gaussians = room(max(count, 1), 3)
    read = unpack(pack(gaussians.select(np.arange(count))))
    assert len(read) == count and np.isfinite(read.means).all()


def test_all_in_one_place_and_degenerate_quaternions_survive() -> None:
    gaussians = room(300, 0)
    gaussians = replace(gaussians, means=np.ones_like(gaussians.means), quats=np.zeros_like(gaussians.quats))
    read = unpack(pack(gaussians))
    assert np.abs(read.means - 1).max() < 1e-6
    assert np.allclose(np.sort(read.log_scales), np.sort(gaussians.log_scales), atol=0.03)
    assert np.allclose(np.abs(read.quats[:, 0]), 1, atol=1e-6)


def test_a_crop_box_selects_what_lies_in_it() -> None:
    pytest.importorskip("anywidget")
    from splatlib.widgets.splat import inside_box

    means = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], float)
    quarter_turn = [0, 1, 0, -1, 0, 0, 0, 0, 1]  # the box's first axis is the world's y
    crop = {"center": [0, 0, 0], "size": [2.1, 1, 1], "rotation": quarter_turn}
    assert inside_box(means, crop).tolist() == [True, False, True]
    assert inside_box(means, {}).all()
    with pytest.raises(ConfigError, match="crop is no box"):
        inside_box(means, {"center": [0, 0]})
