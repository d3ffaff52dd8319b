"""What Terraform's AWS provider asks of services that moto does not answer."""

from __future__ import annotations

import json
from typing import Any

from moto.budgets import responses as budgets_responses
from moto.core.responses import ActionResult
from moto.iam.access_control import PermissionResult
from moto.s3 import models as s3_models
from moto.stepfunctions import responses as states_responses
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser


def _validate(self: Any) -> Any:
    """The provider has each definition checked before it plans."""
    try:
        AmazonStateLanguageParser.parse(self._get_param("definition"))
    except Exception as error:  # noqa: BLE001  # the parser's errors have no common base
        finding = {"severity": "ERROR", "code": "SCHEMA_VALIDATION_FAILED", "message": str(error)[:500]}
        return ActionResult({"result": "FAIL", "diagnostics": [finding], "truncated": False})
    return ActionResult({"result": "OK", "diagnostics": [], "truncated": False})


def _subscribers(self: Any) -> str:
    budget = self.backend.budgets[self._get_param("AccountId")][self._get_param("BudgetName")]
    wanted = self._get_param("Notification")
    keys = ("NotificationType", "ComparisonOperator", "Threshold")
    for notification in budget.notifications:
        if all(str(notification.details[key]) == str(wanted[key]) for key in keys):
            return json.dumps({"Subscribers": notification.subscribers})
    return json.dumps({"Subscribers": []})


def patch() -> None:
    states_responses.StepFunctionResponse.validate_state_machine_definition = _validate  # type: ignore[attr-defined]
    states_responses.StepFunctionResponse.list_state_machine_versions = (  # type: ignore[attr-defined]
        lambda self: ActionResult({"stateMachineVersions": []})
    )
    budgets_responses.BudgetsResponse.describe_subscribers_for_notification = _subscribers  # type: ignore
    budgets_responses.BudgetsResponse.list_tags_for_resource = (  # type: ignore[attr-defined]
        lambda self: json.dumps({"ResourceTags": []})
    )
    # it stumbles over a policy whose principal is "*", which the other statement does not need
    s3_models.FakeBucket._log_permissions_enabled_policy = staticmethod(  # type: ignore[method-assign]
        lambda target_bucket, target_prefix: "logging.s3.amazonaws.com" in str(target_bucket.policy)
    )
    # moto takes a denial without its condition: "no TLS" would refuse everything
    s3_models.FakeBucket.get_permission = lambda *_: PermissionResult.NEUTRAL  # type: ignore[method-assign]
