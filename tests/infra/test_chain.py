"""The stack, deployed by the real `cdk` into the local AWS, driven by uploads.

What becomes of each, in Step Functions, in the record, and in the mail. One deployment serves all tests and notebook
07's; each has submissions of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from docs import production_cost
from splatlib.cli import app
from splatlib.config import Job
from splatlib.errors import LaunchError
from splatlib.launch import Production
from tests.infra import driven
from tests.infra.local_stack import LocalStack, find_cdk, succeeded, wait_for

pytest.importorskip("jsonata", reason="the requirements of infra are not installed: make infra-install")
pytest.importorskip("aws_cdk", reason="the requirements of infra are not installed: make infra-install")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_cdk() is None, reason="npm's aws-cdk is not installed: make infra-install"),
]


@pytest.fixture(scope="module")
def stack(cdk_stack: LocalStack) -> LocalStack:
    return cdk_stack


@pytest.fixture(scope="module")
def outcomes(stack: LocalStack) -> dict[str, Any]:
    return driven.drive(stack)


def test_what_becomes_of_each_upload(outcomes: dict[str, Any]) -> None:
    assert set(outcomes) == set(driven.expected())


@pytest.mark.parametrize("name", driven.expected())
def test_record_execution_training_and_mail(outcomes: dict[str, Any], name: str) -> None:
    assert outcomes[name] == driven.expected()[name]


def test_the_result_lies_where_the_record_says(stack: LocalStack, outcomes: dict[str, Any]) -> None:
    record = outcomes["t-good-success"]["record"]
    # 900 s at the on-demand price, of which spot bills 0.4 here
    assert record["cost_usd"] == pytest.approx(0.4 * 900 / 3600 * 2.61, rel=1e-3)
    place = record["artefact"].removeprefix(f"s3://{stack.bucket}/")
    found = stack.client("s3").list_objects_v2(Bucket=stack.bucket, Prefix=place)["Contents"]
    assert [entry["Key"].removeprefix(place) for entry in found] == ["scene.spz"]


def test_slots_are_given_back_and_cancelled_trainings_stopped(stack: LocalStack, outcomes: dict[str, Any]) -> None:
    assert slots(stack) == set()
    job = stack.client("sagemaker").describe_training_job(TrainingJobName="splatlib-t-slow-cancelled-a1")
    assert job["TrainingJobStatus"] in ("Stopping", "Stopped")


def test_a_submission_takes_as_many_transitions_as_the_cost_table_counts(
    stack: LocalStack, outcomes: dict[str, Any]
) -> None:
    record = stack.record("t-good-success")
    assert record is not None
    history = stack.client("stepfunctions").get_execution_history(executionArn=record["execution_arn"], maxResults=500)
    entered = [event for event in history["events"] if event["type"].endswith("StateEntered")]
    assert len(entered) == production_cost.TRANSITIONS


def slots(stack: LocalStack) -> set[str]:
    items = stack.client("dynamodb").scan(TableName="splatlib-slots")["Items"]
    return {holder for item in items for holder in item.get("holders", {}).get("SS", [])}


def test_a_noisy_submitter_does_not_hold_up_the_others(stack: LocalStack) -> None:
    noisy = [f"t-noise-{number}" for number in range(7)]
    for name in noisy:
        stack.put(f"jobs/{name}.json", driven.job(stack), uploader="AWS:noisy")
    wait_for(lambda: all(map(stack.record, noisy)), 60, lambda: "the noise is not recorded")
    driven.put(stack, "t-quiet-1", driven.job(stack))
    for name in (*noisy, "t-quiet-1"):
        assert stack.wait(name)["status"] == "SUCCEEDED"
    sagemaker = stack.client("sagemaker")
    jobs = {
        name: sagemaker.describe_training_job(TrainingJobName=f"splatlib-{name}-a1") for name in (*noisy, "t-quiet-1")
    }
    begun = {name: job["CreationTime"] for name, job in jobs.items()}
    # the last of the noise waited for the first of it to end; the other one did not
    assert begun["t-quiet-1"] < max(begun[name] for name in noisy)
    for moment in begun.values():
        at_once = [name for name in noisy if begun[name] <= moment < jobs[name]["TrainingEndTime"]]
        assert len(at_once) <= 3, at_once


def ended(stack: LocalStack, job_id: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Record, execution and mail of a submission; the mail is the only one about it."""
    record = stack.wait(job_id)
    execution = stack.execution(job_id) if "execution_arn" in record else {}
    texts = [text for subject, text in stack.letters() if job_id in subject]
    assert len(texts) == 1, texts
    return record, execution, texts[0]


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
    ended = succeeded(stack, production.submit_batch(jobs, "sweep-1"))
    ends = {entry["uuid"]: entry["status"] for entry in json.loads(ended["output"])["ends"]}
    assert ends == {
        "t-good-of-batch": "SUCCEEDED",
        "t-bad-of-batch": "FAILED",
        "t-good-2-of-batch": "SUCCEEDED",
        "t-nowhere-of-batch": "REJECTED",
    }
    (text,) = [text for subject, text in stack.letters() if subject == "Splat batch complete: sweep-1"]
    assert "4 submissions, 2 succeeded" in text and "t-bad-of-batch: FAILED" in text


def test_the_command_line(stack: LocalStack, production: Production) -> None:
    runner = CliRunner()
    stack.submit("t-slow-cli")
    wait_for(lambda: driven.trains(stack, "t-slow-cli"), 30, lambda: "it does not run")
    assert "is being cancelled" in runner.invoke(app, ["production", "cancel", "t-slow-cli"]).output
    assert stack.wait("t-slow-cli")["status"] == "CANCELLED"
    assert "had ended before: CANCELLED" in runner.invoke(app, ["production", "cancel", "t-slow-cli"]).output
    listed = runner.invoke(app, ["production", "list", "--status", "cancelled"])
    assert "t-slow-cli" in listed.output
    stack.submit("t-bad-cli")
    stack.wait("t-bad-cli")
    assert "gave up" in runner.invoke(app, ["production", "logs", "t-bad-cli"]).output
    told = json.loads(runner.invoke(app, ["production", "status", "t-bad-cli"]).output)
    assert told["status"] == "FAILED" and "4 of 60" in told["cause"]
    again = runner.invoke(app, ["production", "rerun", "t-bad-cli"])
    assert again.output == "t-bad-cli-r2\n" and stack.wait("t-bad-cli-r2")["status"] == "FAILED"
    for name, words in {"t-bad-cli": "already (FAILED)", "a b": "is no name"}.items():
        refused = runner.invoke(app, ["production", "rerun", "t-bad-cli", "--name", name])
        assert refused.exit_code != 0 and words in refused.output
    stack.submit("t-odd-cli", train={"stepz": 5})
    stack.wait("t-odd-cli")
    assert "it is REJECTED" in runner.invoke(app, ["production", "logs", "t-odd-cli"]).output
    foreign = runner.invoke(app, ["production", "submit", "s3://elsewhere/captures/fox/"])
    assert foreign.exit_code == 2 and "lies in another bucket" in foreign.output
    missing = runner.invoke(app, ["production", "status", "t-nothing"])
    assert missing.exit_code == 1 and "no record of t-nothing" in missing.output
    elsewhere = runner.invoke(app, ["production", "list", "--stack", "other"])
    assert elsewhere.exit_code == 1 and "there is no stack other here" in elsewhere.output
