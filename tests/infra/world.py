"""What tests of the stack's functions look at: uploads and their events, records, executions, mails."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import boto3

from infra.intake.runtime.handler import handle
from infra.runtime.parameters import Settings
from infra.runtime.records import Records

REGION = "us-east-1"
SETTINGS: dict[str, Any] = {
    "stack": "splatlib",
    "region": REGION,
    "bucket": "splatlib-jobs-of-tests",
    "records_table": "splatlib-records",
    "slots_table": "splatlib-slots",
    "mail_topic_arn": "",
    "training_role_arn": "arn:aws:iam::123456789012:role/splatlib-training",
    "kms_key_arn": "arn:aws:kms:us-east-1:123456789012:key/0d1b1f0e-0000-4000-8000-000000000000",
    "instances": ["ml.g6e.xlarge", "ml.g5.xlarge"],
    "spot": True,
    "max_run_s": 14_400,
    "max_wait_s": 28_800,
    "max_volume_gb": 500,
    "attempts": 3,
    "subnets": [],
    "security_groups": [],
}
_RECORDED = json.loads((Path(__file__).parent / "events" / "s3_put.json").read_text())


@dataclass
class World:
    s3: Any
    dynamodb: Any
    sns: Any
    sqs: Any
    ssm: Any
    records: Records
    settings: Settings
    mailbox: str
    _sequence: int = field(default=0x0065F0)

    @property
    def bucket(self) -> str:
        return self.settings.bucket

    def put(self, key: str, body: bytes | str | dict[str, Any]) -> dict[str, Any]:
        """Upload an object; returns the event that S3 would send, after the recorded one."""
        data = json.dumps(body).encode() if isinstance(body, dict) else body.encode() if isinstance(body, str) else body
        answer = self.s3.put_object(Bucket=self.bucket, Key=key, Body=data)
        return self.event(key, len(data), answer["VersionId"], answer["ETag"].strip('"'))

    def event(self, key: str, size: int, version: str, etag: str, how: str = "ObjectCreated:Put") -> dict[str, Any]:
        self._sequence += 1
        event = json.loads(json.dumps(_RECORDED))
        record = event["Records"][0]
        record["eventName"] = how
        record["s3"]["bucket"] |= {"name": self.bucket, "arn": f"arn:aws:s3:::{self.bucket}"}
        record["s3"]["object"] = {
            "key": quote_plus(key, safe="/"),
            "size": size,
            "eTag": etag,
            "versionId": version,
            "sequencer": f"{self._sequence:018X}",
        }
        return event

    def deliver(self, *events: dict[str, Any]) -> dict[str, Any]:
        """Call the trigger Lambda with one SQS batch. Returns what it returns."""
        messages = [
            {"messageId": str(number), "body": json.dumps({"Type": "Notification", "Message": json.dumps(event)})}
            for number, event in enumerate(events)
        ]
        return handle({"Records": messages}, None)

    def submit(self, key: str, body: bytes | str | dict[str, Any]) -> dict[str, Any]:
        event = self.put(key, body)
        assert self.deliver(event) == {"batchItemFailures": []}
        return event

    def all_records(self) -> list[dict[str, Any]]:
        items = self.dynamodb.scan(TableName=self.settings.records_table)["Items"]
        found = [self.records.get(item["id"]["S"]) for item in items]
        return [record for record in found if record is not None]

    def executions(self) -> list[dict[str, Any]]:
        states = boto3.client("stepfunctions", region_name=REGION)
        found = states.list_executions(stateMachineArn=self.settings.state_machine_arn)["executions"]
        return [states.describe_execution(executionArn=execution["executionArn"]) for execution in found]

    def mails(self) -> list[tuple[str, str]]:
        """Subject and text of all mails since the last call."""
        found = []
        while messages := self.sqs.receive_message(QueueUrl=self.mailbox, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                content = json.loads(message["Body"])
                found.append((content["Subject"], content["Message"]))
                self.sqs.delete_message(QueueUrl=self.mailbox, ReceiptHandle=message["ReceiptHandle"])
        return found


def make_tables(dynamodb: Any) -> None:
    """As the deployed stack has them."""
    dynamodb.create_table(
        TableName=SETTINGS["records_table"],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": kind}
            for name, kind in {"id": "S", "status": "S", "submitted_s": "N", "mail_due": "S"}.items()
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": f"by_{attribute}",
                "KeySchema": [
                    {"AttributeName": attribute, "KeyType": "HASH"},
                    {"AttributeName": "submitted_s", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
            for attribute in ("status", "mail_due")
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.create_table(
        TableName=SETTINGS["slots_table"],
        KeySchema=[{"AttributeName": "name", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "name", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
