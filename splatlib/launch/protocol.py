"""The protocol that all launchers share: ``submit`` a Job, and follow it by its handle."""

from __future__ import annotations

import abc
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn, Protocol

from splatlib.config import Job
from splatlib.errors import JobFailedError, JobStoppedError, LaunchError
from splatlib.launch.contract import event_of

State = Literal["waiting", "running", "stopping", "done", "failed", "stopped"]
ENDED: frozenset[State] = frozenset({"done", "failed", "stopped"})
LOG_LINES_OF_FAILURE = 12


@dataclass(frozen=True)
class JobStatus:
    """Where a job stands.

    Attributes:
        detail: the launcher's own word for it, such as SageMaker's secondary status.
        reason: why it failed, in the container's words.
        seconds: running so far, or in all.
        billable_seconds, cost_usd: None where nothing is billed or it is not known yet.
    """

    state: State
    detail: str = ""
    reason: str = ""
    seconds: float | None = None
    billable_seconds: int | None = None
    cost_usd: float | None = None

    @property
    def ended(self) -> bool:
        return self.state in ENDED


class JobHandle(abc.ABC):
    """A submitted job, whoever submitted it."""

    poll_s = 0.5

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<job {self.name}>"

    @abc.abstractmethod
    def status(self) -> JobStatus:
        """Where it stands now."""

    @abc.abstractmethod
    def logs(self, follow: bool = False) -> Iterator[str]:
        """The container's lines so far; with ``follow``, until the job has ended."""

    @abc.abstractmethod
    def stop(self) -> None:
        """Ask it to stop: it saves a checkpoint first. One that has ended is left alone."""

    @abc.abstractmethod
    def fetch(self, out: str | Path | None = None, everything: bool = False) -> Path:
        """Bring results into a workspace here: exports, previews and report; with ``everything`` all stages.

        Returns the workspace's folder. What is here already is not fetched again. Raises LaunchError if there is
        nothing yet.
        """

    def events(self, follow: bool = False) -> Iterator[dict[str, Any]]:
        """Stages and training metrics, as ``contract.event_of`` reads them from the lines."""
        for line in self.logs(follow):
            if (event := event_of(line)) is not None:
                yield event

    def wait(self, timeout_s: float | None = None) -> JobStatus:
        """Wait until it has ended well.

        Raises JobFailedError with the container's reason and last lines; JobStoppedError; LaunchError once
        ``timeout_s`` are over, with the job going on.
        """
        started_s = time.monotonic()
        while not (status := self.status()).ended:
            if timeout_s is not None and time.monotonic() - started_s > timeout_s:
                raise LaunchError(
                    f"the job {self.name} is still {status.state} after {timeout_s:.0f} s",
                    why=status.detail,
                    hint="it goes on: wait again, or stop it",
                )
            time.sleep(self.poll_s)
        return status if status.state == "done" else self._raise(status)

    def _raise(self, status: JobStatus) -> NoReturn:
        told = status.reason or status.detail or "no reason was given"
        if status.state == "stopped":
            raise JobStoppedError(
                f"the job {self.name} was stopped", why=told, hint="its workspace is kept up to the last checkpoint"
            )
        last = deque(self.logs(), LOG_LINES_OF_FAILURE)
        lines = "".join(f"\n  | {line}" for line in last)
        raise JobFailedError(
            f"the job {self.name} failed",
            why=told + (f"\nIts last lines:{lines}" if lines else ""),
            hint=f"see all of its lines: splat jobs logs {self.name}",
        )


class Launcher(Protocol):
    """Where jobs run."""

    def submit(self, job: Job, name: str | None = None) -> JobHandle:
        """Start a job; returns at once. ``name`` is made from the capture's unless told.

        Raises LaunchError and its subclasses, CaptureNotFoundError, S3Error.
        """
        ...

    def attach(self, name: str) -> JobHandle:
        """A job that was submitted before, perhaps by another process. Raises JobNotFoundError."""
        ...

    def jobs(self) -> Sequence[JobHandle]:
        """All jobs of this launcher, the latest first."""
        ...
