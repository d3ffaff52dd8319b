"""Laws of the order in which views are trained on."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from splatlib.artifacts import Camera, Distortion
from splatlib.train.order import ViewOrder

LANDSCAPE = Camera(64, 48, 50.0, 50.0, 32.0, 24.0)
PORTRAIT = Camera(48, 64, 50.0, 50.0, 24.0, 32.0)
FISHEYE = replace(LANDSCAPE, distortion=Distortion("fisheye", (0.1, 0.0, 0.0, 0.0)))
OTHER_LENS = replace(LANDSCAPE, fx=70.0)  # drawn together with LANDSCAPE: only size and model must agree

cameras = st.lists(st.sampled_from([LANDSCAPE, PORTRAIT, FISHEYE, OTHER_LENS]), min_size=1, max_size=25)
counts = st.integers(1, 6)
seeds = st.integers(0, 2**32)


def kind(camera: Camera) -> tuple[int, bool]:
    return camera.width, camera.distortion is not None


@given(cameras, st.lists(counts, min_size=1, max_size=30), seeds)
def test_batches_are_full_and_of_one_kind(cameras: list[Camera], sizes: list[int], seed: int) -> None:
    """Also where a capture has fewer views of a kind than a batch."""
    order = ViewOrder(cameras, seed)
    for count in sizes:
        batch = order.take(count)
        assert len(batch) == count
        assert len({kind(cameras[index]) for index in batch}) == 1


@given(cameras, counts, seeds)
def test_every_view_has_its_turn_before_any_of_its_kind_has_another(
    cameras: list[Camera], count: int, seed: int
) -> None:
    order = ViewOrder(cameras, seed)
    drawn: dict[object, list[int]] = {}
    for _ in range(3 * len(cameras)):
        batch = order.take(count)
        drawn.setdefault(kind(cameras[batch[0]]), []).extend(batch)
    for which, indices in drawn.items():
        members = sorted(index for index, camera in enumerate(cameras) if kind(camera) == which)
        rounds = [indices[start : start + len(members)] for start in range(0, len(indices), len(members))]
        assert all(sorted(whole) == members for whole in rounds[:-1])
        assert len(set(rounds[-1])) == len(rounds[-1])


@given(cameras, counts, seeds)
def test_no_view_waits_much_longer_than_the_others(cameras: list[Camera], count: int, seed: int) -> None:
    """A batch may run ahead into the next rounds, by less than its own size."""
    order, turns = ViewOrder(cameras, seed), Counter(dict.fromkeys(range(len(cameras)), 0))
    for _ in range(3 * len(cameras)):
        turns.update(order.take(count))
        assert max(turns.values()) - min(turns.values()) <= count


@given(cameras, st.lists(counts, max_size=30), seeds)
def test_looking_ahead_changes_nothing(cameras: list[Camera], sizes: list[int], seed: int) -> None:
    plain, peeking = ViewOrder(cameras, seed), ViewOrder(cameras, seed)
    for count in sizes:
        seen = peeking.peek(count)
        assert seen == peeking.peek(count) == peeking.take(count) == plain.take(count)


@given(cameras, st.lists(counts, max_size=20), st.lists(counts, max_size=20), seeds)
def test_a_restored_order_goes_on_where_it_stood(
    cameras: list[Camera], before: list[int], after: list[int], seed: int
) -> None:
    order, other = ViewOrder(cameras, seed), ViewOrder(cameras, seed + 1)
    for count in before:
        order.take(count)
    order.peek(1)  # as the loop does, to fetch the next pictures early
    other.restore(order.state())
    assert [order.take(count) for count in after] == [other.take(count) for count in after]


def test_another_seed_is_another_order() -> None:
    orders = [ViewOrder([LANDSCAPE] * 20, seed).take(20) for seed in range(3)]
    assert orders[0] != orders[1] != orders[2] != orders[0]


@given(cameras, counts, st.integers(2, 4), seeds)
def test_processes_share_the_views_of_one_process_that_takes_as_many_at_once(
    cameras: list[Camera], count: int, world_size: int, seed: int
) -> None:
    alone = ViewOrder(cameras, seed)
    together = [ViewOrder(cameras, seed, rank=rank, world_size=world_size) for rank in range(world_size)]
    for _ in range(6):
        shares = [order.take(count) for order in together]
        assert {len(share) for share in shares} == {count}  # none waits for another
        assert [index for share in shares for index in share] == alone.take(count * world_size)
