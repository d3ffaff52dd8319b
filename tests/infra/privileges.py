"""What each role asked for in a driven run, in IAM's words, to compare with what its policy allows."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping
from typing import Any

from infra.policies import policy

ACCOUNT, REGION, STACK = "123456789012", "us-east-1", "splatlib"
BUCKET = f"{STACK}-jobs-{ACCOUNT}-{REGION}"
NAMES = {
    "partition": "aws",
    "region": REGION,
    "account": ACCOUNT,
    "stack": STACK,
    "bucket": BUCKET,
    "key_arn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/of-the-stack",
    "assets_bucket": "assets",
}
# Allowed and not seen, since the local AWS does it in the role's name without a call: who does it, and with what.
BY_AWS_ITSELF = {
    "kms:Decrypt": "S3, SNS, DynamoDB with the caller's rights",
    "kms:GenerateDataKey": "the same",
    "logs:CreateLogStream": "Lambda's runtime",
    "logs:PutLogEvents": "Lambda's runtime",
    "sqs:ReceiveMessage": "Lambda's event source mapping",
    "sqs:DeleteMessage": "the same",
    "sqs:ChangeMessageVisibility": "the same",
    "sqs:GetQueueAttributes": "the same",
    "sqs:SendMessage": "Lambda, to a dead-letter queue",
    "iam:PassRole": "asked by SageMaker of whoever creates a job",
    "sagemaker:AddTags": "asked by SageMaker of whoever creates a job with tags",
    "sagemaker:StopTrainingJob": "Step Functions, when an execution is aborted",
    "s3:GetObjectVersion": "s3:GetObject with a version",
    **dict.fromkeys(("events:PutTargets", "events:PutRule", "events:DescribeRule"), "Step Functions' .sync"),
    **{f"logs:{action}": "Step Functions, to deliver its log" for action in (
        "CreateLogDelivery", "GetLogDelivery", "UpdateLogDelivery", "DeleteLogDelivery", "ListLogDeliveries",
        "PutResourcePolicy", "DescribeResourcePolicies", "DescribeLogGroups",
    )},
    **{f"xray:{action}": "Step Functions, to trace" for action in (
        "PutTraceSegments", "PutTelemetryRecords", "GetSamplingRules", "GetSamplingTargets",
    )},
}  # fmt: skip


def used(calls: list[dict[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Role's policy, action and ARN of each call."""
    for call in calls:
        role = call["role"].removeprefix(f"{STACK}-")
        for action, resource in _asked(call["service"], call["action"], call["parameters"]):
            yield role, action, resource


def allowed(role: str, action: str, resource: str) -> bool:
    """The local AWS calls with one key for both state machines: what it did as ``workflow`` may have been a batch."""
    roles = ("workflow", "batch") if role == "workflow" else (role,)
    return any(_allows(each, action, resource) for each in roles)


def _allows(role: str, action: str, resource: str) -> bool:
    return any(
        action in statement["Action"] and any(fnmatch.fnmatchcase(resource, arn) for arn in statement["Resource"])
        for statement in policy(role, NAMES)["Statement"]
    )


def actions_of(role: str) -> set[str]:
    return {action for statement in policy(role, NAMES)["Statement"] for action in statement["Action"]}


def _asked(service: str, action: str, parameters: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    arn = f"arn:aws:{service}:{REGION}:{ACCOUNT}"
    if service == "s3":
        yield from _of_s3(action)
    elif service == "dynamodb":
        index = f"/index/{parameters['IndexName']}" if "IndexName" in parameters else ""
        yield f"dynamodb:{action}", f"{arn}:table/{parameters['TableName']}{index}"
    elif service == "ssm":
        for name in parameters["Names"]:
            yield f"ssm:{action}", f"{arn}:parameter{name}"
    elif service == "states":
        yield f"states:{action}", parameters.get("stateMachineArn") or parameters["executionArn"]
    elif service == "sagemaker":
        yield f"sagemaker:{action}", f"{arn}:training-job/{parameters['TrainingJobName']}"
    elif service == "sns":
        yield f"sns:{action}", parameters["TopicArn"]
    elif service == "logs":
        yield f"logs:{action}", f"{arn}:log-group:{parameters['logGroupName']}:log-stream:any"
    elif service == "lambda":
        found = re.search(r"functions/([^/]+)/invocations", action)
        assert found is not None, action
        yield "lambda:InvokeFunction", f"{arn}:function:{found[1].rpartition(':')[2]}"
    else:
        raise AssertionError(f"a call of {service} that nobody expected: {action}")


def _of_s3(action: str) -> Iterator[tuple[str, str]]:
    method, _, target = action.partition(" ")
    path, _, query = target.partition("?")
    bucket, _, key = path.lstrip("/").partition("/")
    if not key:
        assert method == "GET" and "list-type" in query, action
        yield "s3:ListBucket", f"arn:aws:s3:::{bucket}"
    else:
        actions = {"GET": "s3:GetObject", "HEAD": "s3:GetObject", "PUT": "s3:PutObject"}
        yield actions[method], f"arn:aws:s3:::{bucket}/{key}"
