"""Training: cameras and pictures in, a splat out."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from splatlib.train.background import follow_training as follow_training
    from splatlib.train.background import start_training as start_training
    from splatlib.train.stage import train_splat as train_splat

_HOME = {"train_splat": "stage", "start_training": "background", "follow_training": "background"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


__all__ = ["follow_training", "start_training", "train_splat"]  # pyright: ignore[reportUnsupportedDunderAll]
