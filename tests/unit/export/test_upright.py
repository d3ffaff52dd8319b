"""Up, ground and scale, against the sample's room, whose floor is level and at 0 in metres."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from splatlib.artifacts import SparseScene, Splat
from splatlib.export.upright import moved_scene, place
from splatlib.similarity import Similarity
from tests.unit.render.test_laws import random_rotation


def tilted(scene: SparseScene, seed: int) -> tuple[SparseScene, Similarity]:
    rng = np.random.default_rng(seed)
    move = Similarity(float(rng.uniform(0.2, 5)), random_rotation(seed), rng.normal(size=3) * 3)
    return moved_scene(scene, move), move


@pytest.mark.parametrize("seed", range(6))
def test_a_tilted_room_stands_upright_again(made: tuple[Splat, SparseScene], seed: int) -> None:
    scene, move = tilted(made[1], seed)
    placement = place(scene)
    delivered_from_room = placement.delivered_from_world @ move
    down = delivered_from_room.rotation @ [0, 0, -1]  # the sample's world has z up
    assert np.degrees(np.arccos(np.clip(down @ [0, 1, 0], -1, 1))) < 1.5
    floor = delivered_from_room.points(np.array([[0.0, 0, 0], [1, 1, 0], [-1, 1, 0]]))
    assert np.abs(floor[:, 1]).max() < 0.05 * move.scale
    assert "dominant plane" in placement.up_from and placement.ground_from == "the dominant plane"
    # what the camera walks around stands over the origin
    middle = delivered_from_room.points(np.array([0.0, 0.15, 0.0]))
    assert np.linalg.norm(middle[[0, 2]]) < 0.5 * move.scale
    assert placement.unit == "scene" and placement.delivered_from_world.scale == 1


def test_lengths_become_metres_where_they_are_known(made: tuple[Splat, SparseScene]) -> None:
    scene, move = tilted(replace(made[1], metres_per_unit=1.0), 3)
    assert scene.metres_per_unit == pytest.approx(1 / move.scale)
    placement = place(scene)
    assert placement.unit == "m"
    assert (placement.delivered_from_world @ move).scale == pytest.approx(1)


def test_gravity_of_gps_and_of_given_poses_is_believed(made: tuple[Splat, SparseScene]) -> None:
    enu = place(replace(made[1], world="enu", metres_per_unit=1.0))
    np.testing.assert_allclose(enu.delivered_from_world.rotation @ [0, 0, 1], [0, -1, 0], atol=1e-12)
    assert enu.up_from == "GPS"
    priors = place(replace(made[1], world="priors"))
    np.testing.assert_allclose(priors.delivered_from_world.rotation @ [0, 0, 1], [0, -1, 0], atol=1e-12)
    assert "gravity" in priors.up_from


def test_without_points_the_cameras_tell(made: tuple[Splat, SparseScene]) -> None:
    scene = made[1]
    nothing = {name: getattr(scene, name)[:0] for name in ("points_xyz", "points_rgb")}
    few = {name: getattr(scene, name)[:0] for name in ("point_errors_px", "point_track_lengths")}
    placement = place(replace(scene, **nothing, **few))
    down = placement.delivered_from_world.rotation @ [0, 0, -1]
    assert down @ [0, 1, 0] > np.cos(np.deg2rad(6))
    assert placement.ground_from == "the lowest points"


def test_cameras_see_the_same_of_the_moved_scene(made: tuple[Splat, SparseScene]) -> None:
    scene, move = tilted(made[1], 5)
    for before, after in zip(made[1].views[:3], scene.views, strict=False):
        np.testing.assert_allclose(after.center, move.points(before.center), atol=1e-9)
    np.testing.assert_allclose(scene.points_xyz, move.points(made[1].points_xyz), atol=1e-5)
