"""What training jobs are: their role, and what the functions know of them."""

from __future__ import annotations

from aws_cdk import Aws
from constructs import Construct

from infra.common import Shared, role


class Training(Construct):
    """Attributes: role."""

    def __init__(self, scope: Construct, identifier: str, shared: Shared) -> None:
        super().__init__(scope, identifier)
        account = {"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
        self.role = role(self, "training", shared, "sagemaker.amazonaws.com", account)
