"""Threads: results in order, errors where they belong, and no more work begun than is wanted."""

from __future__ import annotations

import itertools
import threading
import time

import pytest

from splatlib.threads import available_cpus, in_order


def test_results_come_in_the_order_of_the_items() -> None:
    def slow_first(number: int) -> int:
        time.sleep(0.02 if number % 4 == 0 else 0)
        return number * number

    assert list(in_order(slow_first, range(20), "test", 4)) == [n * n for n in range(20)]


def test_no_more_is_begun_than_a_few_ahead_of_the_reader() -> None:
    begun = []
    results = in_order(begun.append, itertools.count(), "test", 2)
    for _ in range(3):
        next(results)
    results.close()  # as a caller that is interrupted does
    assert len(begun) <= 3 + 2 * 2


def test_an_error_comes_out_where_the_result_would_have() -> None:
    def picky(number: int) -> int:
        if number == 2:
            raise ValueError("two")
        return number

    results = in_order(picky, range(5), "test", 2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="two"):
        next(results)


def test_threads_carry_the_name_of_their_work() -> None:
    (name,) = in_order(lambda _: threading.current_thread().name, [0], "masks")
    assert name.startswith("splatlib-masks")


def test_the_variable_overrides_the_number_of_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLATLIB_THREADS", "3")
    assert available_cpus() == 3
    monkeypatch.setenv("SPLATLIB_THREADS", "0")
    assert available_cpus() == 1
