"""Parameters and their optimisers as rows, one a Gaussian: the edits that densification is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Optimizers = Mapping[str, torch.optim.Optimizer]
Parameters = dict[str, torch.nn.Parameter]


def replace_rows(
    parameters: Parameters, optimizers: Optimizers, values: Mapping[str, Tensor], index: Tensor, fresh: Tensor | None
) -> None:
    """Give every parameter new rows, and its optimiser the matching moments.

    All that needs memory is done before anything changes: out of memory, the training still stands as it was.

    Args:
        values: new tensors [M, …] by name.
        index: [M] which old row each new row comes from.
        fresh: [M] rows whose moments start at zero, or None.
    """
    moments: dict[str, dict[str, Tensor]] = {}
    for name in values:
        moments[name] = {}
        for key, moment in optimizers[name].state.get(parameters[name], {}).items():
            if key != "step":
                moments[name][key] = moment[index]
                if fresh is not None:
                    moments[name][key][fresh] = 0
    for name, value in values.items():
        old, new = parameters[name], torch.nn.Parameter(value)
        optimizer = optimizers[name]
        if state := optimizer.state.pop(old, {}):
            optimizer.state[new] = {**state, **moments[name]}
        optimizer.param_groups[0]["params"] = [new]
        parameters[name] = new


def keep_rows(parameters: Parameters, optimizers: Optimizers, index: Tensor) -> None:
    """Keep the Gaussians of an index [M], drop the others."""
    values = {name: tensor.detach()[index] for name, tensor in parameters.items()}
    replace_rows(parameters, optimizers, values, index, None)


def deal_rows(parameters: Parameters, optimizers: Optimizers, deal: Callable[[Tensor], Tensor]) -> None:
    """Give every parameter, and the moments of its optimiser, the rows that another order of all processes leaves."""
    for name, old in list(parameters.items()):
        new, optimizer = torch.nn.Parameter(deal(old.detach())), optimizers[name]
        if state := optimizer.state.pop(old, {}):
            optimizer.state[new] = {key: value if key == "step" else deal(value) for key, value in state.items()}
        optimizer.param_groups[0]["params"] = [new]
        parameters[name] = new


def most_opaque(parameters: Parameters, count: int) -> Tensor:
    """[count] rows, in their order."""
    logits = parameters["opacities"].detach()
    return torch.topk(logits, min(count, len(logits))).indices.sort().values


def rows_of(parameters: Parameters) -> list[Tensor]:
    """Every parameter as [N, -1]; those without columns are left out."""
    return [tensor.detach().reshape(len(tensor), -1) for tensor in parameters.values() if tensor.numel()]
