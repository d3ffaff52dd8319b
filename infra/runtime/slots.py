"""Who may train at the moment: sets of holders in a table, one for each submitter and one for the stack.

The state machine takes slots by conditional updates; here they are given back. Giving back twice does no harm.
"""

from __future__ import annotations

import hashlib

from infra.runtime.aws import client

STACK_SLOT = "stack"


def submitter_slot(submitter: str) -> str:
    """The item of one submitter; the name may be any text."""
    return f"submitter/{hashlib.sha256(submitter.encode()).hexdigest()[:32]}"


def give_back(table: str, submitter: str, holder: str) -> None:
    for name in (STACK_SLOT, submitter_slot(submitter)):
        client("dynamodb").update_item(
            TableName=table,
            Key={"name": {"S": name}},
            UpdateExpression="DELETE holders :holder",
            ExpressionAttributeValues={":holder": {"SS": [holder]}},
        )
