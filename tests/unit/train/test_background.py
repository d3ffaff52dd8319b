"""Trainings in a process of their own: watched, paused, stopped and kept, gone on with, killed."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from splatlib.artifacts import SparseScene, Splat
from splatlib.cli import app
from splatlib.config import TrainConfig
from splatlib.errors import ArtifactError, ConfigError, TrainingError
from splatlib.events import read_progress
from splatlib.train import follow_training, start_training, train_splat
from splatlib.train.background import BackgroundTraining
from splatlib.widgets.display import describe
from splatlib.workspace import Workspace

pytestmark = pytest.mark.slow  # each starts processes that load everything

CONFIG = TrainConfig(
    device="cpu", max_long_side_px=96, steps=200, max_gaussians=400, sh_degree=1, preview_every_steps=40
)
ENDLESS = TrainConfig(**{**CONFIG.to_dict(), "steps": 200_000, "checkpoint_every_s": 0.2})


def until(condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end_s, "this never came"
        time.sleep(0.02)


def begun(training: BackgroundTraining, step: int = 40) -> BackgroundTraining:
    until(lambda: training.progress.step >= step or training.ended)
    assert not training.ended
    return training


def test_it_ends_like_a_training_in_this_process(scene: SparseScene, tmp_path: Path) -> None:
    here = train_splat(scene, Workspace(tmp_path / "here"), CONFIG)
    training = start_training(scene, ws := Workspace(tmp_path / "there"), CONFIG)
    splat = training.wait()
    assert splat.ply_path.read_bytes() == here.ply_path.read_bytes()
    assert splat.digest == here.digest and splat.psnr_db == here.psnr_db and not splat.stopped
    progress = training.progress
    assert (progress.state, progress.step, progress.steps) == ("finished", 200, 200)
    assert progress.preview == "previews/000200.jpg" and (splat.directory / progress.preview).exists()
    assert progress.psnr_db == pytest.approx(splat.psnr_db, abs=0.5)
    assert start_training(scene, ws, CONFIG).wait().digest == here.digest  # reused
    assert training.ended and repr(training) == "<training: finished, step 200 of 200>"


def test_it_can_be_awaited(scene: SparseScene, tmp_path: Path) -> None:
    async def other_things_go_on() -> tuple[Splat, int]:
        training, turns = start_training(scene, Workspace(tmp_path), CONFIG), 0

        async def count() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0.01)
                turns += 1

        counting = asyncio.create_task(count())
        splat = await training
        counting.cancel()
        return splat, turns

    splat, turns = asyncio.run(other_things_go_on())
    assert splat.steps == CONFIG.steps and turns > 20


def test_pause_holds_it_with_its_state_saved_and_resume_goes_on(scene: SparseScene, tmp_path: Path) -> None:
    training = begun(start_training(scene, Workspace(tmp_path), ENDLESS))
    training.pause()
    until(lambda: training.progress.state == "paused")
    step, seconds = training.progress.step, training.progress.seconds
    assert len(training.snapshot()) > 100
    time.sleep(1.0)
    assert training.progress.step == step
    with pytest.raises(TimeoutError, match=f"is at step {step} of 200000"):
        training.wait(timeout_s=0)
    training.resume()
    until(lambda: training.progress.step > step)
    splat = training.stop()
    after = next(r for r in map(json.loads, splat.metrics_path.read_text().splitlines()) if r["step"] > step)
    assert after["seconds"] - seconds < 0.9  # the pause is no work


def test_stopping_keeps_an_honest_splat_that_can_be_gone_on_with(scene: SparseScene, tmp_path: Path) -> None:
    config = TrainConfig(**{**CONFIG.to_dict(), "steps": 1500})
    ws = Workspace(tmp_path / "stopped")
    stopped = begun(start_training(scene, ws, config)).stop()
    assert stopped.stopped and 0 < stopped.steps < 1500 and stopped.settings["steps"] == 1500
    assert stopped.warnings == (f"Stopped by hand after {stopped.steps:,} of 1,500 steps.",)
    assert f"{stopped.steps:,} steps of 1,500, stopped by hand" in describe(stopped)
    assert stopped.psnr_db is not None and len(stopped.held_out) == 3 and len(stopped.gaussians()) > 100
    assert read_progress(stopped.metrics_path).stopped

    again = train_splat(scene, ws, config)  # kept: not silently trained further
    assert again.steps == stopped.steps and again.digest == stopped.digest
    whole = train_splat(scene, Workspace(tmp_path / "whole"), config)
    assert stopped.digest != whole.digest  # what was made from it must be made again
    further = start_training(scene, ws, config, go_on=True).wait()
    assert not further.stopped and further.steps == 1500 and further.warnings == ()
    assert further.digest == whole.digest
    assert further.ply_path.read_bytes() == whole.ply_path.read_bytes()


def test_a_stop_before_the_first_step_keeps_the_points(scene: SparseScene, tmp_path: Path) -> None:
    training = start_training(scene, Workspace(tmp_path), ENDLESS)
    splat = training.stop()  # asked before the process has begun
    assert splat.stopped and splat.steps < 2000 and splat.psnr_db is not None


def test_interrupting_saves_the_state_and_starting_again_goes_on(scene: SparseScene, tmp_path: Path) -> None:
    ws = Workspace(tmp_path)
    training = begun(start_training(scene, ws, ENDLESS))
    training.interrupt()
    with pytest.raises(TrainingError, match="was interrupted"):
        training.wait()
    progress = read_progress(ws.directory(Splat) / "metrics.jsonl")
    assert progress.state == "interrupted" and ws.splat() is None
    with pytest.raises(TrainingError, match="no training 'main' is running"):
        training.pause()
    again = begun(start_training(scene, ws, ENDLESS), progress.step)
    again.stop()
    events = [
        r for r in map(json.loads, (ws.directory(Splat) / "metrics.jsonl").read_text().splitlines()) if "event" in r
    ]
    assert [(r["event"], r["step"] > 0) for r in events if r["event"] == "begun"] == [("begun", False), ("begun", True)]


def test_a_killed_process_is_told_and_gone_on_with(scene: SparseScene, tmp_path: Path) -> None:
    ws = Workspace(tmp_path)
    training = begun(start_training(scene, ws, ENDLESS))
    until((ws.directory(Splat) / "checkpoints" / "checkpoint.pt").exists)
    os.kill(training._process.pid, signal.SIGKILL)
    with pytest.raises(TrainingError, match="killed by signal 9") as caught:
        training.wait()
    assert "goes on from its last checkpoint" in caught.value.hint
    assert follow_training(ws).ended  # though the file's last line says nothing of it
    splat = begun(start_training(scene, ws, ENDLESS)).stop()
    first = [
        r["step"] for r in map(json.loads, splat.metrics_path.read_text().splitlines()) if r.get("event") == "begun"
    ]
    assert len(first) == 2 and first[1] > 0


def test_it_ends_with_the_process_that_started_it(scene: SparseScene, tmp_path: Path) -> None:
    """A notebook's kernel that is restarted, or killed, leaves no training behind; its state is saved."""
    code = f"""
        import os, pickle, time
        from pathlib import Path
        from splatlib.config import TrainConfig
        from splatlib.train import start_training
        from splatlib.workspace import Workspace
        scene = pickle.loads(Path({str(tmp_path / "scene.pkl")!r}).read_bytes())
        config = TrainConfig.from_json({ENDLESS.to_json()!r})
        training = start_training(scene, Workspace({str(tmp_path / "ws")!r}), config)
        while training.progress.step < 40: time.sleep(0.02)
        print(training._process.pid, flush=True)
        os._exit(9)
    """
    (tmp_path / "scene.pkl").write_bytes(pickle.dumps(scene))
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert done.returncode == 9, done.stderr
    ws = Workspace(tmp_path / "ws")
    until(lambda: not ws.in_use())
    progress = read_progress(ws.directory(Splat) / "metrics.jsonl")
    assert progress.state == "interrupted"
    assert (ws.directory(Splat) / "checkpoints" / "checkpoint.pt").exists()


def test_errors_of_the_process_arrive_as_they_are(scene: SparseScene, tmp_path: Path) -> None:
    gone = dataclasses.replace(scene, directory=tmp_path / "nowhere")
    with pytest.raises(TrainingError, match=r"cannot read .*000001\.png") as caught:
        start_training(gone, Workspace(tmp_path / "ws"), CONFIG).wait()
    assert caught.value.hint == "solve the cameras again, or put the file back"
    antialiased = TrainConfig(**{**CONFIG.to_dict(), "antialiased": True})
    with pytest.raises(ConfigError, match="antialiased needs a GPU"):
        start_training(scene, Workspace(tmp_path / "ws2"), antialiased).wait()


def test_too_few_views_are_told_before_a_process_starts(scene: SparseScene, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="leave 1 to train on"):
        start_training(dataclasses.replace(scene, views=scene.views[:2]), Workspace(tmp_path), CONFIG)


def test_one_training_of_a_name_at_a_time(scene: SparseScene, tmp_path: Path) -> None:
    ws = Workspace(tmp_path)
    training = begun(start_training(scene, ws, ENDLESS))
    with pytest.raises(TrainingError, match="is running already"):
        start_training(scene, ws, ENDLESS)
    training.interrupt()


def test_another_process_can_watch_and_steer_it(scene: SparseScene, tmp_path: Path) -> None:
    ws = Workspace(tmp_path)
    training = begun(start_training(scene, ws, ENDLESS))
    other = follow_training(Workspace.open(tmp_path))
    assert other.progress.step >= 40 and not other.ended and other.can_be_steered
    assert CliRunner().invoke(app, ["training", "pause", str(tmp_path)]).exit_code == 0
    until(lambda: training.progress.state == "paused")
    assert CliRunner().invoke(app, ["training", "continue", str(tmp_path)]).exit_code == 0
    until(lambda: training.progress.state == "training")
    assert CliRunner().invoke(app, ["training", "stop", str(tmp_path)]).exit_code == 0
    assert training.wait().stopped
    watched = CliRunner().invoke(app, ["training", "watch", str(tmp_path)])
    assert watched.exit_code == 0 and watched.stdout.startswith("finished, stopped by hand, step ")
    refused = CliRunner().invoke(app, ["training", "pause", str(tmp_path)])
    assert refused.exit_code == 1 and "no training 'main' is running" in refused.stderr


def test_no_snapshot_before_the_first_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="saved no state yet"):
        follow_training(Workspace(tmp_path)).snapshot()
