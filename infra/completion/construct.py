"""The functions that end a record: called by the workflow, by EventBridge of executions that ended badly, and by the
clock for what got lost on the way."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import Aws, Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.common import Function, Shared, dead_letters


class Completion(Construct):
    """Attributes: function, sweep, dead."""

    def __init__(self, scope: Construct, identifier: str, bundle: Path, shared: Shared) -> None:
        super().__init__(scope, identifier)
        self.dead = dead_letters(self, "Dead", "complete", shared)
        self.function = self._function(
            "Complete", "complete", "infra.completion.runtime.handler.handle", bundle, shared
        )
        self.sweep = self._function("Sweep", "sweep", "infra.completion.runtime.sweep.handle", bundle, shared)
        machine_arn = f"arn:{Aws.PARTITION}:states:{Aws.REGION}:{Aws.ACCOUNT_ID}:stateMachine:{shared.stack}"
        self._rule(
            "Ended",
            f"{shared.stack}-ended-badly",
            "Executions that failed, timed out or were aborted reach the record, whatever they could still do",
            self.function,
            event_pattern=events.EventPattern(
                source=["aws.states"],
                detail_type=["Step Functions Execution Status Change"],
                detail={"status": ["FAILED", "TIMED_OUT", "ABORTED"], "stateMachineArn": [machine_arn]},
            ),
        )
        self._rule(
            "Quarter",
            f"{shared.stack}-sweep",
            "Looks after records whose start, end or mail got lost",
            self.sweep,
            schedule=events.Schedule.rate(Duration.minutes(15)),
        )

    def _function(self, identifier: str, name: str, handler: str, bundle: Path, shared: Shared) -> lambda_.Function:
        made = Function(
            self,
            identifier,
            name=name,
            handler=handler,
            bundle=bundle,
            shared=shared,
            timeout_s=60 if name == "complete" else 300,
            dead_letter_queue=self.dead,
        )
        return made.function

    def _rule(
        self,
        identifier: str,
        name: str,
        description: str,
        function: lambda_.IFunction,
        event_pattern: events.EventPattern | None = None,
        schedule: events.Schedule | None = None,
    ) -> None:
        target = targets.LambdaFunction(
            function, dead_letter_queue=self.dead, retry_attempts=8, max_event_age=Duration.hours(6)
        )
        events.Rule(
            self,
            identifier,
            rule_name=name,
            description=description,
            event_pattern=event_pattern,
            schedule=schedule,
            targets=[target],
        )
