"""Adam (Kingma & Ba 2015) over a thread pool, as a torch optimiser that gsplat's strategies can edit."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from splatlib.render.cpu.jit import kernel
from splatlib.render.cpu.threads import ThreadPool


@kernel()
def _adam(begin, end, values, gradients, first, second, beta1, rest1, beta2, rest2, rate, inv_root_bias2, eps):
    """One step on flat arrays; ``rate`` holds the first moment's bias correction, rest = 1 - beta, rounded once."""
    for k in range(begin, end):
        g = gradients[k]
        m = beta1 * first[k] + rest1 * g
        v = beta2 * second[k] + rest2 * g * g
        first[k], second[k] = m, v
        values[k] -= rate * m / (np.sqrt(v) * inv_root_bias2 + eps)


class PooledAdam(torch.optim.Optimizer):
    """Like ``torch.optim.Adam`` without weight decay, for contiguous float32 tensors on the CPU."""

    def __init__(self, parameter: torch.Tensor, learning_rate: float, pool: ThreadPool) -> None:
        super().__init__([parameter], {"lr": learning_rate, "betas": (0.9, 0.999), "eps": 1e-15})
        self.pool = pool

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        if closure is not None:
            raise ValueError("PooledAdam takes no closure")
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for parameter in group["params"]:
                if parameter.grad is None or parameter.numel() == 0:
                    continue
                state = self.state[parameter]
                if not state:
                    state["step"] = torch.zeros(())
                    state["exp_avg"] = torch.zeros_like(parameter)
                    state["exp_avg_sq"] = torch.zeros_like(parameter)
                state["step"] += 1
                count = float(state["step"])
                rate = group["lr"] / (1 - beta1**count)
                inv_root_bias2 = 1 / math.sqrt(1 - beta2**count)
                arrays = [t.detach().numpy().reshape(-1) for t in (parameter, parameter.grad)]
                moments = [state[key].numpy().reshape(-1) for key in ("exp_avg", "exp_avg_sq")]
                scalars = [
                    np.float32(s) for s in (beta1, 1 - beta1, beta2, 1 - beta2, rate, inv_root_bias2, group["eps"])
                ]
                self.pool.over_range(_adam, parameter.numel(), *arrays, *moments, *scalars)
