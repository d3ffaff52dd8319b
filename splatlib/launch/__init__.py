"""Where a job runs: as a child process of this machine, or on SageMaker. ``submit`` it, then follow it by its handle.

>>> handle = submit(Job(capture="bench.mov"), SageMaker(instance="ml.g6.xlarge"))
>>> for event in handle.events(follow=True):
...     print(event)
>>> workspace = handle.fetch("runs/bench")

Nothing here loads boto3 or the SageMaker SDK before a job is submitted to it, and names load on first use: the
production stack's functions need ``contract`` and ``prices`` alone.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from splatlib.config import Job
    from splatlib.launch.aws.launcher import SageMaker as SageMaker
    from splatlib.launch.estimate import Estimate as Estimate
    from splatlib.launch.fake import FakeLauncher as FakeLauncher
    from splatlib.launch.local import LocalProcess as LocalProcess
    from splatlib.launch.production import Production as Production
    from splatlib.launch.protocol import JobHandle as JobHandle
    from splatlib.launch.protocol import JobStatus as JobStatus
    from splatlib.launch.protocol import Launcher as Launcher

_HOME = {
    "Estimate": "estimate",
    "FakeLauncher": "fake",
    "JobHandle": "protocol",
    "JobStatus": "protocol",
    "Launcher": "protocol",
    "LocalProcess": "local",
    "Production": "production",
    "SageMaker": "aws.launcher",
}


def submit(job: Job, launcher: Launcher | None = None, name: str | None = None) -> JobHandle:
    """Start a job where ``launcher`` says, and return at once; on this machine unless told.

    Raises LaunchError and its subclasses, CaptureNotFoundError, S3Error.
    """
    if launcher is None:
        from splatlib.launch.local import LocalProcess

        launcher = LocalProcess()
    return launcher.submit(job, name)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'splatlib.launch' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"splatlib.launch.{_HOME[name]}"), name)
    globals()[name] = value
    return value
