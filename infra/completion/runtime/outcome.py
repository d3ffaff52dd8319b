"""What came of a submission: SageMaker's own word on its training jobs first, the workflow's second."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from infra.runtime.aws import client, error_code
from infra.runtime.parameters import Settings
from infra.runtime.records import Record
from infra.workflow.runtime.training_job import artefact_uri
from splatlib.launch.prices import price_of

logger = logging.getLogger(__name__)

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
LOG_LINES = 15
MAX_CAUSE = 4000
_OUT_OF_TIME = ("MaxRuntimeExceeded", "MaxWaitTimeExceeded")
_RUNNING = ("InProgress", "Stopping")
_NAMES = {"CaptureNotThereYet": "REJECTED", "States.Timeout": "TIMED_OUT"}


@dataclass(frozen=True)
class Outcome:
    status: str
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class End:
    """How the workflow ended, as far as its event tells.

    Attributes:
        execution: Step Functions' status of the execution; RUNNING while the workflow itself calls.
        error, cause: of the state that failed; empty if none did.
    """

    execution: str = "RUNNING"
    error: str = ""
    cause: str = ""

    @classmethod
    def of(cls, execution: str, failure: Mapping[str, Any] | None) -> End:
        failure = failure or {}
        error = failure.get("Error", failure.get("error"))
        cause = failure.get("Cause", failure.get("cause"))
        return cls(execution, str(error or ""), str(cause or ""))


def outcome_of(record: Record, end: End, here: Settings) -> Outcome:
    """The end of a record, with figures, cause and log lines. A training job that still runs is stopped."""
    jobs = [_described(name) for name in record.get("training_jobs", [])]
    last = jobs[-1] if jobs else None
    if last and last["TrainingJobStatus"] in _RUNNING:
        _stop(last["TrainingJobName"])
    fields = _figures([job for job in jobs if job], here)
    if last and last["TrainingJobStatus"] == "Completed":
        return Outcome("SUCCEEDED", {**fields, "artefact": artefact_uri(record["id"], len(jobs), here)})
    status = _status(last, end)
    fields |= _cause(last, end)
    if status != "REJECTED" and last:
        fields["log_lines"] = last_log_lines(last["TrainingJobName"])
    return Outcome(status, fields)


def _status(last: Mapping[str, Any] | None, end: End) -> str:
    secondary = last.get("SecondaryStatus") if last else None
    if end.execution == "ABORTED":
        return "CANCELLED"
    if end.error in _NAMES:
        return _NAMES[end.error]
    if end.execution == "TIMED_OUT" or secondary in _OUT_OF_TIME:
        return "TIMED_OUT"
    stopped_by_hand = last is not None and last["TrainingJobStatus"] in ("Stopped", "Stopping")
    return "CANCELLED" if stopped_by_hand else "FAILED"


def _described(name: str) -> dict[str, Any] | None:
    """SageMaker's description; None of a job that was never created."""
    try:
        return client("sagemaker").describe_training_job(TrainingJobName=name)
    except ClientError as error:
        if error_code(error) not in ("ValidationException", "ResourceNotFound"):
            raise
        return None


def _stop(name: str) -> None:
    try:
        client("sagemaker").stop_training_job(TrainingJobName=name)
    except ClientError as error:
        if error_code(error) not in ("ValidationException", "ResourceNotFound"):
            raise
        logger.info("the training job %s had ended already", name)


def _figures(jobs: list[dict[str, Any]], here: Settings) -> dict[str, Any]:
    """Seconds, dollars, quality: of all attempts, and of the last one."""
    if not jobs:
        return {}
    fields: dict[str, Any] = {}
    if jobs[-1]["TrainingJobStatus"] in _RUNNING:
        fields["cost_note"] = "not known: its training job was still being stopped, SageMaker had not counted it yet"
    else:
        billable = {job["TrainingJobName"]: int(job.get("BillableTimeInSeconds", 0)) for job in jobs}
        fields["training_s"] = sum(int(job.get("TrainingTimeInSeconds", 0)) for job in jobs)
        fields["billable_s"] = sum(billable.values())
        fields |= _cost(jobs, billable, here)
    metrics = {metric["MetricName"]: metric["Value"] for metric in jobs[-1].get("FinalMetricDataList", [])}
    for name, kind in (("psnr_db", float), ("num_gaussians", int)):
        if f"train:{name}" in metrics:
            fields[name] = kind(metrics[f"train:{name}"])
    return fields


def _cost(jobs: list[dict[str, Any]], billable: dict[str, int], here: Settings) -> dict[str, Any]:
    """SageMaker's billable seconds are those of the on-demand price: what spot saves is taken off them."""
    dollars = 0.0
    for job in jobs:
        instance = job["ResourceConfig"]["InstanceType"]
        price = price_of(instance, here.region)
        if price is None:
            return {"cost_note": f"not known: no price of {instance} in {here.region}"}
        dollars += billable[job["TrainingJobName"]] / 3600 * price.usd_per_hour
    return {"cost_usd": round(dollars, 4)}


def _cause(last: Mapping[str, Any] | None, end: End) -> dict[str, Any]:
    """In words for people: the container's own, where there are any."""
    reason = str((last or {}).get("FailureReason") or "")
    if not reason:
        message, _ = _message(end.cause)
        secondary = str((last or {}).get("SecondaryStatus") or "")
        words = {
            "MaxRuntimeExceeded": f"the training job ran into its time limit ({_limit(last)}); its workspace is kept\n"
            "Try: a smaller preset or fewer frames, or a larger max_run_s where the stack allows it",
            "MaxWaitTimeExceeded": "there was no spare (spot) capacity for too long; its workspace is kept\n"
            "Try: again later, on another instance, or with spot false",
        }
        reason = words.get(secondary) or message or _words_of(end)
    fields: dict[str, Any] = {"cause": reason[:MAX_CAUSE], "error": end.error}
    if found := re.match(r"([a-z_]+(?:\.\w+)+): ", reason):
        fields["field"] = found[1]
    return fields


def _limit(last: Mapping[str, Any] | None) -> str:
    seconds = (last or {}).get("StoppingCondition", {}).get("MaxRuntimeInSeconds")
    return f"max_run_s, {seconds} s" if seconds else "max_run_s"


def _message(cause: str) -> tuple[str, str]:
    """Of a Lambda's failure the message and its type; of anything else the text."""
    try:
        content = json.loads(cause)
    except ValueError:
        return cause, ""
    if isinstance(content, dict) and "errorMessage" in content:
        return str(content["errorMessage"]), str(content.get("errorType", ""))
    if isinstance(content, dict) and content.get("FailureReason"):
        return str(content["FailureReason"]), ""
    return cause, ""


def _words_of(end: End) -> str:
    words = {
        "ABORTED": "its execution was cancelled",
        "TIMED_OUT": "its execution took longer than fourteen days",
    }
    return words.get(end.execution) or end.error or "the workflow ended without a reason"


def last_log_lines(name: str, limit: int = LOG_LINES) -> list[str]:
    """The last lines that a training job wrote; of its first container."""
    logs = client("logs")
    try:
        found = logs.describe_log_streams(logGroupName=LOG_GROUP, logStreamNamePrefix=f"{name}/", limit=1)
        if not found["logStreams"]:
            return []
        stream = found["logStreams"][0]["logStreamName"]
        events = logs.get_log_events(logGroupName=LOG_GROUP, logStreamName=stream, limit=limit, startFromHead=False)
    except ClientError as error:
        if error_code(error) != "ResourceNotFoundException":
            raise
        return []
    return [event["message"].rstrip()[:500] for event in events["events"]][-limit:]
