"""Training: cameras and pictures in, a splat out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from splatlib.train.stage import train_splat as train_splat


def __getattr__(name: str) -> Any:
    if name != "train_splat":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from splatlib.train.stage import train_splat

    return train_splat


__all__ = ["train_splat"]  # pyright: ignore[reportUnsupportedDunderAll]
