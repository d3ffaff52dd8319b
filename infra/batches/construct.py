"""Batches: a manifest of many submissions, run by a distributed map, each through the same chain as any other."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import Aws
from aws_cdk import aws_sns as sns
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.common import Shared, log_group, role

DEFINITION = Path(__file__).with_name("batch.asl.json")


class Batches(Construct):
    """Attributes: machine."""

    def __init__(self, scope: Construct, identifier: str, mail: sns.ITopic, shared: Shared) -> None:
        super().__init__(scope, identifier)
        own_account = {"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
        self.role = role(self, "batch", shared, "states.amazonaws.com", own_account)
        destination = sfn.CfnStateMachine.CloudWatchLogsLogGroupProperty(
            log_group_arn=log_group(self, "batch", shared).log_group_arn
        )
        self.machine = sfn.CfnStateMachine(
            self,
            "Machine",
            state_machine_name=f"{shared.stack}-batch",
            state_machine_type="STANDARD",
            role_arn=self.role.role_arn,
            definition_string=DEFINITION.read_text(),
            definition_substitutions={
                "bucket": shared.bucket_name,
                "records_table": f"{shared.stack}-records",
                "mail_topic_arn": mail.topic_arn,
            },
            logging_configuration=sfn.CfnStateMachine.LoggingConfigurationProperty(
                level="ALL",
                include_execution_data=False,
                destinations=[sfn.CfnStateMachine.LogDestinationProperty(cloud_watch_logs_log_group=destination)],
            ),
            tracing_configuration=sfn.CfnStateMachine.TracingConfigurationProperty(enabled=True),
        )
