"""The state machine of one submission, from its file, and the function that prepares each attempt."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import Aws
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.common import Function, Shared, log_group, role

DEFINITION = Path(__file__).with_name("state_machine.asl.json")


class Workflow(Construct):
    """Attributes: machine, machine_arn, prepare."""

    def __init__(
        self, scope: Construct, identifier: str, complete: lambda_.IFunction, bundle: Path, shared: Shared
    ) -> None:
        super().__init__(scope, identifier)
        self.prepare = Function(
            self,
            "Prepare",
            name="prepare",
            handler="infra.workflow.runtime.handler.handle",
            bundle=bundle,
            shared=shared,
            timeout_s=60,
        ).function
        # by name, not by reference: the completion function's rule names this machine, too
        self.machine_arn = f"arn:{Aws.PARTITION}:states:{Aws.REGION}:{Aws.ACCOUNT_ID}:stateMachine:{shared.stack}"
        self.role = role(
            self,
            "workflow",
            shared,
            "states.amazonaws.com",
            {"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
        )
        self.machine = sfn.CfnStateMachine(
            self,
            "Machine",
            state_machine_name=shared.stack,
            state_machine_type="STANDARD",
            role_arn=self.role.role_arn,
            definition_string=DEFINITION.read_text(),
            definition_substitutions=substitutions(shared, self.prepare.function_arn, complete.function_arn),
            logging_configuration=sfn.CfnStateMachine.LoggingConfigurationProperty(
                level="ALL",
                include_execution_data=False,
                destinations=[
                    sfn.CfnStateMachine.LogDestinationProperty(
                        cloud_watch_logs_log_group=sfn.CfnStateMachine.CloudWatchLogsLogGroupProperty(
                            log_group_arn=log_group(self, "workflow", shared).log_group_arn
                        )
                    )
                ],
            ),
            tracing_configuration=sfn.CfnStateMachine.TracingConfigurationProperty(enabled=True),
        )
        # E3601: its schema wants an object of "Arguments"; JSONata may give one expression, as asl-validator knows
        self.machine.add_metadata("cfn-lint", {"config": {"ignore_checks": ["E3601"]}})


def substitutions(shared: Shared, prepare_arn: str, complete_arn: str) -> dict[str, str]:
    """What stands for the ``${…}`` of the file; Terraform gives the same names."""
    return {
        "prepare_function_arn": prepare_arn,
        "complete_function_arn": complete_arn,
        "records_table": f"{shared.stack}-records",
        "slots_table": f"{shared.stack}-slots",
        "submitter_slots": str(shared.settings.submitter_slots),
        "stack_slots": str(shared.settings.stack_slots),
    }
