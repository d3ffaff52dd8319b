"""A SageMaker training job: where it stands, its lines from CloudWatch, its cost, its workspace from S3."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splatlib import s3
from splatlib.errors import JobNotFoundError, LaunchError, S3NotFoundError
from splatlib.files import os_errors_translated, write_atomically
from splatlib.launch.aws.session import aws_errors_translated
from splatlib.launch.prices import price_of
from splatlib.launch.protocol import JobHandle, JobStatus, State
from splatlib.progress import logger

if TYPE_CHECKING:
    from splatlib.launch.aws.launcher import SageMaker

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
COST_FILE = "cost.json"
_STATES: dict[str, State] = {
    "Completed": "done",
    "Failed": "failed",
    "Stopped": "stopped",
    "Stopping": "stopping",
    "Deleting": "stopping",
}
# Of a job in progress, when no container of it runs: before the first, and between a spot interruption and the next.
_WAITING = {"Starting", "Pending", "LaunchingMLInstances", "PreparingTrainingStack", "Interrupted", "Restarting"}
_FIRST = ("export/", "report.json", "report.html", "job.json", "train/")
_NOT_FIRST = ("/checkpoints/",)


class SageMakerJob(JobHandle):
    """A job of the launcher ``SageMaker``."""

    poll_s = 5.0

    def __init__(self, name: str, launcher: SageMaker) -> None:
        super().__init__(name)
        self._launcher = launcher

    @property
    def _session(self) -> Any:
        return self._launcher._session

    def describe(self) -> dict[str, Any]:
        """SageMaker's own description of the job. Raises JobNotFoundError, LaunchAccessError, LaunchError."""
        from botocore.exceptions import ClientError

        with aws_errors_translated("describing a training job", needs="sagemaker:DescribeTrainingJob"):
            try:
                return self._session.sagemaker_client.describe_training_job(TrainingJobName=self.name)
            except ClientError as error:
                said = error.response["Error"].get("Message", "")
                # SageMaker says ValidationException "Requested resource not found."
                if "not found" in said or "Could not find" in said:
                    raise JobNotFoundError(
                        f"there is no training job {self.name}", why=said, hint="check region and account: splat jobs"
                    ) from error
                raise

    def status(self) -> JobStatus:
        told = self.describe()
        state, detail = told["TrainingJobStatus"], told.get("SecondaryStatus", "")
        ours: State = _STATES.get(state, "waiting" if detail in _WAITING else "running")
        reason = told.get("FailureReason", "")
        if detail in ("MaxRuntimeExceeded", "MaxWaitTimeExceeded"):
            reason = reason or f"{detail}: its time was over (max_run_s, max_wait_s)"
        billable = told.get("BillableTimeInSeconds")
        seconds = told.get("TrainingTimeInSeconds")
        if seconds is None and (started := told.get("TrainingStartTime")) is not None:
            ended = told.get("TrainingEndTime") or datetime.datetime.now(started.tzinfo)
            seconds = (ended - started).total_seconds()
        return JobStatus(ours, detail, reason, seconds, billable, self._usd(told, billable))

    def _usd(self, told: dict[str, Any], billable_seconds: int | None) -> float | None:
        """Billable seconds at the price on demand: of spot SageMaker bills fewer seconds, not at a lower price."""
        if billable_seconds is None:
            return None
        price = price_of(told["ResourceConfig"]["InstanceType"], self._session.boto_session.region_name)
        if price is None:
            return None
        return round(billable_seconds * told["ResourceConfig"]["InstanceCount"] * price.usd_per_hour / 3600, 4)

    def logs(self, follow: bool = False) -> Iterator[str]:
        """The lines in CloudWatch; of a spot job those of all its containers, one after another."""
        told: dict[str, str] = {}
        while True:
            # asked before reading: the container's last lines must not be lost
            ended = not follow or self.status().ended
            yield from self._new_lines(told)
            if ended:
                return
            time.sleep(self.poll_s)

    def _new_lines(self, tokens: dict[str, str]) -> Iterator[str]:
        """Lines since the last call, which left its tokens."""
        client = self._session.boto_session.client("logs")
        with aws_errors_translated("reading the logs", needs="logs:DescribeLogStreams and logs:GetLogEvents"):
            try:
                pages = client.get_paginator("describe_log_streams").paginate(
                    logGroupName=LOG_GROUP, logStreamNamePrefix=f"{self.name}/"
                )
                streams = [stream for page in pages for stream in page["logStreams"]]
            except client.exceptions.ResourceNotFoundException:
                return  # nothing was logged in this account yet
            for stream in sorted(streams, key=lambda stream: stream.get("creationTime", 0)):
                yield from self._lines_of(client, stream["logStreamName"], tokens)

    def _lines_of(self, client: Any, stream: str, tokens: dict[str, str]) -> Iterator[str]:
        while True:
            after = {"nextToken": tokens[stream]} if stream in tokens else {}
            answer = client.get_log_events(logGroupName=LOG_GROUP, logStreamName=stream, startFromHead=True, **after)
            yield from (event["message"].rstrip("\n") for event in answer["events"])
            # the same token again says that this was the end
            ended = tokens.get(stream) == answer["nextForwardToken"] or not answer["events"]
            tokens[stream] = answer["nextForwardToken"]
            if ended:
                return

    def stop(self) -> None:
        from botocore.exceptions import ClientError

        if self.status().ended:
            return
        with aws_errors_translated("stopping a training job", needs="sagemaker:StopTrainingJob"):
            try:
                self._session.sagemaker_client.stop_training_job(TrainingJobName=self.name)
            except ClientError as error:
                if "cannot be stopped" not in error.response["Error"].get("Message", ""):
                    raise  # else it has ended just now

    def fetch(self, out: str | Path | None = None, everything: bool = False) -> Path:
        """Exports, report and previews first; with ``everything`` the rest of the workspace after them.

        ``out`` is ``runs/<name of the job>`` unless told. What the job cost goes into the report and ``cost.json``.
        """
        told = self.describe()
        url = told.get("CheckpointConfig", {}).get("S3Uri")
        if not url:
            raise LaunchError(f"the job {self.name} keeps no workspace", why="it was not submitted by splatlib")
        out = Path(out) if out is not None else Path("runs") / self.name
        try:
            objects = s3.list_objects(f"{url.rstrip('/')}/")
        except S3NotFoundError as error:
            raise LaunchError(f"the job {self.name} has no results yet", hint="wait for it") from error
        first = [found for found in objects if _is_first(found.name)]
        rest = [found for found in objects if not _is_first(found.name) and found.name != ".lock"]
        if not any(found.name.startswith("export/") for found in first) and not everything:
            raise LaunchError(f"the job {self.name} has no exports yet", hint="wait, or fetch everything there is")
        with os_errors_translated(out):
            (out / "logs").mkdir(parents=True, exist_ok=True)
        if first:
            s3.download(first, out, "exports and report")
        if everything and rest:
            s3.download(rest, out, "the rest of the workspace")
        self._note_cost(out)
        return out

    def _note_cost(self, out: Path) -> None:
        """Billable seconds and dollars, for people and for the report."""
        status = self.status()
        if not status.ended or status.billable_seconds is None:
            return
        told = self.describe()
        instance, region = told["ResourceConfig"]["InstanceType"], self._session.boto_session.region_name
        price = price_of(instance, region)
        cost = {
            "instance": instance,
            "region": region,
            "spot": told.get("EnableManagedSpotTraining", False),
            "training_seconds": told.get("TrainingTimeInSeconds"),
            "billable_seconds": status.billable_seconds,
            "usd_per_hour": price.usd_per_hour if price else None,
            "price_date": price.date if price else None,
            "cost_usd": status.cost_usd,
        }
        with os_errors_translated(out):
            write_atomically(out / COST_FILE, json.dumps(cost, indent=1))
            report = out / "report.json"
            if report.exists():
                document = {**json.loads(report.read_text()), "cost_usd": status.cost_usd}
                write_atomically(report, json.dumps(document, indent=2))
        logger.info("%s: %s s billed, %s", self.name, status.billable_seconds, _dollars(status.cost_usd))


def _dollars(usd: float | None) -> str:
    return "price not known" if usd is None else f"${usd:.3f}"


def _is_first(name: str) -> bool:
    return name.startswith(_FIRST) and not any(part in name for part in _NOT_FIRST)
