"""Training on several GPUs of one host, one process each, started by ``torchrun``.

    torchrun --nproc-per-node 2 -m splatlib run bench.mov --preset balanced

The first process does everything that is not training; the others wait in ``serve`` until it calls them to train along.
Each holds a share of the Gaussians and draws its own views. A step sees as many views as there are processes, so
the steps are divided by their number and the learning rates grow with its square root (Zhao et al., "On Scaling Up
3D Gaussian Splatting Training", 2024). There are no checkpoints: an interrupted training begins anew.
"""

from __future__ import annotations

import datetime
import functools
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from splatlib.artifacts import SparseScene, View
from splatlib.errors import DeviceError
from splatlib.gaussians import Gaussians
from splatlib.progress import bar, logger
from splatlib.train.dataset import ViewPyramid
from splatlib.train.deal import Deal
from splatlib.train.loop import Trainer
from splatlib.train.order import ViewOrder
from splatlib.train.rows import deal_rows
from splatlib.train.schedule import Schedule

# The others wait this long for the first process, which may be solving cameras …
PATIENCE = datetime.timedelta(days=3)
# … and nobody so long for another one within a training: it is gone, or stuck.
STEP_PATIENCE = datetime.timedelta(minutes=10)
REPORT_EVERY_STEPS = 10


@dataclass(frozen=True)
class Task:
    """What the first process asks the others to do; None in its place ends them."""

    scene: SparseScene
    views: tuple[View, ...]
    schedule: Schedule
    start: Gaussians


def world_size() -> int:
    """Processes that torchrun started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    return int(os.environ.get("RANK", "0"))


def join() -> None:
    """Join the other processes; all do so within ten minutes of their start. Raises DeviceError."""
    if dist.is_initialized():
        return
    use_device()
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, timeout=STEP_PATIENCE)
    _waiting()


@functools.cache
def _waiting() -> Any:
    """A process group of its own, for what may take days. All make it together, when they join."""
    return dist.new_group(backend="gloo", timeout=PATIENCE)


def use_device() -> None:
    """This process's own GPU. Raises DeviceError if there are more processes than GPUs."""
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if local >= torch.cuda.device_count():
        raise DeviceError(
            f"process {rank()} has no GPU: there are {torch.cuda.device_count()} for {world_size()} processes",
            hint="start torchrun with --nproc-per-node set to the number of GPUs",
        )
    torch.cuda.set_device(local)


def serve() -> None:
    """What every process but the first does: train along whenever it calls, until it is done."""
    os.environ["SPLATLIB_PROGRESS"] = "off"  # one bar is enough
    join()
    while (task := _broadcast(None)) is not None:
        train_share(task)
    _leave()


def dismiss() -> None:
    """The first process is done: the others may go."""
    if world_size() > 1:
        join()
        _broadcast(None)
        _leave()


def _leave() -> None:
    """Together: whoever left first would take the others' connections along."""
    dist.barrier(_waiting())
    dist.destroy_process_group()
    _waiting.cache_clear()


@dataclass(frozen=True)
class Trained:
    """Of all processes.

    Attributes:
        seconds: from decoded pictures to the last step.
    """

    gaussians: Gaussians
    steps: int
    seconds: float
    peak_gpu_gib: float


def train_together(task: Task) -> Trained:
    """Called by the first process: train on the GPUs of all."""
    join()
    _broadcast(task)
    gathered = train_share(task)
    assert gathered is not None
    return gathered


class ShareTrainer(Trainer):
    """The training of one process of several.

    After each refinement all Gaussians are dealt out anew. A share that splits and removes its own only would become a
    population of its own: of two on fox, the one whose Gaussians were a little younger was crowded out by the other.
    """

    def step(self) -> Tensor:
        refined = self.schedule.refines_at(self.step_index)
        loss = super().step()
        if refined:
            deal = Deal(self.num_gaussians, self.renderer.device)
            deal_rows(self.parameters, self.optimizers, deal)
            self.strategy.deal(deal)
        return loss


def train_share(task: Task) -> Trained | None:
    """Train this process's share; the first one gets the Gaussians of all, the others None."""
    from splatlib.render.cuda.distributed import DistributedRenderer

    size, mine = world_size(), rank()
    device = torch.device("cuda", torch.cuda.current_device())
    schedule = share_of_schedule(task.schedule, size)
    settings = schedule.config
    renderer = DistributedRenderer(device, antialiased=settings.antialiased)
    views = ViewPyramid(task.scene, task.views, schedule.long_sides_px, renderer)
    order = ViewOrder(views.cameras, settings.seed, rank=mine, world_size=size)
    trainer = ShareTrainer(settings, schedule, renderer, views, share_of(task.start, mine, size), order)
    torch.cuda.reset_peak_memory_stats()
    dist.barrier()
    started_s = time.perf_counter()
    with bar(settings.steps, f"training on {size} GPUs", "step") as progress:
        while not trainer.done:
            trainer.step()
            if trainer.step_index % REPORT_EVERY_STEPS == 0 or trainer.done:
                progress.update(trainer.step_index - progress.n)
    torch.cuda.synchronize()
    seconds, peak_gib = time.perf_counter() - started_s, torch.cuda.max_memory_allocated() / 2**30
    shares: list[Any] = [None] * size
    dist.all_gather_object(shares, trainer.gaussians())
    if mine != 0:
        return None
    logger.info("training: %s Gaussians from %d GPUs", " + ".join(f"{len(share):,}" for share in shares), size)
    return Trained(concatenated(shares), trainer.step_index, seconds, peak_gib)


def share_of_schedule(schedule: Schedule, size: int) -> Schedule:
    """Of one of ``size`` processes: fewer steps, of more views together, at higher rates; a share of the budget.

    There are as many refinements as with one process, so as many views between two of them: with half as many, two
    GPUs grew to 852,000 of a million Gaussians and lost 0.9 dB.
    """
    factor, recipe, config = math.sqrt(size), schedule.recipe, schedule.config
    rates = {name: rate * factor for name, rate in recipe.rates.items()}
    refine_every = max(1, recipe.refine_every // size)
    update = {"steps": max(1, config.steps // size), "max_gaussians": max(100, config.max_gaussians // size)}
    faster = replace(recipe, means_rate=recipe.means_rate * factor, rates=rates, refine_every=refine_every)
    return Schedule(config.model_copy(update=update), schedule.scene_extent, faster)


def share_of(gaussians: Gaussians, mine: int, size: int) -> Gaussians:
    """Every ``size``-th one."""
    return gaussians.select(np.arange(mine, len(gaussians), size))


def _broadcast(task: Task | None) -> Any:
    box: list[Any] = [task]
    dist.broadcast_object_list(box, src=0, group=_waiting(), device=torch.device("cpu"))
    return box[0]


def concatenated(shares: Sequence[Gaussians]) -> Gaussians:
    """All Gaussians of several sets with the same SH degree."""
    return Gaussians(
        means=np.concatenate([s.means for s in shares]),
        log_scales=np.concatenate([s.log_scales for s in shares]),
        quats=np.concatenate([s.quats for s in shares]),
        opacity_logits=np.concatenate([s.opacity_logits for s in shares]),
        sh=np.concatenate([s.sh for s in shares]),
    )
