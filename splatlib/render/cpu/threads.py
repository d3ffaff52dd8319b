"""A small thread pool for kernels that release the GIL, sized by what the process may really use."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any


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


class ThreadPool:
    """Runs a kernel over ``num_threads`` shares of an index range; the caller's thread takes one of them."""

    def __init__(self, num_threads: int | None = None) -> None:
        self.num_threads = num_threads or available_cpus()
        self._executor = ThreadPoolExecutor(self.num_threads - 1) if self.num_threads > 1 else None

    def over_range(self, kernel: Callable[..., Any], count: int, *args: Any) -> None:
        """Call ``kernel(begin, end, *args)`` on contiguous shares of ``range(count)``."""
        n = self.num_threads
        self._run(kernel, [(count * i // n, count * (i + 1) // n, *args) for i in range(n)])

    def over_threads(self, kernel: Callable[..., Any], *args: Any) -> None:
        """Call ``kernel(thread, num_threads, *args)`` once a thread; the kernel strides over its work itself."""
        self._run(kernel, [(i, self.num_threads, *args) for i in range(self.num_threads)])

    def _run(self, kernel: Callable[..., Any], calls: list[tuple[Any, ...]]) -> None:
        if self._executor is None:
            kernel(*calls[0])
            return
        futures = [self._executor.submit(kernel, *call) for call in calls[1:]]
        kernel(*calls[0])
        for future in futures:
            future.result()
