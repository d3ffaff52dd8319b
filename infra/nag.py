"""cdk-nag's AwsSolutions over the whole app, and each finding that stays, with its reason."""

from __future__ import annotations

from aws_cdk import Acknowledgment, App, Stack, Token, Validations
from cdk_nag import AwsSolutionsChecks

from infra.settings import DeploymentSettings

_LOGS = "a log group's streams are written below its ARN: the wildcard is the streams of this one group"
_OBJECTS = "the names of objects are made by those who submit: the wildcard is one folder of one bucket"
_JOBS = "the names of training jobs hold the submission's id: the wildcard is the jobs of this stack"

# What follows ``Resource::`` in a finding, with the stack's name, account and region as {stack}, {account}, {region}.
_WILDCARDS = {
    "*": "actions for which AWS knows no ARN: X-Ray, the delivery of logs, ecr:GetAuthorizationToken, PutMetricData",
    "{arn}:logs:{here}:log-group:/aws/sagemaker/TrainingJobs:*": _LOGS,
    **{
        f"{{arn}}:logs:{{here}}:log-group:/{{stack}}/{name}:*": _LOGS
        for name in ("trigger", "prepare", "complete", "sweep", "image-build")
    },
    **{
        f"{{arn}}:s3:::{{stack}}-jobs-{{account}}-{{region}}/{folder}": _OBJECTS
        for folder in ("captures/*", "batches/*", "checkpoints/*", "jobs/*", "models/*", "results/*", "results/*/job/*")
    },
    "{arn}:sagemaker:{here}:training-job/{stack}-*": _JOBS,
    "{arn}:states:{here}:execution:{stack}:*": "the executions of this one state machine",
    "{arn}:states:{here}:execution:{stack}-batch/*": "the children of this one state machine's distributed map",
}
# Construct's path, rule, reason.
_OTHERS = [
    ("Intake/DeadTopic", "AwsSolutions-SQS3", "it is itself a dead-letter queue: of the topic's subscription"),
    ("Intake/Dead", "AwsSolutions-SQS3", "it is itself a dead-letter queue"),
    ("Completion/Dead", "AwsSolutions-SQS3", "it is itself a dead-letter queue: of functions and rules"),
    (
        "Network",
        "AwsSolutions-EC23",
        "the rule cannot read the VPC's address range, which is a reference; the groups admit TLS from that range only",
    ),
]


def check(app: App, stack: Stack, settings: DeploymentSettings) -> None:
    """Fail the synthesis with every finding that has no reason here."""
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    account = "<AWS::AccountId>" if Token.is_unresolved(stack.account) else stack.account
    region = "<AWS::Region>" if Token.is_unresolved(stack.region) else stack.region
    names = {
        "arn": "arn:<AWS::Partition>",
        "here": "<AWS::Region>:<AWS::AccountId>",
        "stack": settings.stack,
        "account": account,
        "region": region,
    }
    for pattern, reason in _WILDCARDS.items():
        finding = f"AwsSolutions-IAM5[Resource::{pattern.format(**names)}]"
        Validations.of(stack).acknowledge(Acknowledgment(id=finding, reason=reason))
    if settings.lambda_python != DeploymentSettings.model_fields["lambda_python"].default:
        asked = f"an older Python, {settings.lambda_python}, was asked for in the settings"
        Validations.of(stack).acknowledge(Acknowledgment(id="AwsSolutions-L1", reason=asked))
    for path, rule, reason in _OTHERS:
        construct = stack
        for part in path.split("/"):
            construct = construct.node.try_find_child(part) if construct is not None else None
        if construct is not None:
            Validations.of(construct).acknowledge(Acknowledgment(id=rule, reason=reason))
