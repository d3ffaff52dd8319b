"""The job records: one item a submission, one status field, every change conditional.

    SUBMITTED ──▶ RUNNING ──▶ SUCCEEDED | FAILED | TIMED_OUT | CANCELLED
    REJECTED                  a submission that never ran, with the field that was wrong

A record that has ended never changes its status again. ``mail_due`` is there from the end until its mail was sent, and
the index of that name holds those whose mail is still due.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from infra.runtime.aws import client, error_code

SCHEMA = 1
ACTIVE = ("SUBMITTED", "RUNNING")
ENDED = ("SUCCEEDED", "FAILED", "TIMED_OUT", "CANCELLED", "REJECTED")
BY_STATUS, BY_MAIL_DUE = "by_status", "by_mail_due"
# A mail that was begun and not finished is begun again after this.
MAIL_LEASE_S = 300
_CONDITION = "ConditionalCheckFailedException"

Record = dict[str, Any]


def now_s() -> int:
    return int(time.time())


class Records:
    """The table, by its name."""

    def __init__(self, table: str) -> None:
        self._table, self._client = table, client("dynamodb")

    def get(self, record_id: str) -> Record | None:
        """The record as it is at this moment, or None."""
        found = self._client.get_item(TableName=self._table, Key=_key(record_id), ConsistentRead=True)
        return _plain(found["Item"]) if "Item" in found else None

    def put_new(self, record: Record, instead_of: str | None = None) -> bool:
        """Write a record where there is none, or in place of the rejected one whose content had the digest
        ``instead_of``. False if there is another."""
        condition, values = "attribute_not_exists(id)", {}
        if instead_of is not None:
            condition = "#status = :rejected AND digest = :digest"
            values = {":rejected": "REJECTED", ":digest": instead_of}
        names = {"#status": "status"} if instead_of is not None else None
        arguments = _without_none(
            ConditionExpression=condition,
            ExpressionAttributeValues=_typed(values) or None,
            ExpressionAttributeNames=names,
        )
        try:
            self._client.put_item(TableName=self._table, Item=_typed({"schema": SCHEMA, **record}), **arguments)
        except ClientError as error:
            if error_code(error) != _CONDITION:
                raise
            return False
        return True

    def started(self, record_id: str, execution_arn: str) -> None:
        self._update(record_id, "SET execution_arn = :arn", {":arn": execution_arn}, "attribute_exists(id)")

    def training(self, record_id: str, attempt: int, job_name: str, instance: str) -> bool:
        """Note a training job before it is created. False if the record has ended meanwhile."""
        values = {":one": [job_name], ":none": [], ":attempt": attempt, ":instance": instance, **_active()}
        changed = (
            "SET training_jobs = list_append(if_not_exists(training_jobs, :none), :one),"
            " attempt = :attempt, instance = :instance"
        )
        fresh = "(attribute_not_exists(attempt) OR attempt < :attempt)"
        if self._update(record_id, changed, values, f"{_IS_ACTIVE} AND {fresh}"):
            return True
        # the state machine repeats a step whose answer was lost: then this attempt was noted before
        record = self.get(record_id)
        return bool(record and record["status"] in ACTIVE and record.get("attempt") == attempt)

    def finish(self, record_id: str, status: str, fields: Mapping[str, Any]) -> bool:
        """Give a record that has not ended its end; its mail becomes due. False if it had ended before."""
        if status not in ENDED:
            raise ValueError(f"{status} is no end; one of {', '.join(ENDED)}")
        fields = {"ended_s": now_s(), "mail": "DUE", "mail_due": "yes", **fields}
        names = {f"#{name}": name for name in fields}
        assignments = ", ".join(f"#{name} = :{name}" for name in fields)
        values = {":new": status, **{f":{name}": value for name, value in fields.items()}, **_active()}
        return self._update(record_id, f"SET #status = :new, {assignments}", values, _IS_ACTIVE, names)

    def take_mail(self, record_id: str) -> bool:
        """Claim the mail of a record that has ended. False if it was sent, or somebody else is at it."""
        values = {":sending": "SENDING", ":due": "DUE", ":now": now_s(), ":old": now_s() - MAIL_LEASE_S}
        return self._update(
            record_id,
            "SET mail = :sending, mail_taken_s = :now",
            values,
            "mail = :due OR (mail = :sending AND mail_taken_s < :old)",
        )

    def give_mail_back(self, record_id: str) -> None:
        self._update(record_id, "SET mail = :due", {":due": "DUE", ":sending": "SENDING"}, "mail = :sending")

    def mail_sent(self, record_id: str, message_id: str) -> None:
        self._update(record_id, "SET mail = :sent, mail_id = :id REMOVE mail_due", {":sent": "SENT", ":id": message_id})

    def ids(self, index: str, value: str, limit: int = 500) -> list[str]:
        """Ids by ``status`` (the oldest first), or of those whose mail is due."""
        attribute = {BY_STATUS: "status", BY_MAIL_DUE: "mail_due"}[index]
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            IndexName=index,
            KeyConditionExpression="#attribute = :value",
            ExpressionAttributeNames={"#attribute": attribute},
            ExpressionAttributeValues=_typed({":value": value}),
            PaginationConfig={"MaxItems": limit},
        )
        return [_plain(item)["id"] for page in pages for item in page["Items"]]

    def _update(
        self,
        record_id: str,
        expression: str,
        values: Mapping[str, Any],
        condition: str | None = None,
        names: Mapping[str, str] | None = None,
    ) -> bool:
        used = f"{expression} {condition or ''}"
        all_names = {**(names or {}), **({"#status": "status"} if "#status" in used else {})}
        arguments = _without_none(ConditionExpression=condition, ExpressionAttributeNames=all_names or None)
        try:
            self._client.update_item(
                TableName=self._table,
                Key=_key(record_id),
                UpdateExpression=expression,
                ExpressionAttributeValues=_typed(values),
                **arguments,
            )
        except ClientError as error:
            if error_code(error) != _CONDITION:
                raise
            return False
        return True


_IS_ACTIVE = f"#status IN ({', '.join(f':{status.lower()}' for status in ACTIVE)})"


def _active() -> dict[str, str]:
    return {f":{status.lower()}": status for status in ACTIVE}


def _key(record_id: str) -> dict[str, Any]:
    return {"id": {"S": record_id}}


def _without_none(**arguments: Any) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not None}


def _typed(fields: Mapping[str, Any]) -> dict[str, Any]:
    serializer = TypeSerializer()
    return {name: serializer.serialize(_decimals(value)) for name, value in fields.items()}


def _decimals(value: Any) -> Any:
    """DynamoDB's numbers are decimal."""
    if isinstance(value, float):
        return Decimal(str(value))
    if isinstance(value, Mapping):
        return {str(name): _decimals(part) for name, part in value.items()}
    return [_decimals(part) for part in value] if isinstance(value, list | tuple) else value


def _plain(item: Mapping[str, Any]) -> Record:
    deserializer = TypeDeserializer()
    return {name: _numbers(deserializer.deserialize(value)) for name, value in item.items()}


def _numbers(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {name: _numbers(part) for name, part in value.items()}
    return [_numbers(part) for part in value] if isinstance(value, list) else value
