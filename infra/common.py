"""What all constructs share: names, the key, roles with a written policy and nothing else, functions, dead letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aws_cdk import Aws, CfnResource, Duration, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from constructs import Construct, IConstruct

from infra.policies import policy
from infra.settings import DeploymentSettings

ARCHITECTURES = {"arm64": lambda_.Architecture.ARM_64, "x86_64": lambda_.Architecture.X86_64}
LOG_RETENTION = logs.RetentionDays.ONE_YEAR


# What checkov finds of more than one resource, and why it stays.
QUEUE_OF_SQS = {
    "CKV_AWS_27": "it is encrypted, with SQS's own key, which checkov does not count; it holds names of objects"
}
OF_A_FUNCTION = {
    "CKV_AWS_115": "what calls it is limited: the queue to ten at once, the workflow to its slots; a reservation would"
    " throttle the ends of jobs, and a new account has ten executions in all",
    "CKV_AWS_117": "it calls AWS's services alone; in a VPC that would take ten endpoints and protect nothing",
}


@dataclass(frozen=True)
class Shared:
    """What every construct is given."""

    settings: DeploymentSettings
    key: kms.IKey
    bucket_name: str

    @property
    def stack(self) -> str:
        return self.settings.stack

    def names(self) -> dict[str, str]:
        """For the policies' ``${…}``."""
        return {
            "partition": Aws.PARTITION,
            "region": Aws.REGION,
            "account": Aws.ACCOUNT_ID,
            "stack": self.stack,
            "bucket": self.bucket_name,
            "key_arn": self.key.key_arn,
        }


def accept(construct: IConstruct, *, checkov: Mapping[str, str] | None = None, cfn_lint: Sequence[str] = ()) -> None:
    """Findings of scanners that stay on this one resource, in its metadata, where both scanners look for them.

    Args:
        checkov: the reason of each check's finding.
        cfn_lint: rules; the reason is a comment where this is called, since cfn-lint keeps none.
    """
    resource = construct.node.default_child
    assert isinstance(resource, CfnResource)  # nosec B101: for the type checker
    if checkov:
        skipped = [{"id": check, "comment": reason} for check, reason in checkov.items()]
        resource.add_metadata("checkov", {"skip": skipped})
    if cfn_lint:
        resource.add_metadata("cfn-lint", {"config": {"ignore_checks": list(cfn_lint)}})


def job_bucket_name(scope: Construct, settings: DeploymentSettings) -> str:
    """The same at every deployment: of the stack, the account and the region."""
    here = Stack.of(scope)
    return f"{settings.stack}-jobs-{here.account}-{here.region}"


def role(
    scope: Construct,
    name: str,
    shared: Shared,
    service: str,
    conditions: Mapping[str, object] | None = None,
    more_names: Mapping[str, str] | None = None,
) -> iam.Role:
    """A role with exactly the policy of ``infra/policies/<name>.json``: CDK's grants change nothing."""
    document = iam.PolicyDocument.from_json(policy(name, {**shared.names(), **(more_names or {})}))
    return iam.Role(
        scope,
        "Role",
        role_name=f"{shared.stack}-{name.replace('_', '-')}",
        assumed_by=iam.ServicePrincipal(service, conditions=conditions),
        inline_policies={name: document},
        description=f"What {name} of the stack {shared.stack} may do",
    )


def log_group(scope: Construct, name: str, shared: Shared) -> logs.LogGroup:
    return logs.LogGroup(
        scope,
        "Log",
        log_group_name=f"/{shared.stack}/{name}",
        encryption_key=shared.key,
        retention=LOG_RETENTION,
        removal_policy=RemovalPolicy.DESTROY,
    )


def dead_letters(scope: Construct, identifier: str, name: str, shared: Shared) -> sqs.Queue:
    """Where what failed again and again waits for a person, two weeks."""
    queue = sqs.Queue(
        scope,
        identifier,
        queue_name=f"{shared.stack}-{name}-dead",
        encryption=sqs.QueueEncryption.SQS_MANAGED,
        enforce_ssl=True,
        retention_period=Duration.days(14),
    )
    accept(queue, checkov=QUEUE_OF_SQS)
    return queue


class Function(Construct):
    """A Lambda function with its role, its log group and nothing that was not written down."""

    def __init__(
        self,
        scope: Construct,
        identifier: str,
        *,
        name: str,
        handler: str,
        bundle: Path,
        shared: Shared,
        timeout_s: int,
        dead_letter_queue: sqs.IQueue | None = None,
        concurrency: int | None = None,
    ) -> None:
        super().__init__(scope, identifier)
        settings = shared.settings
        self.role = role(self, name, shared, "lambda.amazonaws.com")
        self.function = lambda_.Function(
            self,
            "Function",
            function_name=f"{shared.stack}-{name}",
            runtime=lambda_.Runtime(f"python{settings.lambda_python}", lambda_.RuntimeFamily.PYTHON),
            architecture=ARCHITECTURES[settings.lambda_architecture],
            handler=handler,
            code=lambda_.Code.from_asset(str(bundle)),
            role=self.role.without_policy_updates(),
            timeout=Duration.seconds(timeout_s),
            memory_size=512,
            environment={"SPLATLIB_PARAMETERS": f"/{shared.stack}", "SPLATLIB_CACHE": "/tmp"},  # nosec B108: the one place that Lambda lets write
            environment_encryption=shared.key,
            log_group=log_group(self, name, shared),
            logging_format=lambda_.LoggingFormat.JSON,
            dead_letter_queue=dead_letter_queue,
            reserved_concurrent_executions=concurrency,
            retry_attempts=2,
        )
        findings = dict(OF_A_FUNCTION)
        if dead_letter_queue is None:
            findings["CKV_AWS_116"] = "SQS or Step Functions calls it, and tries again; nothing does so asynchronously"
        # W3005: CDK itself writes DependsOn beside the reference to the role
        accept(self.function, checkov=findings, cfn_lint=["W3005"])
