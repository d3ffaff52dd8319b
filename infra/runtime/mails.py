"""The mail that ends each submission: what came of it, in plain text."""

from __future__ import annotations

import json
import logging

from infra.runtime.aws import client
from infra.runtime.parameters import Settings
from infra.runtime.records import Record, Records, now_s

logger = logging.getLogger(__name__)

_MAX_SUBJECT = 99  # SNS refuses 100
# The guidance's subjects, so that people's mail filters go on working.
_SUBJECTS = {
    "SUCCEEDED": "Splat Processing Complete: {id}",
    "FAILED": "Splat Processing Error: {id} failed",
    "TIMED_OUT": "Splat Processing Error: {id} ran out of time",
    "CANCELLED": "Splat Processing Cancelled: {id}",
    "REJECTED": "Splat Processing Error: {id} was rejected",
}


def subject(record: Record) -> str:
    text = _SUBJECTS[record["status"]].format(id=record["id"])
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text)[:_MAX_SUBJECT]


def body(record: Record, settings: Settings) -> str:
    """The mail's text."""
    parts = [_head(record), _figures(record), _failure(record), _notes(record), _where(record, settings)]
    return "\n\n".join(part for part in parts if part) + "\n"


def send(records: Records, record_id: str, settings: Settings) -> bool:
    """Send the mail of a record that has ended, unless it was sent. False if it was, or somebody else is at it."""
    if not records.take_mail(record_id):
        return False
    record = records.get(record_id)
    if record is None:
        raise LookupError(f"the record {record_id} is gone")
    try:
        answer = client("sns").publish(
            TopicArn=settings.mail_topic_arn,
            Subject=subject(record),
            Message=body(record, settings),
            MessageAttributes={
                "status": {"DataType": "String", "StringValue": record["status"]},
                "id": {"DataType": "String", "StringValue": record_id},
            },
        )
    except Exception:
        records.give_mail_back(record_id)
        raise
    records.mail_sent(record_id, answer["MessageId"])
    logger.info("mail sent for %s: %s", record_id, record["status"])
    return True


def _head(record: Record) -> str:
    capture = ", ".join(record.get("captures", []))
    of = f" of {capture}" if capture else ""
    words = {
        "SUCCEEDED": f"The splat{of} is done.",
        "FAILED": f"The reconstruction{of} failed.",
        "TIMED_OUT": f"The reconstruction{of} was stopped at its time limit.",
        "CANCELLED": f"The reconstruction{of} was cancelled.",
        "REJECTED": f"The job {record.get('source', '')} was not accepted, and nothing was run.",
    }
    return words[record["status"]]


def _figures(record: Record) -> str:
    """PSNR, time, cost: what is known of them."""
    lines = []
    if record.get("psnr_db") is not None:
        when = "Quality" if record["status"] == "SUCCEEDED" else "Quality before it ended"
        lines.append(f"{when}: PSNR {record['psnr_db']:.2f} dB on photos held out of training")
    if record.get("num_gaussians"):
        lines.append(f"Gaussians: {record['num_gaussians']:,}")
    if record.get("training_s"):
        lines.append(f"Time: {_duration(record['training_s'])} of training job, {_duration(_total_s(record))} in all")
    if record.get("cost_usd") is not None:
        billed = _duration(record.get("billable_s", 0))
        lines.append(f"Cost: ${record['cost_usd']:.3f} ({record.get('instance')}, {billed} billed)")
    elif record.get("cost_note"):
        lines.append(f"Cost: {record['cost_note']}")
    if len(record.get("training_jobs", [])) > 1:
        lines.append(f"Attempts: {len(record['training_jobs'])}")
    return "\n".join(lines)


def _failure(record: Record) -> str:
    if not record.get("cause"):
        return ""
    text = f"Field: {record['field']}\n" if record.get("field") else ""
    text += f"Cause: {record['cause']}"
    if record.get("log_lines"):
        text += "\n\nLast lines of its log:\n" + "\n".join(f"  | {line}" for line in record["log_lines"])
    return text


def _notes(record: Record) -> str:
    notes = record.get("notes") or []
    return "Not mapped from the job:\n" + "\n".join(f"  - {note}" for note in notes) if notes else ""


def _where(record: Record, settings: Settings) -> str:
    lines = []
    if record.get("artefact"):
        bucket, _, prefix = record["artefact"].removeprefix("s3://").partition("/")
        console = f"https://{settings.region}.console.aws.amazon.com/s3/buckets/{bucket}?prefix={prefix}"
        lines += [f"Result: {record['artefact']}", f"Open it (after login): {console}"]
        lines.append(f"Fetch it: splat production fetch {record['id']} --stack {settings.stack}")
    elif record["status"] not in ("REJECTED", "SUCCEEDED"):
        lines.append(f"All of its log: splat production logs {record['id']} --stack {settings.stack}")
        lines.append(f"Run it again: splat production rerun {record['id']} --stack {settings.stack}")
    lines.append(f"Record: {record['id']} in {settings.records_table}, {settings.region}")
    return "\n".join(lines)


def _total_s(record: Record) -> int:
    return max(0, int(record.get("ended_s", 0)) - int(record.get("submitted_s", 0)))


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def count(status: str, stack: str, **values: float) -> None:
    """One line that CloudWatch reads as metrics (its embedded format)."""
    metrics = {"Ended": 1, **values}
    line = {
        "_aws": {
            "Timestamp": now_s() * 1000,
            "CloudWatchMetrics": [
                {
                    "Namespace": "splatlib",
                    "Dimensions": [["Stack", "Status"]],
                    "Metrics": [{"Name": name} for name in metrics],
                }
            ],
        },
        "Stack": stack,
        "Status": status,
        **metrics,
    }
    print(json.dumps(line))
