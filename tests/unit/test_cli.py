"""The ``splat`` command: what it prints where, and its exit status, as a shell sees them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from splatlib.cli import app
from splatlib.config import Job, TrainConfig
from splatlib.errors import CamerasError, NoGpuError
from splatlib.formats import read_gaussians
from splatlib.render.device import Obstacle
from splatlib.samples import Sample
from splatlib.workspace import Workspace
from tests.fakes import FakeStages, fake_check
from tests.made import made_workspace
from tests.unit.formats.made import shell


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages are read as text, so they must not be coloured or folded."""
    for name, value in {"TERM": "dumb", "NO_COLOR": "1", "COLUMNS": "200"}.items():
        monkeypatch.setenv(name, value)


def splat(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def capture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A capture in a folder of its own, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bench.mov"
    path.write_text("moving pictures")
    return path


def test_run_prints_the_results(fake_stages: FakeStages, capture: Path) -> None:
    result = splat("run", "bench.mov", "--out", "out")
    assert result.exit_code == 0
    assert "27.00 dB" in result.stdout and result.stdout.endswith("report: out/report.html\n")
    assert Workspace("out").load_job() == Job(capture=str(capture), train=TrainConfig()).with_overrides([])


def test_results_go_to_runs_unless_told(fake_stages: FakeStages, capture: Path) -> None:
    assert splat("run", "bench.mov").exit_code == 0
    assert (capture.parent / "runs" / "bench" / "report.html").exists()


def test_several_sources_are_one_capture(fake_stages: FakeStages, capture: Path) -> None:
    (capture.parent / "b.mov").write_text("more pictures")
    assert splat("run", "bench.mov", "b.mov", "--preset", "balanced").exit_code == 0
    job = Workspace("runs/bench-and-1-more").load_job()
    assert job.sources == (str(capture), str(capture.parent / "b.mov")) and job.train.preset == "balanced"


def test_options_become_the_job(fake_stages: FakeStages, capture: Path) -> None:
    options = ["--preset", "balanced", "--set", "train.steps=5", "--set", "frames.end_s=2.5", "--run", "big"]
    assert splat("run", "bench.mov", "--out", "out", "--allow-partial", *options).exit_code == 0
    job = Workspace("out").load_job()
    assert job.train == TrainConfig(preset="balanced", steps=5)
    assert (job.frames.end_s, job.run, job.cameras.allow_partial) == (2.5, "big", True)


@pytest.mark.parametrize("preset", ["preview", "balanced", "high", "reference"])
@pytest.mark.parametrize("device", ["auto", "cpu", "cuda"])
def test_every_preset_and_device_has_its_option(
    preset: str, device: str, fake_stages: FakeStages, capture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("splatlib.render.device.cuda_obstacle", lambda: None)
    assert splat("run", "bench.mov", "--out", "out", "--preset", preset, "--device", device).exit_code == 0
    assert Workspace("out").load_job().train == TrainConfig.from_dict({"preset": preset, "device": device})


def test_a_device_that_is_not_named_stays_as_the_job_file_has_it(fake_stages: FakeStages, capture: Path) -> None:
    Path("job.json").write_text(Job(capture="bench.mov", train=TrainConfig(device="cpu")).to_json())
    assert splat("run", "--job", "job.json", "--out", "out").exit_code == 0
    assert Workspace("out").load_job().train.device == "cpu"
    assert splat("run", "--job", "job.json", "--out", "out", "--device", "auto").exit_code == 0
    assert Workspace("out").load_job().train.device == "auto"


def test_a_gpu_that_is_not_there_is_told_before_the_first_stage(
    fake_stages: FakeStages, capture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not after an hour of structure from motion."""
    obstacle = Obstacle(NoGpuError, "there is no CUDA device here", "the driver is gone", "use device cpu")
    monkeypatch.setattr("splatlib.render.device.cuda_obstacle", lambda: obstacle)
    result = splat("run", "bench.mov", "--out", "out", "--device", "cuda")
    assert result.exit_code == 1 and fake_stages.worked == []
    assert "there is no CUDA device here\nWhy: the driver is gone\nTry: use device cpu\n" in result.stderr
    assert "Traceback" not in result.stderr


def test_what_a_gpu_has_trained_needs_no_gpu_to_be_exported_again(
    fake_stages: FakeStages, capture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("splatlib.render.device.cuda_obstacle", lambda: None)
    assert splat("run", "bench.mov", "--out", "out", "--device", "cuda").exit_code == 0
    fake_stages.worked.clear()
    obstacle = Obstacle(NoGpuError, "there is no CUDA device here", "another machine", "use device cpu")
    monkeypatch.setattr("splatlib.render.device.cuda_obstacle", lambda: obstacle)
    options = ["--device", "cuda", "--set", 'export.formats=["ply"]']
    assert splat("run", "bench.mov", "--out", "out", *options).exit_code == 0
    assert fake_stages.worked == ["export", "report"]


def test_a_job_file_is_overridden_by_options(fake_stages: FakeStages, capture: Path) -> None:
    Path("job.json").write_text(Job(capture="absent.mov", train=TrainConfig(steps=7, seed=3)).to_json())
    assert splat("run", "bench.mov", "--job", "job.json", "--out", "out", "--set", "train.steps=9").exit_code == 0
    job = Workspace("out").load_job()
    assert job.capture == str(capture) and (job.train.steps, job.train.seed) == (9, 3)


def test_resume_goes_on_from_the_workspace_alone(fake_stages: FakeStages, capture: Path) -> None:
    fake_stages.raising = {"train": KeyboardInterrupt()}
    result = splat("run", "bench.mov", "--out", "a b", "--set", "train.seed=4")
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-1] == "interrupted; go on with: splat resume 'a b'"
    assert "Traceback" not in result.stderr
    fake_stages.raising.clear()
    fake_stages.worked.clear()
    assert splat("resume", "a b").exit_code == 0
    assert fake_stages.worked == ["train", "export", "report"]
    assert Workspace("a b").load_job().train.seed == 4


def test_our_errors_are_told_without_a_traceback(fake_stages: FakeStages, capture: Path) -> None:
    fake_stages.raising = {"cameras": CamerasError("nothing matched", why="no texture", hint="film slower")}
    result = splat("run", "bench.mov", "--out", "out")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "nothing matched\nWhy: no texture\nTry: film slower\nLog: out/logs/cameras.log\n" in result.stderr
    assert "Traceback" not in result.stderr


def test_other_errors_keep_their_traceback_and_name_the_log(fake_stages: FakeStages, capture: Path) -> None:
    fake_stages.raising = {"cameras": ZeroDivisionError("a bug")}
    result = splat("run", "bench.mov", "--out", "out")
    assert isinstance(result.exception, ZeroDivisionError)  # which Python prints with its traceback
    assert "splatlib met an error that it does not know" in result.stderr
    assert "Log: out/logs/cameras.log" in result.stderr
    assert "ZeroDivisionError: a bug" in Path("out/logs/cameras.log").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run"], "no capture was named"),
        (["run", "bench.mov", "--set", "train.stepz=5"], "train.stepz: unknown field, did you mean steps?"),
        (["run", "bench.mov", "--set", "train.steps=many"], "train.steps: Input should be a valid integer"),
        (["run", "bench.mov", "--set", "steps"], "is not of the form FIELD=VALUE"),
        (
            ["run", "bench.mov", "--preset", "best"],
            "train.preset: Input should be 'preview', 'balanced', 'high' or 'reference'",
        ),
        (["run", "bench.mov", "--device", "tpu"], "train.device: Input should be 'auto', 'cpu' or 'cuda'"),
        (["run", "bench.mov", "--run", "../up"], "run: String should match pattern"),
        (["run", "bench.mov", "--job", "absent.json"], "cannot read the job absent.json"),
        (["run", "bench.mov", "--job", "bench.mov"], "Job is not valid JSON"),
        (["run", "--frames", "3"], "No such option"),
        (["fly"], "No such command"),
        (["sample", "here", "--kind", "film"], "kind 'film' is not known"),
    ],
)
def test_wrong_usage_is_status_2(arguments: list[str], message: str, capture: Path) -> None:
    result = splat(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr and "Traceback" not in result.stderr
    assert [path.name for path in capture.parent.iterdir()] == ["bench.mov"]  # nothing is left behind


def test_show_lists_the_stages(fake_stages: FakeStages, capture: Path) -> None:
    splat("run", "bench.mov", "--out", "out")
    fake_stages.raising = {"train": KeyboardInterrupt()}
    splat("run", "bench.mov", "--out", "out", "--run", "second")
    Path("out/export/artifact.json").write_text("{")
    lines = [line.split() for line in splat("show", "out").stdout.splitlines()]
    states = {words[0]: words[1] for words in lines}
    assert states == {
        "stage": "state",
        "frames": "done",
        "masks": "missing",
        "check": "done",
        "cameras": "done",
        "train/main": "done",
        "train/second": "started",
        "export": "damaged",
        "report:": "out/report.html",
    }


@pytest.mark.parametrize(("verdict", "status"), [("good", 0), ("weak", 0), ("bad", 1)])
def test_check_tells_the_findings_and_leaves_a_page(
    verdict: str, status: int, fake_stages: FakeStages, capture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("splatlib.cli.write_check_report", lambda check: Path("out/check.html"))
    monkeypatch.setattr("tests.fakes.fake_check", lambda place: replace(fake_check(place), verdict=verdict))
    result = splat("check", "bench.mov", "--out", "out")
    assert result.exit_code == status
    assert f"CaptureCheck: {verdict}; of 2 frames 1 should find their place" in result.stdout
    assert "Film it again." in result.stdout and "pictures: out/check.html" in result.stdout
    assert fake_stages.worked == ["frames", "check"]
    assert Workspace("out").load_job().sources


@pytest.mark.parametrize("command", ["show", "resume"])
def test_a_folder_that_is_no_workspace_is_refused_and_not_made(command: str, capture: Path) -> None:
    result = splat(command, "absent")
    assert result.exit_code == 1 and "absent is no workspace" in result.stderr
    assert not Path("absent").exists()


def test_show_of_an_empty_workspace(capture: Path) -> None:
    Workspace("out")
    result = splat("show", "out")
    assert result.exit_code == 0 and "report: none yet" in result.stdout
    assert splat("resume", "out").exit_code == 1


def test_schema_is_the_jobs() -> None:
    assert json.loads(splat("schema").stdout) == Job.model_json_schema()


def test_sample_makes_a_capture(tmp_path: Path) -> None:
    result = splat("sample", tmp_path / "sample", "--kind", "photos")
    path = Path(result.stdout.strip())
    assert result.exit_code == 0 and path.is_dir() and len(list(path.iterdir())) > 10


def test_ctrl_c_in_a_real_process(capture: Path) -> None:
    """SIGINT, as a terminal sends it, in the middle of a stage."""
    code = (
        "import signal, sys, time; from tests.fakes import FakeStages; import pytest; import splatlib.cli;"
        "signal.signal(signal.SIGINT, signal.default_int_handler);"  # a shell's background jobs ignore it
        "stages = FakeStages(); stages.install(pytest.MonkeyPatch());"
        "stages._begin = lambda stage: (print(stage, flush=True), time.sleep(60));"
        "sys.argv = ['splat', 'run', 'bench.mov', '--out', 'out']; splatlib.cli.main()"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None and process.stdout.readline() == "frames\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.endswith("interrupted; go on with: splat resume out\n") and "Traceback" not in errors
    assert Workspace("out").load_job().capture == str(capture)


def test_convert_goes_by_the_endings(tmp_path: Path) -> None:
    shell(300).save_ply(tmp_path / "a.ply")
    result = splat("convert", tmp_path / "a.ply", tmp_path / "b.sog", "--small", "1", "--sh-degree", "1")
    assert result.exit_code == 0 and "300 Gaussians" in result.stdout
    assert splat("convert", tmp_path / "b.sog", tmp_path / "c.v4.spz", "--scale", "2").exit_code == 0
    read = read_gaussians(tmp_path / "c.v4.spz")
    assert read.sh_degree == 1 and np.linalg.norm(read.means, axis=1) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize(
    ("source", "target", "status", "says"),
    [
        ("a.ply", "b.obj", 1, "no format has this ending"),
        ("nowhere.ply", "b.spz", 1, "nowhere.ply"),
        ("a.obj", "b.spz", 1, "known are"),
        ("cut.ply", "b.spz", 1, "cut short"),
        ("a.ply", "gone/b.spz", 1, "gone"),
    ],
)
def test_convert_refuses_in_words_and_leaves_nothing(
    tmp_path: Path, source: str, target: str, status: int, says: str
) -> None:
    shell(30).save_ply(tmp_path / "a.ply")
    (tmp_path / "cut.ply").write_bytes((tmp_path / "a.ply").read_bytes()[:-7])
    before = sorted(tmp_path.iterdir())
    result = splat("convert", tmp_path / source, tmp_path / target)
    assert result.exit_code == status and says in result.stderr and "Traceback" not in result.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_export_delivers_a_workspace_in_other_formats(tmp_path: Path, sample_photos: Sample) -> None:
    made_workspace(tmp_path / "ws", sample_photos)
    result = splat("export", tmp_path / "ws", "--formats", "sog,compressed-ply", "--set", "clean=false")
    assert result.exit_code == 0 and "scene.sog" in result.stdout and "scene.compressed.ply" in result.stdout
    assert {file.format for file in Workspace.open(tmp_path / "ws").exports.files} == {"sog", "compressed_ply"}  # pyright: ignore
    assert splat("export", tmp_path / "ws", "--formats", "obj").exit_code == 2
    missing = splat("export", tmp_path / "ws", "--run", "other")
    assert missing.exit_code == 1 and "no finished training 'other'" in missing.stderr


def test_a_job_is_submitted_here_followed_and_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """``splat submit`` and ``splat jobs``, with the real entry point failing on what is no video."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    (tmp_path / "broken.mp4").write_bytes(b"no video at all" * 100)
    submitted = splat("submit", "broken.mp4", "--on", "here", "--name", "try", "--follow")
    assert submitted.exit_code == 1 and "job: try" in submitted.output and "broken.mp4" in submitted.output
    listed = splat("jobs", "list", "--on", "here")
    assert listed.exit_code == 0 and listed.output.startswith("try  failed")
    status = splat("jobs", "status", "try", "--on", "here")
    assert "[capture_unreadable]" in status.output
    assert "job=failed" in splat("jobs", "logs", "try", "--on", "here").output
    assert splat("jobs", "stop", "try", "--on", "here").exit_code == 0
    fetched = splat("jobs", "fetch", "try", "--on", "here", "--out", "out")
    assert fetched.exit_code == 1 and "no results" in fetched.output
    assert splat("jobs", "status", "other", "--on", "here").exit_code == 1


def test_options_of_another_place_are_refused() -> None:
    refused = splat("submit", "x.mov", "--on", "here", "--instance", "ml.g6.xlarge")
    assert refused.exit_code == 2 and "instance is for --on sagemaker" in refused.output
    assert splat("submit", "x.mov", "--on", "moon").exit_code == 2
    assert splat("submit", "--on", "here").exit_code == 2
