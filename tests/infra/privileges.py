"""What each role asked for in a driven run, in IAM's words, to compare with what its policy allows.

In the local AWS every call of a role is signed with a key of the role's name (see ``faults.py``)."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from infra.policies import policy

ACCOUNT, REGION, STACK = "123456789012", "us-east-1", "splatlib"
BUCKET = f"{STACK}-jobs-{ACCOUNT}-{REGION}"
KEY_ARN = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/of-the-stack"
NAMES = {
    "partition": "aws",
    "region": REGION,
    "account": ACCOUNT,
    "stack": STACK,
    "bucket": BUCKET,
    "key_arn": KEY_ARN,
    "assets_bucket": f"cdk-hnb659fds-assets-{ACCOUNT}-{REGION}",
    "assets_key": "of-the-sources.zip",
}
ROLES = ("trigger", "prepare", "complete", "sweep", "workflow", "batch", "training", "image_build")
# Allowed, and beyond what a local AWS can show: role, actions, and who asks for it in the real one.
NOT_SHOWN: list[tuple[tuple[str, ...], tuple[str, ...], str]] = [
    (
        ("workflow", "batch"),
        tuple(
            f"logs:{action}"
            for action in (
                "CreateLogDelivery",
                "GetLogDelivery",
                "UpdateLogDelivery",
                "DeleteLogDelivery",
                "ListLogDeliveries",
                "PutResourcePolicy",
                "DescribeResourcePolicies",
                "DescribeLogGroups",
            )
        ),
        "Step Functions sets up the delivery of its log with these (its guide, 'Logging'): here is none",
    ),
    (
        ("workflow", "batch"),
        ("xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets"),
        "Step Functions traces with these four (its guide, 'X-Ray'): moto's executions are not traced",
    ),
    (
        ("workflow",),
        ("events:PutTargets", "events:PutRule", "events:DescribeRule"),
        "Step Functions keeps a rule of its own for .sync (its guide, 'SageMaker'): here the end of a job is looked up",
    ),
    (
        ("batch",),
        ("states:StartExecution", "states:DescribeExecution", "states:StopExecution"),
        "a distributed map starts executions of its own (its guide, 'Map'): here it runs within the one",
    ),
    (
        ("training",),
        (
            "ecr:BatchCheckLayerAvailability",
            "ecr:GetDownloadUrlForLayer",
            "ecr:BatchGetImage",
            "ecr:GetAuthorizationToken",
        ),
        "SageMaker pulls the image with these (CreateTrainingJob's reference): here a process stands for the container",
    ),
    (
        ("training",),
        ("logs:DescribeLogStreams",),
        "SageMaker looks for a job's streams (CreateTrainingJob's reference): here each is made without looking",
    ),
    (
        ("training",),
        ("kms:Encrypt",),
        "SageMaker asks for it where OutputDataConfig names a key (that field's reference); S3 itself does not",
    ),
    (
        ("image_build",),
        (
            "ecr:BatchCheckLayerAvailability",
            "ecr:InitiateLayerUpload",
            "ecr:UploadLayerPart",
            "ecr:CompleteLayerUpload",
            "ecr:PutImage",
            "ecr:BatchGetImage",
        ),
        "docker push (ECR's guide, 'IAM permissions for pushing an image'): there is no Docker engine here",
    ),
    (
        ("image_build",),
        (
            "s3:GetObject",
            "s3:GetObjectVersion",
            "s3:GetBucketLocation",
            "logs:CreateLogStream",
            "logs:PutLogEvents",
            "kms:Decrypt",
            "kms:GenerateDataKey",
        ),
        "CodeBuild fetches its sources, writes its log, and opens what its key encrypts: moto's builds do not run",
    ),
]


class Use(NamedTuple):
    role: str
    action: str
    resource: str
    # of IAM's conditions: what the call says of itself
    context: tuple[tuple[str, str], ...] = ()


def used(calls: Iterable[Mapping[str, Any]]) -> set[Use]:
    """Each call as role, action and ARN, with what a service asks of KMS and IAM in the caller's name."""
    found = set()
    for call in calls:
        role = call["role"].removeprefix(f"{STACK}-").replace("-", "_")
        for use in _asked(role, call["service"], call["action"], call["parameters"]):
            found.add(use)
            found |= set(_in_its_name(use, call["parameters"]))
    return found


def allowed(use: Use) -> bool:
    return any(
        use.action in statement["Action"]
        and any(fnmatch.fnmatchcase(use.resource, arn) for arn in statement["Resource"])
        and _holds(statement.get("Condition", {}), dict(use.context))
        for statement in policy(use.role, NAMES)["Statement"]
    )


def idle(role: str, uses: Iterable[Use]) -> set[tuple[str, str]]:
    """Action and resource, as the role's policy names them, that no call needed and ``NOT_SHOWN`` does not tell."""
    told = {action for roles, actions, _ in NOT_SHOWN if role in roles for action in actions}
    own = [use for use in uses if use.role == role]
    return {
        (action, arn)
        for statement in policy(role, NAMES)["Statement"]
        for action in statement["Action"]
        for arn in statement["Resource"]
        if action not in told
        and not any(use.action == action and fnmatch.fnmatchcase(use.resource, arn) for use in own)
    }


def shown_after_all(uses: Iterable[Use]) -> set[tuple[str, str]]:
    """What ``NOT_SHOWN`` names and was seen, or is not allowed any more: such a line is to be struck out."""
    seen = {(use.role, use.action) for use in uses}
    return {
        (role, action)
        for roles, actions, _ in NOT_SHOWN
        for role in roles
        for action in actions
        if (role, action) in seen or action not in _actions_of(role)
    }


def _actions_of(role: str) -> set[str]:
    return {action for statement in policy(role, NAMES)["Statement"] for action in statement["Action"]}


def _holds(conditions: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    for operator, wanted in conditions.items():
        assert operator in ("StringEquals", "StringLike"), operator
        for name, values in wanted.items():
            patterns = values if isinstance(values, list) else [values]
            if name not in context or not any(fnmatch.fnmatchcase(context[name], pattern) for pattern in patterns):
                return False
    return True


def _in_its_name(use: Use, parameters: Any) -> Iterator[Use]:
    """The bucket, the tables and the topics are encrypted with the stack's key: who reads them needs it, and who
    writes new ones. Whoever creates a job hands it a role and tags."""
    role, action = use.role, use.action
    if action.startswith(("s3:GetObject", "dynamodb:")) or action == "sns:Publish":
        yield Use(role, "kms:Decrypt", KEY_ARN)
    if action in ("s3:PutObject", "sns:Publish"):
        yield Use(role, "kms:GenerateDataKey", KEY_ARN)
    if action == "sagemaker:CreateTrainingJob":
        yield Use(role, "iam:PassRole", parameters["RoleArn"], (("iam:PassedToService", "sagemaker.amazonaws.com"),))
        if parameters.get("Tags"):
            yield Use(role, "sagemaker:AddTags", use.resource)


def _asked(role: str, service: str, action: str, parameters: Mapping[str, Any]) -> Iterator[Use]:
    if service == "s3":
        yield from _of_s3(role, action)
    elif service == "ssm":
        for name in parameters.get("Names") or [parameters["Name"]]:
            yield Use(role, f"ssm:{action}", f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter{name}")
    elif service == "monitoring":
        context = (("cloudwatch:namespace", parameters["Namespace"]),)
        yield Use(role, f"cloudwatch:{action}", "*", context)
    else:
        assert service in _RESOURCES, f"a call of {service} that nobody expected: {action}"
        resource = _RESOURCES[service](action, parameters)
        if service == "lambda":
            action = "InvokeFunction"
        full = resource if resource.startswith("arn:") or resource == "*" else _arn(service, resource)
        yield Use(role, f"{service}:{action.removesuffix('Batch')}", full)


def _arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


def _function(action: str, parameters: Mapping[str, Any]) -> str:
    found = re.search(r"functions/([^/]+)/invocations", action)
    assert found is not None, action
    return f"function:{found[1].rpartition(':')[2]}"


_RESOURCES: dict[str, Callable[[str, Mapping[str, Any]], str]] = {
    "dynamodb": lambda _, call: (
        f"table/{call['TableName']}" + (f"/index/{call['IndexName']}" if "IndexName" in call else "")
    ),
    "states": lambda _, call: call.get("stateMachineArn") or call["executionArn"],
    "sagemaker": lambda _, call: f"training-job/{call['TrainingJobName']}",
    "sns": lambda _, call: call["TopicArn"],
    "sqs": lambda _, call: str(call["QueueUrl"]).rpartition("/")[2],
    "logs": lambda _, call: f"log-group:{call['logGroupName']}:log-stream:any",
    "ecr": lambda _, call: f"repository/{call['repositoryName']}" if "repositoryName" in call else "*",
    "lambda": _function,
}


def _of_s3(role: str, action: str) -> Iterator[Use]:
    method, _, target = action.partition(" ")
    path, _, query = target.partition("?")
    bucket, _, key = path.lstrip("/").partition("/")
    parameters = parse_qs(query)
    if not key:
        assert method == "GET" and "list-type" in parameters, action
        context = (("s3:prefix", parameters.get("prefix", [""])[0]),)
        yield Use(role, "s3:ListBucket", f"arn:aws:s3:::{bucket}", context)
        return
    version = "Version" if "versionId" in parameters else ""
    actions = {
        "GET": f"s3:GetObject{version}",
        "HEAD": f"s3:GetObject{version}",
        "PUT": "s3:PutObject",
        "DELETE": "s3:DeleteObject",
    }
    yield Use(role, actions[method], f"arn:aws:s3:::{bucket}/{key}")
