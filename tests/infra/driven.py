"""Uploads that are driven through each deployment, CDK's and Terraform's, and what has to become of them.

``outcomes.json`` beside this holds record, execution, training job and mail of each, and both deployments are held
against it: what they do is the same. After a change that is meant: ``python -m tests.infra.driven``, and read the
difference, the mails above all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.infra.aws.settings import ServerSettings
from tests.infra.local_stack import LocalStack, local_stack, wait_for
from tests.unit.test_toolbox import TOOLBOX

EXPECTED = Path(__file__).with_name("outcomes.json")
RUNBOOK = Path(__file__).parents[2] / "docs" / "runbook.md"

# By the submission's id: what SageMaker makes of its training jobs.
PLANS: list[tuple[str, dict[str, Any]]] = [
    ("-two-contents-", {"metrics": {"psnr_db": 28.31, "num_gaussians": 24000}, "training_s": 900, "seconds": 10}),
    ("-good-", {"metrics": {"psnr_db": 28.31, "num_gaussians": 24000}, "training_s": 900}),
    ("-bad-", {"failure": "[too_few_registered] 4 of 60 frames were registered", "lines": ["solving", "gave up"],
               "training_s": 80}),
    ("-capacity-.*-a[12]$", {"reason": "CapacityError: Unable to provision requested ML compute capacity."}),
    ("-nocapacity-", {"reason": "CapacityError: Unable to provision requested ML compute capacity."}),
    ("-limit-", {"seconds": 60, "limit_s": 1, "training_s": 14400}),
    ("-spot-", {"seconds": 1.5, "interrupt_after_s": 0.5, "training_s": 1000}),
    ("-slow-", {"seconds": 60}),
    ("-noise-", {"seconds": 1}),
    # what the sample capture is called where nobody gave it a name: the real entry point
    ("^splatlib-sample-", {"real": True}),
]  # fmt: skip


def job(stack: LocalStack, **fields: Any) -> dict[str, Any]:
    return {"capture": f"s3://{stack.bucket}/captures/fox/", **fields}


def once(**fields: Any) -> Callable[[LocalStack, str], None]:
    return lambda stack, name: put(stack, name, {**job(stack), **fields})


def put(stack: LocalStack, name: str, body: bytes | str | dict[str, Any]) -> None:
    """Each by another submitter: none waits for another's slot."""
    stack.put(f"jobs/{name}.json", body, uploader=f"AWS:{name}")


def submission(**fields: Any) -> Callable[[LocalStack, str], None]:
    return lambda stack, name: put(stack, name, {"schema": 1, "job": job(stack), **fields})


def three_times(stack: LocalStack, name: str) -> None:
    for _ in range(3):
        put(stack, name, job(stack))


def cancelled(stack: LocalStack, name: str) -> None:
    put(stack, name, job(stack))
    record = wait_for(lambda: trains(stack, name), 90, lambda: f"it does not run: {stack.record(name)}")
    stack.client("stepfunctions").stop_execution(executionArn=record["execution_arn"])


def trains(stack: LocalStack, name: str) -> dict[str, Any] | None:
    """The record, once its training job wrote its first line."""
    record = stack.record(name)
    if record is None or record["status"] != "RUNNING":
        return None
    logs = stack.client("logs")
    try:
        found = logs.describe_log_streams(
            logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"splatlib-{name}-a"
        )
    except logs.exceptions.ResourceNotFoundException:
        return None
    return record if any("lastEventTimestamp" in stream for stream in found["logStreams"]) else None


def before_its_capture(stack: LocalStack, name: str) -> None:
    put(stack, name, {"capture": f"s3://{stack.bucket}/captures/late/"})
    wait_for(lambda: stack.record(name), 60, lambda: "it is not recorded")
    stack.put("captures/late/0001.jpg", b"x")


def ten_megabytes(stack: LocalStack, name: str) -> None:
    put(stack, name, job(stack, run="x" * 10_000_000))


def by_multipart(stack: LocalStack, name: str) -> None:
    s3, place = stack.client("s3"), {"Bucket": stack.bucket, "Key": f"jobs/{name}.json"}
    upload = s3.create_multipart_upload(**place, Metadata={"uploader": f"AWS:{name}"})["UploadId"]
    part = s3.upload_part(**place, UploadId=upload, PartNumber=1, Body=json.dumps(job(stack)).encode())
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(**place, UploadId=upload, MultipartUpload=parts)


def with_other_content(stack: LocalStack, name: str) -> None:
    """What ``name`` becomes is that of the first; the refusal of the second has a record of its own."""
    put(stack, name, job(stack))
    wait_for(lambda: trains(stack, name), 90, lambda: f"it does not run: {stack.record(name)}")
    put(stack, name, job(stack, run="other"))


def of_the_guidance(stack: LocalStack, name: str) -> None:
    place = {"bucketName": stack.bucket, "inputPrefix": "captures/fox", "inputKey": "0001.jpg"}
    put(stack, name, {**TOOLBOX, "uuid": name, "instanceType": "ml.g5.4xlarge", "s3": place})


def elsewhere(place: str) -> Callable[[LocalStack, str], None]:
    return lambda stack, name: put(stack, name, {"capture": place.replace("BUCKET", stack.bucket)})


# The eight, then its bad input; by the submission's id.
CASES: dict[str, Callable[[LocalStack, str], None]] = {
    "t-good-success": once(),
    "t-bad-training": once(),
    "t-not-json": lambda stack, name: put(stack, name, "{capture: 1"),
    "t-good-duplicate": three_times,
    "t-limit-of-time": once(),
    "t-slow-cancelled": cancelled,
    "t-spot-interrupted": once(),
    "t-other-schema": submission(schema=9),
    "t-ten-megabytes": ten_megabytes,
    "t-unknown-field": once(train={"stepz": 5}),
    "t-key with; tricks": once(),
    "t-other-bucket": elsewhere("s3://elsewhere/captures/fox/"),
    "t-path-that-climbs": elsewhere("s3://BUCKET/captures/../models/u2net.pth"),
    "t-no-capture": elsewhere("s3://BUCKET/captures/never/"),
    "t-instance-refused": submission(instance="ml.p5.48xlarge"),
    "t-not-utf8": lambda stack, name: put(stack, name, b'{"capture": "\xff\xfe"}'),
    "t-good-multipart": by_multipart,
    "t-good-before-capture": before_its_capture,
    "t-good-two-contents": with_other_content,
    "t-good-guidance": of_the_guidance,
}
# Whose file's name is free for no record, or is taken by another: the record's id holds the content's digest.
NAMELESS = ("t-key with; tricks",)


def drive(stack: LocalStack) -> dict[str, Any]:
    """What becomes of each case; all of them run at once."""
    for name, upload in CASES.items():
        upload(stack, name)
    for name in CASES:
        if name not in NAMELESS:
            stack.wait(name, 120)
    refused = wait_for(lambda: refusals(stack), 60, lambda: "the refusals without a name are not there")
    mails = stack.letters()
    found = {name: _outcome(stack, name, mails) for name in CASES if name not in NAMELESS}
    return found | {f"refused {record['source']}": _of_record(stack, record, mails) for record in refused}


def refusals(stack: LocalStack) -> list[dict[str, Any]] | None:
    """Records of what has no name of its own: a key that is none, a second content. None until both are there."""
    ids = [item["id"]["S"] for item in stack.client("dynamodb").scan(TableName="splatlib-records")["Items"]]
    records = [stack.record(each) for each in ids if each.startswith("rejected-")]
    found = [
        record for record in records if record and record.get("mail") == "SENT" and record["submitter"][4:] in CASES
    ]
    return found if len(found) == 2 else None


def _outcome(stack: LocalStack, name: str, mails: list[tuple[str, str]]) -> dict[str, Any]:
    record = stack.record(name)
    assert record is not None
    return _of_record(stack, record, mails)


def _of_record(stack: LocalStack, record: dict[str, Any], mails: list[tuple[str, str]]) -> dict[str, Any]:
    name = record["id"]
    about = [
        [subject, *map(_without_words_of_notes, text.splitlines())]
        for subject, text in mails
        if re.search(rf"(^|\s){name}($|\s)", subject)
    ]
    found: dict[str, Any] = {
        "record": {key: value for key, value in record.items() if key not in _CHANGING}
        | ({"notes": [note.partition(":")[0] for note in record["notes"]]} if "notes" in record else {}),
        "executions": [],
        "training": [],
        "mails": about,
    }
    states = stack.client("stepfunctions")
    arn = "arn:aws:states:us-east-1:123456789012:stateMachine:splatlib"
    for entry in states.list_executions(stateMachineArn=arn)["executions"]:
        if re.fullmatch(rf"{name}-[0-9a-f]{{16}}", entry["name"]):
            execution = stack.execution(name)
            found["executions"].append([execution["status"], execution.get("error")])
    for training in record.get("training_jobs", []):
        described = stack.client("sagemaker").describe_training_job(TrainingJobName=training)
        transitions = [entry["Status"] for entry in described["SecondaryStatusTransitions"]]
        transitions = [status for status in transitions if not status.startswith("Stop")]
        found["training"].append([described["ResourceConfig"]["InstanceType"], *transitions])
    return _stable(_without_the_race_of_stopping(found) if record["status"] == "CANCELLED" else found)


def _without_words_of_notes(line: str) -> str:
    """Which of the guidance's fields are spoken of; how is splatlib's configuration's business, and tested there."""
    return line.partition(":")[0] if line.startswith("  - ") else line


def _without_the_race_of_stopping(found: dict[str, Any]) -> dict[str, Any]:
    """A training that was being stopped may have been counted or not: its cost is told, or that it is unknown."""
    record = found["record"]
    assert ("cost_usd" in record) != ("cost_note" in record), record
    kept = {name: v for name, v in record.items() if name not in ("cost_usd", "cost_note", "training_s", "billable_s")}
    mails = [[line for line in mail if not line.startswith(("Cost: ", "Time: "))] for mail in found["mails"]]
    return {**found, "record": kept, "mails": mails}


_CHANGING = {
    "digest", "sequencer", "version_id", "submitted_s", "ended_s", "mail_taken_s", "mail_id", "execution_arn", "job",
}  # fmt: skip


def _stable(value: Any) -> Any:
    """Without what differs from run to run, and as JSON has it."""
    text = json.dumps(value, default=float, sort_keys=True)
    text = re.sub(r"(\d+ h )?(\d+ min )?(\d+ s|\d+ min) in all", "TIME in all", text)
    text = re.sub(r"rejected-[0-9a-f]{24}", "rejected-DIGEST", text)
    # fields come and go with splatlib's configuration
    text = re.sub(r"the fields of train are [a-z_, 0-9]+", "the fields of train are …", text)
    return json.loads(text)


def chapters_of_alarms() -> set[str]:
    """Names of alarms, as the runbook's headings have them."""
    headings = re.findall(r"^## ([a-z-]+(?:, [a-z-]+)*)$", RUNBOOK.read_text(), re.MULTILINE)
    return {name for heading in headings for name in heading.split(", ")}


def expected() -> dict[str, Any]:
    return json.loads(EXPECTED.read_text())


def main() -> None:
    with local_stack(ServerSettings(training=PLANS)) as stack:
        stack.deploy()
        stack.put("captures/fox/0001.jpg", b"x" * 5000)
        EXPECTED.write_text(json.dumps(drive(stack), indent=1, sort_keys=True, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
