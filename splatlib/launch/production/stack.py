"""What a client knows of a deployed stack: its Parameter Store entry, its records."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from splatlib.errors import JobNotFoundError, LaunchError
from splatlib.launch.aws.session import aws_errors_translated, client

STATUSES = ("SUBMITTED", "RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "CANCELLED", "REJECTED")


@dataclass(frozen=True)
class DeployedStack:
    """A stack, by what it wrote into Parameter Store when it was deployed."""

    name: str
    region: str
    bucket: str
    records_table: str
    kms_key_arn: str
    instances: tuple[str, ...]
    state_machine_arn: str

    @classmethod
    def find(cls, name: str, region: str | None) -> DeployedStack:
        """Raises LaunchError if there is no such stack here, LaunchAccessError if it may not be seen."""
        path, machine = f"/{name}/settings", f"/{name}/state-machine-arn"
        with aws_errors_translated(f"the stack {name}", needs="ssm:GetParameters"):
            answer = client("ssm", region).get_parameters(Names=[path, machine])
        values = {entry["Name"]: entry["Value"] for entry in answer["Parameters"]}
        if len(values) < 2:
            raise LaunchError(
                f"there is no stack {name} here",
                why=f"Parameter Store has no {path}",
                hint="check account and region (AWS_REGION), or deploy it: make deploy",
            )
        fields = json.loads(values[path])
        return cls(
            name,
            fields["region"],
            fields["bucket"],
            fields["records_table"],
            fields["kms_key_arn"],
            tuple(fields["instances"]),
            values[machine],
        )

    def client(self, service: str) -> Any:
        return client(service, self.region)

    def record(self, job_id: str) -> dict[str, Any] | None:
        """The record of a submission, or None. Raises LaunchAccessError, LaunchError."""
        with aws_errors_translated("the record", needs="dynamodb:GetItem"):
            answer = self.client("dynamodb").get_item(
                TableName=self.records_table, Key={"id": {"S": job_id}}, ConsistentRead=True
            )
        return plain(answer["Item"]) if "Item" in answer else None

    def existing_record(self, job_id: str) -> dict[str, Any]:
        """Raises JobNotFoundError."""
        record = self.record(job_id)
        if record is None:
            raise JobNotFoundError(
                f"the stack {self.name} has no record of {job_id}",
                hint="see what there is: splat production list; a job that was just submitted takes some seconds",
            )
        return record

    def ids(self, status: str, limit: int) -> Iterator[tuple[int, str]]:
        """Time of submission and id of the latest submissions of a status."""
        with aws_errors_translated("the records", needs="dynamodb:Query"):
            answer = self.client("dynamodb").query(
                TableName=self.records_table,
                IndexName="by_status",
                KeyConditionExpression="#status = :status",
                ExpressionAttributeNames={"#status": "status"},
                ExpressionAttributeValues={":status": {"S": status}},
                ScanIndexForward=False,
                Limit=limit,
            )
        for item in answer["Items"]:
            found = plain(item)
            yield int(found["submitted_s"]), found["id"]


def plain(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item of DynamoDB with Python's own types."""
    from boto3.dynamodb.types import TypeDeserializer

    def numbers(value: Any) -> Any:
        if isinstance(value, Decimal):
            return int(value) if value == value.to_integral_value() else float(value)
        if isinstance(value, dict):
            return {name: numbers(part) for name, part in value.items()}
        return [numbers(part) for part in value] if isinstance(value, list) else value

    return {name: numbers(TypeDeserializer().deserialize(value)) for name, value in item.items()}
