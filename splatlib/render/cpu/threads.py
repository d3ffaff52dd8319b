"""A small thread pool for kernels that release the GIL, sized by what the process may really use."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from splatlib.threads import available_cpus


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
