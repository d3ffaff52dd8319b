"""One upload, one record, one execution or one refusal with its field; whatever the order and number of deliveries."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.runtime import aws
from splatlib.config import Job
from tests.infra.world import World
from tests.unit.test_toolbox import TOOLBOX

ID = "8a6f2b1c-7a52-4d0a-9b1e-0d4f3c2b1a00"
KEY = f"jobs/{ID}.json"


def job(world: World, **fields: Any) -> dict[str, Any]:
    return {"capture": f"s3://{world.bucket}/captures/fox/", **fields}


def the_record(world: World) -> dict[str, Any]:
    (record,) = world.all_records()
    return record


def rejected(world: World) -> dict[str, Any]:
    """The one record, which is a refusal with one mail that says the same."""
    record = the_record(world)
    assert record["status"] == "REJECTED" and record["mail"] == "SENT" and "mail_due" not in record
    assert world.executions() == []
    ((subject, text),) = world.mails()
    assert record["id"] in subject and record["cause"] in text
    return record


def test_a_job_is_recorded_and_started_once(world: World) -> None:
    event = world.submit(KEY, job(world, train={"preset": "balanced"}))
    record = the_record(world)
    assert (record["id"], record["status"], record["form"]) == (ID, "SUBMITTED", "job")
    assert Job.from_json(record["job"]).train.preset == "balanced"
    (execution,) = world.executions()
    assert record["execution_arn"] == execution["executionArn"]
    assert json.loads(execution["input"])["id"] == ID
    for _ in range(3):
        assert world.deliver(event, event) == {"batchItemFailures": []}
    assert len(world.executions()) == 1 and the_record(world) == record and world.mails() == []


def test_a_submission_says_how_it_is_run(world: World) -> None:
    world.submit(KEY, {"schema": 1, "job": job(world), "instance": "ml.g5.xlarge", "spot": False, "max_run_s": 600})
    record = the_record(world)
    assert (record["form"], record["asked_instance"], record["spot"]) == ("submission", "ml.g5.xlarge", False)
    assert record["max_run_s"] == 600


def test_the_guidances_json_is_read_with_its_notes(world: World) -> None:
    document = {**TOOLBOX, "uuid": ID, "instanceType": "ml.g5.xlarge"}
    document["s3"] = {"bucketName": world.bucket, "inputPrefix": "captures", "inputKey": "bench.mov"}
    world.submit(KEY, document)
    record = the_record(world)
    assert (record["form"], record["status"]) == ("toolbox", "SUBMITTED")
    assert record["captures"] == [f"s3://{world.bucket}/captures/bench.mov"]
    assert any(note.startswith("training.enableMultiGpu") for note in record["notes"])


BAD = {
    "not JSON": (b"{capture: 1", "", "not valid JSON"),
    "empty": (b"", "", "not valid JSON"),
    "not UTF-8": (b'{"capture": "\xff\xfe"}', "", "not UTF-8"),
    "a list": (b"[]", "", "an object is wanted"),
    "deeply nested": (b"[" * 100_000, "", "not valid JSON"),
    "a key twice": (b'{"capture": "s3://a/b", "capture": "s3://c/d"}', "", "is there twice"),
    "of nothing known": (b'{"video": "a.mov"}', "", "neither"),
    "unknown field": ({"train": {"stepz": 5}}, "train.stepz", "did you mean steps"),
    "wrong type": ({"frames": {"max_frames": True}}, "frames.max_frames", "a number is wanted"),
    "nan": (b'{"capture": "s3://a/b", "train": {"ssim_weight": NaN}}', "train.ssim_weight", "finite"),
    "another schema": ({"schema": 2, "job": {}}, "schema", "another version"),
    "another bucket": ({"capture": "s3://elsewhere/captures/fox/"}, "job.capture", "another bucket"),
    "one of several in another bucket": (
        {"capture": ["s3://BUCKET/captures/fox/", "s3://elsewhere/captures/b/"]},
        "job.capture.1",
        "another bucket",
    ),
    "a path that climbs": ({"capture": "s3://BUCKET/captures/../models/u2net.pth"}, "job.capture", "no plain place"),
    "not below captures": ({"capture": "s3://BUCKET/models/u2net.pth"}, "job.capture", "below captures/"),
    "all captures": ({"capture": "s3://BUCKET/captures/"}, "job.capture", "below captures/"),
    "a path of a machine": ({"capture": "/home/me/fox"}, "job.capture", "path of some machine"),
    "priors elsewhere": ({"cameras": {"priors": "s3://elsewhere/t.json"}}, "job.cameras.priors", "another bucket"),
    "weights elsewhere": (
        {"masks": {"backend": "sam2", "weights": "s3://BUCKET/captures/w/"}},
        "job.masks.weights",
        "below models/",
    ),
    "weights from the internet": (
        {"masks": {"backend": "u2net", "weights": "download"}},
        "job.masks.weights",
        "models",
    ),
    "instance not allowed": ({"job": {}, "instance": "ml.p5.48xlarge"}, "instance", "not allowed"),
    "not an instance": ({"job": {}, "instance": "big"}, "instance", "pattern"),
    "too long": ({"job": {}, "max_run_s": 400_000}, "max_run_s", "more than this stack allows"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_run_is_recorded_and_mailed_with_the_field(world: World, name: str) -> None:
    content, field, words = BAD[name]
    if isinstance(content, dict):
        whole: dict[str, Any] = {**content, "job": job(world)} if "job" in content else {**job(world), **content}
        content = json.dumps(whole).replace("BUCKET", world.bucket)
    event = world.submit(KEY, content)
    record = rejected(world)
    assert (record["id"], record["field"]) == (ID, field) and words in record["cause"]
    world.deliver(event)
    assert world.mails() == [] and the_record(world) == record


def test_ten_megabytes_are_not_even_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    event = world.put(KEY, b" " * 10_000_000)
    monkeypatch.setattr(aws.client("s3"), "get_object", lambda **_: pytest.fail("it was read"))
    world.deliver(event)
    assert "10,000,000 bytes" in rejected(world)["cause"]


@pytest.mark.parametrize(
    "key",
    ["jobs/a b.json", "jobs/../x.json", "jobs/a/b.json", "jobs//x.json", "jobs/x.JSON", "jobs/x.txt", "jobs/.json",
     "jobs/ä.json", "jobs/x;rm -rf.json", f"jobs/{'a' * 49}.json", "jobs/a--b.json"],
)  # fmt: skip
def test_keys_that_are_no_job_are_said_so(world: World, key: str) -> None:
    event = world.event(key, 10, "v1", "etag")
    assert world.deliver(event, event) == {"batchItemFailures": []}
    assert rejected(world)["field"] == "key"


def test_a_key_that_is_not_utf8(world: World) -> None:
    event = world.event("jobs/x.json", 10, "v1", "etag")
    event["Records"][0]["s3"]["object"]["key"] = "jobs/%FF%FE.json"
    assert world.deliver(event) == {"batchItemFailures": []}
    assert "not UTF-8" in rejected(world)["cause"]


def test_markers_of_folders_and_tests_of_s3_are_nothing(world: World) -> None:
    world.deliver(world.event("jobs/", 0, "v1", "etag"), {"Service": "Amazon S3", "Event": "s3:TestEvent"})
    assert world.all_records() == [] and world.mails() == []


def test_a_multipart_upload_is_an_upload(world: World) -> None:
    event = world.put(KEY, job(world))
    event["Records"][0]["eventName"] = "ObjectCreated:CompleteMultipartUpload"
    event["Records"][0]["s3"]["object"]["eTag"] += "-2"
    world.deliver(event)
    assert the_record(world)["how"] == "ObjectCreated:CompleteMultipartUpload" and len(world.executions()) == 1


def test_the_same_uuid_with_other_content_leaves_the_first_alone(world: World) -> None:
    first_event = world.submit(KEY, job(world))
    first = the_record(world)
    second_event = world.submit(KEY, job(world, run="other"))
    others = [record for record in world.all_records() if record["id"] != ID]
    assert [record["status"] for record in others] == ["REJECTED"] and others[0]["field"] == "uuid"
    assert world.records.get(ID) == first and len(world.executions()) == 1 and len(world.mails()) == 1
    world.deliver(second_event, first_event, second_event)
    assert len(world.all_records()) == 2 and world.mails() == []


def test_a_rejected_job_may_be_corrected_under_its_uuid(world: World) -> None:
    bad = world.submit(KEY, job(world, trian={}))
    assert rejected(world)["field"] == "trian"
    world.submit(KEY, job(world))
    assert the_record(world)["status"] == "SUBMITTED" and len(world.executions()) == 1
    world.deliver(bad)  # late, again
    assert the_record(world)["status"] == "SUBMITTED" and world.mails() == []


def test_the_uuid_inside_is_the_files_name(world: World) -> None:
    document = {**TOOLBOX, "uuid": "another"}
    document["s3"] = {"bucketName": world.bucket, "inputPrefix": "captures", "inputKey": "bench.mov"}
    world.submit(KEY, document)
    assert rejected(world)["field"] == "uuid"


def test_deleted_before_it_was_read(world: World) -> None:
    event = world.put(KEY, job(world))
    version = event["Records"][0]["s3"]["object"]["versionId"]
    world.s3.delete_object(Bucket=world.bucket, Key=KEY, VersionId=version)
    world.deliver(event)
    assert "deleted" in rejected(world)["cause"]


def test_the_version_that_the_event_tells_of_is_read(world: World) -> None:
    first = world.put(KEY, job(world))
    world.put(KEY, "{broken")
    world.deliver(first)
    assert the_record(world)["status"] == "SUBMITTED"


class Faults:
    """Makes calls of one service fail: before they reach it, or after, so that only the answer is lost."""

    def __init__(self, service: str, rate: float, seed: int) -> None:
        self._client, self._rate, self._random = aws.client(service), rate, random.Random(seed)
        self._real = self._client._make_api_call

    def __enter__(self) -> None:
        self._client._make_api_call = self._call

    def __exit__(self, *_: object) -> None:
        self._client._make_api_call = self._real

    def _call(self, operation: str, arguments: Any) -> Any:
        if self._random.random() < self._rate:
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slower"}}, operation)
        answer = self._real(operation, arguments)
        if self._random.random() < self._rate:
            raise ClientError({"Error": {"Code": "InternalServerError", "Message": "lost"}}, operation)
        return answer


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("service", ["dynamodb", "stepfunctions", "s3"])
def test_faults_lose_nothing_and_start_nothing_twice(world: World, service: str, seed: int) -> None:
    good = world.put(KEY, job(world))
    bad = world.put("jobs/bad.json", "{")
    with Faults(service, 0.35, seed):
        for _ in range(4):
            world.deliver(good, bad, good)
    for _ in range(2):
        assert world.deliver(good, bad) == {"batchItemFailures": []}
    assert {record["id"]: record["status"] for record in world.all_records()} == {ID: "SUBMITTED", "bad": "REJECTED"}
    assert len(world.executions()) == 1
    # an answer of DynamoDB that is lost right after a claim leaves the mail to the sweep
    if world.records.get("bad")["mail"] == "SENT":  # type: ignore[index]
        assert len(world.mails()) == 1
    else:
        assert world.records.ids("by_mail_due", "yes") == ["bad"]


def test_one_bad_message_does_not_hold_up_the_others(world: World) -> None:
    good = world.put(KEY, job(world))
    foreign = world.event(KEY, 1, "v", "e")
    foreign["Records"][0]["s3"]["bucket"]["name"] = "somebody-elses"
    assert world.deliver(foreign, good) == {"batchItemFailures": [{"itemIdentifier": "0"}]}
    assert the_record(world)["status"] == "SUBMITTED"
