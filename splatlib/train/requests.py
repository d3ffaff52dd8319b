"""What a training is asked while it runs: Ctrl-C, and pause, continue and stop through its control file."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

from splatlib.events import Control, Request

# A look costs a system call, and on a network file system a round trip.
LOOK_EVERY_S, LOOK_WHEN_PAUSED_EVERY_S = 0.25, 0.1


class Requests:
    """Requests to one attempt at a training, looked for between two steps."""

    def __init__(self, control: Control, attempt: str, interrupted: Callable[[], bool]) -> None:
        self._control, self._attempt, self.interrupted = control, attempt, interrupted
        self._looked_s = 0.0
        self._request: Request | None = None

    def newest(self) -> Request | None:
        if time.monotonic() - self._looked_s >= LOOK_EVERY_S:
            self._request = self._control.asked(self._attempt)
            self._looked_s = time.monotonic()
        return self._request

    def wait_while_paused(self) -> float:
        """Returns when something else is asked, or Ctrl-C came; the seconds that passed."""
        since_s = time.perf_counter()
        while self._control.asked(self._attempt) == "pause" and not self.interrupted():
            time.sleep(LOOK_WHEN_PAUSED_EVERY_S)
        self._looked_s = 0.0
        return time.perf_counter() - since_s


@contextlib.contextmanager
def deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """While inside, the first Ctrl-C only notes itself: a step is never torn. A second one interrupts at once.

    Python delivers signals to the main thread alone; elsewhere nothing changes.
    """
    noted = False
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.getsignal(signal.SIGINT)

    def note(signum: int, frame: FrameType | None) -> None:
        nonlocal noted
        if noted:
            raise KeyboardInterrupt
        noted = True

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: noted
    finally:
        signal.signal(signal.SIGINT, before)
