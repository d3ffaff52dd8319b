"""What the stack's functions need to know of one another, from Parameter Store: written when the stack is deployed, and
the image's digest whenever one was built."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field

from infra.runtime.aws import client

# Set by the deployment: "/splatlib" for a stack of that name.
PATH_VARIABLE = "SPLATLIB_PARAMETERS"
SETTINGS, STATE_MACHINE, IMAGE = "settings", "state-machine-arn", "image-uri"
_KEPT_S = 60.0
_kept: dict[str, tuple[float, Settings]] = {}


@dataclass(frozen=True)
class Settings:
    """The deployed stack's own values.

    Attributes:
        instances: SageMaker instance types that may be used; the first is taken where a submission names none.
        max_run_s: seconds of one training job unless a submission asks for less.
        attempts: training jobs for one submission, at most: a new one follows a fault of AWS, never one of the job.
        subnets, security_groups: of the VPC; empty without one.
    """

    stack: str
    region: str
    bucket: str
    records_table: str
    slots_table: str
    mail_topic_arn: str
    training_role_arn: str
    kms_key_arn: str
    instances: tuple[str, ...]
    spot: bool
    max_run_s: int
    max_wait_s: int
    max_volume_gb: int
    attempts: int
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    state_machine_arn: str = ""
    image_uri: str = field(default="")

    @classmethod
    def of_parameters(cls, values: dict[str, str]) -> Settings:
        """From the values of the three parameters, by the last part of their names."""
        fields = json.loads(values[SETTINGS])
        lists = {name: tuple(fields[name]) for name in ("instances", "subnets", "security_groups")}
        state_machine_arn, image_uri = values.get(STATE_MACHINE, ""), values.get(IMAGE, "")
        return cls(**{**fields, **lists, "state_machine_arn": state_machine_arn, "image_uri": image_uri})


def settings() -> Settings:
    """The stack's values; asked for at most once a minute."""
    path = os.environ[PATH_VARIABLE]
    asked_s, kept = _kept.get(path, (0.0, None))
    if kept is not None and time.monotonic() - asked_s < _KEPT_S:
        return kept
    names = [f"{path}/{name}" for name in (SETTINGS, STATE_MACHINE, IMAGE)]
    found = client("ssm").get_parameters(Names=names)["Parameters"]
    read = Settings.of_parameters({entry["Name"].rpartition("/")[2]: entry["Value"] for entry in found})
    _kept[path] = (time.monotonic(), read)
    return read
