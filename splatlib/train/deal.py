"""Gaussians dealt out anew, as cards are, among the processes that train together."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from splatlib.render.cuda.exchange import counts_of_all


class Deal:
    """Of all processes' rows, one process after the other, every n-th goes to the n-th of n processes.

    Shares are as large as each other then, and as mixed. All processes make one at the same time, and call it with the
    same tensors in the same order.

    Args:
        count: rows of this process.
    """

    def __init__(self, count: int, device: torch.device) -> None:
        size, mine = dist.get_world_size(), dist.get_rank()
        counts = counts_of_all(count)

        def rows(source: int, target: int) -> range:
            """Of the source's rows, those that go to a target."""
            return range((target - sum(counts[:source])) % size, counts[source], size)

        sent = [rows(mine, target) for target in range(size)]
        self._order = torch.cat([torch.arange(r.start, max(r.start, r.stop), size, device=device) for r in sent])
        self._sent = [len(r) for r in sent]
        self._received = [len(rows(source, mine)) for source in range(size)]

    def __call__(self, rows: Tensor) -> Tensor:
        """[M, …], what this process has instead of its [N, …]."""
        received = rows.new_empty(sum(self._received), *rows.shape[1:])
        if rows.shape[1:].numel():  # SH of degree 0 have no columns
            dist.all_to_all_single(received, rows[self._order].contiguous(), self._received, self._sent)
        return received
