"""From an upload to a record: S3's event → SNS topic → queue → trigger Lambda, with dead letters behind each hop."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import Aws, Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.common import QUEUE_OF_SQS, Function, Shared, accept, dead_letters

TIMEOUT_S = 60


class Intake(Construct):
    """Attributes: topic, queue, function, dead (what could not be handled), dead_topic (what could not be delivered).

    The queue between topic and function is what loses nothing: SNS alone gives a function three tries, the queue ten,
    over hours, and only what failed is tried again.
    """

    def __init__(self, scope: Construct, identifier: str, bucket: s3.Bucket, bundle: Path, shared: Shared) -> None:
        super().__init__(scope, identifier)
        self.dead = dead_letters(self, "Dead", "intake", shared)
        self.dead_topic = dead_letters(self, "DeadTopic", "topic", shared)
        self.topic = sns.Topic(
            self, "Topic", topic_name=f"{shared.stack}-uploads", master_key=shared.key, enforce_ssl=True
        )
        self.queue = sqs.Queue(
            self,
            "Queue",
            queue_name=f"{shared.stack}-intake",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            visibility_timeout=Duration.seconds(6 * TIMEOUT_S),
            retention_period=Duration.days(4),
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.dead, max_receive_count=10),
        )
        accept(self.queue, checkov=QUEUE_OF_SQS)
        self.topic.add_subscription(subscriptions.SqsSubscription(self.queue, dead_letter_queue=self.dead_topic))
        self.function = Function(
            self,
            "Trigger",
            name="trigger",
            handler="infra.intake.runtime.handler.handle",
            bundle=bundle,
            shared=shared,
            timeout_s=TIMEOUT_S,
        ).function
        lambda_.EventSourceMapping(
            self,
            "Messages",
            target=self.function,
            event_source_arn=self.queue.queue_arn,
            batch_size=10,
            report_batch_item_failures=True,
            max_concurrency=10,
        )
        self._announce_uploads(bucket, shared)

    def _announce_uploads(self, bucket: s3.Bucket, shared: Shared) -> None:
        """By CloudFormation's own property: CDK's helper would add a function that may change every bucket."""
        allowed = self.topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="UploadsOfTheBucket",
                principals=[iam.ServicePrincipal("s3.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.topic.topic_arn],
                conditions={
                    "StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID},
                    "ArnEquals": {"aws:SourceArn": f"arn:{Aws.PARTITION}:s3:::{shared.bucket_name}"},
                },
            )
        )
        resource = bucket.node.default_child
        assert isinstance(resource, s3.CfnBucket)  # nosec B101: for the type checker
        resource.notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
            topic_configurations=[
                s3.CfnBucket.TopicConfigurationProperty(
                    event="s3:ObjectCreated:*",
                    topic=self.topic.topic_arn,
                    filter=s3.CfnBucket.NotificationFilterProperty(
                        s3_key=s3.CfnBucket.S3KeyFilterProperty(
                            rules=[s3.CfnBucket.FilterRuleProperty(name="prefix", value="jobs/")]
                        )
                    ),
                )
            ]
        )
        if allowed.policy_dependable is not None:
            bucket.node.add_dependency(allowed.policy_dependable)
