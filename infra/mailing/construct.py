"""The topics that mail: one to whoever submits, one to whoever looks after the stack."""

from __future__ import annotations

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.common import Shared


class Mailing(Construct):
    """Attributes: mail (results and refusals), alarms."""

    def __init__(self, scope: Construct, identifier: str, shared: Shared) -> None:
        super().__init__(scope, identifier)
        self.mail = _topic(self, "Mail", f"{shared.stack}-mail", shared)
        self.alarms = _topic(self, "Alarms", f"{shared.stack}-alarms", shared)
        for service in ("cloudwatch", "budgets"):
            self.alarms.add_to_resource_policy(
                iam.PolicyStatement(
                    sid=f"Publish{service.capitalize()}",
                    principals=[iam.ServicePrincipal(f"{service}.amazonaws.com")],
                    actions=["sns:Publish"],
                    resources=[self.alarms.topic_arn],
                    conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
                )
            )
        if shared.settings.email:
            for topic in (self.mail, self.alarms):
                topic.add_subscription(subscriptions.EmailSubscription(shared.settings.email))


def _topic(scope: Construct, identifier: str, name: str, shared: Shared) -> sns.Topic:
    return sns.Topic(scope, identifier, topic_name=name, master_key=shared.key, enforce_ssl=True)
