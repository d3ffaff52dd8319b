"""What rings, and what shows how it goes: alarms, a dashboard, a budget."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import Duration
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.common import Shared

_FIVE_MINUTES = Duration.minutes(5)
_STATUSES = ("SUCCEEDED", "FAILED", "TIMED_OUT", "CANCELLED", "REJECTED")
RUNBOOK = "docs/runbook.md"


class Monitoring(Construct):
    """Attributes: alarms, by name; the runbook has a chapter for each."""

    def __init__(
        self,
        scope: Construct,
        identifier: str,
        topic: sns.ITopic,
        functions: Mapping[str, lambda_.IFunction],
        intake: sqs.IQueue,
        dead: Mapping[str, sqs.IQueue],
        machine_arn: str,
        shared: Shared,
    ) -> None:
        super().__init__(scope, identifier)
        self._topic, self._shared = topic, shared
        self.alarms: dict[str, cloudwatch.Alarm] = {}
        for name, queue in dead.items():
            metric = queue.metric_approximate_number_of_messages_visible(period=_FIVE_MINUTES, statistic="Maximum")
            self._alarm(f"dead-{name}", metric, 1, f"Something could not be handled and waits in {queue.queue_name}")
        for name, function in functions.items():
            self._alarm(f"errors-{name}", function.metric_errors(period=_FIVE_MINUTES), 3, f"{name} raises errors")
            self._alarm(f"throttles-{name}", function.metric_throttles(period=_FIVE_MINUTES), 3, f"{name} is throttled")
        age = intake.metric_approximate_age_of_oldest_message(period=_FIVE_MINUTES, statistic="Maximum")
        self._alarm("intake-waits", age, 900, "Submissions wait longer than a quarter of an hour to be recorded")
        timed_out = _execution_metric("ExecutionsTimedOut", machine_arn)
        self._alarm("executions-timed-out", timed_out, 1, "An execution took longer than fourteen days")
        self._alarm("jobs-fail", _failed_share(shared), 50, "Half of the submissions of an hour failed", "Maximum")
        self._dashboard(functions, intake, dead, machine_arn)
        self._budget()

    def _alarm(
        self, name: str, metric: cloudwatch.IMetric, threshold: float, description: str, _statistic: str = ""
    ) -> None:
        alarm = cloudwatch.Alarm(
            self,
            name,
            alarm_name=f"{self._shared.stack}-{name}",
            alarm_description=f"{description}. What to do: {RUNBOOK}, {name}",
            metric=metric,
            threshold=threshold,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(actions.SnsAction(self._topic))
        alarm.add_ok_action(actions.SnsAction(self._topic))
        self.alarms[name] = alarm

    def _dashboard(
        self,
        functions: Mapping[str, lambda_.IFunction],
        intake: sqs.IQueue,
        dead: Mapping[str, sqs.IQueue],
        machine_arn: str,
    ) -> None:
        stack = self._shared.stack
        ended = [_own_metric("Ended", status, stack) for status in _STATUSES]
        dollars = [_own_metric("CostUSD", status, stack) for status in _STATUSES[:4]]
        executions = [
            _execution_metric(f"Executions{end}", machine_arn) for end in ("Started", "Succeeded", "Failed", "Aborted")
        ]
        dashboard = cloudwatch.Dashboard(self, "Dashboard", dashboard_name=stack)
        dashboard.add_widgets(
            cloudwatch.GraphWidget(title="Submissions that ended", left=ended, stacked=True, width=8),
            cloudwatch.GraphWidget(title="Cost of trainings, USD", left=dollars, stacked=True, width=8),
            cloudwatch.GraphWidget(title="Executions", left=executions, width=8),
        )
        letters = [queue.metric_approximate_number_of_messages_visible() for queue in dead.values()]
        dashboard.add_widgets(
            cloudwatch.GraphWidget(
                title="Waiting to be recorded", left=[intake.metric_approximate_number_of_messages_visible()], width=8
            ),
            cloudwatch.GraphWidget(title="Dead letters", left=letters, width=8),
            cloudwatch.GraphWidget(
                title="Functions: errors", left=[function.metric_errors() for function in functions.values()], width=8
            ),
        )
        dashboard.add_widgets(cloudwatch.AlarmStatusWidget(alarms=list(self.alarms.values()), width=24))

    def _budget(self) -> None:
        """Of what carries the stack's tag: trainings are tagged by the workflow."""
        subscriber = budgets.CfnBudget.SubscriberProperty(address=self._topic.topic_arn, subscription_type="SNS")
        budgets.CfnBudget(
            self,
            "Budget",
            budget=budgets.CfnBudget.BudgetDataProperty(
                budget_name=self._shared.stack,
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=budgets.CfnBudget.SpendProperty(amount=self._shared.settings.budget_usd, unit="USD"),
                cost_filters={"TagKeyValue": [f"user:splatlib:stack${self._shared.stack}"]},
            ),
            notifications_with_subscribers=[
                budgets.CfnBudget.NotificationWithSubscribersProperty(
                    notification=budgets.CfnBudget.NotificationProperty(
                        comparison_operator="GREATER_THAN", notification_type=kind, threshold=per_cent
                    ),
                    subscribers=[subscriber],
                )
                for kind, per_cent in (("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100))
            ],
        )


def _own_metric(name: str, status: str, stack: str) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace="splatlib",
        metric_name=name,
        dimensions_map={"Stack": stack, "Status": status},
        statistic="Sum",
        period=Duration.hours(1),
        label=status.lower(),
    )


def _execution_metric(name: str, machine_arn: str) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace="AWS/States",
        metric_name=name,
        dimensions_map={"StateMachineArn": machine_arn},
        statistic="Sum",
        period=_FIVE_MINUTES,
    )


def _failed_share(shared: Shared) -> cloudwatch.MathExpression:
    failed, succeeded = (_own_metric("Ended", status, shared.stack) for status in ("FAILED", "SUCCEEDED"))
    return cloudwatch.MathExpression(
        expression="IF(failed >= 3, 100 * failed / (failed + FILL(succeeded, 0)), 0)",
        using_metrics={"failed": failed, "succeeded": succeeded},
        period=Duration.hours(1),
        label="per cent failed",
    )
