"""Other trainers are processes: what they are given and tell, how they end, fail, pause and go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from splatlib.artifacts import SparseScene
from splatlib.config import TrainConfig
from splatlib.errors import (
    MissingDependencyError,
    TrainingError,
)
from splatlib.events import Control, read_progress
from splatlib.train import train_splat
from splatlib.train.external.protocol import Command
from splatlib.train.external.runner import Runner
from splatlib.train.stage import train_attempt
from splatlib.workspace import Workspace
from tests.unit.train.external.stand_in import asked, option, pairs


def test_modules_given_to_this_python_are_not_the_trainers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gsplat on this process's path would stand before the one that the trainer pins."""
    script, given = tmp_path / "launcher.py", tmp_path / "given"
    script.write_text(
        "import json, sys\nprint('@splatlib ' + json.dumps({'step': 1, 'given': sys.argv[2] in sys.path}))\n"
    )
    monkeypatch.setattr("splatlib.train.external.protocol.LAUNCHER", script)
    monkeypatch.setenv("PYTHONPATH", str(given))
    told: list[Mapping[str, Any]] = []
    Runner(Path(sys.executable), tmp_path / "log", told.append).run(Command("asking", "entry", [str(given)]))
    assert told == [{"step": 1, "given": False}]


def test_programs_of_its_environment_are_found_before_others(tmp_path: Path) -> None:
    """torch compiles with whatever is called ninja; the environment that pins it is not activated."""
    script, bin_directory = tmp_path / "launcher.py", tmp_path / "environment" / "bin"
    bin_directory.mkdir(parents=True)
    (bin_directory / "python").symlink_to(sys.executable)
    (bin_directory / "ninja").write_text("#!/bin/sh\n")
    (bin_directory / "ninja").chmod(0o755)
    script.write_text(
        "import json, shutil\nprint('@splatlib ' + json.dumps({'step': 1, 'ninja': shutil.which('ninja')}))\n"
    )
    told: list[Mapping[str, Any]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("splatlib.train.external.protocol.LAUNCHER", script)
        Runner(bin_directory / "python", tmp_path / "log", told.append).run(Command("asking", "entry", []))
    assert told == [{"step": 1, "ninja": str(bin_directory / "ninja")}]


def test_what_it_tells_is_told_on_and_its_words_are_in_a_log(scene: SparseScene, calls: Path, tmp_path: Path) -> None:
    ws = Workspace(tmp_path / "ws")
    splat = train_splat(scene, ws, TrainConfig(backend="splatfacto", steps=300))
    progress = read_progress(splat.metrics_path)
    assert (progress.state, progress.steps, sorted(progress.losses)) == ("finished", 300, [1, 101, 201])
    assert progress.num_gaussians == 501 and progress.losses[101]["seconds"] >= 0
    log = (ws.logs_directory / "train.main.splatfacto.log").read_text()
    assert "Setting up the scene" in log and "nerfstudio-train splatfacto" in log


@pytest.mark.parametrize(
    ("mode", "error", "words"),
    [
        ("out-of-memory", TrainingError, "too little memory"),
        ("killed", TrainingError, r"splatfacto was killed \(SIGKILL\)"),
        ("fails", TrainingError, "splatfacto failed with status 3"),
        ("no-module", MissingDependencyError, "not complete"),
        ("no-output", TrainingError, "ended without a result"),
        ("one-render-missing", TrainingError, "did not draw"),
    ],
)
def test_what_goes_wrong_is_told_with_the_last_lines(
    mode: str,
    error: type[Exception],
    words: str,
    scene: SparseScene,
    calls: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ws = Workspace(tmp_path / "ws")
    monkeypatch.setenv("FAKE_TRAINER", mode)
    with pytest.raises(error, match=words) as caught:
        train_splat(scene, ws, TrainConfig(backend="splatfacto", steps=300))
    last_words = {"killed": "the last words", "fails": "Data directory does not exist", "no-module": "open3d"}
    assert last_words.get(mode, "") in str(caught.value)
    assert ws.splat() is None
    assert read_progress(tmp_path / "ws" / "train" / "main" / "metrics.jsonl").state == "failed"
    monkeypatch.delenv("FAKE_TRAINER")
    assert train_splat(scene, ws, TrainConfig(backend="splatfacto", steps=300)).psnr_db is not None


def test_3dgrut_without_a_result_says_so(
    scene: SparseScene, calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_TRAINER", "no-output")
    with pytest.raises(TrainingError, match="3dgut ended without a result"):
        train_splat(scene, Workspace(tmp_path / "ws"), TrainConfig(backend="3dgut", steps=300))


def test_3dgrut_that_ended_before_its_last_picture_draws_them_again(
    scene: SparseScene, calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It exports, saves a checkpoint, and only then draws its test views."""
    ws = Workspace(tmp_path / "ws")
    monkeypatch.setenv("FAKE_TRAINER", "no-evaluation")
    with pytest.raises(TrainingError, match="failed with status"):
        train_splat(scene, ws, TrainConfig(backend="3dgut", steps=300))
    output = tmp_path / "ws/train/main/trainer/output"
    assert (output / "splat.ply").is_file()
    checkpoint = output / "splatlib/data-2711_141500/ours_300/ckpt_300.pt"
    checkpoint.write_bytes(b"checkpoint")
    monkeypatch.delenv("FAKE_TRAINER")
    assert train_splat(scene, ws, TrainConfig(backend="3dgut", steps=300)).psnr_db is not None
    assert pairs(asked(calls)[-1][4:])["resume"] == f"'{checkpoint}'"


def break_off(scene: SparseScene, ws: Workspace, mode: str) -> None:
    """A training that the stand-in gives up in this way."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(TrainingError):
        patch.setenv("FAKE_TRAINER", mode)
        train_splat(scene, ws, TrainConfig(backend="splatfacto", steps=300))


def test_what_ended_before_a_crash_is_not_trained_again(scene: SparseScene, calls: Path, tmp_path: Path) -> None:
    """The machine went away while the held-out views were drawn."""
    ws = Workspace(tmp_path / "ws")
    break_off(scene, ws, "one-render-missing")
    train_splat(scene, ws, TrainConfig(backend="splatfacto", steps=300))
    assert [call[0] for call in asked(calls)].count("nerfstudio-train") == 1


def test_an_interrupted_training_goes_on_from_its_checkpoint(scene: SparseScene, calls: Path, tmp_path: Path) -> None:
    ws = Workspace(tmp_path / "ws")
    break_off(scene, ws, "fails")
    models = tmp_path / "ws/train/main/trainer/output/splatlib/splatfacto/run/nerfstudio_models"
    models.mkdir(parents=True)
    (models / "step-000000200.ckpt").write_bytes(b"checkpoint")
    train_splat(scene, ws, TrainConfig(backend="splatfacto", steps=300))
    again = [call for call in asked(calls) if call[0] == "nerfstudio-train"][-1]
    assert option(again, "--load-dir") == str(models)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] not in ("Z", "X")
    except FileNotFoundError:
        return False


def wait_for(condition, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


CHILD = """
import sys
from splatlib.cameras.existing import load_colmap
from splatlib.config import TrainConfig
from splatlib.train import train_splat
from splatlib.workspace import Workspace
scene = load_colmap(sys.argv[1] + "/sparse/0", sys.argv[1] + "/images")
train_splat(scene, Workspace(sys.argv[2]), TrainConfig(backend="splatfacto", steps=300))
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes as Linux shows them")
def test_an_interrupt_ends_the_trainer_too(
    scene: SparseScene, calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from splatlib.scene_formats import write_colmap

    write_colmap(scene, tmp_path / "colmap")
    monkeypatch.setenv("FAKE_TRAINER", "hangs")
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path / "colmap"), str(tmp_path / "ws")], stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    pid = int((tmp_path / "pid").read_text())
    assert is_alive(pid)
    child.send_signal(signal.SIGINT)
    _, complaint = child.communicate(timeout=60)
    assert "KeyboardInterrupt" in complaint
    wait_for(lambda: not is_alive(pid), 10)
    assert read_progress(tmp_path / "ws/train/main/metrics.jsonl").state == "interrupted"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes as Linux shows them")
def test_pausing_stops_the_trainers_processes_where_they_stand(
    scene: SparseScene, calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_TRAINER", "hangs")
    ws = Workspace(tmp_path / "ws")
    config = TrainConfig(backend="splatfacto", steps=300)
    caught: list[BaseException] = []

    def train() -> None:
        try:
            train_attempt(scene, ws, config, run="main", go_on=False, attempt="me")
        except TrainingError as error:
            caught.append(error)

    thread = threading.Thread(target=train)
    thread.start()
    wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    pid = int((tmp_path / "pid").read_text())
    control, metrics = Control(ws.control_path()), tmp_path / "ws/train/main/metrics.jsonl"
    control.ask("pause", "me")
    wait_for(lambda: Path(f"/proc/{pid}/stat").read_text().split()[2] == "T")
    wait_for(lambda: read_progress(metrics).state == "paused")
    control.ask("continue", "me")
    wait_for(lambda: read_progress(metrics).state == "training")
    os.kill(pid, signal.SIGTERM)
    thread.join(30)
    assert caught and "was killed (SIGTERM)" in str(caught[0])


def test_the_launcher_ends_when_its_standard_input_closes(tmp_path: Path) -> None:
    """So that a trainer does not outlive a notebook that was killed, nor one whose shell ignored SIGINT."""
    from splatlib.train.external.protocol import LAUNCHER

    code = (
        "import runpy, signal, sys, time; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "module = runpy.run_path(sys.argv[1]); module['end_with_parent']();\n"
        "try:\n    print('ready', flush=True); time.sleep(60)\nexcept KeyboardInterrupt:\n    sys.exit(7)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(LAUNCHER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(30) == 7
