"""nerfstudio: its data, its commands, its files; and its three splatfactos (Apache-2, github.com/nerfstudio-project).

The trainer moves and scales the scene to its liking, since its rates and thresholds are absolute: poses centred, the
farthest at distance 1 along an axis. ``dataparser_transforms.json`` says how, and what it exports is moved back.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from splatlib.config import TrainConfig
from splatlib.errors import ArtifactError, ConfigError, TrainingError
from splatlib.gaussians import Gaussians
from splatlib.scene_formats import PlacedView, write_nerfstudio
from splatlib.train.external.protocol import Command, Results, Work

STEPS = 30_000  # of nerfstudio's splatfacto and nerfacto, and of the 3DGS authors
# Learning rates of a splatfacto of ``STEPS`` steps: over how many they decay, and over how many they rise before.
DECAYS = {"means": STEPS, "camera-opt": STEPS, "bilateral-grid": STEPS}
WARM_UPS = {"camera-opt": 1000, "bilateral-grid": 1000}
# torch 2.6 and newer refuse the checkpoints that nerfstudio wrote a minute ago, for the numpy numbers in them.
ENVIRONMENT = {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}


@dataclass(frozen=True)
class Splatfacto:
    """``splatfacto``, ``splatfacto-big`` or ``splatfacto-mcmc`` (Tancik et al. 2023; Kheradmand et al. 2024)."""

    backend: str
    steps: int = STEPS
    draws_distorted: bool = False  # it undistorts pictures by itself, and draws those

    @property
    def honours(self) -> frozenset[str]:
        more = {"max_gaussians"} if self.backend == "splatfacto-mcmc" else set[str]()
        return frozenset({"sh_degree", "antialiased", "ssim_weight", "background", "appearance", "refine_poses", *more})

    def check(self, config: TrainConfig) -> None:
        if config.appearance == "affine":
            raise ConfigError(
                f"{self.backend} has no affine appearance", hint="set train.appearance to bilateral or none"
            )

    def write(self, work: Work) -> list[PlacedView]:
        return write_data(work)

    def training(self, work: Work) -> Command | None:
        return train_command(self.backend, work, self._model_options(work))

    def afterwards(self, work: Work) -> list[Command]:
        export = [
            "gaussian-splat",
            "--load-config",
            str(config_file(work)),
            "--output-dir",
            str(work.output / "export"),
        ]
        return [render_command(work), Command("exporting", "nerfstudio-export", export, ENVIRONMENT)]

    def results(self, work: Work, measured: Sequence[PlacedView]) -> Results:
        return Results(read_gaussians(work), renders_of(work, measured))

    def _model_options(self, work: Work) -> list[str]:
        config, steps = work.config, work.steps
        model = {
            "sh-degree": 3 if config.sh_degree is None else config.sh_degree,
            "rasterize-mode": "antialiased" if config.antialiased else "classic",
            "ssim-lambda": config.ssim_weight,
            "background-color": config.background,
            "use-bilateral-grid": config.appearance == "bilateral",
            "camera-optimizer.mode": "SO3xR3" if config.refine_poses else "off",
        }
        if self.backend == "splatfacto-mcmc":
            # Without it, MCMC leaves needles that other viewers show badly (PhysGaussian, Xie et al. 2024).
            model |= {"use-scale-regularization": True, "max-gs-num": config.max_gaussians or 1_000_000}
        if steps != STEPS:
            model |= scaled_schedule(steps, stop_at=25_000 if self.backend == "splatfacto-mcmc" else 15_000)
        options = [word for name, value in model.items() for word in (f"--pipeline.model.{name}", str(value))]
        return [*options, *scaled_rates(steps, DECAYS, WARM_UPS)]


def scaled_schedule(steps: int, stop_at: int) -> dict[str, object]:
    """splatfacto's schedule, which is absolute, for another number of steps."""
    share = steps / STEPS
    return {
        "warmup-length": min(500, round(500 * share)),
        "resolution-schedule": max(1, round(3000 * share)),
        "sh-degree-interval": max(1, round(1000 * share)),
        "stop-screen-size-at": round(4000 * share),
        "stop-split-at": round(stop_at * share),
    }


def scaled_rates(steps: int, decays: Mapping[str, int], warm_ups: Mapping[str, int] | None = None) -> list[str]:
    """The learning rates' part of a schedule, for another number of steps than ``STEPS``."""
    if steps == STEPS:
        return []
    share = steps / STEPS
    rates = {f"{name}.scheduler.max-steps": max(1, round(of * share)) for name, of in decays.items()}
    rates |= {f"{name}.scheduler.warmup-steps": round(of * share) for name, of in (warm_ups or {}).items()}
    return [word for name, value in rates.items() for word in (f"--optimizers.{name}", str(value))]


def write_data(work: Work) -> list[PlacedView]:
    """``data/``; the views that ``ns-render`` draws of the held-out ones.

    It wants at least one view to evaluate and, for the names of its files, two to draw: where fewer are held out, views
    that are trained on stand in, and are not measured.
    """
    held_out = list(work.held_out)
    evaluated = held_out or list(work.train_views[:1])
    drawn = [*evaluated, *(view for view in work.train_views if view not in evaluated)][: max(2, len(evaluated))]
    placed = write_nerfstudio(
        work.scene,
        work.data,
        held_out=held_out,
        measured=drawn,
        evaluated=evaluated,
        max_long_side_px=work.long_side_px,
        portable=False,
    )
    return [one for one in placed if one.view in held_out]


def train_command(method: str, work: Work, options: Sequence[str]) -> Command | None:
    """``ns-train``, without its viewer and without evaluations, whose time is not training's; None: it had ended."""
    checkpoints = _checkpoints(work)
    if checkpoints and int(checkpoints[-1].stem.removeprefix("step-")) >= work.steps - 1:
        return None
    arguments = [method]
    arguments += ["--output-dir", str(work.output), "--experiment-name", "splatlib", "--timestamp", "run"]
    arguments += ["--vis", "tensorboard", "--max-num-iterations", str(work.steps)]
    arguments += ["--machine.seed", str(work.config.seed)]
    arguments += ["--logging.steps-per-log", "100", "--logging.local-writer.enable", "False"]
    for what in ("batch", "image", "all-images"):
        arguments += [f"--steps-per-eval-{what}", "0"]
    if checkpoints:
        arguments += ["--load-dir", str(checkpoints[-1].parent)]
    arguments += [*options, "nerfstudio-data", "--data", str(work.data), "--downscale-factor", "1"]
    arguments += ["--orientation-method", "none", "--center-method", "poses", "--auto-scale-poses", "True"]
    arguments += ["--load-3D-points", "True"]
    return Command(method, "nerfstudio-train", arguments, ENVIRONMENT)


def render_command(work: Work) -> Command:
    arguments = ["dataset", "--load-config", str(config_file(work)), "--output-path", str(work.output / "renders")]
    arguments += ["--split", "test", "--rendered-output-names", "rgb", "--image-format", "png"]
    return Command("drawing held-out views", "nerfstudio-render", arguments, ENVIRONMENT)


def config_file(work: Work) -> Path:
    """That nerfstudio wrote. Raises TrainingError where there is none, or no checkpoint beside it."""
    found = sorted(work.output.glob("splatlib/*/run/config.yml"))
    if not found or not _checkpoints(work):
        raise TrainingError(
            f"{work.config.backend} ended without a result",
            why=f"no {'checkpoint' if found else 'config.yml'} is under {work.output}",
            hint="its log says more",
        )
    return found[0]


def _checkpoints(work: Work) -> list[Path]:
    return sorted(work.output.glob("splatlib/*/run/nerfstudio_models/step-*.ckpt"))


def trainer_from_scene(work: Work) -> tuple[npt.NDArray[np.float64], float]:
    """Rotation and translation [3, 4], then a scale: x_trainer = scale · (R x + t). Raises TrainingError."""
    path = config_file(work).with_name("dataparser_transforms.json")
    try:
        document = json.loads(path.read_text())
        matrix, scale = np.array(document["transform"], np.float64), float(document["scale"])
    except (OSError, ValueError, KeyError) as error:
        raise TrainingError(f"cannot read {path}", why=str(error)) from error
    if matrix.shape != (3, 4) or not scale > 0:
        raise TrainingError(f"{path} holds no similarity transform", why=f"{matrix.shape=}, {scale=}")
    return matrix, scale


def read_gaussians(work: Work) -> Gaussians:
    """The exported PLY, moved back into the scene's axes and scale. Raises TrainingError."""
    path = work.output / "export" / "splat.ply"
    try:
        gaussians = Gaussians.load_ply(path)
    except ArtifactError as error:
        raise TrainingError(f"{work.config.backend} exported no Gaussians", why=str(error)) from error
    matrix, scale = trainer_from_scene(work)
    rotation, translation = matrix[:, :3].T, -matrix[:, :3].T @ matrix[:, 3]
    return gaussians.transformed(1 / scale, rotation, translation)


def renders_of(work: Work, measured: Sequence[PlacedView]) -> dict[str, Path]:
    """By view name. ``ns-render`` names a file after the picture, relative to the folder that all drawn ones share."""
    document = json.loads((work.data / "transforms.json").read_text())
    shared = os.path.commonpath(document["test_filenames"])
    folder = work.output / "renders" / "test" / "rgb"
    return {one.view.name: (folder / os.path.relpath(one.picture, shared)).with_suffix(".png") for one in measured}
