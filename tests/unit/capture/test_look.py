"""Sharpness is comparable across texture, contrast, noise and size; motion and exposure are told apart."""

from __future__ import annotations

import itertools
import math

import cv2
import numpy as np
import pytest

from splatlib.capture.look import look_at, sharpness_of, shrink
from splatlib.capture.motion import Reference
from tests.unit.capture.media import blurred, brighter, scene


def grey(picture: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def sharpness(picture: np.ndarray) -> float:
    score = sharpness_of(picture)
    assert score is not None
    return score


def plain_wall() -> np.ndarray:
    """A sharp picture of almost nothing: a flat wall with one picture frame."""
    wall = np.full((384, 512), 150, np.uint8)
    cv2.rectangle(wall, (200, 120), (320, 260), 110, 6)
    cv2.rectangle(wall, (230, 150), (290, 230), 180, -1)
    return wall


def test_more_blur_scores_less():
    scores = [sharpness(blurred(grey(scene(0)), sigma_px)) for sigma_px in (0.1, 0.7, 1.4, 2.5, 5.0)]
    assert all(a > b for a, b in itertools.pairwise(scores))
    assert scores[-1] < 0.25 * scores[0]


def test_a_sharp_plain_wall_is_not_blurred():
    soft, wall = blurred(grey(scene(0)), 2.0), plain_wall()
    # the customary measure has it the wrong way round: it counts texture
    assert cv2.Laplacian(wall, cv2.CV_64F).var() < cv2.Laplacian(soft, cv2.CV_64F).var()
    assert sharpness(wall) > 1.5 * sharpness(soft)
    assert sharpness(wall) > 2 * sharpness(blurred(wall, 2))


def test_contrast_and_exposure_do_not_matter():
    picture = grey(scene(0))
    faint = (picture // 4 + 90).astype(np.uint8)
    assert sharpness(faint) == pytest.approx(sharpness(picture), rel=0.05)


def test_noise_does_not_make_a_blurred_picture_sharp():
    soft = blurred(grey(scene(0)), 2.5)
    noise = np.random.default_rng(0).normal(0, 4, soft.shape)
    noisy = np.clip(soft + noise, 0, 255).astype(np.uint8)
    assert sharpness(noisy) < 0.5 * sharpness(grey(scene(0)))


def test_motion_blur_counts_in_whatever_direction_it_runs():
    picture = grey(scene(0))
    for kernel in (np.ones((1, 9)), np.ones((9, 1)), np.eye(9)):
        moved = np.asarray(cv2.filter2D(picture, -1, kernel / kernel.sum()), dtype=np.uint8)
        assert sharpness(moved) < 0.5 * sharpness(picture)


def test_pictures_of_other_sizes_score_alike():
    large = np.asarray(cv2.resize(grey(scene(0)), (2560, 1920), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    same = np.asarray(cv2.resize(grey(scene(0)), (1024, 768), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    assert look_at(large).sharpness == pytest.approx(look_at(same).sharpness, rel=0.1)


def test_without_texture_there_is_no_score():
    noise = np.random.default_rng(0).normal(128, 6, (300, 400))
    assert sharpness_of(np.clip(noise, 0, 255).astype(np.uint8)) is None
    assert sharpness_of(np.zeros((300, 400), np.uint8)) is None


def test_edges_in_one_direction_only_are_scored():
    stripes = np.tile(np.repeat(np.array([60, 190], np.uint8), 16), (300, 12))
    assert sharpness(stripes) > 1.5 * sharpness(blurred(stripes, 2))


def test_the_outline_of_a_cut_out_is_not_its_texture():
    alpha = np.zeros((240, 320), np.uint8)
    alpha[60:180, 80:240] = 255
    soft = blurred(grey(scene(0)), 3)
    cut = np.where(alpha > 0, soft, 0).astype(np.uint8)
    with_mask, without = look_at(cut, alpha).sharpness, look_at(cut).sharpness
    assert with_mask is not None
    assert without is not None
    assert with_mask < 0.5 * without


def test_shrink_keeps_the_shape_and_never_enlarges():
    assert shrink(np.zeros((1000, 2000), np.uint8), 512).shape == (256, 512)
    assert shrink(np.zeros((100, 200), np.uint8), 512).shape == (100, 200)


@pytest.mark.parametrize("shift_px", [0, 4, 20])
def test_displacement_is_a_share_of_the_long_side(shift_px):
    texture = grey(scene(0))
    other = np.roll(texture, shift_px, axis=1)
    motion = Reference(look_at(texture)).motion_to(look_at(other))
    assert motion.displacement == pytest.approx(shift_px / 320, abs=0.003)


def test_other_places_have_little_in_common():
    other = grey(np.rot90(scene(300), 2).copy())
    assert math.isinf(Reference(look_at(grey(scene(0)))).motion_to(look_at(other)).displacement)


@pytest.mark.parametrize("stops", [-0.7, 0.0, 0.4])
def test_exposure_is_measured_while_the_camera_moves(stops):
    before, after = scene(0) // 2 + 20, scene(4) // 2 + 20
    motion = Reference(look_at(grey(before))).motion_to(look_at(grey(brighter(after, stops))))
    assert motion.exposure_ev == pytest.approx(stops, abs=0.12)
    assert 0 < motion.displacement < 0.1


def test_pictures_without_corners_are_the_same_or_not():
    black, white = np.zeros((240, 320), np.uint8), np.full((240, 320), 250, np.uint8)
    reference = Reference(look_at(black))
    assert reference.motion_to(look_at(black.copy())).displacement == 0
    assert math.isinf(reference.motion_to(look_at(white)).displacement)
