"""Which pictures to keep, on plain numbers."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from splatlib.capture.choose import (
    Candidate,
    WindowPicker,
    blurred_and_surplus,
    evenly_by_sharpness,
    exposure_jumps,
    far_less_sharp,
)


def pick(places: list[float], scores: list[float | None], window: float, min_motion: float):
    """Run a picker over candidates at positions 0, 1, 2, … whose item is the camera's place."""
    picker: WindowPicker[float] = WindowPicker(window, min_motion, lambda one, other: abs(other.item - one.item))
    kept = []
    for index, (place, score) in enumerate(zip(places, scores, strict=True)):
        winner = picker.offer(Candidate(index, float(index), score, place))
        kept += [winner] if winner else []
    last = picker.flush()
    kept += [last] if last else []
    return kept, picker


def test_the_sharpest_of_each_window_wins():
    kept, picker = pick([10.0 * i for i in range(9)], [1, 3, 2, 5, 4, 4, 1, 1, 2], window=3, min_motion=1)
    assert [c.index for c in kept] == [1, 3, 8]
    assert sorted(c.index for c in picker.surplus) == [0, 2, 4, 5, 6, 7]
    assert picker.duplicates == []


def test_a_window_lasts_until_the_camera_has_moved():
    # stands still, moves, stands still
    places = [0.0] * 6 + [1.0, 2.0, 3.0, 4.0] + [4.0] * 6
    kept, picker = pick(places, [1.0] * len(places), window=1, min_motion=1.0)
    assert [c.item for c in kept] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert len(picker.duplicates) + len(picker.surplus) == len(places) - len(kept)


def test_a_camera_that_never_moves_gives_one_frame():
    kept, _ = pick([5.0] * 50, [float(i % 7) for i in range(50)], window=1, min_motion=0.5)
    assert len(kept) == 1
    assert kept[0].sharpness == 6.0


def test_without_a_motion_threshold_every_window_gives_a_frame():
    kept, _ = pick([5.0] * 12, [1.0] * 12, window=3, min_motion=0.0)
    assert [c.index for c in kept] == [0, 3, 6, 9]


def test_an_unscored_frame_loses_against_a_blurred_one():
    kept, _ = pick([0.0, 10.0, 20.0], [None, 0.01, None], window=3, min_motion=1)
    assert [c.index for c in kept] == [1]


@given(
    places=st.lists(st.floats(0, 100, allow_nan=False), min_size=1, max_size=60),
    window=st.floats(0.5, 20),
    min_motion=st.sampled_from([0.0, 1.0, 25.0]),
)
def test_every_candidate_meets_one_fate_and_windows_bound_the_number(places, window, min_motion):
    kept, picker = pick(places, [1.0] * len(places), window, min_motion)
    fates = [c.index for c in (*kept, *picker.surplus, *picker.duplicates)]
    assert sorted(fates) == list(range(len(places)))
    assert [c.index for c in kept] == sorted(c.index for c in kept)
    assert len(kept) <= (len(places) - 1) / window + 1 + 1e-6


def test_a_frame_far_less_sharp_than_its_neighbours_is_blurred():
    scores = [0.5, 0.52, 0.5, 0.1, 0.5, 0.48, 0.5]
    assert far_less_sharp(scores) == [False, False, False, True, False, False, False]


def test_in_a_soft_stretch_no_frame_is_blurred():
    assert not any(far_less_sharp([0.5] * 8 + [0.15] * 20))


def test_too_few_neighbours_or_no_score_judge_nothing():
    assert far_less_sharp([0.5, 0.01, 0.5]) == [False] * 3
    assert far_less_sharp([None] * 10) == [False] * 10


@given(number=st.integers(1, 300), count=st.integers(1, 60))
def test_thinning_is_even(number, count):
    kept = evenly_by_sharpness([1.0] * number, count)
    assert len(kept) == min(number, count)
    gaps = [b - a for a, b in itertools.pairwise(kept)]
    assert all(gap >= 1 for gap in gaps)
    assert not gaps or max(gaps) - min(gaps) <= 1


def test_thinning_takes_the_sharpest_of_each_share():
    assert evenly_by_sharpness([1, 9, 1, None, 2, 3], 2) == [1, 5]


def test_blurred_ones_go_before_the_rest_is_thinned():
    scores = [0.5, 0.5, 0.5, 0.05, 0.5, 0.5, 0.5]
    kept, blurred, reasons = blurred_and_surplus(scores, max_frames=3, drop_blurred=True)
    assert reasons[3] == "blurred"
    assert blurred == [False, False, False, True, False, False, False]
    assert len(kept) == 3
    assert set(kept) | set(reasons) == set(range(7))
    kept, blurred, reasons = blurred_and_surplus(scores, max_frames=10, drop_blurred=False)
    assert kept == list(range(7))
    assert blurred[3]
    assert reasons == {}


def test_of_one_bright_frame_only_that_one_jumps():
    assert exposure_jumps([None, 0.1, 1.0, -1.0, 0.0]) == [False, False, True, False, False]


def test_a_lasting_change_is_one_jump_and_a_drift_none():
    assert exposure_jumps([None, 0.0, -0.8, 0.0, 0.0]) == [False, False, True, False, False]
    assert not any(exposure_jumps([None] + [0.3] * 10))
