"""How many processors there are to use, and threads for work that releases Python's lock: decoding, scaling, OpenCV."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
# Each may hold a full-size picture.
_MOST_WORKERS = 8


def available_cpus() -> int:
    """Cores by affinity mask and by cgroup quota, whichever is less, at least one.

    ``SPLATLIB_THREADS`` overrides it.
    """
    if override := os.environ.get("SPLATLIB_THREADS"):
        return max(1, int(override))
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cpus, _cgroup_quota_cpus(cpus)))


def _cgroup_quota_cpus(otherwise: int) -> int:
    """cgroup v2's cpu.max or v1's cfs quota, rounded up; ``otherwise`` where there is none."""
    v2 = Path("/sys/fs/cgroup/cpu.max")
    v1_quota = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
    v1_period = Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")
    if v2.exists():
        quota, period = v2.read_text().split()
    elif v1_quota.exists():
        quota, period = v1_quota.read_text(), v1_period.read_text()
    else:
        return otherwise
    return otherwise if quota.strip() in ("max", "-1") else math.ceil(int(quota) / int(period))


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], name: str, workers: int | None = None
) -> Iterator[Result]:
    """Results in the order of the items, a few items ahead and no more.

    What is not begun when the caller stops is never begun.

    Args:
        function: called in threads; its errors come out where the result would have.
        items: read as they are needed.
        name: of the work, for the names of the threads.
        workers: how many threads; else as many as there are processors, but no more than 8, for memory's sake.
    """
    workers = workers or min(available_cpus(), _MOST_WORKERS)
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix=f"splatlib-{name}") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
