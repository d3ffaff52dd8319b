"""Properties of templates that moto leaves out or cannot make, so that `cdk deploy` makes what the stack says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import boto3
from moto.cloudformation import parsing
from moto.cloudformation import responses as cloudformation_responses
from moto.core.common_models import CloudFormationModel
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models import table as dynamodb_table
from moto.ecr import models as ecr_models
from moto.kms import models as kms_models
from moto.s3 import models as s3_models
from moto.ssm import models as ssm_models
from moto.stepfunctions import models as states_models

REGION = "us-east-1"
_bucket = s3_models.FakeBucket.create_from_cloudformation_json.__func__  # type: ignore[attr-defined]


def _create_bucket(cls: Any, name: str, template: dict[str, Any], account: str, region: str, **more: Any) -> Any:
    """With its notifications, and versions."""
    bucket = _imported(template, s3_models.s3_backends[account]["aws"].buckets, name)
    bucket = bucket or _bucket(cls, name, template, account, region, **more)
    properties = template.get("Properties", {})
    s3 = boto3.client("s3", region_name=region)
    topics = (properties.get("NotificationConfiguration") or {}).get("TopicConfigurations", [])
    if topics:
        configuration = [
            {
                "TopicArn": topic["Topic"],
                "Events": [topic["Event"]],
                "Filter": {
                    "Key": {
                        "FilterRules": [
                            {"Name": rule["Name"], "Value": rule["Value"]} for rule in topic["Filter"]["S3Key"]["Rules"]
                        ]
                    }
                },
            }
            for topic in topics
        ]
        s3.put_bucket_notification_configuration(
            Bucket=bucket.name, NotificationConfiguration={"TopicConfigurations": configuration}
        )
    if (properties.get("VersioningConfiguration") or {}).get("Status") == "Enabled":
        s3.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": "Enabled"})
    return bucket


# Whether the change set that is carried out was made with ImportExistingResources.
_importing = False


def _create_change_set(self: Any) -> Any:
    globals()["_importing"] = self._get_bool_param("ImportExistingResources", False)
    return _original_change_set(self)


_original_change_set = cloudformation_responses.CloudFormationResponse.create_change_set


def _imported(template: dict[str, Any], there: Any, name: str) -> Any:
    """What an earlier stack left behind, if it is to be imported; CloudFormation does so with retained resources alone.
    None where it is not there: then it is made, or its service says that the name is taken."""
    if _importing and template.get("DeletionPolicy") == "Retain" and name in there:
        return there[name]
    return None


def _importing_create(original: Any, backends: Any, kind: str) -> Any:
    def create(cls: Any, name: str, template: dict[str, Any], account: str, region: str, **more: Any) -> Any:
        found = _imported(template, getattr(backends[account][region], kind), name)
        return found or original(cls, name, template, account, region, **more)

    return classmethod(create)


def _create_machine(cls: Any, name: str, template: dict[str, Any], account: str, region: str, **more: Any) -> Any:
    """With the substitutions of its definition."""
    from moto.stepfunctions.responses import get_backend

    properties = template["Properties"]
    definition = properties["DefinitionString"]
    for variable, value in (properties.get("DefinitionSubstitutions") or {}).items():
        definition = definition.replace(f"${{{variable}}}", str(value))
    assert "${" not in definition, "a substitution of the state machine is missing"
    backend = get_backend(account, region)
    return backend.create_state_machine(properties.get("StateMachineName", name), definition, properties["RoleArn"])


def _delete_machine(self: Any, account: str, region: str) -> None:
    """Where it was made: moto has two backends."""
    from moto.stepfunctions.responses import get_backend

    get_backend(account, region).delete_state_machine(self.arn)


def _template_of_url(self: Any, url: str) -> str:
    """CDK names the template's place by path; moto takes the host's first label for the bucket."""
    found = re.match(r"https?://[^/]+/([^/]+)/(.+)$", url)
    assert found is not None, url
    answer = boto3.client("s3", region_name=REGION).get_object(Bucket=found[1], Key=found[2])
    return answer["Body"].read().decode()


class Made(CloudFormationModel):
    """A resource that moto's CloudFormation does not know, made by its service's own API where moto has one."""

    kind = ""

    def __init__(self, name: str, properties: dict[str, Any]) -> None:
        self.name, self.properties = name, properties

    @property
    def physical_resource_id(self) -> str:
        return self.name

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return attr == "Arn"

    def get_cfn_attribute(self, attribute_name: str) -> str:
        services = {"AWS::CloudWatch::Alarm": "cloudwatch", "AWS::CodeBuild::Project": "codebuild"}
        nouns = {"AWS::CloudWatch::Alarm": "alarm:", "AWS::CodeBuild::Project": "project/"}
        return f"arn:aws:{services[self.kind]}:{REGION}:123456789012:{nouns[self.kind]}{self.name}"

    @staticmethod
    def cloudformation_name_type() -> str:
        return ""

    @classmethod
    def create_from_cloudformation_json(  # type: ignore[override]
        cls, resource_name: str, cloudformation_json: dict[str, Any], account_id: str, region_name: str, **_: Any
    ) -> Any:
        properties = cloudformation_json.get("Properties", {})
        name = properties.get("AlarmName") or properties.get("Name") or resource_name
        _MAKERS.get(cls.kind, lambda _properties: None)(properties)
        return cls(name, properties)

    @classmethod
    def update_from_cloudformation_json(  # type: ignore[override]
        cls,
        original_resource: Any,
        new_resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
    ) -> Any:
        return cls.create_from_cloudformation_json(new_resource_name, cloudformation_json, account_id, region_name)

    @classmethod
    def delete_from_cloudformation_json(cls, *_: Any, **__: Any) -> None:  # type: ignore[override]
        return None


def _client(service: str) -> Any:
    return boto3.client(service, region_name=REGION)


def _make_alarm(properties: dict[str, Any]) -> None:
    arguments = {name: value for name, value in properties.items() if name not in ("Tags", "Metrics")}
    for name in ("Threshold", "EvaluationPeriods", "Period"):
        if name in arguments:
            arguments[name] = float(arguments[name]) if name == "Threshold" else int(arguments[name])
    if "Metrics" in properties:
        arguments |= {"MetricName": "expression", "Namespace": "splatlib", "Period": 3600, "Statistic": "Sum"}
    _client("cloudwatch").put_metric_alarm(**arguments)


def _make_subscription(properties: dict[str, Any]) -> None:
    attributes = {}
    if properties.get("RedrivePolicy"):
        attributes["RedrivePolicy"] = json.dumps(properties["RedrivePolicy"])
    _client("sns").subscribe(
        TopicArn=properties["TopicArn"],
        Protocol=properties["Protocol"],
        Endpoint=properties["Endpoint"],
        Attributes=attributes,
    )


def _make_queue_policy(properties: dict[str, Any]) -> None:
    for url in properties["Queues"]:
        policy = json.dumps(properties["PolicyDocument"])
        _client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})


def _make_topic_policy(properties: dict[str, Any]) -> None:
    for arn in properties["Topics"]:
        policy = json.dumps(properties["PolicyDocument"])
        _client("sns").set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=policy)


_MAKERS: dict[str, Callable[[dict[str, Any]], None]] = {
    "AWS::CloudWatch::Alarm": _make_alarm,
    "AWS::SNS::Subscription": _make_subscription,
    "AWS::SQS::QueuePolicy": _make_queue_policy,
    "AWS::SNS::TopicPolicy": _make_topic_policy,
}
# moto has no API for these; and of the bucket policy it takes the denial without its condition (no TLS).
_NOTED = ("AWS::S3::BucketPolicy", "AWS::CodeBuild::Project", "AWS::Lambda::EventInvokeConfig", "AWS::Budgets::Budget")


def _without_tags(original: Any) -> Any:
    """moto reads tags of keys and parameters, and policies of keys, in another form than templates have."""

    def create(cls: Any, name: str, template: dict[str, Any], account: str, region: str, **more: Any) -> Any:
        properties = {key: value for key, value in template["Properties"].items() if key != "Tags"}
        if "KeyPolicy" in properties:
            properties["KeyPolicy"] = json.dumps(properties["KeyPolicy"])
        return original(cls, name, {**template, "Properties": properties}, account, region, **more)

    return classmethod(create)


def patch() -> None:
    known = parsing.get_model_map()
    for kind in (*_MAKERS, *_NOTED):
        known[kind] = type(f"Made{kind.replace(':', '')}", (Made,), {"kind": kind})
    for kind in (kms_models.Key, ssm_models.Parameter):
        original = kind.create_from_cloudformation_json.__func__  # type: ignore[attr-defined]
        kind.create_from_cloudformation_json = _without_tags(original)
    for kind, backends, place in (
        (dynamodb_table.Table, dynamodb_backends, "tables"),
        (ecr_models.Repository, ecr_models.ecr_backends, "repositories"),
    ):
        original = kind.create_from_cloudformation_json.__func__  # type: ignore[attr-defined]
        kind.create_from_cloudformation_json = _importing_create(original, backends, place)
    cloudformation_responses.CloudFormationResponse.create_change_set = _create_change_set  # type: ignore[method-assign]
    s3_models.FakeBucket.create_from_cloudformation_json = classmethod(_create_bucket)  # type: ignore[assignment]
    states_models.StateMachine.create_from_cloudformation_json = classmethod(_create_machine)  # type: ignore[assignment]
    states_models.StateMachine.delete = _delete_machine  # type: ignore[method-assign]
    cloudformation_responses.CloudFormationResponse._get_stack_from_s3_url = _template_of_url  # type: ignore
