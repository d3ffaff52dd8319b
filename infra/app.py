"""The CDK app: `cdk deploy` runs this. Its context says which stack; see `infra/settings.py`."""

from __future__ import annotations

import os

from aws_cdk import App, Environment

from infra.nag import check
from infra.settings import DeploymentSettings
from infra.stack import ProductionStack

# What CDK does since some version, and would otherwise not, so that old apps stay as they are.
FLAGS: dict[str, object] = {
    "@aws-cdk/aws-s3:serverAccessLogsUseBucketPolicy": True,
    "@aws-cdk/aws-iam:minimizePolicies": True,
    "@aws-cdk/core:target-partitions": ["aws"],
    "@aws-cdk/core:checkSecretUsage": True,
    "@aws-cdk/aws-sqs:enforceSSL": True,
    "@aws-cdk/aws-sns-subscriptions:restrictSqsDescryption": True,
}


def make_app(context: dict[str, object] | None = None) -> App:
    app = App(context={**FLAGS, **(context or {})})
    names = DeploymentSettings.model_fields
    settings = DeploymentSettings.of_context({name: app.node.try_get_context(name) for name in names})
    account, region = os.environ.get("CDK_DEFAULT_ACCOUNT"), os.environ.get("CDK_DEFAULT_REGION")
    stack = ProductionStack(app, "Production", settings, env=Environment(account=account, region=region))
    check(app, stack, settings)
    return app


if __name__ == "__main__":
    make_app().synth()
