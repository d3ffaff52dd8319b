"""Completion, sweep and preparation by unit tests: SageMaker's answers as recorded, clocks moved, calls counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.completion.runtime import handler as completion
from infra.completion.runtime import outcome, sweep
from infra.runtime import aws
from infra.workflow.runtime import handler as preparation
from infra.workflow.runtime.training_job import document, volume_gb
from tests.infra.world import World

ID = "walk-1"
EVENTS = Path(__file__).parent / "events"


@pytest.fixture
def submitted(world: World) -> World:
    world.put("captures/fox/1.jpg", b"x" * 2000)
    world.submit(f"jobs/{ID}.json", {"capture": f"s3://{world.bucket}/captures/fox/"})
    return world


class Sagemaker:
    """Describes jobs as a test says, and notes which were stopped."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.stopped: list[str] = []
        monkeypatch.setattr(outcome, "client", lambda service: self if service == "sagemaker" else aws.client(service))

    def describe_training_job(self, TrainingJobName: str) -> dict[str, Any]:
        if TrainingJobName not in self.jobs:
            refused = {"Error": {"Code": "ValidationException", "Message": "Requested resource not found."}}
            raise ClientError(refused, "DescribeTrainingJob")  # type: ignore[arg-type]
        recorded = json.loads((EVENTS / "describe_training_job.json").read_text())
        return {**recorded, "TrainingJobName": TrainingJobName, **self.jobs[TrainingJobName]}

    def stop_training_job(self, TrainingJobName: str) -> None:
        self.stopped.append(TrainingJobName)


@pytest.fixture
def sagemaker(monkeypatch: pytest.MonkeyPatch) -> Sagemaker:
    return Sagemaker(monkeypatch)


def prepared(world: World, attempt: int = 1) -> dict[str, Any]:
    event = json.loads(world.executions()[0]["input"])
    return preparation.handle({**event, "attempt": attempt}, None)


@pytest.mark.parametrize("capture", ["captures/fox.mov", "captures/fox", "captures/fox/"])
def test_captures_are_found_by_listing_alone(world: World, capture: str) -> None:
    """S3 answers HEAD of what is not there with 403 to whoever may not list the whole bucket."""
    world.put("captures/fox.mov", b"x" * 7_000)
    world.put("captures/fox/1.jpg", b"x" * 2_000)
    world.put("captures/fox/2.jpg", b"x" * 3_000)
    asked: list[str] = []
    aws.client("s3").meta.events.register("before-call.s3", lambda model, **_: asked.append(model.name))
    place = f"s3://{world.bucket}/{capture}"
    assert preparation._bytes_at(place, world.settings) == (7_000 if capture.endswith(".mov") else 5_000)
    with pytest.raises(preparation.CaptureNotThereYet):
        preparation._bytes_at(f"s3://{world.bucket}/captures/fo", world.settings)
    assert set(asked) == {"ListObjectsV2"}


def status_event(name: str, status: str) -> dict[str, Any]:
    """EventBridge's event, after the recorded one."""
    event = json.loads((EVENTS / "execution_status.json").read_text())
    event["detail"] |= {"status": status, "name": name, "input": json.dumps({"id": ID})}
    return event


def test_the_request_and_the_job_that_the_container_reads(submitted: World) -> None:
    made = prepared(submitted)
    request = made["request"]
    assert made["name"] == request["TrainingJobName"] == f"splatlib-{ID}-a1"
    assert (
        request["EnableManagedSpotTraining"] is True and request["StoppingCondition"]["MaxWaitTimeInSeconds"] == 43_200
    )
    assert request["AlgorithmSpecification"]["TrainingImage"].endswith(f"sha256:{'0' * 64}")
    assert request["CheckpointConfig"]["S3Uri"] == f"s3://{submitted.bucket}/checkpoints/{ID}/"
    assert "VpcConfig" not in request
    body = submitted.s3.get_object(Bucket=submitted.bucket, Key=f"results/{ID}/job/job.json")["Body"].read()
    assert json.loads(body)["capture"] == f"s3://{submitted.bucket}/captures/fox/"
    assert prepared(submitted) == made  # a step that is repeated is the same step
    assert submitted.records.get(ID)["training_jobs"] == [made["name"]]  # type: ignore[index]


def test_each_attempt_has_a_name_and_an_instance_of_its_own(submitted: World) -> None:
    made = [prepared(submitted, attempt) for attempt in (1, 2, 3)]
    assert len({entry["name"] for entry in made}) == 3
    used = [entry["request"]["ResourceConfig"]["InstanceType"] for entry in made]
    assert used == ["ml.g6e.xlarge", "ml.g5.xlarge", "ml.g6e.xlarge"]


def test_without_spot_and_in_a_network(submitted: World) -> None:
    from dataclasses import replace

    record = {**submitted.records.get(ID), "spot": False, "labels": {"who": "me & you"}}  # type: ignore[dict-item]
    here = replace(submitted.settings, subnets=("subnet-1",), security_groups=("sg-1",))
    request = document(record, 1, 10**9, here)
    assert "MaxWaitTimeInSeconds" not in request["StoppingCondition"]
    assert request["VpcConfig"] == {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}
    assert {"Key": "splatlib:label:who", "Value": "me _ you"} in request["Tags"]
    assert (volume_gb(0, here), volume_gb(10**9, here), volume_gb(10**13, here)) == (30, 34, 500)


def test_no_capture_no_image_and_no_record(submitted: World) -> None:
    submitted.submit("jobs/later.json", {"capture": f"s3://{submitted.bucket}/captures/later/"})
    with pytest.raises(preparation.CaptureNotThereYet, match="captures/later/"):
        preparation.handle({"id": "later", "attempt": 1}, None)
    with pytest.raises(preparation.RecordHasEnded):
        preparation.handle({"id": "nothing", "attempt": 1}, None)
    submitted.ssm.put_parameter(Name="/splatlib/image-uri", Value="none", Overwrite=True)
    from infra.runtime import parameters

    parameters._kept.clear()
    with pytest.raises(preparation.NoImage):
        preparation.handle({"id": ID, "attempt": 1}, None)


def test_success_with_figures(submitted: World, sagemaker: Sagemaker) -> None:
    name = prepared(submitted)["name"]
    sagemaker.jobs[name] = {}
    for _ in range(2):
        assert completion.handle({"from": "workflow", "id": ID, "error": None}, None)["status"] == "SUCCEEDED"
    record = submitted.records.get(ID)
    assert record is not None
    # recorded: 1,214 s of training, 437 of them billed
    assert (record["training_s"], record["billable_s"]) == (1214, 437)
    assert record["cost_usd"] == pytest.approx(437 / 3600 * 2.61, abs=1e-4) and record["psnr_db"] == 28.4
    ((subject, text),) = submitted.mails()
    assert subject == f"Splat Processing Complete: {ID}" and "28.40 dB" in text and "20 min 14 s" in text


@pytest.mark.parametrize(
    ("job", "event", "status", "words"),
    [
        ({"TrainingJobStatus": "Failed", "FailureReason": "AlgorithmError: none"}, "FAILED", "FAILED", "Error: none"),
        ({"TrainingJobStatus": "InProgress"}, "ABORTED", "CANCELLED", "cancelled"),
        ({"TrainingJobStatus": "InProgress"}, "TIMED_OUT", "TIMED_OUT", "fourteen days"),
        ({"TrainingJobStatus": "Stopped", "SecondaryStatus": "MaxWaitTimeExceeded"}, "FAILED", "TIMED_OUT", "spare"),
        ({"TrainingJobStatus": "Stopped", "SecondaryStatus": "Stopped"}, "FAILED", "CANCELLED", ""),
        # the workflow stumbled after the training had ended well: there is a splat
        ({"TrainingJobStatus": "Completed"}, "FAILED", "SUCCEEDED", ""),
    ],
)  # fmt: skip
def test_every_end_reaches_the_record_by_event_bridge(
    submitted: World, sagemaker: Sagemaker, job: dict[str, Any], event: str, status: str, words: str
) -> None:
    name = prepared(submitted)["name"]
    sagemaker.jobs[name] = {"SecondaryStatus": job["TrainingJobStatus"], **job}
    execution = submitted.executions()[0]["name"]
    for _ in range(3):
        assert completion.handle(status_event(execution, event), None)["status"] == status
    assert sagemaker.stopped == ([name] if job["TrainingJobStatus"] == "InProgress" else [])
    assert words in submitted.records.get(ID).get("cause", "") and len(submitted.mails()) == 1  # type: ignore[union-attr]


def test_an_event_without_its_input_is_told_by_its_name(submitted: World, sagemaker: Sagemaker) -> None:
    event = status_event(submitted.executions()[0]["name"], "ABORTED")
    event["detail"]["input"] = None
    assert completion.handle(event, None)["status"] == "CANCELLED"


def test_a_capture_that_never_came_is_a_refusal(submitted: World, sagemaker: Sagemaker) -> None:
    cause = {"errorType": "CaptureNotThereYet", "errorMessage": "job.capture: there is nothing at s3://b/captures/x/"}
    error = {"Error": "CaptureNotThereYet", "Cause": json.dumps(cause)}
    completion.handle({"from": "workflow", "id": ID, "error": error}, None)
    record = submitted.records.get(ID)
    assert record is not None and (record["status"], record["field"]) == ("REJECTED", "job.capture")


def test_the_sweep_starts_ends_and_mails_what_got_lost(
    submitted: World, sagemaker: Sagemaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = submitted.put("jobs/lost.json", {"capture": f"s3://{submitted.bucket}/captures/fox/"})
    states = aws.client("stepfunctions")
    with monkeypatch.context() as broken:
        broken.setattr(states, "start_execution", lambda **_: (_ for _ in ()).throw(TimeoutError("lost")))
        assert submitted.deliver(lost)["batchItemFailures"]
    assert sweep.handle({}, None) == {"started": 0, "ended": 0, "mailed": 0}  # the usual ways may still come
    done = sweep.handle({"patience_s": 0}, None)
    assert done["started"] == 1 and "execution_arn" in submitted.records.get("lost")  # type: ignore[operator]
    for execution in submitted.executions():
        if execution["status"] == "RUNNING":
            states.stop_execution(executionArn=execution["executionArn"])
    monkeypatch.setattr(sweep, "now_s", lambda: 10**10)
    assert sweep.handle({"patience_s": 0}, None)["ended"] == 2
    assert {record["status"] for record in submitted.all_records()} == {"CANCELLED"}
    assert len(submitted.mails()) == 2 and submitted.records.ids("by_mail_due", "yes") == []
