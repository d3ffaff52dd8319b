"""One deployment's whole life in the local AWS: driven so that every role does all that it is there for, each call
compared with the policies; deployed again without changes; destroyed, its data kept; and deployed over that data."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("jsonata", reason="the requirements of infra are not installed: make infra-install")
pytest.importorskip("aws_cdk", reason="the requirements of infra are not installed: make infra-install")

from infra.weights import SUMS, load
from splatlib.config import Job
from splatlib.launch import Production
from tests.infra import privileges
from tests.infra.aws.settings import ServerSettings
from tests.infra.driven import trains
from tests.infra.image_build import build_image
from tests.infra.local_stack import LocalStack, find_cdk, local_stack, succeeded, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_cdk() is None, reason="npm's aws-cdk is not installed: make infra-install"),
]

PLANS: list[tuple[str, dict[str, Any]]] = [
    ("-bad-", {"failure": "no two frames match", "lines": ["solving"]}),
    ("-slow-", {"seconds": 300}),
    ("-real-", {"real": True}),
    ("-spot-", {"seconds": 1.5, "interrupt_after_s": 2.5, "checkpoints": 2}),
]
RECORDS, DEAD = "splatlib-records", "splatlib-complete-dead"


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with local_stack(ServerSettings(training=PLANS)) as deployed:
        deployed.deploy()
        deployed.put("captures/fox/0001.jpg", b"x" * 5000)
        yield deployed


def test_roles_may_do_what_they_do_and_nothing_else(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for name, value in stack.environment.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    drive_the_image_build(stack, tmp_path_factory.mktemp("build"))
    drive_trainings(stack, tmp_path_factory.mktemp("weights"))
    drive_the_batch(stack)
    drive_dead_letters(stack)
    drive_the_sweep(stack)
    uses = privileges.used(stack.calls())
    denied = [use for use in uses if not privileges.allowed(use)]
    assert not denied, "roles did what they may not do:\n" + "\n".join(map(str, denied))
    idle = {role: found for role in privileges.ROLES if (found := privileges.idle(role, uses))}
    assert not idle, f"roles may do what nobody needed: {idle}"
    assert not privileges.shown_after_all(uses)


def drive_the_image_build(stack: LocalStack, folder: Path) -> None:
    """Twice of the same sources: the second one pushes nothing, since a tag is never pushed twice."""
    ssm = stack.client("ssm")
    first, second = (build_image(stack, folder, "0123456789abcdef") for _ in range(2))
    assert [line.split()[0] for line in first] == ["login", "build", "push"] and len(second) == 1
    named = ssm.get_parameter(Name="/splatlib/image-uri")["Parameter"]["Value"]
    images = stack.client("ecr").describe_images(repositoryName="splatlib")["imageDetails"]
    assert named.endswith(f"/splatlib@{images[0]['imageDigest']}") and len(images) == 1


def drive_trainings(stack: LocalStack, weights: Path) -> None:
    """Success, failure, an interruption with a checkpoint that is replaced, a cancelled one; and the real entry point,
    which copies captures and weights with the training's role, and then finds that they are no pictures."""
    (weights / "u2net.pth").write_bytes(b"no network")
    (weights / SUMS).write_text(f"{hashlib.sha256(b'no network').hexdigest()}  u2net.pth\n")
    load(weights, f"s3://{stack.bucket}/models/", stack.client("s3"))
    for job_id in ("l-good-1", "l-bad-1", "l-spot-1", "l-slow-1"):
        stack.submit(job_id)
    for number in range(4):
        stack.put(f"captures/grey/{number}.png", picture(number))
    stack.put("jobs/l-real-1.json", {"capture": f"s3://{stack.bucket}/captures/grey/", "masks": {"backend": "u2net"}})
    stack.submit("l-invalid-1", train={"stepz": 5})
    record = wait_for(lambda: trains(stack, "l-slow-1"), 60, lambda: "l-slow-1 does not train")
    stack.client("stepfunctions").stop_execution(executionArn=record["execution_arn"])
    ends = {job_id: stack.wait(job_id, 240)["status"] for job_id in ("l-good-1", "l-bad-1", "l-spot-1", "l-slow-1")}
    assert ends == {"l-good-1": "SUCCEEDED", "l-bad-1": "FAILED", "l-spot-1": "SUCCEEDED", "l-slow-1": "CANCELLED"}
    real = stack.wait("l-real-1", 300)
    assert real["status"] == "FAILED" and "u2net" in real["cause"], real["cause"]
    assert stack.wait("l-invalid-1")["status"] == "REJECTED"


def picture(seed: int) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 255, (240, 320, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    return file.getvalue()


def drive_the_batch(stack: LocalStack) -> None:
    job = Job(capture=f"s3://{stack.bucket}/captures/fox/")
    succeeded(stack, Production().submit_batch({"l-good-of-batch": job}, "batch-of-one"))


def drive_dead_letters(stack: LocalStack) -> None:
    """Events that complete and sweep cannot make anything of: called three times, then to the dead-letter queue."""
    stopped = {
        "detail-type": "Step Functions Execution Status Change",
        "detail": {"input": '{"id": "l-nothing"}', "status": "ABORTED", "name": "l-nothing-0123456789abcdef"},
    }
    sqs = stack.client("sqs")
    url = sqs.get_queue_url(QueueName=DEAD)["QueueUrl"]
    for function, event in {"splatlib-complete": stopped, "splatlib-sweep": {"patience_s": "soon"}}.items():
        stack.client("lambda").invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(event).encode())
    letters: list[dict[str, Any]] = []

    def both() -> bool:
        letters.extend(
            json.loads(message["Body"])
            for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        )
        return len(letters) >= 2

    wait_for(both, 120, lambda: f"dead letters: {letters}")
    assert stopped in letters and {"patience_s": "soon"} in letters


def drive_the_sweep(stack: LocalStack) -> None:
    """Four records that every usual way has lost, and a training job that outlives its execution."""
    dynamodb = stack.client("dynamodb")
    stack.submit("l-slow-2")
    wait_for(lambda: trains(stack, "l-slow-2"), 60, lambda: "l-slow-2 does not train")
    dynamodb.update_item(
        TableName=RECORDS,
        Key={"id": {"S": "l-slow-2"}},
        UpdateExpression="SET execution_arn = :arn",
        ExpressionAttributeValues={":arn": {"S": f"{EXECUTION}:l-slow-2-of-nobody"}},
    )
    copy_record(stack, "l-good-1", "l-good-unstarted", {"status": "SUBMITTED"}, without=_OF_A_START)
    copy_record(stack, "l-bad-1", "l-bad-unmailed", {"mail": "DUE", "mail_due": "yes"})
    function = stack.client("lambda")
    answer = function.invoke(FunctionName="splatlib-sweep", Payload=b'{"patience_s": 0}')
    assert json.loads(answer["Payload"].read()) == {"started": 1, "ended": 1, "mailed": 1}
    assert stack.wait("l-good-unstarted")["status"] == "SUCCEEDED"
    assert stack.wait("l-slow-2")["status"] == "FAILED" and stack.wait("l-bad-unmailed")["mail"] == "SENT"
    # the completion function stops what still trains, too, where the workflow could not
    stack.submit("l-slow-3")
    wait_for(lambda: trains(stack, "l-slow-3"), 60, lambda: "l-slow-3 does not train")
    event = {"from": "workflow", "id": "l-slow-3", "error": {"Error": "States.Runtime", "Cause": "its state is torn"}}
    function.invoke(FunctionName="splatlib-complete", Payload=json.dumps(event).encode())
    assert "its state is torn" in stack.wait("l-slow-3")["cause"]


_OF_A_START = ("execution_arn", "training_jobs", "attempt", "instance", "mail", "mail_due", "mail_id")
EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:splatlib"


def copy_record(
    stack: LocalStack, source: str, job_id: str, fields: dict[str, str], without: tuple[str, ...] = ()
) -> None:
    """A record in a state that only a fault leaves behind."""
    dynamodb = stack.client("dynamodb")
    item = dynamodb.get_item(TableName=RECORDS, Key={"id": {"S": source}})["Item"]
    kept = {name: value for name, value in item.items() if name not in without}
    changed = {name: {"S": value} for name, value in {"id": job_id, **fields}.items()}
    dynamodb.put_item(TableName=RECORDS, Item={**kept, **changed})


def test_the_second_deployment_changes_nothing(stack: LocalStack) -> None:
    assert "there were no differences" in stack.cdk("diff").lower()


def test_what_was_made_outlives_the_stack_and_serves_the_next_one(stack: LocalStack, tmp_path: Path) -> None:
    """The bucket, the records, the images and the key stay; a deployment over them takes the same names."""
    build_image(stack, tmp_path, "00112233")
    stack.submit("l-good-before")
    record = stack.wait("l-good-before")
    stack.client("s3").put_object(Bucket=stack.bucket, Key="models/sam2.bin", Body=b"weights")
    key = stack.client("kms").describe_key(KeyId="alias/splatlib")["KeyMetadata"]["Arn"]
    stack.cdk("destroy", "--force")
    assert not stack.client("lambda").list_functions()["Functions"]
    assert not stack.client("stepfunctions").list_state_machines()["stateMachines"]
    assert kept(stack, record) and stack.client("kms").describe_key(KeyId=key)["KeyMetadata"]["Enabled"]
    stack.context["key"] = key
    stack.deploy()
    assert kept(stack, record)
    assert stack.client("kms").describe_key(KeyId="alias/splatlib")["KeyMetadata"]["Arn"] == key
    stack.submit("l-good-after")
    assert stack.wait("l-good-after")["status"] == "SUCCEEDED"


def kept(stack: LocalStack, record: dict[str, Any]) -> bool:
    """A result, the weights, the record and the image of before."""
    prefix = record["artefact"].removeprefix(f"s3://{stack.bucket}/")
    s3, ecr = stack.client("s3"), stack.client("ecr")
    results = s3.list_objects_v2(Bucket=stack.bucket, Prefix=prefix).get("Contents", [])
    weights = s3.get_object(Bucket=stack.bucket, Key="models/sam2.bin")["Body"].read()
    images = ecr.describe_images(repositoryName="splatlib")["imageDetails"]
    return bool(results) and weights == b"weights" and stack.record(record["id"]) == record and bool(images)
