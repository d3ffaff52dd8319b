"""3DGRUT (NVIDIA, Apache-2): ``3dgut``, Gaussians drawn by the unscented transform, and ``3dgrt``, ray traced.

Wu et al. 2025 and Moenne-Loccoz et al. 2024, with MCMC densification and selective Adam. Both take distorted lenses.
Its COLMAP reader sorts pictures by name and holds every n-th out, so the pictures' links are named by their place in
that order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from splatlib.artifacts import View
from splatlib.config import TrainConfig
from splatlib.errors import ArtifactError, ConfigError, TrainingError
from splatlib.gaussians import Gaussians
from splatlib.scene_formats import PlacedView, write_colmap
from splatlib.threads import available_cpus
from splatlib.train.external.protocol import Command, Results, Work

STEPS = 30_000


@dataclass(frozen=True)
class ThreeDGRUT:
    backend: str
    steps: int = STEPS
    honours: frozenset[str] = frozenset({"sh_degree", "ssim_weight", "background", "max_gaussians"})
    draws_distorted: bool = True

    def check(self, config: TrainConfig) -> None:
        if config.background == "random":
            raise ConfigError(f"{self.backend} evaluates before black or white only", hint="set train.background")

    def write(self, work: Work) -> list[PlacedView]:
        order = _order(work)
        place_of = {id(view): place for place, view in enumerate(order.views)}
        placed = write_colmap(
            work.scene,
            work.data,
            views=order.views,
            name_of=lambda view: f"{place_of[id(view)]:06d}_{view.name.replace('/', '_')}",
            mask_name_of=lambda picture: f"{picture.rpartition('.')[0]}_mask.png",
            max_long_side_px=work.long_side_px,
            portable=False,
        )
        return [one for place, one in enumerate(placed) if place % order.every == 0 and order.measured]

    def training(self, work: Work) -> Command | None:
        # Written last, after the test views are drawn.
        if (work.output / "splat.ply").is_file() and any(work.output.glob("splatlib/*/metrics.json")):
            return None
        config, share = work.config, work.steps / STEPS
        every = max(1, min(work.steps, 5000))
        overrides = {
            "path": _quoted(str(work.data)),
            "out_dir": _quoted(str(work.output)),
            "experiment_name": "splatlib",
            "export_ply.enabled": "true",
            "export_ply.path": _quoted(str(work.output / "splat.ply")),
            "dataset.test_split_interval": _order(work).every,
            "dataset.load_exif": "false",
            "optimizer.type": "selective_adam",
            "n_iterations": work.steps,
            "scheduler.positions.max_steps": work.steps,
            "strategy.relocate.start_iteration": min(500, round(500 * share)),
            "strategy.add.start_iteration": min(500, round(500 * share)),
            "strategy.relocate.end_iteration": round(25_000 * share),
            "strategy.add.end_iteration": round(25_000 * share),
            "strategy.perturb.end_iteration": round(27_500 * share),
            "model.progressive_training.increase_frequency": max(1, round(1000 * share)),
            "model.progressive_training.max_n_features": 3 if config.sh_degree is None else config.sh_degree,
            "render.particle_radiance_sph_degree": 3 if config.sh_degree is None else config.sh_degree,
            "model.background.color": config.background,
            "loss.lambda_ssim": config.ssim_weight,
            "loss.lambda_l1": round(1 - config.ssim_weight, 6),
            "seed_initialization": config.seed,
            "num_workers": min(8, available_cpus()),
            # Its evaluation at the end fails without them; LPIPS is a stand-in where its network is not here.
            "compute_extra_metrics": "true",
            "log_frequency": 100,
            "checkpoint.iterations": f"[{','.join(map(str, range(every, work.steps + 1, every)))}]",
        }
        if config.max_gaussians is not None:
            overrides["strategy.add.max_n_gaussians"] = config.max_gaussians
        if checkpoints := sorted(work.output.glob("splatlib/*/ours_*/ckpt_*.pt"), key=lambda p: int(p.stem[5:])):
            overrides["resume"] = _quoted(str(checkpoints[-1]))
        checkout = work.environment.checkouts / "threedgrut"
        arguments = [str(checkout), "--config-name", f"apps/colmap_{self.backend}_mcmc"]
        arguments += [f"{name}={value}" for name, value in overrides.items()]
        return Command(self.backend, "threedgrut-train", arguments)

    def afterwards(self, work: Work) -> list[Command]:
        if not (work.output / "splat.ply").is_file():
            raise TrainingError(
                f"{self.backend} ended without a result",
                why=f"there is no {work.output / 'splat.ply'}",
                hint="its log says more",
            )
        return []  # it draws its test views and exports at the end of the training

    def results(self, work: Work, measured: Sequence[PlacedView]) -> Results:
        try:
            gaussians = Gaussians.load_ply(work.output / "splat.ply")
        except ArtifactError as error:
            raise TrainingError(f"{self.backend} exported no Gaussians", why=str(error)) from error
        folders = sorted(work.output.glob("splatlib/*/ours_*/renders"), key=lambda path: path.stat().st_mtime)
        renders = {}
        if folders:
            renders = {one.view.name: folders[-1] / f"{place:05d}.png" for place, one in enumerate(measured)}
        warnings = []
        if self.backend == "3dgrt":
            warnings.append("3dgrt's particles fall off faster than Gaussians: other renderers draw them differently.")
        if left := len(work.held_out) - len(measured):
            warnings.append(
                f"{left} of {len(work.held_out)} held-out views were not measured: 3DGRUT holds every n-th out."
            )
        return Results(gaussians, renders, draws_as_3dgs=self.backend == "3dgut", warnings=tuple(warnings))


@dataclass(frozen=True)
class _Order:
    """Views such that every n-th, the first included, is held out.

    Attributes:
        measured: whether those are really held-out views; else a copy of a trained one stands in, since 3DGRUT must
            hold one out.
    """

    views: list[View]
    every: int
    measured: bool = True


def _order(work: Work) -> _Order:
    train, held_out = list(work.train_views), list(work.held_out)
    for count in range(len(held_out), 0, -1):
        total = len(train) + count
        for every in range(2, total + 1):
            if math.ceil(total / every) == count:
                held, kept = iter(held_out), iter(train)
                return _Order([next(kept if place % every else held) for place in range(total)], every)
    return _Order([replace(train[0]), *train], len(train) + 2, measured=False)


def _quoted(value: str) -> str:
    """For hydra's grammar of overrides, in which spaces, commas and equals signs mean something."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
