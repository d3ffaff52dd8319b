"""Projections on their way between the GPUs of several processes, and their gradients on the way back.

Each process projects its Gaussians for the cameras of all, and draws what all others projected for its own cameras
(Zhao et al., "On Scaling Up 3D Gaussian Splatting Training", 2024). Every process has as many cameras as the others.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor


class Exchange:
    """Of one rendering.

    Args:
        counts: Gaussians of each process.
        num_views: of each process.
    """

    def __init__(self, counts: Sequence[int], num_views: int) -> None:
        self._counts, self._num_views = list(counts), num_views
        self._mine = self._counts[dist.get_rank()]

    def there(self, projected: Sequence[Tensor]) -> list[Tensor]:
        """[S·C, N, …] of this process's Gaussians in all S processes' views → [C, ΣN, …] of all in its own views.

        Tensors of 4-byte elements; those that are not float32 travel as their bits.
        """
        columns = [tensor.reshape(*tensor.shape[:2], -1) for tensor in projected]
        packed = torch.cat([tensor.view(torch.float32) for tensor in columns], dim=2)
        width, rows = packed.shape[2], self._num_views * self._mine
        received = packed.new_empty(self._num_views * sum(self._counts), width)
        splits = [self._num_views * count for count in self._counts]
        dist.all_to_all_single(received, packed.view(-1, width), splits, [rows] * len(self._counts))
        by_source = [part.view(self._num_views, -1, width) for part in received.split(splits)]
        parts = torch.cat(by_source, dim=1).split([tensor.shape[2] for tensor in columns], dim=2)
        return [
            part.contiguous().view(tensor.dtype).view(self._num_views, -1, *tensor.shape[2:])
            for part, tensor in zip(parts, projected, strict=True)
        ]

    def back(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """float32 [C, ΣN, …] → [S·C, N, …]: each gradient to the process whose Gaussian it is of."""
        columns = [tensor.reshape(*tensor.shape[:2], -1) for tensor in gradients]
        packed = torch.cat(columns, dim=2)
        width, rows = packed.shape[2], self._num_views * self._mine
        sent = torch.cat([part.reshape(-1, width) for part in packed.split(self._counts, dim=1)])
        received = packed.new_empty(len(self._counts) * rows, width)
        splits = [self._num_views * count for count in self._counts]
        dist.all_to_all_single(received, sent, [rows] * len(self._counts), splits)
        views = len(self._counts) * self._num_views
        parts = received.view(views, self._mine, width).split([tensor.shape[2] for tensor in columns], dim=2)
        return [
            part.contiguous().view(views, self._mine, *tensor.shape[2:])
            for part, tensor in zip(parts, gradients, strict=True)
        ]


def counts_of_all(count: int) -> list[int]:
    """Of every process, in their order. Through the host, so that no GPU is waited for."""
    gathered = [torch.zeros(1, dtype=torch.int64) for _ in range(dist.get_world_size())]
    dist.all_gather(gathered, torch.tensor([count]))
    return [int(one) for one in gathered]


def views_of_all(cam_from_world: Tensor, intrinsics: Tensor) -> tuple[Tensor, Tensor]:
    """[C, 4, 4] and [C, 3, 3] → those of all processes, [S·C, 4, 4] and [S·C, 3, 3]."""
    mine = torch.cat([cam_from_world.flatten(1), intrinsics.flatten(1)], dim=1)
    gathered = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
    dist.all_gather(gathered, mine)
    poses, pinholes = torch.cat(gathered).split([16, 9], dim=1)
    return poses.reshape(-1, 4, 4).contiguous(), pinholes.reshape(-1, 3, 3).contiguous()
