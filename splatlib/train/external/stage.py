"""One training by another trainer, from the scene to the artefact."""

from __future__ import annotations

import json
import shutil
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from splatlib.artifacts import SparseScene, Splat, View
from splatlib.config import TrainConfig
from splatlib.environments import description_for, require
from splatlib.environments.found import Environment
from splatlib.errors import NoGpuError
from splatlib.events import Control, append_event
from splatlib.progress import bar, logger
from splatlib.scene_formats import PlacedView
from splatlib.stage import Stage
from splatlib.train.external import trainer_for
from splatlib.train.external.measure import drawn_elsewhere, measure_gaussians, measure_renders
from splatlib.train.external.protocol import Results, Trainer, Work
from splatlib.train.external.runner import Runner
from splatlib.train.external.settings import notes, require_honoured, require_lenses
from splatlib.workspace import Workspace


def train_elsewhere(
    scene: SparseScene,
    views: tuple[Sequence[View], Sequence[View]],
    ws: Workspace,
    config: TrainConfig,
    *,
    run: str,
    attempt: str | None = None,
) -> Splat:
    """``train_splat`` with another trainer. Its own files stay under ``train/<run>/trainer``, its log under ``logs/``.

    Args:
        views: to train on, and to measure with.

    Raises:
        ConfigError: settings or lenses that the trainer does not have.
        MissingDependencyError: its environment is missing, of another version, or not complete.
        DeviceError: its environment finds no GPU.
        TrainingError: it was killed, failed, filled the GPU, or left no result.
    """
    trainer = trainer_for(config.backend)
    require_honoured(trainer, config)
    require_lenses(trainer, scene)
    stage = ws.stage(Splat, config, {"cameras": scene.digest}, run)
    if (done := stage.reuse()) is not None:
        return done
    environment = require_ready(config)
    with stage.work(keep_partial=True) as directory:
        warnings = notes(trainer, config, scene)
        train_views, held_out = views
        steps = config.steps or trainer.steps
        work = Work(scene, train_views, held_out, config, environment, directory / "trainer", steps)
        training = _Training(trainer, work, stage, attempt or uuid.uuid4().hex[:12])
        return stage.finish(training.to_the_end(warnings))


def require_ready(config: TrainConfig) -> Environment:
    """The environment that will train.

    Raises:
        ConfigError, DeviceError: settings that the trainer does not have.
        MissingDependencyError: the environment is not there. NoGpuError: it finds no GPU.
    """
    require_honoured(trainer_for(config.backend), config)
    environment = require(description_for(config.backend))
    if environment.gpu is None:
        raise NoGpuError(
            f"{config.backend} needs a GPU, and its environment finds none",
            why=environment.why_no_gpu,
            hint="train on a GPU machine, or with backend splatlib",
        )
    return environment


class _Training:
    """The commands of a training, with the events that a watcher reads."""

    def __init__(self, trainer: Trainer, work: Work, stage: Stage[Splat], attempt: str) -> None:
        self.trainer, self.work, self._stage, self._attempt = trainer, work, stage, attempt
        self.directory = stage.directory
        self._metrics = self.directory / "metrics.jsonl"
        self._step, self._begun_s, self.train_seconds = 0, time.perf_counter(), 0.0
        self._bar: Any = None
        log = stage.ws.logs_directory / f"train.{self.directory.name}.{work.config.backend}.log"
        control = Control(stage.ws.control_path(self.directory.name))
        self._runner = Runner(work.environment.python, log, self._told, (control, attempt), self._event)

    def to_the_end(self, warnings: list[str]) -> Splat:
        work = self.work
        if work.data.exists():
            shutil.rmtree(work.data)  # of an attempt that was interrupted; the output holds its checkpoints
        work.output.mkdir(parents=True, exist_ok=True)
        measured = self.trainer.write(work)
        self._event("begun", steps=work.steps, device="cuda", attempt=self._attempt)
        try:
            self._train()
            self._event("measuring")
            for command in self.trainer.afterwards(work):
                logger.info("training: %s: %s", work.config.backend, command.what)
                self._runner.run(command)
            results = self.trainer.results(work, measured)
            splat = _artifact(self, results, measured, [*warnings, *results.warnings])
            self._event("finished")
            return splat
        except KeyboardInterrupt:
            self._event("interrupted")
            self._stage.note_seconds()
            raise
        except Exception as error:
            self._event("failed", message=str(error))
            raise

    def _train(self) -> None:
        command = self.trainer.training(self.work)
        if command is None:
            logger.info("training: %s had ended already, its files are read", self.work.config.backend)
            return
        logger.info("training: %s, %d steps, by %s", command.what, self.work.steps, self.work.environment.trainer)
        self._begun_s = time.perf_counter()
        with bar(self.work.steps, command.what, "step") as self._bar:
            self._bar.set_postfix_str("the first step may compile kernels")
            self._runner.run(command)
            self._bar.update(self.work.steps - self._step)
        self._step = self.work.steps
        self.train_seconds = self._seconds()
        self._stage.leave_out(self._runner.paused_s)

    def _told(self, record: Mapping[str, Any]) -> None:
        """A line of the trainer's progress."""
        step = int(record["step"])
        self._bar.update(step - self._step)
        self._step = step
        if "loss" in record:
            self._bar.set_postfix(loss=f"{record['loss']:.4f}", refresh=False)
        line = {**record, "seconds": round(self._seconds(), 3), "long_side_px": self.work.long_side_px}
        with self._metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _seconds(self) -> float:
        return time.perf_counter() - self._begun_s - self._runner.paused_s

    def _event(self, event: str, **more: Any) -> None:
        append_event(self._metrics, self._step, event, **more)


def _artifact(training: _Training, results: Results, placed: Sequence[PlacedView], warnings: list[str]) -> Splat:
    work, directory = training.work, training.directory
    folder, gaussians = directory / "held_out", results.gaussians
    held_out = measure_renders(placed, results, work.data, folder)
    by_splatlib = []
    if gaussians is not None:
        gaussians.save_ply(directory / "splat.ply")
        if results.draws_as_3dgs:
            by_splatlib, why_not = measure_gaussians(gaussians, placed, work.config, work.data, folder)
            warnings += [*why_not, *drawn_elsewhere(held_out, by_splatlib)]
    if results.mesh is not None:
        shutil.copyfile(results.mesh, directory / "mesh.glb")
    splat = Splat(
        directory=directory,
        run=directory.name,
        backend=work.config.backend,
        device="cuda",
        steps=work.steps,
        num_gaussians=0 if gaussians is None else len(gaussians),
        sh_degree=0 if gaussians is None else gaussians.sh_degree,
        held_out=tuple(held_out),
        held_out_by_splatlib=tuple(by_splatlib),
        trainer=work.environment.trainer,
        mesh="mesh.glb" if results.mesh is not None else None,
        train_seconds=training.train_seconds,
        warnings=tuple(warnings),
        settings=_settings(work),
    )
    _tell(splat)
    return splat


def _settings(work: Work) -> dict[str, Any]:
    return {**work.config.to_dict(), "steps": work.steps, "max_long_side_px": work.long_side_px, "device": "cuda"}


def _tell(splat: Splat) -> None:
    for words, psnr, ssim in (
        ("its own renderer", splat.psnr_db, splat.ssim),
        ("splatlib's renderer", splat.psnr_by_splatlib_db, splat.ssim_by_splatlib),
    ):
        if psnr is not None and ssim is not None:
            logger.info("training: held-out PSNR %.2f dB, SSIM %.3f by %s", psnr, ssim, words)
