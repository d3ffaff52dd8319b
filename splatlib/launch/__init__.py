"""Where a job runs: as a child process of this machine, or on SageMaker. ``submit`` it, then follow it by its handle.

>>> handle = submit(Job(capture="bench.mov"), SageMaker(instance="ml.g6.xlarge"))
>>> for event in handle.events(follow=True):
...     print(event)
>>> workspace = handle.fetch("runs/bench")

Nothing here loads boto3 or the SageMaker SDK before a job is submitted to it.
"""

from __future__ import annotations

from splatlib.config import Job
from splatlib.launch.aws.launcher import SageMaker as SageMaker
from splatlib.launch.estimate import Estimate as Estimate
from splatlib.launch.fake import FakeLauncher as FakeLauncher
from splatlib.launch.local import LocalProcess as LocalProcess
from splatlib.launch.protocol import JobHandle as JobHandle
from splatlib.launch.protocol import JobStatus as JobStatus
from splatlib.launch.protocol import Launcher as Launcher


def submit(job: Job, launcher: Launcher | None = None, name: str | None = None) -> JobHandle:
    """Start a job where ``launcher`` says, and return at once; on this machine unless told.

    Raises LaunchError and its subclasses, CaptureNotFoundError, S3Error.
    """
    return (launcher or LocalProcess()).submit(job, name)
