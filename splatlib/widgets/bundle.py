"""The bundled front end, as the package ships it. Made by ``make js``."""

from __future__ import annotations

import functools
import gzip
from pathlib import Path

STATIC = Path(__file__).parent / "static"


@functools.cache
def runtime_code() -> bytes:
    """The runtime, gzipped; equal bundles give equal bytes."""
    return gzip.compress((STATIC / "runtime.js").read_bytes(), 9, mtime=0)


def loader() -> str:
    """The module that each widget carries: it fetches the runtime from the one model that holds it."""
    return (STATIC / "loader.js").read_text(encoding="utf-8")
