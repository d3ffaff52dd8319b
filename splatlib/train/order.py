"""The order in which views are trained on: each once in random order, then again."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from splatlib.artifacts import Camera


class ViewOrder:
    """Batches of views of one size and lens model, random without replacement.

    Args:
        rank, world_size: of several processes that train together. All draw the same views, of one kind, and each
            takes its share.
    """

    def __init__(self, cameras: Sequence[Camera], seed: int, *, rank: int = 0, world_size: int = 1) -> None:
        self._kinds = [(c.width, c.height, c.distortion.model if c.distortion is not None else None) for c in cameras]
        self._rank, self._world_size = rank, world_size
        self._random = np.random.default_rng(seed)
        self._queue: list[int] = []  # the next one last

    def take(self, count: int) -> list[int]:
        """The next ``count`` views of one kind."""
        positions = self._next_positions(count)
        drawn = [self._queue[position] for position in positions]
        for position in positions:  # from the end on, so that the others keep their places
            del self._queue[position]
        return self._share(drawn, count)

    def peek(self, count: int) -> list[int]:
        """What ``take`` will return."""
        return self._share([self._queue[position] for position in self._next_positions(count)], count)

    def _next_positions(self, count: int) -> list[int]:
        """In the queue, descending, of the views of all processes."""
        wanted = count * self._world_size
        while len(positions := self._alike(wanted)) < wanted:
            # At its end a round runs into the next: a smaller batch would be another shape to record kernels for.
            self._queue = [*self._random.permutation(len(self._kinds)).tolist(), *self._queue]
        return positions

    def _alike(self, count: int) -> list[int]:
        """Positions of the next views that are of the very next one's kind."""
        kind = self._kinds[self._queue[-1]] if self._queue else None
        places = reversed(range(len(self._queue)))
        return list(itertools.islice((place for place in places if self._kinds[self._queue[place]] == kind), count))

    def _share(self, drawn: list[int], count: int) -> list[int]:
        return drawn[self._rank * count : (self._rank + 1) * count]

    def state(self) -> dict[str, Any]:
        return {"random": self._random.bit_generator.state, "queue": list(self._queue)}

    def restore(self, state: dict[str, Any]) -> None:
        self._random.bit_generator.state = state["random"]
        self._queue = list(state["queue"])
