"""The production stack: the concerns, put together, and what they know of one another in Parameter Store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aws_cdk import Aws, CfnOutput, Stack, Tags
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from infra.batches.construct import Batches
from infra.bundle import build
from infra.common import Shared, job_bucket_name
from infra.completion.construct import Completion
from infra.image.construct import Image
from infra.intake.construct import Intake
from infra.mailing.construct import Mailing
from infra.monitoring.construct import Monitoring
from infra.network.construct import Network
from infra.settings import DeploymentSettings
from infra.storage.construct import Storage, make_key
from infra.training.construct import Training
from infra.workflow.construct import Workflow

_OF_SETTINGS = {"instances", "spot", "max_run_s", "max_wait_s", "max_volume_gb", "attempts"}
# Terraform takes the functions' code from there, too.
BUNDLES = Path(__file__).parents[1] / "build"


class ProductionStack(Stack):
    """S3 → SNS → SQS → trigger Lambda → DynamoDB → Step Functions → SageMaker → completion Lambda → mail."""

    def __init__(self, scope: Construct, identifier: str, settings: DeploymentSettings, **arguments: Any) -> None:
        super().__init__(scope, identifier, stack_name=settings.stack, **arguments)
        folder = BUNDLES / f"lambda-{settings.lambda_python.replace('.', '')}-{settings.lambda_architecture}"
        bundle = build(folder, settings.lambda_python, settings.lambda_architecture)
        shared = Shared(settings, make_key(self, settings), job_bucket_name(self, settings))
        self.storage = Storage(self, "Storage", shared)
        self.mailing = Mailing(self, "Mailing", shared)
        self.intake = Intake(self, "Intake", self.storage.bucket, bundle, shared)
        self.training = Training(self, "Training", shared)
        self.completion = Completion(self, "Completion", bundle, shared)
        self.workflow = Workflow(self, "Workflow", self.completion.function, bundle, shared)
        self.batches = Batches(self, "Batches", self.mailing.mail, shared)
        self.image = Image(self, "Image", shared)
        self.network = Network(self, "Network", shared) if settings.vpc else None
        self.monitoring = Monitoring(
            self,
            "Monitoring",
            topic=self.mailing.alarms,
            functions={
                "trigger": self.intake.function,
                "prepare": self.workflow.prepare,
                "complete": self.completion.function,
                "sweep": self.completion.sweep,
            },
            intake=self.intake.queue,
            dead={"intake": self.intake.dead, "topic": self.intake.dead_topic, "complete": self.completion.dead},
            machine_arn=self.workflow.machine_arn,
            shared=shared,
        )
        self._parameters(shared)
        Tags.of(self).add("splatlib:stack", settings.stack)
        for name, value in settings.tags.items():
            Tags.of(self).add(name, value)
        CfnOutput(self, "Bucket", value=self.storage.bucket.bucket_name, description="captures/ and jobs/ go here")
        CfnOutput(self, "StateMachine", value=self.workflow.machine_arn)
        CfnOutput(self, "ImageBuild", value=self.image.project.project_name)

    def _parameters(self, shared: Shared) -> None:
        settings = shared.settings
        network = self.network
        document = {
            "stack": settings.stack,
            "region": Aws.REGION,
            "bucket": shared.bucket_name,
            "records_table": self.storage.records.table_name,
            "slots_table": self.storage.slots.table_name,
            "mail_topic_arn": self.mailing.mail.topic_arn,
            "training_role_arn": self.training.role.role_arn,
            "kms_key_arn": shared.key.key_arn,
            **settings.model_dump(include=_OF_SETTINGS),
            "subnets": network.subnet_ids if network else [],
            "security_groups": network.security_group_ids if network else [],
        }
        values = {
            "settings": self.to_json_string(json.loads(json.dumps(document))),
            "state-machine-arn": self.workflow.machine.ref,
            # CodeBuild writes the digest of each image over it; a deployment does not change it back
            "image-uri": "none",
        }
        for name, value in values.items():
            ssm.StringParameter(
                self, f"Parameter-{name}", parameter_name=f"/{settings.stack}/{name}", string_value=value
            )
