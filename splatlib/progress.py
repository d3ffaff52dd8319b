"""Progress bars and one-line messages: text in a terminal or a batch run, widgets in a live notebook.

``SPLATLIB_PROGRESS`` chooses: ``auto`` (default), ``text`` (what papermill runs want: a widget bar is blank in
the HTML file they leave), or ``off``.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

logger = logging.getLogger("splatlib")


class _TqdmHandler(logging.Handler):
    """Writes a line without tearing a running bar."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        tqdm.write(self.format(record), file=_stream())


def _stream() -> TextIO:
    """Standard error; in a notebook standard output, since notebooks paint the other one red."""
    return sys.stdout if in_notebook() else sys.stderr


def in_notebook() -> bool:
    """Whether a notebook's kernel runs this code; others may import ipykernel too."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and type(ipython.get_ipython()).__name__ == "ZMQInteractiveShell"


def mode() -> str:
    return os.environ.get("SPLATLIB_PROGRESS", "auto")


def show_messages() -> None:
    """Send splatlib's messages to the screen unless the program has configured logging itself."""
    if logger.handlers or logging.getLogger().handlers or mode() == "off":
        return
    handler = _TqdmHandler(logging.INFO)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


def bar(total: int | None, description: str, unit: str = "it") -> Any:
    """A tqdm bar. Use it as a context manager and call ``update``. Bytes (unit "B") are shown in kB and MB."""
    chosen = mode()
    if chosen == "auto":
        from tqdm.auto import tqdm
    else:
        from tqdm import tqdm
    # A log file is no terminal: a line every few seconds there, not ten a second.
    interval_s = 0.1 if chosen == "auto" and (sys.stderr.isatty() or in_notebook()) else 5.0
    return tqdm(
        total=total,
        desc=description,
        file=_stream(),
        unit=unit,
        unit_scale=unit == "B",
        disable=chosen == "off",
        mininterval=interval_s,
        dynamic_ncols=True,
    )


@contextlib.contextmanager
def log_file(path: Path) -> Iterator[None]:
    """Everything splatlib logs goes to the file too, debug messages included."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    level, others = logger.level, {other: other.level for other in logger.handlers}
    for other in others:
        other.setLevel(max(other.level, logging.INFO))
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        for other, own_level in others.items():
            other.setLevel(own_level)
        handler.close()
