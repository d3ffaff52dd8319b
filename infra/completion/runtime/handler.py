"""The completion Lambda: gives a record its end, its slots back, and its submitter a mail.

Called by the workflow, and by EventBridge of executions that failed, timed out or were aborted: whichever is first."""

from __future__ import annotations

import json
import logging
from typing import Any

from infra.completion.runtime.outcome import End, outcome_of
from infra.runtime import mails, slots
from infra.runtime.parameters import Settings, settings
from infra.runtime.records import ENDED, Record, Records

logger = logging.getLogger(__name__)
logging.getLogger().setLevel(logging.INFO)


def handle(event: dict[str, Any], context: object) -> dict[str, str]:
    """Returns status and cause of the record, whoever ended it."""
    here = settings()
    if event.get("detail-type") == "Step Functions Execution Status Change":
        record_id, end = _of_event_bridge(event["detail"])
    else:
        record_id, end = event["id"], End.of("RUNNING", event.get("error"))
    records = Records(here.records_table)
    record = records.get(record_id)
    if record is None:
        raise LookupError(f"there is no record {record_id}, and its execution has ended")
    record = finish(records, record, end, here)
    return {"status": record["status"], "cause": record.get("cause", "")}


def finish(records: Records, record: Record, end: End, here: Settings) -> Record:
    """Everything that belongs to an end. May be called again at any point; returns the record as it is then."""
    if record["status"] not in ENDED:
        outcome = outcome_of(record, end, here)
        if records.finish(record["id"], outcome.status, outcome.fields):
            logger.info("%s: %s", record["id"], outcome.status)
            figures = {name: outcome.fields.get(name, 0) for name in ("cost_usd", "billable_s")}
            mails.count(outcome.status, here.stack, CostUSD=figures["cost_usd"], BillableSeconds=figures["billable_s"])
    slots.give_back(here.slots_table, record["submitter"], record["id"])
    mails.send(records, record["id"], here)
    after = records.get(record["id"])
    if after is None:
        raise LookupError(f"the record {record['id']} is gone")
    return after


def _of_event_bridge(detail: dict[str, Any]) -> tuple[str, End]:
    try:
        record_id = json.loads(detail["input"])["id"]
    except (KeyError, TypeError, ValueError):
        # an input that EventBridge left out; the execution's name is the record's id and 16 digits
        record_id = detail["name"].rpartition("-")[0]
    return record_id, End.of(detail["status"], detail)
