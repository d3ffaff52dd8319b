"""What Terraform's AWS provider asks of services that moto does not answer."""

from __future__ import annotations

import json
from typing import Any

from moto.awslambda.models import LambdaFunction
from moto.budgets import responses as budgets_responses
from moto.core.responses import ActionResult
from moto.iam.access_control import PermissionResult
from moto.s3 import models as s3_models
from moto.sqs.models import Queue
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


# Of a function, which moto takes and does not tell again: a second plan would set them anew.
_FORGOTTEN = ("DeadLetterConfig", "LoggingConfig")
_made, _configuration, _updated = (
    LambdaFunction.__init__,
    LambdaFunction.get_configuration,
    LambdaFunction.update_configuration,
)
_attributes = Queue.attributes.fget  # type: ignore[attr-defined]


def _make(self: Any, account_id: str, spec: dict[str, Any], region: str, version: str | int = 1) -> None:
    self._forgotten = {name: spec[name] for name in _FORGOTTEN if name in spec}
    _made(self, account_id, spec, region, version)


def _update(self: Any, config_updates: dict[str, Any]) -> dict[str, Any]:
    self._forgotten |= {name: config_updates[name] for name in _FORGOTTEN if name in config_updates}
    return _updated(self, config_updates)


def _configured(self: Any, on_create: bool = False) -> dict[str, Any]:
    return {**_configuration(self, on_create), **self._forgotten}


def _compact(self: Any) -> dict[str, Any]:
    """SQS gives a policy back as it was written, moto with blanks in it."""
    found = _attributes(self)
    if found.get("RedrivePolicy"):
        found["RedrivePolicy"] = json.dumps(json.loads(found["RedrivePolicy"]), separators=(",", ":"))
    return found


def patch() -> None:
    LambdaFunction.__init__, LambdaFunction.get_configuration = _make, _configured  # type: ignore[method-assign]
    LambdaFunction.update_configuration = _update  # type: ignore[method-assign]
    Queue.attributes = property(_compact)  # type: ignore[assignment,method-assign]
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
