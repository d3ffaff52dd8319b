"""The pooled Adam takes torch's steps."""

from __future__ import annotations

import torch

from splatlib.render.cpu.adam import PooledAdam
from splatlib.render.cpu.threads import ThreadPool


def test_steps_equal_those_of_torch() -> None:
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(101, 3, generator=generator)
    ours, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    pooled = PooledAdam(ours, 0.01, ThreadPool(2))
    adam = torch.optim.Adam([theirs], lr=0.01, eps=1e-15)
    for _ in range(20):
        gradient = torch.randn(101, 3, generator=generator)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        pooled.step()
        adam.step()
    assert torch.allclose(ours, theirs, atol=1e-6)
    assert torch.allclose(pooled.state[ours]["exp_avg_sq"], adam.state[theirs]["exp_avg_sq"], atol=1e-7)
