"""``train_splat``: cameras and pictures in, a splat out, with previews, metrics, checkpoints and exact resume."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import cv2
import numpy as np
import torch

from splatlib.artifacts import HeldOutView, SparseScene, Splat
from splatlib.config import TrainConfig
from splatlib.errors import TrainingError
from splatlib.progress import bar, logger
from splatlib.render import create_renderer
from splatlib.train.dataset import TrainingView, ViewPyramid, split_held_out
from splatlib.train.initialize import gaussians_from_points, scene_extent
from splatlib.train.loop import Trainer
from splatlib.train.metrics import lpips_metric, psnr_db, ssim
from splatlib.train.schedule import Schedule
from splatlib.workspace import Stage, Workspace

CHECKPOINT_FILE = "checkpoint.pt"
METRICS_EVERY_STEPS = 20


def train_splat(scene: SparseScene, ws: Workspace, config: TrainConfig | None = None, *, run: str = "main") -> Splat:
    """Train a splat on the solved cameras.

    Every n-th view by name is held out and measured at the end, at the training resolution. An interrupted training
    goes on from its last checkpoint and ends with the same bits as an uninterrupted one.

    Args:
        run: name of this training; several share one workspace.

    Raises:
        TrainingError: too few views or points, unreadable pictures, or a loss that is no number any more.
    """
    config = config or TrainConfig()
    train_views, held_out_views = split_held_out(scene.views, config.held_out_every)
    if len(train_views) < 2:
        raise TrainingError(
            f"{len(scene.views)} views leave {len(train_views)} to train on",
            hint="capture more frames, or set held_out_every to 0",
        )
    stage = ws.stage(Splat, config, {"cameras": scene.digest}, run)
    if (done := stage.reuse()) is not None:
        return done
    with stage.work(keep_partial=True) as directory, _single_threaded_torch():
        renderer = create_renderer(config.device)
        schedule = Schedule(config, scene_extent(scene))
        views = ViewPyramid(scene, train_views, schedule.long_sides_px, renderer.device)
        start = gaussians_from_points(scene, config.sh_degree)
        trainer = Trainer(config, schedule, renderer, views, start)
        held_out = ViewPyramid(scene, held_out_views, [config.max_long_side_px], renderer.device)
        measured, warnings = _measurable(held_out.levels[config.max_long_side_px])
        _Run(trainer, measured, directory, stage).to_the_end()
        results = _measure_held_out(trainer, measured, directory)
        trainer.gaussians().save_ply(directory / "splat.ply")
        return stage.finish(
            Splat(
                directory=directory,
                run=run,
                backend=renderer.name,
                device=str(renderer.device),
                steps=trainer.step_index,
                num_gaussians=trainer.num_gaussians,
                sh_degree=config.sh_degree,
                held_out=tuple(results),
                warnings=tuple(warnings),
            )
        )


class _Run:
    """One training from its last checkpoint to the end, with its files in the stage's folder."""

    def __init__(self, trainer: Trainer, held_out: list[TrainingView], directory: Path, stage: Stage[Splat]) -> None:
        self.trainer, self.held_out, self.stage = trainer, held_out, stage
        self.config = trainer.config
        self.checkpoint_path = directory / "checkpoints" / CHECKPOINT_FILE
        self.previews = directory / "previews"
        self.metrics_path = directory / "metrics.jsonl"
        self.spent = Spent()
        for folder in (self.checkpoint_path.parent, self.previews):
            folder.mkdir(exist_ok=True)
        if stage.resuming and self.checkpoint_path.exists():
            self._restore()

    def to_the_end(self) -> None:
        """Train to the last step. Ctrl-C takes effect between two steps, after the state is saved."""
        trainer, saved_s = self.trainer, time.perf_counter()
        losses: list[torch.Tensor] = []
        progress = bar(self.config.steps, "training", "step")
        progress.update(trainer.step_index)
        # On a machine that has never trained, the kernels are compiled first: say so, it takes a while.
        progress.set_postfix_str("the first step may compile kernels, ten seconds or so")
        with _deferred_interrupt() as interrupted, progress, self.metrics_path.open("a") as metrics:
            while not trainer.done:
                losses.append(trainer.step())
                step = trainer.step_index
                if step % METRICS_EVERY_STEPS == 0 or trainer.done:
                    loss = float(torch.stack(losses).mean())
                    losses.clear()
                    self._check(loss)
                    self._write(metrics, {"loss": loss, "num_gaussians": trainer.num_gaussians})
                    progress.set_postfix(loss=f"{loss:.4f}", gaussians=f"{trainer.num_gaussians:,}", refresh=False)
                if self.config.preview_every_steps and step % self.config.preview_every_steps == 0:
                    self._preview(metrics)
                if interrupted() or time.perf_counter() - saved_s >= self.config.checkpoint_every_s:
                    self._save()
                    saved_s = time.perf_counter()
                if interrupted():
                    logger.info("training: interrupted at step %d, the state is saved", step)
                    raise KeyboardInterrupt
                progress.update()
            if interrupted():  # in the last moment: the result is not written, but the training is not lost either
                self._save()
                raise KeyboardInterrupt

    def _check(self, loss: float) -> None:
        if not np.isfinite(loss):
            raise TrainingError(
                f"the loss became {loss} at step {self.trainer.step_index}",
                why="the optimisation diverged",
                hint="train again with another seed, or with fewer Gaussians",
            )

    def _write(self, metrics, entry: dict[str, float]) -> None:
        px = self.trainer.schedule.long_side_px(self.trainer.step_index - 1)
        line = {"step": self.trainer.step_index, "long_side_px": px, **self.spent.so_far(), **entry}
        metrics.write(json.dumps(line) + "\n")
        metrics.flush()

    def _preview(self, metrics) -> None:
        """A picture of one view, and the quality on all held-out views so far."""
        views = self.held_out or [self.trainer.views.levels[self.config.max_long_side_px][0]]
        renders = [_render(self.trainer, view) for view in views]
        write_picture(self.previews / f"{self.trainer.step_index:06d}.jpg", renders[0])
        if self.held_out:
            pairs = [(render, _truth(view), _mask(view)) for render, view in zip(renders, views, strict=True)]
            psnr = float(np.mean([psnr_db(*pair) for pair in pairs]))
            self._write(metrics, {"psnr_db": psnr, "ssim": float(np.mean([ssim(*pair) for pair in pairs]))})

    def _save(self) -> None:
        temporary = self.checkpoint_path.with_suffix(".part")
        with temporary.open("wb") as file:  # torch, given a path, hides that a disk is full
            torch.save({"trainer": self.trainer.state(), "spent": self.spent.so_far()}, file)
        temporary.replace(self.checkpoint_path)
        self.stage.note_seconds()

    def _restore(self) -> None:
        checkpoint = torch.load(self.checkpoint_path, weights_only=True)
        self.trainer.restore(checkpoint["trainer"])
        self.spent = Spent(**checkpoint["spent"])
        step = self.trainer.step_index
        # What was logged after the checkpoint happens again.
        lines = self.metrics_path.read_text().splitlines() if self.metrics_path.exists() else []
        kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= step]
        self.metrics_path.write_text("".join(line + "\n" for line in kept))
        logger.info("training: resumed at step %d of %d", step, self.config.steps)


class Spent:
    """Wall and CPU seconds of this process since the training began, and of the attempts before it."""

    def __init__(self, seconds: float = 0.0, cpu_seconds: float = 0.0) -> None:
        self._wall_start_s = time.perf_counter() - seconds
        self._cpu_start_s = time.process_time() - cpu_seconds

    def so_far(self) -> dict[str, float]:
        return {
            "seconds": round(time.perf_counter() - self._wall_start_s, 3),
            "cpu_seconds": round(time.process_time() - self._cpu_start_s, 3),
        }


def _measurable(views: list[TrainingView]) -> tuple[list[TrainingView], list[str]]:
    """The views with a pixel to measure, and a warning naming those that are masked from edge to edge."""
    hidden = [view.name for view in views if view.mask is not None and not view.mask.any()]
    if not hidden:
        return views, []
    warning = f"Not measured, since the mask leaves no pixel: {', '.join(hidden)}."
    logger.warning("training: %s", warning)
    return [view for view in views if view.name not in hidden], [warning]


def _measure_held_out(trainer: Trainer, views: list[TrainingView], directory: Path) -> list[HeldOutView]:
    """Quality on each held-out view; truth and render are kept as pictures."""
    folder = directory / "held_out"
    folder.mkdir(exist_ok=True)
    lpips = lpips_metric()
    results = []
    for view in views:
        render, truth, mask = _render(trainer, view), _truth(view), _mask(view)
        distance = lpips(render, truth) if lpips else None
        results.append(HeldOutView(view.name, psnr_db(render, truth, mask), ssim(render, truth, mask), distance))
        stem = folder / Path(view.name).stem
        write_picture(stem.with_name(stem.name + ".truth.png"), truth)
        write_picture(stem.with_name(stem.name + ".render.png"), render)
    if results:
        mean_psnr, mean_ssim = np.mean([r.psnr_db for r in results]), np.mean([r.ssim for r in results])
        logger.info("training: held-out PSNR %.2f dB, SSIM %.3f over %d views", mean_psnr, mean_ssim, len(results))
    return results


@torch.no_grad()
def _render(trainer: Trainer, view: TrainingView) -> np.ndarray:
    """[H, W, 3] float32 in [0, 1]."""
    return trainer.render(view).image.cpu().numpy().transpose(1, 2, 0).clip(0, 1)


def _truth(view: TrainingView) -> np.ndarray:
    return view.target.cpu().numpy().transpose(1, 2, 0).astype(np.float32) / 255


def _mask(view: TrainingView) -> np.ndarray | None:
    return None if view.mask is None else view.mask.cpu().numpy()


def write_picture(path: Path, image: np.ndarray) -> None:
    """Write [H, W, 3] float RGB in [0, 1]. Raises TrainingError."""
    pixels = (image * 255 + 0.5).astype(np.uint8)
    if not cv2.imwrite(str(path), np.ascontiguousarray(pixels[..., ::-1])):
        raise TrainingError(f"cannot write {path}", hint="is the disk full?")


@contextlib.contextmanager
def _deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """While inside, the first Ctrl-C only notes itself: a step is never torn. A second one interrupts at once.

    Python delivers signals to the main thread alone; elsewhere nothing changes.
    """
    noted = False
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.getsignal(signal.SIGINT)

    def note(signum: int, frame: FrameType | None) -> None:
        nonlocal noted
        if noted:
            raise KeyboardInterrupt
        noted = True

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: noted
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _single_threaded_torch() -> Iterator[None]:
    """Torch's own threads would fight the renderer's pool for the cores (3x slower on two of them)."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
