"""Where things are kept: the key, the job bucket, the log of accesses to it, the records and the slots."""

from __future__ import annotations

from aws_cdk import Aws, Duration, RemovalPolicy
from aws_cdk import aws_dynamodb as ddb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.common import Shared, accept
from infra.settings import DeploymentSettings

_OF_LOGS = ("Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", "GenerateDataKey", "DescribeKey")
# Everything but models/: its weights are needed by every job, for ever.
_EXPIRING_VERSIONS = ("captures/", "batches/", "jobs/", "results/", "checkpoints/")


def make_key(scope: Construct, settings: DeploymentSettings) -> kms.IKey:
    """The one key of the stack; services may use it for this account's own things only.

    Where an earlier deployment left data behind, its key is named in the settings: no other opens them.
    """
    stack = settings.stack
    if settings.key is not None:
        kept = kms.Key.from_key_arn(scope, "Key", settings.key)
        kms.Alias(scope, "Alias", alias_name=f"alias/{stack}", target_key=kept)
        return kept
    key = kms.Key(
        scope,
        "Key",
        alias=f"alias/{stack}",
        description=f"Everything of the stack {stack}",
        enable_key_rotation=True,
        removal_policy=RemovalPolicy.RETAIN,
    )
    for service in ("s3", "cloudwatch", "events", "budgets"):
        key.add_to_resource_policy(
            iam.PolicyStatement(
                sid=f"Publish{service.capitalize()}",
                principals=[iam.ServicePrincipal(f"{service}.amazonaws.com")],
                actions=["kms:Decrypt", "kms:GenerateDataKey"],
                resources=["*"],  # of a key's own policy: this key
                conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
            )
        )
    key.add_to_resource_policy(
        iam.PolicyStatement(
            sid="EncryptLogs",
            principals=[iam.ServicePrincipal(f"logs.{Aws.REGION}.amazonaws.com")],
            actions=[f"kms:{action}" for action in _OF_LOGS],
            resources=["*"],
            conditions={
                "ArnLike": {
                    "kms:EncryptionContext:aws:logs:arn": (
                        f"arn:{Aws.PARTITION}:logs:{Aws.REGION}:{Aws.ACCOUNT_ID}:log-group:/{stack}/*"
                    )
                }
            },
        )
    )
    return key


class Storage(Construct):
    """Attributes: bucket, access_logs, records, slots."""

    def __init__(self, scope: Construct, identifier: str, shared: Shared) -> None:
        super().__init__(scope, identifier)
        self.access_logs = s3.Bucket(
            self,
            "AccessLogs",
            bucket_name=shared.bucket_name.replace("-jobs-", "-logs-", 1),
            encryption=s3.BucketEncryption.S3_MANAGED,  # S3 delivers its access logs to no bucket with a KMS key
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            versioned=True,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="forget", expiration=Duration.days(365), noncurrent_version_expiration=Duration.days(30)
                )
            ],
            removal_policy=RemovalPolicy.RETAIN,
        )
        accept(
            self.access_logs, checkov={"CKV_AWS_18": "it holds the access logs: logged into itself, it would never end"}
        )
        self.bucket = s3.Bucket(
            self,
            "Jobs",
            bucket_name=shared.bucket_name,
            encryption=s3.BucketEncryption.KMS,
            encryption_key=shared.key,
            bucket_key_enabled=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            versioned=True,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            server_access_logs_bucket=self.access_logs,
            server_access_logs_prefix="jobs/",
            lifecycle_rules=_lifecycle(shared),
            removal_policy=RemovalPolicy.RETAIN,
        )
        self.records = self._table("Records", f"{shared.stack}-records", "id", shared, RemovalPolicy.RETAIN)
        for attribute in ("status", "mail_due"):
            self.records.add_global_secondary_index(
                index_name=f"by_{attribute}",
                partition_key=ddb.Attribute(name=attribute, type=ddb.AttributeType.STRING),
                sort_key=ddb.Attribute(name="submitted_s", type=ddb.AttributeType.NUMBER),
                projection_type=ddb.ProjectionType.KEYS_ONLY,
            )
        self.slots = self._table("Slots", f"{shared.stack}-slots", "name", shared, RemovalPolicy.DESTROY)

    def _table(self, identifier: str, name: str, key: str, shared: Shared, removal: RemovalPolicy) -> ddb.Table:
        return ddb.Table(
            self,
            identifier,
            table_name=name,
            partition_key=ddb.Attribute(name=key, type=ddb.AttributeType.STRING),
            billing_mode=ddb.BillingMode.PAY_PER_REQUEST,
            encryption=ddb.TableEncryption.CUSTOMER_MANAGED,
            encryption_key=shared.key,
            point_in_time_recovery_specification=ddb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=removal == RemovalPolicy.RETAIN,
            removal_policy=removal,
        )


def _lifecycle(shared: Shared) -> list[s3.LifecycleRule]:
    days = Duration.days(shared.settings.old_version_days)
    versions = [
        s3.LifecycleRule(id=f"old-{prefix[:-1]}", prefix=prefix, noncurrent_version_expiration=days)
        for prefix in _EXPIRING_VERSIONS
    ]
    return [
        *versions,
        s3.LifecycleRule(
            id="checkpoints", prefix="checkpoints/", expiration=Duration.days(shared.settings.checkpoint_days)
        ),
        s3.LifecycleRule(id="broken-uploads", abort_incomplete_multipart_upload_after=Duration.days(7)),
    ]
