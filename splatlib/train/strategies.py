"""Densification: where Gaussians are added and removed while training.

``BudgetStrategy`` is ours; gsplat's DefaultStrategy (the published rules of 3D Gaussian Splatting) and MCMCStrategy
stay selectable. All edit parameters and optimiser states in place of the dictionaries that they are given.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from splatlib.artifacts import Camera
from splatlib.config import ResolvedTrainConfig
from splatlib.errors import ConfigError, MissingDependencyError
from splatlib.render.protocol import Renderer, Rendering
from splatlib.train.budget import BudgetStrategy
from splatlib.train.rows import Optimizers, Parameters, keep_rows, most_opaque
from splatlib.train.schedule import PUBLISHED_STEPS, Schedule, published


class Strategy(Protocol):
    """What the loop calls after each step."""

    def wants_probe(self, step: int) -> bool:
        """Whether this step's rendering should carry a probe."""
        ...

    def after_step(self, parameters: Parameters, optimizers: Optimizers, step: int, rendering: Rendering) -> None: ...

    def shrink(self, parameters: Parameters, optimizers: Optimizers, count: int) -> None:
        """Keep ``count`` Gaussians, and make that the budget: for a device that is full."""
        ...

    def deal(self, deal: Callable[[Tensor], Tensor]) -> None:
        """Give what it notes of each Gaussian to the process that gets the Gaussian."""
        ...

    def state(self) -> dict[str, Any]:
        """Everything needed to go on exactly, as tensors and numbers."""
        ...

    def restore(self, state: dict[str, Any]) -> None: ...


def create_strategy(
    config: ResolvedTrainConfig, schedule: Schedule, renderer: Renderer, cameras: Sequence[Camera]
) -> Strategy:
    """The configured strategy. Raises ConfigError where renderer or lens cannot carry it, MissingDependencyError."""
    distorted = any(camera.distortion is not None for camera in cameras)
    if config.strategy == "default":
        if distorted:
            raise ConfigError(
                "strategy 'default' cannot train distorted lenses",
                why="it needs the gradient by projected centres, which 3DGUT does not have",
                hint="use strategy budget or mcmc, or undistort the pictures",
            )
        return DefaultStrategy(config, schedule)
    if config.strategy == "mcmc":
        if renderer.device.type != "cuda":
            raise ConfigError("strategy 'mcmc' needs a GPU", hint="use strategy budget or default")
        return McmcStrategy(config, schedule)
    return BudgetStrategy(schedule, config.max_gaussians, len(cameras), score_by_error=distorted)


class _GsplatStrategy:
    """What gsplat's two strategies share: their random numbers, and their state in a checkpoint."""

    def __init__(self, config: ResolvedTrainConfig, schedule: Schedule) -> None:
        self._schedule = schedule
        self.max_gaussians = config.max_gaussians
        self._seeds = np.random.default_rng(config.seed)
        self._state: dict[str, Any] = {}

    def wants_probe(self, step: int) -> bool:
        return False

    @contextlib.contextmanager
    def _seeded(self, device: torch.device) -> Iterator[None]:
        """gsplat draws from torch's global generators: lend it a seed of ours, so that a run repeats."""
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(int(self._seeds.integers(2**62)))
            yield

    def shrink(self, parameters: Parameters, optimizers: Optimizers, count: int) -> None:
        kept = most_opaque(parameters, count)
        rows = len(parameters["means"])
        keep_rows(parameters, optimizers, kept)
        for key, value in self._state.items():
            if isinstance(value, torch.Tensor) and value.shape[:1] == (rows,):
                self._state[key] = value[kept]
        self.max_gaussians = min(count, self.max_gaussians)

    def deal(self, deal: Callable[[Tensor], Tensor]) -> None:
        for key in ("grad2d", "count", "radii"):  # of the default strategy
            if isinstance(value := self._state.get(key), Tensor):
                self._state[key] = deal(value)

    def state(self) -> dict[str, Any]:
        return {
            "gsplat": dict(self._state),
            "seeds": self._seeds.bit_generator.state,
            "max_gaussians": self.max_gaussians,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self._state.update(state["gsplat"])
        self._seeds.bit_generator.state = state["seeds"]
        self.max_gaussians = state["max_gaussians"]


class DefaultStrategy(_GsplatStrategy):
    """gsplat's DefaultStrategy (Ye et al. 2024), its schedule scaled from 30,000 steps to the configured number.

    Growth pauses at ``max_gaussians``; a growth that begins below may end above it. Needs no CUDA.
    """

    def __init__(self, config: ResolvedTrainConfig, schedule: Schedule) -> None:
        super().__init__(config, schedule)
        with _gsplat_needed("default"):
            from gsplat.strategy import DefaultStrategy

        outer = self

        class Bounded(DefaultStrategy):
            def _grow_gs(self, params: Any, *args: Any) -> tuple[int, int]:
                return (0, 0) if len(params["means"]) >= outer.max_gaussians else super()._grow_gs(params, *args)

        shorter, every = config.steps / PUBLISHED_STEPS, schedule.recipe.refine_every
        self._strategy = Bounded(
            refine_start_iter=max(1, round(500 * shorter)),
            refine_stop_iter=round(15_000 * shorter),
            reset_every=max(200, round(3_000 * shorter)),
            refine_every=max(1, every // 5, round(100 * shorter)),
            verbose=False,
        )
        self._state = self._strategy.initialize_state(scene_scale=schedule.scene_extent)

    def after_step(self, parameters: Parameters, optimizers: Optimizers, step: int, rendering: Rendering) -> None:
        num_views, height, width = rendering.alpha.shape
        info = {
            "means2d": rendering.means2d,
            "radii": rendering.radii,
            "width": width,
            "height": height,
            "n_cameras": num_views,
            "gaussian_ids": rendering.gaussian_ids,
        }
        with self._seeded(rendering.means2d.device):
            packed = rendering.gaussian_ids is not None
            self._strategy.step_post_backward(parameters, dict(optimizers), self._state, step, info, packed=packed)


class McmcStrategy(_GsplatStrategy):
    """gsplat's MCMCStrategy (Kheradmand et al., "3DGS as Markov Chain Monte Carlo", 2024), scaled likewise."""

    def __init__(self, config: ResolvedTrainConfig, schedule: Schedule) -> None:
        super().__init__(config, schedule)
        with _gsplat_needed("mcmc"):
            from gsplat.strategy import MCMCStrategy
        shorter, every = config.steps / PUBLISHED_STEPS, schedule.recipe.refine_every
        # As many refinements as published need the count to reach the budget at 5 % a time.
        self._strategy = MCMCStrategy(
            cap_max=config.max_gaussians,
            refine_start_iter=max(1, round(500 * shorter)),
            refine_stop_iter=round(25_000 * shorter),
            refine_every=max(1, every // 10, round(100 * shorter)),
        )
        self._state = self._strategy.initialize_state()

    def after_step(self, parameters: Parameters, optimizers: Optimizers, step: int, rendering: Rendering) -> None:
        self._strategy.cap_max = self.max_gaussians
        with self._seeded(rendering.radii.device), torch.no_grad():
            rate = self.noise_rate(step)
            self._strategy.step_post_backward(parameters, dict(optimizers), self._state, step, {}, lr=rate)

    def noise_rate(self, step: int) -> float:
        """What gsplat scales its noise by: the published rate of the means, of a scene of extent 1.

        gsplat moves a mean by its covariance, which is a squared length, times this rate, so the rate is one over a
        length; its own trainer has scaled the scene to about 1. Noise by our own rate, which stays higher, never
        settles: fox ended at 19.7 dB.
        """
        recipe = published()
        return recipe.means_rate * recipe.means_final ** (step / self._schedule.steps) / self._schedule.scene_extent


@contextlib.contextmanager
def _gsplat_needed(strategy: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise MissingDependencyError(
            f"strategy {strategy!r} needs gsplat", why=str(error), hint="pip install gsplat, or strategy budget"
        ) from error
