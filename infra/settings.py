"""What a deployment may choose: `cdk deploy -c name=value`, or `context` in cdk.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from splatlib.config.base import Config


class DeploymentSettings(Config):
    """One deployed stack."""

    stack: str = Field(default="splatlib", pattern=r"^[a-z][a-z0-9]{1,19}$", description="its name; begins all others")
    email: str | None = Field(default=None, pattern=r"^[^@\s]+@[^@\s]+$", description="who gets mails and alarms")
    instances: tuple[str, ...] = Field(
        default=("ml.g6e.xlarge", "ml.g5.xlarge", "ml.g5.2xlarge", "ml.g5.4xlarge", "ml.g6e.4xlarge"),
        min_length=1,
        description="SageMaker's names; the first unless a submission names one, the next when there is no capacity",
    )
    spot: bool = Field(default=True, description="unless a submission says otherwise")
    max_run_s: int = Field(default=14_400, ge=60, le=432_000, description="seconds of one training job, at most")
    max_wait_s: int = Field(default=28_800, ge=0, le=1_987_200, description="seconds more, to wait for spare capacity")
    max_volume_gb: int = Field(default=500, ge=30, le=16_384, description="disk of a training job, at most")
    attempts: int = Field(default=3, ge=1, le=9, description="training jobs for one submission, after faults of AWS")
    stack_slots: int = Field(default=8, ge=1, le=500, description="trainings at once: the account's quota")
    submitter_slots: int = Field(default=3, ge=1, le=500, description="trainings at once of one submitter")
    checkpoint_days: int = Field(default=30, ge=1, description="workspaces are deleted after so many days")
    old_version_days: int = Field(default=30, ge=1, description="so are replaced and deleted objects, but of models/")
    key: str | None = Field(
        default=None,
        pattern=r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[0-9a-f-]+$",
        description="of an earlier deployment that was destroyed, whose data it opens; otherwise one is made",
    )
    vpc: bool = Field(default=False, description="trainings in a network without internet, with endpoints")
    budget_usd: float = Field(default=300.0, gt=0, description="a month; a mail at 80 and 100 per cent")
    lambda_python: Literal["3.11", "3.12", "3.13", "3.14"] = Field(default="3.14", description="of the functions")
    lambda_architecture: Literal["arm64", "x86_64"] = Field(default="arm64", description="of the functions")
    tags: dict[str, str] = Field(default={}, description="on everything")

    @model_validator(mode="after")
    def _one_submitter_leaves_room(self) -> Self:
        if self.submitter_slots > self.stack_slots:
            raise ValueError("submitter_slots is more than stack_slots: one submitter could hold all of them")
        return self

    @classmethod
    def of_context(cls, context: Mapping[str, Any]) -> Self:
        """From CDK's context: values of ``-c`` are text, lists and objects among them JSON. Raises ConfigError."""
        named = {name: context[name] for name in cls.model_fields if context.get(name) not in (None, "")}
        return cls.from_dict({name: _parsed(value) for name, value in named.items()})


def _parsed(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in "[{":
        return json.loads(value)
    return value
