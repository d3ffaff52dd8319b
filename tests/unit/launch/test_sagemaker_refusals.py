"""What the SageMaker launcher refuses before anything is uploaded, and what AWS refuses it, in words that help."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from splatlib import Job, SageMaker
from splatlib.errors import (
    BudgetError,
    ConfigError,
    LaunchAccessError,
    LaunchError,
    LaunchQuotaError,
    S3Error,
)
from splatlib.launch.estimate import RECOMMENDED
from tests.local_aws import ACCOUNT, BUCKET, IMAGE, REGION, ROLE, LocalAws
from tests.s3_server import BadServer
from tests.unit.launch.conftest import MakeJob, keys

ROLE_ARN = f"arn:aws:iam::{ACCOUNT}:role/{ROLE}"


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


@pytest.mark.usefixtures("no_waiting")
def test_throttling_without_end_is_told(
    aws: LocalAws, launcher: SageMaker, job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.throttle = 100
    monkeypatch.setattr("botocore.httpsession.URLLib3Session.close", lambda self: None)
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


@pytest.mark.usefixtures("no_waiting")
def test_a_region_that_cannot_be_reached(job: MakeJob, aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(LaunchError, match="cannot be reached"):
        SageMaker(bucket=BUCKET, role=ROLE_ARN, image="registry.example.com/splatlib:1").submit(job("x"))


@pytest.mark.usefixtures("no_waiting")
def test_an_upload_that_breaks_off_starts_no_job_and_goes_on_later(
    aws: LocalAws, launcher: SageMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 takes two of the capture's files, and then answers 503 until boto3 gives up."""
    capture = tmp_path / "photos"
    capture.mkdir()
    for number in range(6):
        (capture / f"{number}.jpg").write_text(f"photo {number} that breaks off")
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
