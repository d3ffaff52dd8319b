"""``train_splat``: cameras and pictures in, a splat out, with previews, metrics, checkpoints and exact resume."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from splatlib.artifacts import SparseScene, Splat, View
from splatlib.config import ResolvedTrainConfig, TrainConfig
from splatlib.errors import ConfigError, TrainingError
from splatlib.events import append_event
from splatlib.gaussians import Gaussians
from splatlib.render import create_renderer
from splatlib.render.lenses import require_drawable
from splatlib.render.protocol import Renderer
from splatlib.train import distributed
from splatlib.train.checks import require_trainable
from splatlib.train.dataset import ViewPyramid, camera_at, split_held_out
from splatlib.train.evaluation import HeldOut
from splatlib.train.initialize import gaussians_from_points, scene_extent
from splatlib.train.loop import Trainer
from splatlib.train.poses import check_lenses
from splatlib.train.run import TrainingRun
from splatlib.train.schedule import Schedule, fast, published, with_mcmc_weights
from splatlib.workspace import Workspace

MIN_BUDGET = 5000  # Gaussians, however small the pictures


def train_splat(
    scene: SparseScene, ws: Workspace, config: TrainConfig | None = None, *, run: str = "main", go_on: bool = False
) -> Splat:
    """Train a splat on the solved cameras, on a GPU or on CPU cores.

    Every n-th view by name is held out and measured at the end, at the training resolution. An interrupted training
    goes on from its last checkpoint. On a CPU it ends with the same bits as an uninterrupted one; on a GPU the state
    is restored exactly, and the kernels add up in any order.

    Args:
        run: name of this training; several share one workspace.
        go_on: where somebody stopped this training early and kept the result, go on to the last step instead of
            taking that result.

    Raises:
        TrainingError: too few views or points, unreadable or changed pictures, or a loss that is no number any more.
        DeviceError: the device asked for cannot train.
        MissingDependencyError: the environment of another trainer (``config.backend``) is not there.
        ConfigError: a setting that the device or the cameras cannot carry.
    """
    return train_attempt(scene, ws, config or TrainConfig(), run=run, go_on=go_on)


def train_attempt(
    scene: SparseScene, ws: Workspace, config: TrainConfig, *, run: str, go_on: bool, attempt: str | None = None
) -> Splat:
    """``train_splat``, with the name that requests to this process are addressed to."""
    train_views, held_out_views = checked_views(scene, config)
    if config.backend != "splatlib":
        from splatlib.train.external.stage import train_elsewhere

        return train_elsewhere(scene, (train_views, held_out_views), ws, config, run=run, attempt=attempt)
    stage = ws.stage(Splat, config, {"cameras": scene.digest}, run)
    if (done := stage.reuse()) is not None:
        if not (done.stopped and go_on):
            return done
        stage.reopen()
    renderer = create_renderer(config.device, antialiased=config.antialiased)
    settings = config.resolved(renderer.device.type)
    if settings.outside_mask == "auto":
        settings = settings.model_copy(update={"outside_mask": scene.outside_mask})
    _require_able(settings, scene, renderer)
    with stage.work(keep_partial=True) as directory, _single_threaded_torch():
        finest = ViewPyramid(scene, held_out_views, [settings.max_long_side_px], renderer)
        held_out = HeldOut(finest.levels[settings.max_long_side_px])
        if distributed.world_size() > 1:
            trained = _train_together(scene, train_views, settings, renderer)
        else:
            trainer = create_trainer(scene, train_views, settings, renderer)
            training = TrainingRun(trainer, held_out, directory, stage, attempt)
            training.to_the_end()
            trained = _Trained(trainer, training.warnings, training.stopped)
        trainer = trained.trainer
        results = held_out.measure(trainer, directory)
        trainer.gaussians().save_ply(directory / "splat.ply")
        splat = Splat(
            directory=directory,
            run=run,
            backend=renderer.name,
            device=str(renderer.device),
            steps=trainer.step_index,
            num_gaussians=trainer.num_gaussians,
            sh_degree=settings.sh_degree,
            held_out=tuple(results),
            warnings=(*held_out.warnings, *trained.warnings),
            settings=settings.to_dict(),
            stopped=trained.stopped,
        )
        append_event(splat.metrics_path, trainer.step_index, "finished")
        if trained.stopped:
            return stage.finish(splat, f"step {splat.steps:,} of {settings.steps:,}")
        return stage.finish(splat)


def checked_views(scene: SparseScene, config: TrainConfig) -> tuple[list[View], list[View]]:
    """Views to train on and to measure with. Raises TrainingError for a scene that cannot be trained on."""
    train_views, held_out_views = split_held_out(scene.views, config.held_out_every)
    if len(train_views) < 2:
        raise TrainingError(
            f"{len(scene.views)} views leave {len(train_views)} to train on",
            hint="capture more frames, or set held_out_every to 0",
        )
    require_trainable(scene)
    return train_views, held_out_views


@dataclass(frozen=True)
class _Trained:
    trainer: Trainer
    warnings: list[str]
    stopped: bool = False


def _train_together(
    scene: SparseScene,
    views: Sequence[View],
    settings: ResolvedTrainConfig,
    renderer: Renderer,
) -> _Trained:
    """On the GPUs of all processes that torchrun started; then all Gaussians on this one, for measuring."""
    settings, schedule, start = plan(scene, views, settings)
    task = distributed.Task(scene, tuple(views), schedule, start)
    trained = distributed.train_together(task)
    trainer = Trainer(settings, schedule, renderer, ViewPyramid(scene, views[:1], [64], renderer), trained.gaussians)
    trainer.step_index = trained.steps
    return _Trained(trainer, [f"Trained on {distributed.world_size()} GPUs, {trained.steps:,} steps of as many views."])


def _require_able(settings: ResolvedTrainConfig, scene: SparseScene, renderer: Renderer) -> None:
    """Raises ConfigError for what renderer, lenses and settings cannot do together, before a picture is decoded."""
    require_drawable(scene.cameras, renderer.device.type)
    if settings.refine_poses:
        check_lenses(scene.cameras)
    if distributed.world_size() > 1 and (settings.appearance != "none" or settings.refine_poses):
        raise ConfigError(
            "several GPUs cannot train appearance or poses",
            why="each process would learn tables of its own",
            hint="train on one GPU, or switch train.appearance and train.refine_poses off",
        )


def create_trainer(
    scene: SparseScene, views: Sequence[View], settings: ResolvedTrainConfig, renderer: Renderer
) -> Trainer:
    """A training at its first step, its pictures decoded and placed."""
    settings, schedule, start = plan(scene, views, settings)
    pyramid = ViewPyramid(scene, views, schedule.long_sides_px, renderer)
    return Trainer(settings, schedule, renderer, pyramid, start)


def plan(
    scene: SparseScene, views: Sequence[View], settings: ResolvedTrainConfig
) -> tuple[ResolvedTrainConfig, Schedule, Gaussians]:
    """Settings with a size and a budget that the pictures can fill, the schedule, and the first Gaussians."""
    recipe = published() if settings.preset == "reference" else fast(settings.steps)
    if settings.strategy == "mcmc":
        recipe = with_mcmc_weights(recipe)
    cameras = [camera_at(scene.camera(view), settings.max_long_side_px) for view in views]
    # Coarse levels are shares of the finest: it must be no larger than the pictures are.
    largest_px = max(max(camera.width, camera.height) for camera in cameras)
    settings = settings.model_copy(update={"max_long_side_px": largest_px})
    if settings.pixels_per_gaussian:
        pixels = sum(camera.width * camera.height for camera in cameras)
        budget = max(MIN_BUDGET, pixels // settings.pixels_per_gaussian)
        settings = settings.model_copy(update={"max_gaussians": min(settings.max_gaussians, budget)})
    schedule = Schedule(settings, scene_extent(scene), recipe)
    start = gaussians_from_points(
        scene, settings.sh_degree, initial_opacity=recipe.initial_opacity, trusted_only=recipe.trusted_points
    )
    return settings, schedule, start


@contextlib.contextmanager
def _single_threaded_torch() -> Iterator[None]:
    """Torch's own threads would fight the renderer's pool for the cores (3x slower on two of them)."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
