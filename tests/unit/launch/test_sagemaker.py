"""The SageMaker launcher through the real SDK, against the local AWS with a stub for the image."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from splatlib import Job, SageMaker
from splatlib.errors import (
    BudgetError,
    ConfigError,
    JobFailedError,
    JobNotFoundError,
    JobStoppedError,
    LaunchAccessError,
    LaunchError,
    LaunchQuotaError,
    S3Error,
)
from splatlib.launch.aws.request import Places, training_job
from splatlib.launch.baggage import pack
from splatlib.launch.contract import event_line, metric_definitions
from splatlib.launch.estimate import RECOMMENDED
from tests.local_aws import ACCOUNT, BUCKET, IMAGE, REGION, ROLE, LocalAws
from tests.local_aws.gaps import check_symbols
from tests.s3_server import BadServer

MakeJob = Callable[..., Job]
ROLE_ARN = f"arn:aws:iam::{ACCOUNT}:role/{ROLE}"
METRIC = event_line(stage="train", step=200, loss=0.25, psnr_db=21.5, num_gaussians=5000)


def keys(aws: LocalAws, prefix: str = "") -> list[str]:
    pages = aws.client("s3").get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


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


# What is refused before anything is uploaded


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"instance": "ml.g6.xlrage"}, r"did you mean ml\.g6\.xlarge"),
        ({"instance": "g5.xlarge"}, "begin with ml"),
        ({"max_run_s": 7200, "max_wait_s": 3600}, "max_wait_s 3600 is less than max_run_s 7200"),
        ({"spot": False, "max_wait_s": 3600}, "spot instances only"),
        ({"keep_alive_s": 60}, "warm pool"),
        ({"spot": False, "keep_alive_s": 7200}, "keep_alive_s"),
        ({"subnets": ("subnet-1",)}, "both subnets and security_groups"),
        ({"max_run_s": 5}, "max_run_s is 5"),
        ({"budget_usd": 0}, "budget_usd"),
        ({"prefix": "/odd/"}, "prefix"),
    ],
)
def test_settings_that_cannot_work_are_refused_where_they_are_written(settings: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        SageMaker(**settings)


def test_nothing_is_uploaded_for_a_job_that_cannot_start(
    aws: LocalAws, job: MakeJob, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = keys(aws)
    work = job("say nothing")

    def refused(
        kind: type[Exception], words: str, work: Job = work, name: str | None = None, **settings: object
    ) -> None:
        with pytest.raises(kind, match=words):
            SageMaker(**{"bucket": BUCKET, "instance": "ml.g6.xlarge", **settings}).submit(work, name)
        assert keys(aws) == before and not aws.requests

    refused(LaunchAccessError, "no role nobody", role="nobody")
    refused(LaunchError, "no image", image=IMAGE.replace(":test", ":missing"))
    refused(LaunchError, "no bucket nowhere-of-tests", bucket="nowhere-of-tests")
    refused(BudgetError, r"may cost \$", budget_usd=0.01)
    refused(BudgetError, "no price", budget_usd=5.0, region="eu-north-1", image="registry.example.com/splatlib:1")
    refused(ConfigError, "no name for a job", name="bench_1")
    refused(ConfigError, "without a network", work=Job(capture="s3://elsewhere/x.mov"), network_isolation=True)
    refused(ConfigError, "has no GPU", work=job("x", train={"device": "cuda"}), instance="ml.m5.xlarge")
    refused(ConfigError, "has no GPU", work=job("x", train={"backend": "3dgut"}), instance="ml.m5.xlarge")
    monkeypatch.delenv("SPLATLIB_IMAGE")
    refused(ConfigError, "no container image")
    monkeypatch.setenv("SPLATLIB_IMAGE", IMAGE)
    monkeypatch.delenv("SPLATLIB_ROLE")
    refused(LaunchAccessError, "no role for the job is named")
    monkeypatch.setenv("SPLATLIB_ROLE", ROLE)
    monkeypatch.setattr("splatlib.launch.aws.launcher._ROOM_FOR_WORK", 1e12)
    refused(LaunchError, "too much for the disk")


def test_a_bucket_of_another_region_is_told(aws: LocalAws, job: MakeJob) -> None:
    location = {"LocationConstraint": "eu-central-1"}
    aws.client("s3").create_bucket(Bucket="far-of-tests", CreateBucketConfiguration=location)
    with pytest.raises(LaunchError, match=f"lies in eu-central-1, the job would run in {REGION}"):
        SageMaker(bucket="far-of-tests").submit(job("x"))


def test_the_default_bucket_is_made_and_the_instance_recommended(aws: LocalAws, job: MakeJob) -> None:
    SageMaker().submit(job("say hello", train={"preset": "high"})).wait(60)
    (sent,) = aws.requests
    assert sent["CheckpointConfig"]["S3Uri"].startswith(f"s3://sagemaker-{REGION}-{ACCOUNT}/splatlib/jobs/")
    assert sent["ResourceConfig"]["InstanceType"] == RECOMMENDED["high"]


def test_the_sdk_does_not_take_over_what_is_logged(
    launcher: SageMaker, job: MakeJob, caplog: pytest.LogCaptureFixture
) -> None:
    root = logging.getLogger()
    caplog.set_level(logging.INFO, "sagemaker")
    before = list(root.handlers), root.level
    launcher.submit(job("say hello")).wait(60)
    assert (list(root.handlers), root.level) == before
    assert "Creating training-job" not in caplog.text, "the SDK's remarks look like errors in a notebook"


def test_a_name_is_given_once(launcher: SageMaker, job: MakeJob) -> None:
    launcher.submit(job("say hello"), "twins")
    with pytest.raises(LaunchError, match="there is a job splatlib-twins already"):
        launcher.submit(job("say hello"), "twins")


# What AWS refuses


def test_a_quota_is_named(aws: LocalAws, launcher: SageMaker, job: MakeJob) -> None:
    aws.quotas["ml.g6.xlarge"] = 0
    with pytest.raises(LaunchQuotaError, match=r"ml\.g6\.xlarge for spot training job usage") as told:
        launcher.submit(job("x"))
    assert "Service Quotas" in told.value.hint


def test_throttling_is_waited_out(aws: LocalAws, launcher: SageMaker, job: MakeJob) -> None:
    aws.throttle = 2
    launcher.submit(job("say hello")).wait(60)
    assert aws.throttle == 0


def test_throttling_without_end_is_told(
    aws: LocalAws, launcher: SageMaker, job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.throttle = 100
    monkeypatch.setattr("botocore.httpsession.URLLib3Session.close", lambda self: None)
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    with pytest.raises(LaunchError, match="asks to go slower"):
        launcher.submit(job("x"))


@pytest.mark.parametrize(
    ("code", "message", "kind", "words", "hint"),
    [
        (
            "AccessDeniedException",
            "User: arn:aws:iam::1:user/me is not authorized to perform: iam:PassRole on resource: x",
            LaunchAccessError,
            "not allowed",
            "iam:PassRole on the job's role",
        ),
        ("AccessDeniedException", "no", LaunchAccessError, "not allowed", "sagemaker:CreateTrainingJob"),
        ("ExpiredTokenException", "The security token is expired", LaunchAccessError, "expired", "aws sso login"),
        ("UnrecognizedClientException", "invalid token", LaunchAccessError, "does not know", "aws configure"),
        (
            "ResourceLimitExceeded",
            "The requested resource training-job/ml.g6.xlarge is not available in this region",
            LaunchQuotaError,
            "region does not have that instance",
            "another region",
        ),
        ("ValidationException", "1 validation error detected", LaunchError, "1 validation error", "settings"),
    ],
)
def test_each_refusal_says_what_to_ask_for(
    aws: LocalAws, launcher: SageMaker, job: MakeJob, code: str, message: str, kind: type, words: str, hint: str
) -> None:
    aws.refusals["CreateTrainingJob"] = (code, message)
    with pytest.raises(kind) as told:
        launcher.submit(job("x"))
    assert words in str(told.value) and hint in told.value.hint


def test_a_role_that_sagemaker_cannot_take_on(aws: LocalAws, job: MakeJob) -> None:
    with pytest.raises(LaunchAccessError, match="cannot take on the role") as told:
        SageMaker(bucket=BUCKET, role=f"arn:aws:iam::{ACCOUNT}:role/elsewhere").submit(job("x"))
    assert "sagemaker.amazonaws.com" in told.value.hint


def test_without_credentials_or_a_region_it_says_how_to_get_them(
    aws: LocalAws, job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(LaunchAccessError, match="no AWS credentials"):
        SageMaker(bucket=BUCKET).submit(job("x"))
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    with pytest.raises(LaunchError, match="no AWS region"):
        SageMaker(bucket=BUCKET).estimate(job("x"))


def test_a_region_that_cannot_be_reached(job: MakeJob, aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    with pytest.raises(LaunchError, match="cannot be reached"):
        SageMaker(bucket=BUCKET, role=ROLE_ARN, image="registry.example.com/splatlib:1").submit(job("x"))


def test_an_upload_that_breaks_off_starts_no_job_and_goes_on_later(
    aws: LocalAws, launcher: SageMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 takes two of the capture's files, and then answers 503 until boto3 gives up."""
    capture = tmp_path / "photos"
    capture.mkdir()
    for number in range(6):
        (capture / f"{number}.jpg").write_text(f"photo {number} that breaks off")
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    front = BadServer(aws.endpoint)
    front.puts_left, front.answers_left = 2, 1000
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", front.endpoint)
    before = set(keys(aws))
    try:
        with pytest.raises(S3Error, match="asks to go slower"):
            launcher.submit(Job(capture=str(capture)), "broken-off")
        arrived = set(keys(aws)) - before
        assert len(arrived) == 2 and all("/blobs/" in key for key in arrived) and not aws.requests
        front.puts_left = None
        front.put.clear()
        launcher.submit(Job(capture=str(capture)), "broken-off")
        sent = [path for path in front.put if "/blobs/" in path]
        assert len(sent) == 4 and not any(key in path for key in arrived for path in sent), "the two are kept"
        assert len(aws.requests) == 1
    finally:
        front.close()
