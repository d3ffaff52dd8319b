"""The SageMaker launcher through the real SDK, against the local AWS with a stub for the image."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from splatlib import SageMaker
from splatlib.errors import (
    JobFailedError,
    JobNotFoundError,
    JobStoppedError,
    LaunchError,
)
from splatlib.launch.aws.request import Places, training_job
from splatlib.launch.baggage import pack
from splatlib.launch.contract import event_line, metric_definitions
from tests.local_aws import ACCOUNT, BUCKET, IMAGE, ROLE, LocalAws
from tests.local_aws.gaps import check_symbols
from tests.unit.launch.conftest import MakeJob, keys

ROLE_ARN = f"arn:aws:iam::{ACCOUNT}:role/{ROLE}"
METRIC = event_line(stage="train", step=200, loss=0.25, psnr_db=21.5, num_gaussians=5000)


def test_moto_is_the_one_that_the_gaps_were_filled_for() -> None:
    check_symbols()


def test_what_the_sdk_sends_is_the_document(aws: LocalAws, job: MakeJob) -> None:
    """The CreateTrainingJob document is the contract, field by field."""
    launcher = SageMaker(
        bucket=BUCKET,
        prefix="team/splats",
        instance="ml.g6e.12xlarge",
        max_run_s=3600,
        max_wait_s=7200,
        kms_key="alias/splats",
        subnets=("subnet-0a1b",),
        security_groups=("sg-0a1b",),
        tags={"project": "bench"},
        environment={"SPLATLIB_WEIGHTS": "/opt/weights"},
    )
    handle = launcher.submit(job("say hello"), "bench")
    own = f"s3://{BUCKET}/team/splats/jobs/splatlib-bench"
    expected = {
        "TrainingJobName": "splatlib-bench",
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "MetricDefinitions": metric_definitions(),
        },
        "RoleArn": ROLE_ARN,
        "HyperParameters": {"sagemaker_torch_distributed_enabled": "true"},
        "InputDataConfig": [
            _channel("job", f"{own}/input/job", "S3Prefix"),
            _channel("capture", f"{own}/input/capture.manifest", "ManifestFile"),
        ],
        "OutputDataConfig": {"S3OutputPath": f"{own}/output", "KmsKeyId": "alias/splats"},
        # its own disk takes no key: SageMaker refuses one
        "ResourceConfig": {"InstanceType": "ml.g6e.12xlarge", "InstanceCount": 1, "VolumeSizeInGB": 100},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 7200},
        "EnableManagedSpotTraining": True,
        "CheckpointConfig": {"S3Uri": f"{own}/workspace", "LocalPath": "/opt/ml/checkpoints"},
        "Environment": {"SPLATLIB_PROGRESS": "text", "SPLATLIB_WEIGHTS": "/opt/weights"},
        "VpcConfig": {"Subnets": ["subnet-0a1b"], "SecurityGroupIds": ["sg-0a1b"]},
        "ProfilerConfig": {"DisableProfiler": True},
    }
    (sent,) = aws.requests
    assert {tag["Key"]: tag["Value"] for tag in sent["Tags"]}["project"] == "bench"
    assert {key: value for key, value in sent.items() if key != "Tags"} == expected
    places = Places(f"s3://{BUCKET}/team/splats", "splatlib-bench")
    document = training_job(launcher, pack(job("say hello")).job, places, ROLE_ARN, has_capture=True)
    assert {key: value for key, value in document.items() if key != "Tags"} == expected
    handle.wait(60)


def _channel(name: str, uri: str, kind: str) -> dict[str, object]:
    source = {"S3DataType": kind, "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}


def test_on_demand_with_a_warm_pool_and_a_volume(aws: LocalAws, job: MakeJob) -> None:
    launcher = SageMaker(
        bucket=BUCKET, instance="ml.c6i.2xlarge", spot=False, keep_alive_s=600, volume_gib=50, kms_key="alias/splats"
    )
    launcher.submit(job("say hello")).wait(60)
    (sent,) = aws.requests
    assert sent["ResourceConfig"] == {
        "InstanceType": "ml.c6i.2xlarge",
        "InstanceCount": 1,
        "VolumeSizeInGB": 50,
        "VolumeKmsKeyId": "alias/splats",
        "KeepAlivePeriodInSeconds": 600,
    }
    assert sent["StoppingCondition"] == {"MaxRuntimeInSeconds": 4 * 3600}
    assert not sent.get("EnableManagedSpotTraining") and not sent.get("HyperParameters")


def test_a_job_is_followed_and_fetched(aws: LocalAws, launcher: SageMaker, job: MakeJob, tmp_path: Path) -> None:
    handle = launcher.submit(job("say hello", f"say {METRIC}", "export"))
    events = list(handle.events(follow=True))
    assert events[0] == {"job": "started"} and events[-1] == {"job": "done"}
    assert {"stage": "train", "step": 200, "loss": 0.25, "psnr_db": 21.5, "num_gaussians": 5000} in events
    status = handle.wait(30)
    assert "hello" in list(handle.logs())
    assert status.billable_seconds and status.cost_usd == pytest.approx(
        status.billable_seconds * 1.1267 / 3600, abs=1e-4
    )
    final = {metric["MetricName"]: metric["Value"] for metric in handle.describe()["FinalMetricDataList"]}
    assert final == {"train:step": 200, "train:loss": 0.25, "train:psnr_db": 21.5, "train:num_gaussians": 5000}
    seen = aws.client("cloudwatch").list_metrics(Namespace="/aws/sagemaker/TrainingJobs")["Metrics"]
    assert {metric["MetricName"] for metric in seen} >= set(final)
    out = handle.fetch(tmp_path / "out")
    assert (out / "export" / "scene.ply").read_text() == "ply" and not (out / "frames").exists()
    assert json.loads((out / "report.json").read_text())["cost_usd"] == status.cost_usd
    cost = json.loads((out / "cost.json").read_text())
    assert cost["billable_seconds"] == status.billable_seconds and cost["instance"] == "ml.g6.xlarge" and cost["spot"]
    assert (handle.fetch(out, everything=True) / "frames" / "000001.jpg").read_text() == "jpg"


def test_no_file_is_uploaded_twice(aws: LocalAws, launcher: SageMaker, job: MakeJob) -> None:
    launcher.submit(job("say never twice"), "first").wait(60)
    before = {key for key in keys(aws) if "/blobs/" in key}
    stamps = {key: aws.client("s3").head_object(Bucket=BUCKET, Key=key)["LastModified"] for key in before}
    launcher.submit(job("say never twice", train={"steps": 5}), "second").wait(60)
    assert {key for key in keys(aws) if "/blobs/" in key} == before
    assert {key: aws.client("s3").head_object(Bucket=BUCKET, Key=key)["LastModified"] for key in before} == stamps


def test_a_failure_brings_the_containers_reason_and_lines(launcher: SageMaker, job: MakeJob) -> None:
    handle = launcher.submit(job("say about to fail", "fail [too_few_registered] 3 of 40 frames have a camera"))
    with pytest.raises(JobFailedError) as told:
        handle.wait(60)
    assert "[too_few_registered] 3 of 40 frames have a camera" in told.value.why
    assert "about to fail" in told.value.why and handle.name in told.value.hint
    with pytest.raises(LaunchError, match="no exports yet"):
        handle.fetch()


def test_another_kernel_attaches_lists_and_stops(aws: LocalAws, launcher: SageMaker, job: MakeJob) -> None:
    name = launcher.submit(job("say running", "sleep 60")).name
    other = SageMaker(bucket=BUCKET)
    handle = other.attach(name)
    for line in handle.logs(follow=True):
        if line == "running":
            break
    assert handle.status().state == "running" and not handle.status().ended
    assert other.jobs()[0].name == name
    handle.stop()
    with pytest.raises(JobStoppedError):
        handle.wait(60)
    assert {"job": "interrupted"} in list(handle.events())
    handle.stop()  # has ended: left alone
    with pytest.raises(JobNotFoundError, match="no training job"):
        other.attach("splatlib-nothing-of-the-kind")


@pytest.mark.parametrize("warned", [True, False])
def test_a_spot_instance_that_is_taken_away_goes_on_from_its_checkpoint(
    aws: LocalAws, launcher: SageMaker, job: MakeJob, tmp_path: Path, warned: bool
) -> None:
    handle = launcher.submit(job("say first", "sleep 0.2", "say second", "sleep 1.5", "say third", "export"))
    for line in handle.logs(follow=True):
        if line == "second":
            # what was done before has been copied by the time that the instance vanishes
            _wait_for_copy(aws, handle.name, lines=3)
            aws.interrupt(handle.name) if warned else aws.lose(handle.name)
            break
    status = handle.wait(60)
    lines = list(handle.logs())
    assert [lines.count(word) for word in ("first", "second", "third")] == [1, 1, 1], lines
    assert aws.running[handle.name].containers == 2
    moves = [transition["Status"] for transition in handle.describe()["SecondaryStatusTransitions"]]
    assert moves.count("Training") == 2 and "Interrupted" in moves
    assert status.billable_seconds is not None and (handle.fetch(tmp_path / "out") / "export").is_dir()


def _wait_for_copy(aws: LocalAws, name: str, lines: int) -> None:
    import time

    key, s3 = f"splatlib/jobs/{name}/workspace/train/main/metrics.jsonl", aws.client("s3")
    for _ in range(200):
        if key in keys(aws, key) and s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().count(b"\n") >= lines:
            return
        time.sleep(0.02)
    raise AssertionError("the checkpoint was never copied")


def test_a_time_limit_stops_it_and_says_so(aws: LocalAws, launcher: SageMaker, job: MakeJob) -> None:
    handle = launcher.submit(job("sleep 60"))
    next(iter(handle.events(follow=True)))
    aws.running[handle.name].time_is_over()
    with pytest.raises(JobStoppedError, match="MaxRuntimeExceeded"):
        handle.wait(60)
