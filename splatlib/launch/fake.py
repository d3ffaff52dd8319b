"""A launcher that runs nothing: for tests of what uses launchers, and for trying out a front end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from splatlib.config import Job
from splatlib.errors import JobNotFoundError, LaunchError
from splatlib.launch.baggage import job_name
from splatlib.launch.contract import event_line
from splatlib.launch.protocol import JobHandle, JobStatus


class FakeLauncher:
    """Keeps what was submitted; a test says what becomes of it.

    Attributes:
        submitted: pairs of name and job, in order.
        refusal: raised by ``submit`` instead, once set.
    """

    def __init__(self) -> None:
        self.submitted: list[tuple[str, Job]] = []
        self.refusal: LaunchError | None = None
        self._handles: dict[str, FakeJob] = {}

    def submit(self, job: Job, name: str | None = None) -> FakeJob:
        if self.refusal is not None:
            raise self.refusal
        name = name or job_name(job)
        if name in self._handles:
            raise LaunchError(f"there is a job {name} already")
        self.submitted.append((name, job))
        self._handles[name] = FakeJob(name)
        return self._handles[name]

    def attach(self, name: str) -> FakeJob:
        if name not in self._handles:
            raise JobNotFoundError(f"there is no job {name}")
        return self._handles[name]

    def jobs(self) -> Sequence[FakeJob]:
        return list(reversed(self._handles.values()))


class FakeJob(JobHandle):
    """A job whose lines and statuses a test scripts: ``script`` is played one entry an ask, the last one stays."""

    poll_s = 0.0

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.lines: list[str] = []
        self.script: list[JobStatus] = [JobStatus("running"), JobStatus("done", seconds=1.0)]
        self.results: Path | None = None
        self.stopped = False

    def say(self, **values: Any) -> None:
        """Add an event's line."""
        self.lines.append(event_line(**values))

    def status(self) -> JobStatus:
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    def logs(self, follow: bool = False) -> Iterator[str]:
        yield from self.lines

    def stop(self) -> None:
        self.stopped = True
        self.script = [JobStatus("stopped")]

    def fetch(self, out: str | Path | None = None, everything: bool = False) -> Path:
        if self.results is None:
            raise LaunchError(f"the job {self.name} has no results")
        return self.results
