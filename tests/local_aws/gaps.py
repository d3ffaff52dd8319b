"""What moto lacks of SageMaker: validation, names that are taken, quotas, stopping, and jobs that take their time.

Every symbol of moto that is replaced is looked up first, and the version is pinned, so that an upgrade of moto fails
here and not in a test that silently tests nothing.
"""

from __future__ import annotations

import contextlib
import functools
import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from unittest import mock

import moto
from moto.core.responses import ActionResult
from moto.iam.models import iam_backends
from moto.sagemaker import models, responses
from moto.sagemaker.exceptions import SagemakerClientError as ServiceException

from tests.local_aws.training import Running

if TYPE_CHECKING:
    from tests.local_aws import LocalAws

MOTO_VERSION = "5.2.5"
REPLACED = (
    (responses.SageMakerResponse, "create_training_job"),
    (responses.SageMakerResponse, "describe_training_job"),
    (models.FakeTrainingJob, "__init__"),
)


def check_symbols() -> None:
    """Raises AssertionError where moto is not the one that this was written for."""
    assert moto.__version__ == MOTO_VERSION, f"tests/local_aws was written for moto {MOTO_VERSION}: look it through"
    for owner, name in REPLACED:
        assert callable(getattr(owner, name)), f"moto has no {owner.__name__}.{name} any more"
    assert not hasattr(responses.SageMakerResponse, "stop_training_job"), "moto can stop jobs now: use that"


@contextlib.contextmanager
def fill_gaps(aws: LocalAws, container: list[str]) -> Iterator[None]:
    """While inside, the server behind ``aws`` runs training jobs."""
    check_symbols()
    create = responses.SageMakerResponse.create_training_job

    def create_training_job(self: Any) -> Any:
        request = json.loads(self.body)
        _refuse(aws, "CreateTrainingJob")
        if aws.throttle:
            aws.throttle -= 1
            raise ServiceException("ThrottlingException", "Rate exceeded")
        _refuse_invalid(request)
        name = request["TrainingJobName"]
        if name in self.sagemaker_backend.training_jobs:
            raise ServiceException("ResourceInUse", f"Training job names must be unique, {name} is taken")
        _refuse_role(request["RoleArn"], self.current_account)
        _refuse_beyond_quota(aws, request)
        aws.requests.append(request)
        answer = create(self)
        job = self.sagemaker_backend.training_jobs[name]
        _complete(job, request)
        aws.running[name] = Running(aws, job, request, container)
        aws.running[name].start()
        return answer

    def describe_training_job(self: Any) -> Any:
        _refuse(aws, "DescribeTrainingJob")
        name = self._get_param("TrainingJobName")
        if name not in self.sagemaker_backend.training_jobs:
            raise ServiceException("ValidationException", "Requested resource not found.")
        return ActionResult(self.sagemaker_backend.describe_training_job(name))

    def stop_training_job(self: Any) -> Any:
        _refuse(aws, "StopTrainingJob")
        aws.running[self._get_param("TrainingJobName")].stop()
        return ActionResult({})

    with (
        mock.patch.object(responses.SageMakerResponse, "create_training_job", create_training_job),
        mock.patch.object(responses.SageMakerResponse, "describe_training_job", describe_training_job),
        mock.patch.object(responses.SageMakerResponse, "stop_training_job", stop_training_job, create=True),
    ):
        yield


def _complete(job: Any, request: dict[str, Any]) -> None:
    """What moto drops of the request or makes up, as SageMaker describes a job."""
    job.algorithm_specification["MetricDefinitions"] = request["AlgorithmSpecification"].get("MetricDefinitions", [])
    job.environment = request.get("Environment", {})
    job.retry_strategy = request.get("RetryStrategy")
    job.training_job_status, job.secondary_status = "InProgress", "Starting"
    job.training_start_time = job.training_end_time = None
    job.final_metric_data_list = []
    job.secondary_status_transitions = []


def _refuse(aws: LocalAws, action: str) -> None:
    if action in aws.refusals:
        raise ServiceException(*aws.refusals.pop(action))


@functools.cache
def _input_shape() -> Any:
    import boto3

    sagemaker = boto3.client("sagemaker", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    return sagemaker.meta.service_model.operation_model("CreateTrainingJob").input_shape


def _refuse_invalid(request: dict[str, Any]) -> None:
    """The service's own rules as botocore's model states them, and the one on times that it does not."""
    found = list(_violations(request, _input_shape(), "request"))
    stopping = request.get("StoppingCondition", {})
    longest_s = stopping.get("MaxRuntimeInSeconds", 86400)
    if request.get("EnableManagedSpotTraining") and stopping.get("MaxWaitTimeInSeconds", 0) < longest_s:
        found.append("Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntime")
    resources = request.get("ResourceConfig", {})
    if resources.get("VolumeKmsKeyId") and re.match(r"ml\.(g4dn|g5|g6|g6e|p4d|p5)\.", resources["InstanceType"]):
        found.append(f"VolumeKmsKeyId is not supported by {resources['InstanceType']}, which has local storage")
    if resources.get("KeepAlivePeriodInSeconds") and request.get("EnableManagedSpotTraining"):
        found.append("KeepAlivePeriodInSeconds cannot be used with managed spot training")
    if found:
        raise ServiceException("ValidationException", "; ".join(found))


def _violations(value: Any, shape: Any, path: str) -> Iterator[str]:
    limits = shape.metadata
    if shape.type_name == "structure":
        for key, inner in value.items():
            if key in shape.members:
                yield from _violations(inner, shape.members[key], f"{path}.{key}")
            else:
                yield f"{path}.{key} is not known"
        yield from (f"{path}.{key} is missing" for key in shape.required_members if key not in value)
    elif shape.type_name == "list":
        for index, inner in enumerate(value):
            yield from _violations(inner, shape.member, f"{path}[{index}]")
    elif shape.type_name == "map":
        for key, inner in value.items():
            yield from _violations(key, shape.key, path)
            yield from _violations(inner, shape.value, f"{path}.{key}")
    elif shape.type_name == "string":
        yield from _violations_of_text(value, shape, path)
    elif shape.type_name in ("integer", "long") and not limits.get("min", value) <= value <= limits.get("max", value):
        yield f"{path} {value} is out of range"


def _violations_of_text(value: str, shape: Any, path: str) -> Iterator[str]:
    if shape.enum and value not in shape.enum:
        yield f"{path} {value!r} is none of its values"
    # Java's classes of letters, numbers and blanks are not Python's
    pattern = re.sub(r"\\p\{[LN]\}", r"\\w", shape.metadata.get("pattern", "")).replace(r"\p{Z}", r"\s")
    if pattern and not re.fullmatch(pattern, value, re.DOTALL):
        yield f"{path} {value!r} does not fit {pattern}"
    if len(value) > shape.metadata.get("max", len(value)):
        yield f"{path} is too long"


def _refuse_role(arn: str, account: str) -> None:
    roles = [role.arn for role in iam_backends[account]["aws"].get_roles()]
    if arn not in roles:
        raise ServiceException(
            "ValidationException",
            f"Could not assume role {arn}. Please ensure that the role exists and allows principal"
            " 'sagemaker.amazonaws.com' to assume the role.",
        )


def _refuse_beyond_quota(aws: LocalAws, request: dict[str, Any]) -> None:
    instance = request["ResourceConfig"]["InstanceType"]
    kind = "spot training" if request.get("EnableManagedSpotTraining") else "training"
    busy = sum(job.instance == instance and not job.ended for job in list(aws.running.values()))
    limit = aws.quotas.get(instance)
    if limit is not None and busy >= limit:
        raise ServiceException(
            "ResourceLimitExceeded",
            f"The account-level service limit '{instance} for {kind} job usage' is {limit} Instances, with current"
            f" utilization of {busy} Instances and a request delta of 1 Instances. Please use AWS Service Quotas to"
            " request an increase for this quota.",
        )
