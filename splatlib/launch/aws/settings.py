"""How and where SageMaker runs a job, checked when it is written down."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from splatlib._version import __version__
from splatlib.config import Job
from splatlib.errors import ConfigError
from splatlib.launch.estimate import RECOMMENDED
from splatlib.launch.prices import Instance, instance_called

IMAGE_VARIABLE = "SPLATLIB_IMAGE"
ROLE_VARIABLE = "SPLATLIB_ROLE"
MAX_KEEP_ALIVE_S = 3600
MAX_RUN_S = 28 * 24 * 3600


@dataclass(frozen=True)
class SageMakerSettings:
    """What the launcher ``SageMaker`` is told.

    Attributes:
        instance: e.g. ``ml.g6.xlarge``; None: the one recommended for the job's preset.
        image: the container's image in ECR; None: what SPLATLIB_IMAGE says.
        role: name or ARN of the job's role; None: SPLATLIB_ROLE, in Studio its own.
        bucket: for captures, checkpoints and results; None: the SDK's default bucket of the region.
        prefix: in the bucket.
        region: None: as boto3 finds it.
        spot: spare capacity, up to 90 % cheaper, that may be taken away; the job goes on from its checkpoint.
        max_run_s: SageMaker stops the job after so long a time of running.
        max_wait_s: spot: running and waiting for capacity together; None: twice ``max_run_s``.
        budget_usd: refuse a job that may cost more; None: no cap.
        volume_gib: disk of instances that have none of their own.
        kms_key: encrypts captures, results and volumes (of instances without a disk of their own).
        subnets, security_groups: run inside this VPC.
        network_isolation: no network for the container; then all of the capture must be local files.
        keep_alive_s: warm pool: keep the instance for the next job, which then starts at once; not with spot.
        tags: of the job, for cost reports.
        environment: more variables for the container.
    """

    instance: str | None = None
    image: str | None = None
    role: str | None = None
    bucket: str | None = None
    prefix: str = "splatlib"
    region: str | None = None
    spot: bool = True
    max_run_s: int = 4 * 3600
    max_wait_s: int | None = None
    budget_usd: float | None = None
    volume_gib: int = 100
    kms_key: str | None = None
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    network_isolation: bool = False
    keep_alive_s: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.instance is not None:
            instance_called(self.instance)
        if not 60 <= self.max_run_s <= MAX_RUN_S:
            raise ConfigError(f"max_run_s is {self.max_run_s}", hint=f"a minute to 28 days: 60 to {MAX_RUN_S}")
        if self.max_wait_s is not None and not self.spot:
            raise ConfigError("max_wait_s is for spot instances only", hint="leave it out, or spot=True")
        if self.spot and self.wait_s < self.max_run_s:
            raise ConfigError(
                f"max_wait_s {self.wait_s} is less than max_run_s {self.max_run_s}",
                why="it covers running and waiting for capacity together",
                hint="raise max_wait_s, or leave it out",
            )
        if self.keep_alive_s and self.spot:
            raise ConfigError("a warm pool keeps no spot instances", hint="keep_alive_s=0, or spot=False")
        if not 0 <= self.keep_alive_s <= MAX_KEEP_ALIVE_S:
            raise ConfigError(f"keep_alive_s is {self.keep_alive_s}", hint=f"0 to {MAX_KEEP_ALIVE_S}")
        if bool(self.subnets) != bool(self.security_groups):
            raise ConfigError("a VPC needs both subnets and security_groups", hint="name both, or neither")
        if not re.fullmatch(r"[A-Za-z0-9!_.*'()/-]{1,200}", self.prefix) or self.prefix.strip("/") != self.prefix:
            raise ConfigError(f"the prefix {self.prefix!r} makes no good keys", hint="letters, digits, - _ . and /")
        if self.budget_usd is not None and self.budget_usd <= 0:
            raise ConfigError(f"budget_usd is {self.budget_usd}", hint="a sum above 0, or None")

    @property
    def wait_s(self) -> int:
        """Of spot: running and waiting together."""
        return self.max_wait_s if self.max_wait_s is not None else min(2 * self.max_run_s, MAX_RUN_S)

    def instance_for(self, job: Job) -> Instance:
        return instance_called(self.instance or RECOMMENDED[job.train.preset])

    @property
    def image_uri(self) -> str:
        """Raises ConfigError where none is named."""
        image = self.image or os.environ.get(IMAGE_VARIABLE)
        if not image:
            raise ConfigError(
                "no container image is named",
                hint=f"SageMaker(image=...), or {IMAGE_VARIABLE}; make one with `make image` (docs/sagemaker.md)",
            )
        return image

    @property
    def all_tags(self) -> dict[str, str]:
        return {"splatlib": __version__, **self.tags}
