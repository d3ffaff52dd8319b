"""Every quarter of an hour: records whose end, start or mail got lost on the way, though every hop is tried again.

A submission whose execution was never started is started, one whose execution has ended gets its end, a mail that was
claimed and not sent is sent.
"""

from __future__ import annotations

import logging
from typing import Any

from botocore.exceptions import ClientError

from infra.completion.runtime.handler import finish
from infra.completion.runtime.outcome import End
from infra.intake.runtime.intake import start_execution
from infra.runtime import mails
from infra.runtime.aws import client, error_code
from infra.runtime.parameters import Settings, settings
from infra.runtime.records import ACTIVE, BY_MAIL_DUE, BY_STATUS, Record, Records, now_s

logger = logging.getLogger(__name__)
logging.getLogger().setLevel(logging.INFO)

# The usual ways come first: they take seconds, with all repeats some minutes.
PATIENCE_S = 600


def handle(event: dict[str, Any], context: object) -> dict[str, int]:
    """Returns how many records were started, ended and mailed. ``patience_s`` in the event: for a person in a hurry."""
    here = settings()
    before_s = now_s() - int(event.get("patience_s", PATIENCE_S))
    records = Records(here.records_table)
    done = {"started": 0, "ended": 0, "mailed": 0}
    for status in ACTIVE:
        for record_id in records.ids(BY_STATUS, status):
            record = records.get(record_id)
            if record and record["status"] in ACTIVE and record["submitted_s"] <= before_s:
                action = _look_after(records, record, here)
                if action:
                    logger.warning("%s had to be %s", record_id, action)
                    done[action] += 1
    for record_id in records.ids(BY_MAIL_DUE, "yes"):
        record = records.get(record_id)
        if record and record["ended_s"] <= before_s and mails.send(records, record_id, here):
            done["mailed"] += 1
    return done


def _look_after(records: Records, record: Record, here: Settings) -> str:
    if "execution_arn" not in record:
        records.started(record["id"], start_execution(record, here))
        return "started"
    try:
        execution = client("stepfunctions").describe_execution(executionArn=record["execution_arn"])
    except ClientError as error:
        if error_code(error) != "ExecutionDoesNotExist":
            raise
        execution = {"status": "FAILED", "cause": "its execution is not there any more"}
    if execution["status"] == "RUNNING":
        return ""
    finish(records, record, End.of(execution["status"], execution), here)
    return "ended"
