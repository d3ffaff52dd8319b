"""Which frames would be placed, played through on hand-made matches whose outcome is plain."""

from __future__ import annotations

import numpy as np
import pytest

from splatlib.check.features import Picture
from splatlib.check.growth import FEWEST_POINTS, SURE_POINTS, Growth, grow, tracks_of
from splatlib.check.links import Match

FEATURES = 100


def picture() -> Picture:
    nothing = np.zeros((FEATURES, 2), np.float32)
    return Picture((40, 30), nothing, np.zeros((FEATURES, 128), np.uint8), nothing[:, 0], None, 100.0, 0.0, None)


def match(one: int, other: int, points: range, motion: str = "moved") -> Match:
    """Feature k of every picture shows point k."""
    features = np.array(points, np.intp)
    return Match(one, other, features, features, motion, None)


def grown(matches: list[Match], moments: list[list[int]]) -> Growth:
    pictures = [picture() for _ in range(sum(map(len, moments)))]
    return grow(tracks_of(pictures, matches, moments), matches, moments)


def singles(count: int) -> list[list[int]]:
    return [[index] for index in range(count)]


def test_tracks_join_matches_through_a_shared_feature() -> None:
    matches = [match(0, 1, range(10)), match(1, 2, range(5, 15)), match(2, 3, range(14, 20))]
    tracks = tracks_of([picture() for _ in range(4)], matches, singles(4))
    assert sorted(tracks.lengths) == [2] * 5 + [2] * 4 + [2] * 5 + [3] * 6
    assert tracks.of_features[0][3] == tracks.of_features[1][3] != tracks.of_features[1][4]
    assert tracks.of_features[3][20] == -1


def test_a_chain_with_enough_points_is_placed_whole() -> None:
    growth = grown([match(i, i + 1, range(60)) for i in range(4)], singles(5))
    assert sorted(growth.sure) == [0, 1, 2, 3, 4] and not growth.unsure and not growth.elsewhere
    assert (growth.points == 60).all()


@pytest.mark.parametrize(
    ("shared", "sure", "unsure"),
    [(SURE_POINTS, 6, 0), (SURE_POINTS - 1, 3, 3), (FEWEST_POINTS, 3, 3), (FEWEST_POINTS - 1, 3, 0)],
)
def test_a_bridge_decides_about_what_lies_beyond_it(shared: int, sure: int, unsure: int) -> None:
    one_side = [match(0, 1, range(50)), match(1, 2, range(50)), match(0, 2, range(50))]
    other_side = [match(3, 4, range(50, 99)), match(4, 5, range(50, 99)), match(3, 5, range(50, 99))]
    bridge = Match(2, 3, np.arange(shared), np.arange(50, 50 + shared), "moved", None)
    growth = grown([*one_side, *other_side, bridge], singles(6))
    assert (len(growth.sure), len(growth.unsure)) == (sure, unsure)
    assert growth.elsewhere == ([] if sure + unsure == 6 else [[3, 4, 5]])


def test_points_seen_only_while_turning_are_not_known() -> None:
    """After a turn the old points are out of sight, and the new ones have no depth."""
    walked = [match(0, 1, range(40)), match(1, 2, range(40)), match(0, 2, range(40))]
    turned = [
        match(2, 3, range(40), "turned"),  # the known points are still in view: placed by them
        match(3, 4, range(60, 100), "turned"),  # only points that nothing gives depth to
        match(4, 5, range(60, 100), "still"),
    ]
    growth = grown([*walked, *turned], singles(6))
    assert sorted(growth.sure) == [0, 1, 2, 3] and not growth.unsure
    assert growth.points[4] == growth.points[5] == 0


def test_faces_of_a_panorama_count_together() -> None:
    """Two faces with 20 points each place what one of them could not."""
    faces = [match(0, 2, range(20)), match(1, 3, range(50, 70)), match(2, 4, range(20)), match(3, 5, range(50, 70))]
    assert len(grown(faces, [[0, 1], [2, 3], [4, 5]]).sure) == 3
    assert not grown(faces, singles(6)).sure


def test_nothing_shared_places_nobody() -> None:
    growth = grown([], singles(3))
    assert not growth.sure and not growth.unsure and (growth.points == 0).all()
