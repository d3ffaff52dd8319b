"""A capture on its way: the SDK's Estimator, a local AWS, the container's own entry point, exports back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from splatlib import Job, SageMaker, TrainConfig
from splatlib.errors import JobFailedError
from splatlib.launch.aws import handle as aws_handle
from splatlib.samples import Sample
from splatlib.workspace import Workspace
from tests.local_aws import BUCKET, LocalAws, local_aws

pytestmark = pytest.mark.slow

TRAIN = TrainConfig(device="cpu", steps=400, max_gaussians=6000, max_long_side_px=160, checkpoint_every_s=0.2)


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAws]:
    with local_aws() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        patch.setattr(aws_handle.SageMakerJob, "poll_s", 0.2)
        server.container_environment = {"PYTHONPATH": str(Path(__file__).parents[2]), "HOME": os.environ["HOME"]}
        yield server


def test_an_interrupted_spot_job_brings_its_exports_back(aws: LocalAws, sample_video: Sample, tmp_path: Path) -> None:
    job = Job(capture=str(sample_video.path), train=TRAIN)
    handle = SageMaker(bucket=BUCKET, instance="ml.g6.xlarge", budget_usd=5).submit(job)
    for event in handle.events(follow=True):
        if event.get("step", 0) >= 100:
            aws.interrupt(handle.name)
            break
    handle.wait(400)
    lines = list(handle.logs())
    assert aws.running[handle.name].containers == 2
    assert lines.count("frames: unchanged, reused") == 1 and lines.count("cameras: unchanged, reused") == 1
    assert any(line.startswith("training: resumed at step") for line in lines)
    steps = [event["step"] for event in handle.events() if "loss" in event]
    assert sorted(set(steps)) == list(range(20, TRAIN.steps + 1, 20))  # type: ignore[operator]
    final = {metric["MetricName"]: metric["Value"] for metric in handle.describe()["FinalMetricDataList"]}
    assert final["train:step"] == TRAIN.steps

    ws = Workspace.open(handle.fetch(tmp_path / "out"))
    assert ws.exports is not None and ws.scene is None
    report = json.loads(ws.report_json_path.read_text())
    assert report["train"]["psnr_db"] > 20 and report["cost_usd"] == handle.status().cost_usd and report["cost_usd"] > 0
    for file in ws.exports.files:
        assert ws.exports.path(file.format).stat().st_size == file.bytes
    ws = Workspace.open(handle.fetch(tmp_path / "out", everything=True))
    assert ws.scene is not None and ws.splat() is not None and ws.frames is not None


def test_a_capture_that_fails_says_why_in_the_containers_words(aws: LocalAws, tmp_path: Path) -> None:
    capture = tmp_path / "broken.mp4"
    capture.write_bytes(b"no video at all" * 100)
    handle = SageMaker(bucket=BUCKET, instance="ml.g6.xlarge").submit(Job(capture=str(capture)))
    with pytest.raises(JobFailedError) as told:
        handle.wait(120)
    assert "[capture_unreadable]" in told.value.why and "broken.mp4" in told.value.why
