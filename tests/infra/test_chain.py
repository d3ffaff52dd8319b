"""The stack, deployed by the real `cdk` into the local AWS, driven by uploads.

What becomes of each, in Step Functions, in the record, and in the mail. One deployment serves all tests; each has
submissions of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from splatlib.cli import app
from splatlib.config import Job
from splatlib.errors import LaunchError
from splatlib.launch import Production
from tests.infra.aws.settings import ServerSettings
from tests.infra.local_stack import LocalStack, find_cdk, local_stack, wait_for

pytest.importorskip("jsonata", reason="the requirements of infra are not installed: make infra-install")
pytest.importorskip("aws_cdk", reason="the requirements of infra are not installed: make infra-install")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_cdk() is None, reason="npm's aws-cdk is not installed: make infra-install"),
]

# By the submission's id: what SageMaker makes of its training jobs.
PLANS: list[tuple[str, dict[str, Any]]] = [
    ("-good-", {"metrics": {"psnr_db": 28.31, "num_gaussians": 24000}, "training_s": 900}),
    ("-bad-", {"failure": "[too_few_registered] 4 of 60 frames were registered", "lines": ["solving", "gave up"]}),
    ("-capacity-.*-a[12]$", {"reason": "CapacityError: Unable to provision requested ML compute capacity."}),
    ("-nocapacity-", {"reason": "CapacityError: Unable to provision requested ML compute capacity."}),
    ("-limit-", {"seconds": 30, "limit_s": 1}),
    ("-spot-", {"seconds": 1.5, "interrupt_after_s": 0.5}),
    ("-slow-", {"seconds": 60}),
]


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with local_stack(ServerSettings(training=PLANS)) as deployed:
        deployed.deploy()
        deployed.put("captures/fox/0001.jpg", b"x" * 5000)
        yield deployed


def ended(stack: LocalStack, job_id: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Record, execution and mail of a submission; the mail is the only one about it."""
    record = stack.wait(job_id)
    execution = stack.execution(job_id) if "execution_arn" in record else {}
    _collected.extend(stack.mails())
    texts = [text for subject, text in _collected if job_id in subject]
    assert len(texts) == 1, texts
    return record, execution, texts[0]


_collected: list[tuple[str, str]] = []


def test_success(stack: LocalStack) -> None:
    stack.submit("t-good-1")
    record, execution, mail = ended(stack, "t-good-1")
    assert (record["status"], execution["status"]) == ("SUCCEEDED", "SUCCEEDED")
    # 900 s at the on-demand price, of which spot bills 0.4 here
    assert float(record["cost_usd"]) == pytest.approx(0.4 * 900 / 3600 * 2.61, rel=1e-3)
    assert "PSNR 28.31 dB" in mail and "24,000" in mail and "$0.261" in mail and "15 min" in mail
    place = record["artefact"].removeprefix(f"s3://{stack.bucket}/")
    found = stack.client("s3").list_objects_v2(Bucket=stack.bucket, Prefix=place)["Contents"]
    assert [entry["Key"].removeprefix(place) for entry in found] == ["scene.spz"] and record["artefact"] in mail
    assert slots(stack) == set()


def slots(stack: LocalStack) -> set[str]:
    items = stack.client("dynamodb").scan(TableName="splatlib-slots")["Items"]
    return {holder for item in items for holder in item.get("holders", {}).get("SS", [])}


def test_a_failed_training_is_failed_everywhere(stack: LocalStack) -> None:
    stack.submit("t-bad-1")
    record, execution, mail = ended(stack, "t-bad-1")
    assert (record["status"], execution["status"], execution["error"]) == ("FAILED", "FAILED", "FAILED")
    assert "4 of 60 frames were registered" in record["cause"] and record["cause"] == execution["cause"]
    assert "4 of 60 frames" in mail and "| gave up" in mail and len(record["training_jobs"]) == 1


def test_a_lack_of_capacity_is_tried_again_under_new_names_on_other_instances(stack: LocalStack) -> None:
    stack.submit("t-capacity-1")
    record, execution, mail = ended(stack, "t-capacity-1")
    assert (record["status"], execution["status"]) == ("SUCCEEDED", "SUCCEEDED")
    assert record["training_jobs"] == [f"splatlib-t-capacity-1-a{attempt}" for attempt in (1, 2, 3)]
    sagemaker = stack.client("sagemaker")
    used = [
        sagemaker.describe_training_job(TrainingJobName=name)["ResourceConfig"]["InstanceType"]
        for name in record["training_jobs"]
    ]
    assert used == ["ml.g6e.xlarge", "ml.g5.xlarge", "ml.g5.2xlarge"] and "Attempts: 3" in mail


def test_capacity_that_never_comes_fails_after_three(stack: LocalStack) -> None:
    stack.submit("t-nocapacity-1")
    record, execution, mail = ended(stack, "t-nocapacity-1")
    assert (record["status"], execution["status"]) == ("FAILED", "FAILED")
    assert len(record["training_jobs"]) == 3 and "CapacityError" in mail


def test_a_job_at_its_time_limit(stack: LocalStack) -> None:
    stack.submit("t-limit-1")
    record, execution, mail = ended(stack, "t-limit-1")
    assert (record["status"], execution["status"], execution["error"]) == ("TIMED_OUT", "FAILED", "TIMED_OUT")
    assert "max_run_s" in mail


def test_a_spot_instance_that_is_taken_away(stack: LocalStack) -> None:
    stack.submit("t-spot-1")
    record, execution, _ = ended(stack, "t-spot-1")
    assert (record["status"], execution["status"]) == ("SUCCEEDED", "SUCCEEDED")
    job = stack.client("sagemaker").describe_training_job(TrainingJobName=record["training_jobs"][0])
    states = [transition["Status"] for transition in job["SecondaryStatusTransitions"]]
    assert "Interrupted" in states and states.count("Training") == 2 and len(record["training_jobs"]) == 1


def test_a_cancelled_execution_reaches_record_and_training_job(stack: LocalStack) -> None:
    stack.submit("t-slow-1")
    record = wait_for(lambda: running(stack, "t-slow-1"), 30, lambda: "it does not run")
    stack.client("stepfunctions").stop_execution(executionArn=record["execution_arn"])
    record, execution, mail = ended(stack, "t-slow-1")
    assert (record["status"], execution["status"]) == ("CANCELLED", "ABORTED")
    job = stack.client("sagemaker").describe_training_job(TrainingJobName="splatlib-t-slow-1-a1")
    assert job["TrainingJobStatus"] in ("Stopping", "Stopped") and "was cancelled" in mail
    assert "t-slow-1" not in slots(stack)


def running(stack: LocalStack, job_id: str) -> dict[str, Any] | None:
    """The record, once its training job is there."""
    record = stack.record(job_id)
    if record is None or record["status"] != "RUNNING":
        return None
    jobs = stack.client("sagemaker").list_training_jobs(NameContains=job_id)["TrainingJobSummaries"]
    return record if jobs else None


def test_an_execution_that_times_out_reaches_the_record(stack: LocalStack) -> None:
    """The state machine's own limit is fourteen days: here the same definition with three seconds."""
    states = stack.client("stepfunctions")
    arn = "arn:aws:states:us-east-1:123456789012:stateMachine:splatlib"
    whole = states.describe_state_machine(stateMachineArn=arn)["definition"]
    states.update_state_machine(stateMachineArn=arn, definition=json.dumps({**json.loads(whole), "TimeoutSeconds": 3}))
    try:
        stack.submit("t-slow-2")
        record, execution, mail = ended(stack, "t-slow-2")
    finally:
        states.update_state_machine(stateMachineArn=arn, definition=whole)
    assert (record["status"], execution["status"]) == ("TIMED_OUT", "TIMED_OUT") and "time limit" in mail


def test_a_bad_job_is_recorded_and_mailed_with_its_field(stack: LocalStack) -> None:
    stack.submit("t-invalid-1", train={"stepz": 5})
    record, execution, mail = ended(stack, "t-invalid-1")
    assert (record["status"], record["field"], execution) == ("REJECTED", "train.stepz", {})
    assert "Field: train.stepz" in mail and "did you mean steps" in mail


def test_a_job_of_another_schema(stack: LocalStack) -> None:
    stack.put("jobs/t-schema-1.json", {"schema": 9, "job": {"capture": f"s3://{stack.bucket}/captures/fox/"}})
    record, _, mail = ended(stack, "t-schema-1")
    assert (record["status"], record["field"]) == ("REJECTED", "schema") and "another version" in mail


def test_the_same_upload_twice_runs_once(stack: LocalStack) -> None:
    for _ in range(3):
        stack.submit("t-good-twice")
    record, _, _ = ended(stack, "t-good-twice")
    time.sleep(1)
    assert record["status"] == "SUCCEEDED" and record["training_jobs"] == ["splatlib-t-good-twice-a1"]
    states = stack.client("stepfunctions")
    executions = states.list_executions(stateMachineArn="arn:aws:states:us-east-1:123456789012:stateMachine:splatlib")
    assert sum(entry["name"].startswith("t-good-twice-") for entry in executions["executions"]) == 1


def test_a_job_waits_for_its_capture(stack: LocalStack) -> None:
    stack.put("jobs/t-good-early.json", {"capture": f"s3://{stack.bucket}/captures/late/"})
    time.sleep(1)
    stack.put("captures/late/0001.jpg", b"x")
    assert ended(stack, "t-good-early")[0]["status"] == "SUCCEEDED"


def test_a_capture_that_never_comes(stack: LocalStack) -> None:
    stack.put("jobs/t-good-never.json", {"capture": f"s3://{stack.bucket}/captures/never/"})
    record, execution, mail = ended(stack, "t-good-never")
    assert (record["status"], record["field"], execution["status"]) == ("REJECTED", "job.capture", "FAILED")
    assert "captures/never/" in mail and "training_jobs" not in record


@pytest.fixture
def production(stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> Production:
    for name, value in stack.environment.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    return Production(labels={"of": "tests"})


def test_a_local_capture_by_the_launcher(stack: LocalStack, production: Production, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(3):
        (photos / f"{number}.jpg").write_bytes(b"x" * (100 + number))
    handle = production.submit(Job(capture=str(photos)), "t-good-mine")
    assert wait_for(lambda: handle.status().ended, 60, lambda: f"{handle.status()}")
    status = handle.wait()
    assert (status.state, status.detail) == ("done", "SUCCEEDED")
    assert status.cost_usd == pytest.approx(0.4 * 900 / 3600 * 2.61, rel=1e-3)
    assert (handle.fetch(tmp_path / "out") / "scene.spz").read_bytes() == b"splat"
    assert [event["psnr_db"] for event in handle.events()] == [28.31]
    assert handle.record()["labels"] == {"of": "tests"}
    before = uploads(stack)
    again = handle.rerun()
    other = production.submit(Job(capture=str(photos), run="other"), "t-good-mine-too")
    assert again.name == "t-good-mine-r2" and uploads(stack) == before and len(before) == 3
    assert [again.wait(60).state, other.wait(60).state] == ["done", "done"]
    assert {"t-good-mine", again.name, other.name} <= {job.name for job in production.jobs("succeeded")}
    with pytest.raises(LaunchError, match="already"):
        production.submit(Job(capture=str(photos)), "t-good-mine")


def uploads(stack: LocalStack) -> dict[str, Any]:
    """Time of the last change of each file that the launcher uploaded."""
    found = stack.client("s3").list_objects_v2(Bucket=stack.bucket, Prefix="captures/")["Contents"]
    return {entry["Key"]: entry["LastModified"] for entry in found if "/0/" in entry["Key"]}


def test_a_batch_with_its_summary(stack: LocalStack, production: Production) -> None:
    place = f"s3://{stack.bucket}/captures/fox/"
    jobs = {f"t-{end}-of-batch": Job(capture=place, run=end) for end in ("good", "bad", "good-2")}
    jobs["t-nowhere-of-batch"] = Job(capture="s3://elsewhere/captures/fox/")
    arn = production.submit_batch(jobs, "sweep-1")
    states = stack.client("stepfunctions")
    ended = wait_for(
        lambda: (found := states.describe_execution(executionArn=arn)) and found["status"] != "RUNNING" and found,
        120,
        lambda: "the batch still runs",
    )
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    ends = {entry["uuid"]: entry["status"] for entry in json.loads(ended["output"])["ends"]}
    assert ends == {
        "t-good-of-batch": "SUCCEEDED",
        "t-bad-of-batch": "FAILED",
        "t-good-2-of-batch": "SUCCEEDED",
        "t-nowhere-of-batch": "REJECTED",
    }
    _collected.extend(stack.mails())
    (text,) = [text for subject, text in _collected if subject == "Splat batch complete: sweep-1"]
    assert "4 submissions, 2 succeeded" in text and "t-bad-of-batch: FAILED" in text


def test_the_command_line(stack: LocalStack, production: Production) -> None:
    runner = CliRunner()
    stack.submit("t-slow-cli")
    wait_for(lambda: running(stack, "t-slow-cli"), 30, lambda: "it does not run")
    assert runner.invoke(app, ["production", "cancel", "t-slow-cli"]).exit_code == 0
    assert stack.wait("t-slow-cli")["status"] == "CANCELLED"
    listed = runner.invoke(app, ["production", "list", "--status", "cancelled"])
    assert "t-slow-cli" in listed.output
    stack.submit("t-bad-cli")
    stack.wait("t-bad-cli")
    assert "gave up" in runner.invoke(app, ["production", "logs", "t-bad-cli"]).output
    told = json.loads(runner.invoke(app, ["production", "status", "t-bad-cli"]).output)
    assert told["status"] == "FAILED" and "4 of 60" in told["cause"]
    missing = runner.invoke(app, ["production", "status", "t-nothing"])
    assert missing.exit_code == 1 and "no record of t-nothing" in missing.output
    elsewhere = runner.invoke(app, ["production", "list", "--stack", "other"])
    assert elsewhere.exit_code == 1 and "there is no stack other here" in elsewhere.output
