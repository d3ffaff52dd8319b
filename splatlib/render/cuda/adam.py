"""Adam (Kingma & Ba 2015) in one kernel launch a parameter, as torch optimisers that gsplat's strategies can edit."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from splatlib.render.cuda.kernels import kernels
from splatlib.render.protocol import OptimizerSet


class CudaAdam(torch.optim.Optimizer):
    """Like ``torch.optim.Adam`` without weight decay, for one contiguous float32 tensor on a GPU.

    gsplat's kernel leaves out the bias correction; here it is folded into the rate and epsilon, which is the same
    arithmetic. The step count lives on the host, so that nothing waits for the GPU.
    """

    def __init__(
        self, parameter: torch.Tensor, learning_rate: float, betas: tuple[float, float] = (0.9, 0.999)
    ) -> None:
        super().__init__([parameter], {"lr": learning_rate, "betas": betas, "eps": 1e-15})

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        if closure is not None:
            raise ValueError("CudaAdam takes no closure")
        self.update()

    def update(self) -> None:
        """One step, without the hooks that torch hangs around ``step``, which cost more than the kernel."""
        group = self.param_groups[0]
        parameter = group["params"][0]
        if parameter.grad is None or parameter.numel() == 0:
            return
        beta1, beta2 = group["betas"]
        state = self.state[parameter]
        if not state:
            state["step"] = 0
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        state["step"] += 1
        root_bias2 = math.sqrt(1 - beta2 ** state["step"])
        rate = group["lr"] * root_bias2 / (1 - beta1 ** state["step"])
        kernels.adam(
            parameter.data, parameter.grad.contiguous(), state["exp_avg"], state["exp_avg_sq"], None, rate, beta1,
            beta2, group["eps"] * root_bias2,
        )  # fmt: skip


class CudaAdamSet(OptimizerSet):
    def step(self) -> None:
        for optimizer in self.values():
            assert isinstance(optimizer, CudaAdam)
            optimizer.update()
            optimizer.param_groups[0]["params"][0].grad = None
