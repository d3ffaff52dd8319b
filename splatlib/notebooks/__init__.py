"""Notebooks in batch: parameters in, the executed notebook and one self-contained page out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from splatlib.notebooks.run import ExecutedNotebook as ExecutedNotebook
    from splatlib.notebooks.run import run_notebook as run_notebook


def __getattr__(name: str) -> Any:
    if name not in ("ExecutedNotebook", "run_notebook"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from splatlib.notebooks import run

    return getattr(run, name)


__all__ = ["ExecutedNotebook", "run_notebook"]  # pyright: ignore[reportUnsupportedDunderAll]
