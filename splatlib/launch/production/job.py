"""A submission to a deployed stack: its record, its lines, its results."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splatlib import s3
from splatlib.config import Job, Submission
from splatlib.errors import LaunchError
from splatlib.launch.aws.handle import LOG_GROUP
from splatlib.launch.aws.session import aws_errors_translated
from splatlib.launch.protocol import JobHandle, JobStatus, State

if TYPE_CHECKING:
    from splatlib.launch.production.launcher import Production

_STATES: dict[str, State] = {
    "SUBMITTED": "waiting",
    "RUNNING": "running",
    "SUCCEEDED": "done",
    "FAILED": "failed",
    "TIMED_OUT": "failed",
    "REJECTED": "failed",
    "CANCELLED": "stopped",
}


class ProductionJob(JobHandle):
    """A job of the launcher ``Production``."""

    poll_s = 5.0

    def __init__(self, name: str, launcher: Production) -> None:
        super().__init__(name)
        self._launcher = launcher

    @property
    def _stack(self) -> Any:
        return self._launcher.deployed

    def record(self) -> dict[str, Any]:
        """All that the stack knows of it. Raises JobNotFoundError, LaunchAccessError."""
        return self._stack.existing_record(self.name)

    def status(self) -> JobStatus:
        """Where it stands; ``waiting`` too for the seconds until the stack has recorded an upload."""
        record = self._stack.record(self.name)
        if record is None:
            return JobStatus("waiting", "not recorded yet")
        return JobStatus(
            _STATES[record["status"]],
            record["status"],
            record.get("cause", ""),
            record.get("training_s"),
            record.get("billable_s"),
            record.get("cost_usd"),
        )

    def logs(self, follow: bool = False) -> Iterator[str]:
        """The lines of all attempts, one after another."""
        tokens: dict[str, str] = {}
        while True:
            # asked before reading: the last lines must not be lost
            ended = not follow or self.status().ended
            for name in (self._stack.record(self.name) or {}).get("training_jobs", []):
                yield from self._new_lines(name, tokens)
            if ended:
                return
            time.sleep(self.poll_s)

    def _new_lines(self, training_job: str, tokens: dict[str, str]) -> Iterator[str]:
        logs = self._stack.client("logs")
        with aws_errors_translated("reading the logs", needs="logs:DescribeLogStreams and logs:GetLogEvents"):
            try:
                found = logs.describe_log_streams(logGroupName=LOG_GROUP, logStreamNamePrefix=f"{training_job}/")
            except logs.exceptions.ResourceNotFoundException:
                return
            for stream in sorted(found["logStreams"], key=lambda stream: stream.get("creationTime", 0)):
                name = stream["logStreamName"]
                while True:
                    after = {"nextToken": tokens[name]} if name in tokens else {}
                    answer = logs.get_log_events(
                        logGroupName=LOG_GROUP, logStreamName=name, startFromHead=True, **after
                    )
                    yield from (event["message"].rstrip("\n") for event in answer["events"])
                    at_the_end = not answer["events"] or tokens.get(name) == answer["nextForwardToken"]
                    tokens[name] = answer["nextForwardToken"]
                    if at_the_end:
                        break

    def stop(self) -> None:
        """Cancel it, waiting or running; its checkpoint is kept. One that has ended is left alone."""
        record = self.record()
        if _STATES[record["status"]] not in ("waiting", "running"):
            return
        if "execution_arn" not in record:
            raise LaunchError(f"{self.name} is just being started", hint="try again in a minute")
        with aws_errors_translated("cancelling", needs="states:StopExecution"):
            self._stack.client("stepfunctions").stop_execution(
                executionArn=record["execution_arn"], cause="cancelled by splat production cancel"
            )

    def history(self) -> list[tuple[str, float, float]]:
        """The states that its execution went through: name, seconds since its start, seconds in the state.

        Raises LaunchError if it has no execution: it was rejected, or is just being started.
        """
        record = self.record()
        if "execution_arn" not in record:
            raise LaunchError(f"{self.name} has no execution", why=f"it is {record['status']}")
        with aws_errors_translated("the execution's history", needs="states:GetExecutionHistory"):
            pages = self._stack.client("stepfunctions").get_paginator("get_execution_history")
            events = [
                event for page in pages.paginate(executionArn=record["execution_arn"]) for event in page["events"]
            ]
        began = events[0]["timestamp"]
        entered: list[tuple[str, float]] = []
        for event in events:
            if "stateEnteredEventDetails" in event:
                seconds = (event["timestamp"] - began).total_seconds()
                entered.append((event["stateEnteredEventDetails"]["name"], seconds))
        ends = [start for _, start in entered[1:]] + [(events[-1]["timestamp"] - began).total_seconds()]
        return [(name, start, max(0.0, end - start)) for (name, start), end in zip(entered, ends, strict=True)]

    def rerun(self, name: str | None = None) -> ProductionJob:
        """The same job, with the same settings, as a new submission.

        Raises LaunchError (it never was a job, the name is taken), ConfigError (the name is none).
        """
        record = self.record()
        if "job" not in record:
            raise LaunchError(f"{self.name} was rejected, and never was a job", why=record.get("cause", ""))
        submission = Submission(
            job=Job.from_json(record["job"]),
            instance=record.get("asked_instance") or None,
            spot=record["spot"],
            max_run_s=record["max_run_s"],
            labels=record.get("labels", {}),
        )
        name = name or self._launcher.free_name(self.name)
        self._launcher.check_name(name)
        return self._launcher.put(submission, name)

    def fetch(self, out: str | Path | None = None, everything: bool = False) -> Path:
        """Exports and report; with ``everything`` the whole workspace, as long as the stack keeps it.

        ``out`` is ``runs/<name of the job>`` unless told.
        """
        record = self.record()
        out = Path(out) if out is not None else Path("runs") / self.name
        if not everything and "artefact" not in record:
            raise LaunchError(f"the job {self.name} has no results", why=f"it is {record['status']}")
        place = f"s3://{self._stack.bucket}/checkpoints/{self.name}/" if everything else record["artefact"]
        objects = [found for found in s3.list_objects(place) if found.name != ".lock"]
        s3.download(objects, out, "the workspace" if everything else "exports and report")
        return out

    def summary(self) -> str:
        """The record for people, without the job's own document."""
        hidden = ("job", "digest", "sequencer", "schema")
        return json.dumps({name: value for name, value in self.record().items() if name not in hidden}, indent=2)
