"""Jobs on the sample capture through the container's entry point, as child processes."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from splatlib import Job, TrainConfig
from splatlib.errors import JobFailedError, JobNotFoundError, JobStoppedError, LaunchError
from splatlib.launch import JobStatus, LocalProcess, submit
from splatlib.launch.local import LocalJob
from splatlib.samples import Sample
from splatlib.workspace import Workspace

pytestmark = pytest.mark.slow

TRAIN = TrainConfig(device="cpu", steps=200, max_gaussians=6000, max_long_side_px=160, checkpoint_every_s=0.2)


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> LocalProcess:
    return LocalProcess(tmp_path_factory.mktemp("jobs"), {"PYTHONPATH": str(Path(__file__).parents[2])})


@pytest.fixture(scope="module")
def finished(launcher: LocalProcess, sample_video: Sample) -> Iterator[LocalJob]:
    handle = launcher.submit(Job(capture=str(sample_video.path), train=TRAIN), "whole")
    assert handle.wait(300).state == "done"
    yield handle


def test_a_job_leaves_its_workspace_its_results_and_no_failure(finished: LocalJob, sample_video: Sample) -> None:
    ws = Workspace.open(finished.paths.workspace)
    assert ws.frames is not None and ws.frames.capture == sample_video.path.name
    report = json.loads((finished.paths.results / "report.json").read_text())
    assert report["train"]["steps"] == TRAIN.steps and report["train"]["psnr_db"] > 18
    for exported in report["export"].values():
        assert (finished.paths.results / exported["path"]).stat().st_size == exported["bytes"]
    assert not finished.paths.failure.exists()


def test_its_events_tell_every_stage_and_every_metric(finished: LocalJob) -> None:
    events = list(finished.events())
    assert events[0]["job"] == "started" and events[-1] == {"job": "done"}
    done = [event["stage"] for event in events if event.get("state") == "done"]
    assert done == ["frames", "check", "cameras", "train", "export"]
    (trained,) = [event for event in events if event.get("stage") == "train" and event.get("state") == "done"]
    train = json.loads((finished.paths.results / "report.json").read_text())["train"]
    assert trained["psnr_db"] == pytest.approx(train["psnr_db"], abs=0.001)
    assert trained["num_gaussians"] == train["num_gaussians"]
    written = (finished.paths.workspace / "train/main/metrics.jsonl").read_text().splitlines()
    told = [event for event in events if "step" in event]
    assert [event["step"] for event in told] == [json.loads(line)["step"] for line in written]
    assert [event.get("loss") for event in told] == [json.loads(line).get("loss") for line in written]


def test_another_process_can_attach_to_it(finished: LocalJob, launcher: LocalProcess) -> None:
    again = LocalProcess(launcher.root).attach("whole")
    assert again.status().state == "done" and list(again.logs()) == list(finished.logs())
    assert "whole" in [handle.name for handle in launcher.jobs()]
    with pytest.raises(JobNotFoundError):
        launcher.attach("nothing-of-the-kind")


def test_results_are_fetched_without_the_rest(finished: LocalJob, tmp_path: Path) -> None:
    ws = Workspace.open(finished.fetch(tmp_path / "out"))
    assert ws.exports is not None and ws.report_html_path.exists() and ws.scene is None
    ws = Workspace.open(finished.fetch(tmp_path / "out", everything=True))
    assert ws.scene is not None and ws.splat() is not None


def test_a_name_is_given_once(finished: LocalJob, launcher: LocalProcess, sample_video: Sample) -> None:
    with pytest.raises(LaunchError, match="there is a job whole already"):
        launcher.submit(Job(capture=str(sample_video.path)), "whole")


def test_a_failure_comes_with_its_reason_and_last_lines(launcher: LocalProcess, tmp_path: Path) -> None:
    capture = tmp_path / "broken.mp4"
    capture.write_bytes(b"no video at all" * 100)
    handle = submit(Job(capture=str(capture)), launcher, "broken")
    with pytest.raises(JobFailedError) as told:
        handle.wait(120)
    assert "[capture_unreadable]" in told.value.why and "broken.mp4" in told.value.why
    assert "Its last lines:" in told.value.why and "job=failed" in told.value.why
    with pytest.raises(LaunchError, match="no results"):
        handle.fetch()


def test_stopped_in_training_it_goes_on_from_its_checkpoint(
    launcher: LocalProcess, finished: LocalJob, sample_video: Sample
) -> None:
    handle = launcher.submit(Job(capture=str(sample_video.path), train=TRAIN), "stopped")
    for event in handle.events(follow=True):
        if event.get("step", 0) >= 40:
            handle.stop()
            break
    with pytest.raises(JobStoppedError):
        handle.wait(120)
    assert list(handle.events())[-1] == {"job": "interrupted"}
    assert not handle.paths.failure.exists()
    handle.start()
    with pytest.raises(LaunchError, match="is running"):
        handle.start()
    assert handle.wait(120) == JobStatus("done", seconds=handle.status().seconds)
    lines = list(handle.logs())
    assert "frames: unchanged, reused" in lines and "cameras: unchanged, reused" in lines
    assert any(line.startswith("training: resumed at step") for line in lines)
    handle.stop()  # one that has ended is left alone
    assert handle.status().state == "done"


def test_a_process_that_vanishes_is_a_failure(launcher: LocalProcess, sample_video: Sample) -> None:
    handle = launcher.submit(Job(capture=str(sample_video.path), train=TRAIN), "killed")
    next(iter(handle.events(follow=True)))
    os.kill(handle.pid, signal.SIGKILL)
    with pytest.raises(JobFailedError, match="was killed"):
        handle.wait(60)
    assert launcher.attach("killed").status().state == "failed"
