"""One training from its last checkpoint to its end, with its files in the stage's folder."""

from __future__ import annotations

import json
import pickle
import time
import uuid
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch

from splatlib.artifacts import Splat
from splatlib.errors import TrainingError
from splatlib.events import Control
from splatlib.files import write_atomically
from splatlib.progress import bar, logger
from splatlib.stage import Stage
from splatlib.train.evaluation import HeldOut, render_picture, write_picture
from splatlib.train.loop import Trainer
from splatlib.train.requests import Requests, deferred_interrupt
from splatlib.train.rows import keep_rows, rows_of

CHECKPOINT_FILE = "checkpoint.pt"
# Reading a loss waits for the device: on a GPU, which is steps behind, that is worth doing rarely.
# Out of memory, this share of the Gaussians is kept; with fewer than so many it is not they that fill the device.
KEPT_WHEN_FULL, MIN_GAUSSIANS = 0.8, 1000
METRICS_EVERY_STEPS = {"cpu": 20, "cuda": 100}


class TrainingRun:
    """One training from its last checkpoint to the end, with its files in the stage's folder.

    Attributes:
        attempt: what requests to this process are addressed to.
        stopped: whether somebody asked for the end before the last step.
    """

    def __init__(
        self, trainer: Trainer, held_out: HeldOut, directory: Path, stage: Stage[Splat], attempt: str | None = None
    ) -> None:
        self.trainer, self.held_out, self.stage = trainer, held_out, stage
        self.attempt, self.stopped = attempt or uuid.uuid4().hex[:12], False
        self._control = Control(stage.ws.control_path(directory.name))
        self.config = trainer.config
        self.checkpoint_path = directory / "checkpoints" / CHECKPOINT_FILE
        self.previews = directory / "previews"
        self.metrics_path = directory / "metrics.jsonl"
        self.spent = Spent()
        self.warnings: list[str] = []
        self._losses: list[torch.Tensor] = []
        self._last_loss, self._saved_step = 0.0, 0
        self._preview_every = self.config.preview_every_steps
        for folder in (self.checkpoint_path.parent, self.previews):
            folder.mkdir(exist_ok=True)
        if stage.resuming and self.checkpoint_path.exists():
            self._restore()

    def to_the_end(self) -> None:
        """Train to the last step or a stop. Ctrl-C takes effect between two steps, after the state is saved."""
        with deferred_interrupt() as interrupted, self.metrics_path.open("a") as metrics:
            requests = Requests(self._control, self.attempt, interrupted)
            begun = {"steps": self.config.steps, "device": self.trainer.renderer.device.type, "attempt": self.attempt}
            self._tell(metrics, "begun", **begun)
            try:
                self._steps(metrics, requests)
            except KeyboardInterrupt:
                self._tell(metrics, "interrupted")
                raise
            except Exception as error:
                self._tell(metrics, "failed", message=str(error))
                raise
            self._tell(metrics, "stopping" if self.stopped else "measuring")
        self._control.clear()

    def _steps(self, metrics: TextIO, requests: Requests) -> None:
        trainer, saved_s = self.trainer, time.perf_counter()
        metrics_every = METRICS_EVERY_STEPS[trainer.renderer.device.type]
        progress = bar(self.config.steps, "training", "step")
        progress.update(trainer.step_index)
        # On a machine that has never trained, the kernels are compiled first: say so, it takes a while.
        progress.set_postfix_str("the first step may compile kernels")
        with progress:
            while not trainer.done:
                if (request := requests.newest()) == "pause":
                    saved_s += self._pause(metrics, requests)
                elif request == "stop":
                    self._stop()
                    break
                if not requests.interrupted():
                    self._losses.append(self._step())
                    progress.update()
                step = trainer.step_index
                if step % metrics_every == 0 or trainer.done:
                    loss = self._checked_loss()
                    self._write(metrics, {"loss": loss, "num_gaussians": trainer.num_gaussians})
                    progress.set_postfix(loss=f"{loss:.4f}", gaussians=f"{trainer.num_gaussians:,}", refresh=False)
                if self._preview_every and step % self._preview_every == 0:
                    self._preview(metrics)
                if requests.interrupted() or time.perf_counter() - saved_s >= self.config.checkpoint_every_s:
                    self._save()
                    saved_s = time.perf_counter()
                if requests.interrupted():
                    logger.info(
                        "training: interrupted at step %d, the state of step %d is saved", step, self._saved_step
                    )
                    raise KeyboardInterrupt
            self._remove_broken()
            if requests.interrupted():  # in the last moment: the result is not written, but the training is not lost
                self._save()
                raise KeyboardInterrupt

    def _step(self) -> torch.Tensor:
        """One step. Out of memory, a fifth of the Gaussians go, and it is tried again."""
        while True:
            try:
                return self.trainer.step()
            except torch.OutOfMemoryError as error:
                reason = str(error).split(". ", 1)[0]
            # Outside the handler, whose traceback would keep the step's tensors alive.
            self._make_room(reason)

    def _make_room(self, reason: str) -> None:
        trainer = self.trainer
        for optimizer in trainer.optimizers.values():
            optimizer.zero_grad(set_to_none=True)
        torch.cuda.empty_cache()
        before = trainer.num_gaussians
        after = int(before * KEPT_WHEN_FULL)
        if after < MIN_GAUSSIANS:
            raise TrainingError(
                f"the device is out of memory with only {before:,} Gaussians",
                why=reason,
                hint="lower train.max_long_side_px, or free the device of other programs",
            )
        trainer.strategy.shrink(trainer.parameters, trainer.optimizers, after)
        warning = f"The device was full at {before:,} Gaussians; training went on with at most {after:,}."
        logger.warning("training: step %d: %s (%s)", trainer.step_index, warning, reason)
        self.warnings.append(warning)

    def _checked_loss(self) -> float:
        """Mean loss since the last call. Raises TrainingError if it is no number."""
        loss = float(torch.stack(self._losses).mean()) if self._losses else self._last_loss
        self._losses.clear()
        if not np.isfinite(loss):
            kept = f"the checkpoint of step {self._saved_step} is kept" if self._saved_step else "nothing was saved yet"
            raise TrainingError(
                f"the loss became {loss} within the steps before {self.trainer.step_index}",
                why="the optimisation diverged",
                hint=f"{kept}; train again with another seed, or with fewer Gaussians (train.max_gaussians)",
            )
        self._last_loss = loss
        return loss

    def _pause(self, metrics: TextIO, requests: Requests) -> float:
        """Until asked to go on; the seconds that passed, which count nowhere."""
        self._save()
        self._tell(metrics, "paused")
        logger.info("training: paused at step %d", self.trainer.step_index)
        seconds = requests.wait_while_paused()
        self.spent.leave_out(seconds)
        self.stage.leave_out(seconds)
        self._tell(metrics, "continued")
        logger.info("training: going on")
        return seconds

    def _stop(self) -> None:
        """Keep the state for whoever goes on, then make of it the best that it can be."""
        self._save()
        self.stopped = True
        done, steps = self.trainer.step_index, self.config.steps
        self.warnings.append(f"Stopped by hand after {done:,} of {steps:,} steps.")
        logger.info("training: stopped after %d of %d steps, keeping what there is", done, steps)
        self.trainer.take_average()

    def _tell(self, metrics: TextIO, event: str, **more: Any) -> None:
        metrics.write(json.dumps({"step": self.trainer.step_index, "event": event, **more}) + "\n")
        metrics.flush()

    def _write(self, metrics: TextIO, entry: dict[str, Any]) -> None:
        px = self.trainer.schedule.long_side_px(self.trainer.step_index - 1)
        line = {"step": self.trainer.step_index, "long_side_px": px, **self.spent.so_far(), **entry}
        metrics.write(json.dumps(line) + "\n")
        metrics.flush()

    def _preview(self, metrics: TextIO) -> None:
        """A picture of one view, and the quality on all held-out views so far."""
        trainer = self.trainer
        views = self.held_out.views() or [trainer.views.levels[self.config.max_long_side_px].batch([0])]
        picture = self.previews / f"{trainer.step_index:06d}.jpg"
        write_picture(picture, render_picture(trainer, views[0]))
        shown: dict[str, Any] = {"preview": f"{self.previews.name}/{picture.name}"}
        if len(self.held_out):
            shown["psnr_db"] = round(self.held_out.mean_psnr_db(trainer), 3)
        self._write(metrics, shown)

    def _save(self) -> None:
        self._checked_loss()  # what has diverged must not replace what has not
        if not self._is_sound():
            logger.debug("training: step %d is not saved: not all is a number", self.trainer.step_index)
            return
        temporary = self.checkpoint_path.with_suffix(".part")
        with temporary.open("wb") as file:  # torch, given a path, hides that a disk is full
            torch.save(self._checkpoint(), file)
        temporary.replace(self.checkpoint_path)
        self._saved_step = self.trainer.step_index
        self.stage.note_seconds()

    def _is_sound(self) -> bool:
        """Whether all parameters and moments are numbers: the loss tells it later, and of an undrawn Gaussian never."""
        trainer = self.trainer
        states = [state for optimizer in trainer.optimizers.values() for state in optimizer.state.values()]
        moments = [moment for state in states for key, moment in state.items() if key != "step"]
        tensors = [*trainer.parameters.values(), *moments]
        return bool(torch.stack([tensor.detach().isfinite().all() for tensor in tensors]).all())

    def _remove_broken(self) -> None:
        """Gaussians that became no numbers are not drawn, and after the last refinement nothing removes them."""
        trainer = self.trainer
        finite = torch.stack([rows.isfinite().all(dim=1) for rows in rows_of(trainer.parameters)]).all(dim=0)
        kept = finite.nonzero()[:, 0]
        if broken := trainer.num_gaussians - len(kept):
            keep_rows(trainer.parameters, trainer.optimizers, kept)
            were, its = ("Gaussian was", "its") if broken == 1 else ("Gaussians were", "their")
            self.warnings.append(f"{broken:,} {were} removed at the end: {its} values were no numbers any more.")
            logger.warning("training: %s", self.warnings[-1])

    def _checkpoint(self) -> dict[str, Any]:
        return {
            "settings": self.config.to_json(),
            "renderer": self.trainer.renderer.name,
            "trainer": self.trainer.state(),
            "spent": self.spent.so_far(),
            "warnings": list(self.warnings),
        }

    def _restore(self) -> None:
        device = self.trainer.renderer.device
        try:
            checkpoint = torch.load(self.checkpoint_path, weights_only=True, map_location=device)
        except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
            logger.warning("training: the checkpoint is damaged, begun anew (%s)", type(error).__name__)
            self.metrics_path.unlink(missing_ok=True)
            return
        mine = self._checkpoint()
        if (checkpoint["settings"], checkpoint["renderer"]) != (mine["settings"], mine["renderer"]):
            # With device auto, one machine may have begun what another one finds.
            logger.warning("training: the checkpoint is of %s, begun anew on %s", checkpoint["renderer"], device)
            self.metrics_path.unlink(missing_ok=True)
            return
        self._saved_step = checkpoint["trainer"]["step_index"]
        self.trainer.restore(checkpoint["trainer"])
        self.spent = Spent(**checkpoint["spent"])
        self.warnings = list(checkpoint["warnings"])
        step = self.trainer.step_index
        # What was logged after the checkpoint happens again.
        lines = self.metrics_path.read_text().splitlines() if self.metrics_path.exists() else []
        kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= step]
        write_atomically(self.metrics_path, "".join(line + "\n" for line in kept))  # whoever reads on notices
        logger.info("training: resumed at step %d of %d", step, self.config.steps)


class Spent:
    """Wall and CPU seconds of this process since the training began, and of the attempts before it."""

    def __init__(self, seconds: float = 0.0, cpu_seconds: float = 0.0) -> None:
        self._wall_start_s = time.perf_counter() - seconds
        self._cpu_start_s = time.process_time() - cpu_seconds

    def leave_out(self, seconds: float) -> None:
        """Wall seconds that were no work."""
        self._wall_start_s += seconds

    def so_far(self) -> dict[str, float]:
        return {
            "seconds": round(time.perf_counter() - self._wall_start_s, 3),
            "cpu_seconds": round(time.process_time() - self._cpu_start_s, 3),
        }
