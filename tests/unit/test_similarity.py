"""Laws of moving and cutting: splat, cameras and points move together, mirrors mirror, crops cut where they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splatlib.artifacts import Camera
from splatlib.crop import in_box, in_sphere, in_turned_box, inside_masks
from splatlib.gaussians import Gaussians
from splatlib.render.cpu.rasterizer import Parameters, Rasterizer
from splatlib.similarity import Similarity
from splatlib.spherical_harmonics import evaluate_sh, mirror_sh
from tests.unit.render.test_laws import random_gaussians, random_rotation

CAMERA = Camera(width=64, height=48, fx=60.0, fy=60.0, cx=32.0, cy=24.0)
RASTERIZER = Rasterizer()
seeds = st.integers(0, 10_000)


def picture(gaussians: Gaussians, cam_from_world: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """[3, H, W] as it is before rounding to bytes."""
    sh = gaussians.sh
    arrays = (gaussians.means, gaussians.log_scales, gaussians.quats, gaussians.opacity_logits)
    parameters = Parameters(*arrays, np.ascontiguousarray(sh[:, :1]), np.ascontiguousarray(sh[:, 1:]))
    background = np.full(3, 0.3, np.float32)
    return RASTERIZER.forward(parameters, CAMERA, cam_from_world, gaussians.sh_degree, background).image


def pose(seed: int) -> npt.NDArray[np.float64]:
    cam_from_world = np.eye(4)
    cam_from_world[:3, :3] = random_rotation(seed)
    cam_from_world[:3, 3] = [0.1, -0.2, 4.0]
    return cam_from_world


def random_similarity(seed: int) -> Similarity:
    rng = np.random.default_rng(seed)
    return Similarity(float(rng.uniform(0.3, 3)), random_rotation(seed), rng.normal(size=3))


def assert_same_picture(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> None:
    """To 1e-4; alpha is cut off at 1/255, and rounding moves a pixel in thousands across that line."""
    difference = np.abs(one - other)
    assert np.quantile(difference, 0.998) < 1e-4
    assert difference.max() < 0.01


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(0, 3))
def test_render_after_moving_is_the_moved_render(seed: int, degree: int) -> None:
    splat, move, cam_from_world = random_gaussians(seed, degree), random_similarity(seed + 2), pose(seed + 1)
    before = picture(splat, cam_from_world)
    moved = move.gaussians(splat)
    assert_same_picture(picture(moved, move.poses(cam_from_world)), before)
    if degree:  # colours that do not turn along are seen
        assert np.abs(picture(replace(moved, sh=splat.sh), move.poses(cam_from_world)) - before).mean() > 1e-3


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(0, 3))
def test_a_mirrored_splat_gives_mirrored_pictures(seed: int, degree: int) -> None:
    splat, cam_from_world = random_gaussians(seed, degree), pose(seed + 1)
    rng = np.random.default_rng(seed)
    normal, offset = rng.normal(size=3), float(rng.normal())
    unit = normal / np.linalg.norm(normal)
    mirror = np.eye(4)
    mirror[:3, :3] -= 2 * np.outer(unit, unit)
    mirror[:3, 3] = 2 * offset * unit
    # the camera's own x is mirrored too, so that it stays right-handed
    mirrored_pose = np.diag([-1.0, 1, 1, 1]) @ cam_from_world @ mirror
    found = picture(splat.mirrored(normal, offset), mirrored_pose)
    assert_same_picture(found, picture(splat, cam_from_world)[:, :, ::-1])


@given(seeds, st.integers(0, 3))
def test_mirrored_harmonics_have_the_values_of_the_mirrored_directions(seed: int, degree: int) -> None:
    rng = np.random.default_rng(seed)
    sh, normal = rng.normal(size=(9, (degree + 1) ** 2, 3)), rng.normal(size=3)
    directions = rng.normal(size=(9, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    mirrored = directions - 2 * (directions @ normal)[:, None] * normal / (normal @ normal)
    np.testing.assert_allclose(evaluate_sh(mirror_sh(sh, normal), mirrored), evaluate_sh(sh, directions), atol=1e-10)


@given(seeds)
def test_similarities_compose_and_undo(seed: int) -> None:
    a, b = random_similarity(seed), random_similarity(seed + 1)
    points = np.random.default_rng(seed).normal(size=(10, 3))
    np.testing.assert_allclose((a @ b).points(points), a.points(b.points(points)), atol=1e-10)
    np.testing.assert_allclose(a.inverse.points(a.points(points)), points, atol=1e-10)
    np.testing.assert_allclose(Similarity.from_matrix(a.matrix).matrix, a.matrix, atol=1e-12)
    np.testing.assert_allclose((a @ b).matrix, a.matrix @ b.matrix, atol=1e-12)
    assert Similarity().is_identity and not a.is_identity


@given(seeds)
def test_points_keep_their_pixels(seed: int) -> None:
    """A moved camera sees a moved point where it was, at ``scale`` times the depth."""
    move, cam_from_world = random_similarity(seed), pose(seed + 1)
    point = np.random.default_rng(seed).normal(size=3)
    before = cam_from_world[:3, :3] @ point + cam_from_world[:3, 3]
    moved = move.poses(cam_from_world)
    after = moved[:3, :3] @ move.points(point) + moved[:3, 3]
    np.testing.assert_allclose(after, move.scale * before, atol=1e-9)


@pytest.mark.parametrize(
    "arguments",
    [{"scale": 0}, {"scale": np.nan}, {"rotation": np.diag([1, 1, -1])}, {"translation": [0, 0]}, {"scale": -1}],
)
def test_what_is_no_similarity_is_refused(arguments: dict) -> None:
    with pytest.raises(ValueError, match="wants"):
        Similarity(**arguments)
    with pytest.raises(ValueError, match="mirrors"):
        Similarity.from_matrix(np.diag([1, 1, -1, 1]))
    with pytest.raises(ValueError, match="normal"):
        random_gaussians(0, 0).mirrored([0, 0, 0])


def test_boxes_and_spheres_cut_where_they_say() -> None:
    means = np.array([[0, 0, 0], [1, 0, 0], [0.9, 0.9, 0], [3, 0, 0]], np.float32)
    assert in_box(means, [-1, -1, -1], [1, 1, 1]).tolist() == [True, True, True, False]
    quarter = np.sqrt(0.5) * np.array([[1, 1, 0], [-1, 1, 0], [0, 0, np.sqrt(2)]])
    assert in_box(means, [-1] * 3, [1] * 3, Similarity(1, quarter)).tolist() == [True, True, False, False]
    rounded = np.round(quarter, 3)
    assert in_turned_box(means, [0.5, 0, 0], [2, 2, 2], rounded).tolist() == [True, True, True, False]
    assert in_turned_box(means, [3, 0, 0], [1, 1, 1], rounded.ravel()).tolist() == [False, False, False, True]
    assert in_sphere(means, [0, 0, 0], 1).tolist() == [True, True, False, False]
    with pytest.raises(ValueError, match="low <= high"):
        in_box(means, [1, 0, 0], [0, 0, 0])
    with pytest.raises(ValueError, match="not orthonormal"):
        in_turned_box(means, [0, 0, 0], [1, 1, 1], np.ones(9))
    with pytest.raises(ValueError, match="radius"):
        in_sphere(means, [0, 0, 0], 0)


def test_masks_carve_what_lies_outside_their_outlines() -> None:
    """Two cameras, from the front and from the side, see a ball; what either sees outside it goes."""
    rows, columns = np.mgrid[:48, :64] + 0.5
    radius_px = 60 / np.sqrt(4**2 - 1)  # outline of a unit ball from 4 away
    mask = (((columns - 32) ** 2 + (rows - 24) ** 2) < radius_px**2).astype(np.uint8) * 255
    front, side = np.eye(4), np.eye(4)
    front[2, 3] = side[2, 3] = 4
    side[:3, :3] = [[0, 0, -1], [0, 1, 0], [1, 0, 0]]
    means = np.array([[0, 0, 0], [0.7, 0, 0], [0.95, 0.95, 0], [0, 0, 1.8], [1.8, 0, 0], [0, 0, 90], [0, 0, -9]])
    views = [(CAMERA, front, mask), (CAMERA, side, mask)]
    assert inside_masks(means, views).tolist() == [True, True, False, False, False, True, False]
    # the last but one is in the front camera's picture only, straight ahead: the other says nothing about it
    assert inside_masks(means, views[:1])[[3, 5]].tolist() == [True, True]
    with pytest.raises(ValueError, match="its camera"):
        inside_masks(means, [(CAMERA, front, mask[:10])])


def test_sets_of_several_degrees_are_merged_at_the_highest() -> None:
    low, high = random_gaussians(0, 1), random_gaussians(1, 3)
    both = Gaussians.merged([low, high])
    assert len(both) == len(low) + len(high) and both.sh_degree == 3
    assert_same_picture(picture(both.select(np.arange(len(low))), pose(1)), picture(low, pose(1)))
    assert both.with_sh_degree(1).sh.shape[1] == 4
