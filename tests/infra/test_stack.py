"""What the CDK app makes, construct by construct; cdk-nag runs inside the synthesis and fails it."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

pytest.importorskip("cdk_nag", reason="the requirements of infra are not installed: make infra-install")

from aws_cdk.assertions import Match, Template  # pyright: ignore[reportMissingImports]

from infra.app import make_app
from infra.policies import names, policy
from infra.settings import DeploymentSettings
from splatlib.errors import ConfigError

CONTEXT = {"email": "me@example.com"}


def synthesised(**context: Any) -> Template:
    app = make_app({**CONTEXT, **context})
    app.synth()  # with cdk-nag: raises on any finding without a reason
    return Template.from_stack(app.node.find_child("Production"))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def template() -> Template:
    return synthesised()


def resources(template: Template, kind: str) -> Mapping[str, Any]:
    return template.find_resources(kind)


def test_the_job_bucket(template: Template) -> None:
    template.has_resource(
        "AWS::S3::Bucket",
        {
            "DeletionPolicy": "Retain",
            "Properties": {
                "VersioningConfiguration": {"Status": "Enabled"},
                "BucketEncryption": {
                    "ServerSideEncryptionConfiguration": [
                        {
                            "BucketKeyEnabled": True,
                            "ServerSideEncryptionByDefault": Match.object_like({"SSEAlgorithm": "aws:kms"}),
                        }
                    ]
                },
                "LoggingConfiguration": Match.object_like({"LogFilePrefix": "jobs/"}),
                "NotificationConfiguration": {
                    "TopicConfigurations": [
                        {
                            "Event": "s3:ObjectCreated:*",
                            "Filter": {"S3Key": {"Rules": [{"Name": "prefix", "Value": "jobs/"}]}},
                            "Topic": Match.any_value(),
                        }
                    ]
                },
            },
        },
    )


def test_no_rule_touches_the_weights(template: Template) -> None:
    """In the guidance, they went to Glacier after 90 days, and every job failed."""
    for bucket in resources(template, "AWS::S3::Bucket").values():
        if "NotificationConfiguration" not in bucket["Properties"]:
            continue
        rules = bucket["Properties"]["LifecycleConfiguration"]["Rules"]
        assert {rule["Id"] for rule in rules} >= {"checkpoints", "old-results", "broken-uploads"}
        for rule in rules:
            assert "Transitions" not in rule
            if "AbortIncompleteMultipartUpload" not in rule:
                assert rule["Prefix"] and not "models/".startswith(rule["Prefix"])


def test_every_bucket_topic_and_queue_refuses_plain_http(template: Template) -> None:
    policies = [
        resource["Properties"]["PolicyDocument"]["Statement"]
        for kind in ("AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy")
        for resource in resources(template, kind).values()
    ]
    guarded = [
        any(entry["Effect"] == "Deny" and "aws:SecureTransport" in json.dumps(entry) for entry in statements)
        for statements in policies
    ]
    kinds = ("AWS::S3::Bucket", "AWS::SQS::Queue", "AWS::SNS::Topic")
    assert all(guarded) and len(guarded) == sum(len(resources(template, kind)) for kind in kinds)


def test_data_survives_the_stack_and_its_name_stays(template: Template) -> None:
    for kind in ("AWS::S3::Bucket", "AWS::KMS::Key", "AWS::ECR::Repository"):
        assert {resource["DeletionPolicy"] for resource in resources(template, kind).values()} == {"Retain"}
    tables = {table["Properties"]["TableName"]: table for table in resources(template, "AWS::DynamoDB::Table").values()}
    assert tables["splatlib-records"]["DeletionPolicy"] == "Retain"
    assert tables["splatlib-records"]["Properties"]["DeletionProtectionEnabled"] is True
    assert set(tables) == {"splatlib-records", "splatlib-slots"}
    for table in tables.values():
        assert table["Properties"]["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
        assert table["Properties"]["SSESpecification"]["SSEType"] == "KMS"


def test_synthesis_is_the_same_every_time(template: Template) -> None:
    assert synthesised().to_json() == template.to_json()


def test_roles_may_do_what_their_files_say_and_nothing_else(template: Template) -> None:
    assert resources(template, "AWS::IAM::Policy") == {} and resources(template, "AWS::IAM::ManagedPolicy") == {}
    roles = resources(template, "AWS::IAM::Role").values()
    assert not any("ManagedPolicyArns" in role["Properties"] for role in roles)
    inline = {entry["PolicyName"]: entry for role in roles for entry in role["Properties"].get("Policies", [])}
    assert set(inline) == set(names())
    for name, entry in inline.items():
        wanted = policy(name, dict.fromkeys(_NAMES, "x"))["Statement"]
        written = entry["PolicyDocument"]["Statement"]
        flat = {action for statement in written for action in _list(statement["Action"])}
        assert flat == {action for statement in wanted for action in _list(statement["Action"])}


_NAMES = ("partition", "region", "account", "stack", "bucket", "key_arn", "assets_bucket", "assets_key")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_no_policy_has_a_wildcard_action() -> None:
    for name in names():
        for statement in policy(name, dict.fromkeys(_NAMES, "x"))["Statement"]:
            assert not any("*" in action for action in statement["Action"]), statement
            if "*" in statement["Resource"]:
                assert statement["Sid"] in ("DeliverLogs", "Trace", "LogInToTheRegistry", "Metrics"), statement


# Actions for which AWS knows no ARN, and who may take them. kms:* of a key's own policy is of that key.
_WITHOUT_ARN = {
    "logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery",
    "logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups",
    "xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets",
    "ecr:GetAuthorizationToken", "cloudwatch:PutMetricData",
}  # fmt: skip


@pytest.mark.parametrize("vpc", ["false", "true"])
def test_the_template_grants_no_wildcard(template: Template, vpc: str) -> None:
    """Of all resources, whoever wrote them: no action with a wildcard; "*" as a resource only where AWS has no ARN."""
    made = synthesised(vpc=vpc) if vpc == "true" else template
    seen = 0
    for identifier, resource in made.to_json()["Resources"].items():
        properties = resource.get("Properties", {})
        documents = [entry["PolicyDocument"] for entry in properties.get("Policies", [])]
        documents += [properties["PolicyDocument"]] if "PolicyDocument" in properties else []
        for statement in (entry for document in documents for entry in _list(document["Statement"])):
            seen += 1
            if statement["Effect"] == "Deny":  # the more the better: no TLS, no access
                continue
            actions, places = _list(statement["Action"]), _list(statement["Resource"])
            assert not any("*" in action for action in actions), (identifier, statement)
            if "*" in places:
                assert set(actions) <= _WITHOUT_ARN, (identifier, statement)
            assert not any(isinstance(place, str) and place.startswith("arn:aws:s3:::*") for place in places)
    assert seen > 60
    for key in made.find_resources("AWS::KMS::Key").values():
        for statement in key["Properties"]["KeyPolicy"]["Statement"]:
            account_itself = ":root" in json.dumps(statement["Principal"])
            assert statement.get("Condition") or account_itself, statement


def test_a_key_of_an_earlier_deployment_is_taken_and_no_other_made() -> None:
    arn = "arn:aws:kms:us-east-1:123456789012:key/0d1b1f0e-0000-4000-8000-000000000000"
    template = synthesised(key=arn)
    template.resource_count_is("AWS::KMS::Key", 0)
    template.has_resource_properties("AWS::KMS::Alias", {"AliasName": "alias/splatlib", "TargetKeyId": arn})
    assert arn in json.dumps(resources(template, "AWS::IAM::Role"))


def test_functions(template: Template) -> None:
    functions = {f["Properties"]["FunctionName"]: f for f in resources(template, "AWS::Lambda::Function").values()}
    assert set(functions) == {f"splatlib-{name}" for name in ("trigger", "prepare", "complete", "sweep")}
    for function in functions.values():
        assert function["Properties"]["Runtime"] == "python3.14" and "KmsKeyArn" in function["Properties"]
    template.has_resource_properties(
        "AWS::Lambda::EventSourceMapping",
        {"FunctionResponseTypes": ["ReportBatchItemFailures"], "ScalingConfig": {"MaximumConcurrency": 10}},
    )
    template.resource_count_is("Custom::S3BucketNotifications", 0)


def test_dead_letters_behind_every_hop_and_an_alarm_on_each(template: Template) -> None:
    queues = {q["Properties"]["QueueName"]: q["Properties"] for q in resources(template, "AWS::SQS::Queue").values()}
    dead = {name for name in queues if name.endswith("-dead")}
    assert dead == {"splatlib-intake-dead", "splatlib-topic-dead", "splatlib-complete-dead"}
    assert queues["splatlib-intake"]["RedrivePolicy"]["maxReceiveCount"] == 10
    alarms = {
        a["Properties"]["AlarmName"]: a["Properties"] for a in resources(template, "AWS::CloudWatch::Alarm").values()
    }
    assert {f"splatlib-dead-{name}" for name in ("intake", "topic", "complete")} <= set(alarms)
    assert all(
        alarm["AlarmActions"] and "docs/runbook.md" in json.dumps(alarm["AlarmDescription"])
        for alarm in alarms.values()
    )
    rules = resources(template, "AWS::Events::Rule").values()
    assert all(target["DeadLetterConfig"] for rule in rules for target in rule["Properties"]["Targets"])
    subscriptions = [s["Properties"] for s in resources(template, "AWS::SNS::Subscription").values()]
    assert all("RedrivePolicy" in entry for entry in subscriptions if entry["Protocol"] == "sqs")


@pytest.mark.parametrize(("name", "place"), [("splatlib", "workflow"), ("splatlib-batch", "batches")])
def test_the_state_machines_are_their_files(template: Template, name: str, place: str) -> None:
    definition = importlib.import_module(f"infra.{place}.construct").DEFINITION.read_text()
    machines = resources(template, "AWS::StepFunctions::StateMachine").values()
    (machine,) = [each for each in machines if each["Properties"]["StateMachineName"] == name]
    assert machine["Properties"]["DefinitionString"] == definition
    assert set(re.findall(r"\$\{(\w+)\}", definition)) == set(machine["Properties"]["DefinitionSubstitutions"])


def test_what_is_tried_again_of_a_training_job_is_its_creation_alone() -> None:
    """A job that ran and failed would fail again, and its name is taken: States.TaskFailed has no retrier."""
    definition = importlib.import_module("infra.workflow.construct").DEFINITION.read_text()
    retried = [
        error for retrier in json.loads(definition)["States"]["Train"]["Retry"] for error in retrier["ErrorEquals"]
    ]
    assert all(error.startswith("SageMaker.") for error in retried)
    assert {"SageMaker.InternalFailure", "SageMaker.ThrottlingException"} <= set(retried)


def test_the_image_is_built_and_named_by_its_digest(template: Template) -> None:
    template.has_resource_properties(
        "AWS::ECR::Repository", {"ImageTagMutability": "IMMUTABLE", "ImageScanningConfiguration": {"ScanOnPush": True}}
    )
    template.has_resource_properties(
        "AWS::CodeBuild::Project", {"Environment": Match.object_like({"PrivilegedMode": True})}
    )
    template.has_resource_properties("AWS::Budgets::Budget", {"Budget": Match.object_like({"TimeUnit": "MONTHLY"})})


def test_a_network_without_internet() -> None:
    template = synthesised(vpc="true")
    template.resource_count_is("AWS::EC2::NatGateway", 0)
    template.resource_count_is("AWS::EC2::InternetGateway", 0)
    template.resource_count_is("AWS::EC2::VPCEndpoint", 4)
    template.resource_count_is("AWS::EC2::FlowLog", 1)


@pytest.mark.parametrize(
    ("context", "words"),
    [
        ({"max_run_s": "soon"}, "max_run_s"),
        ({"stack": "Splat Lib"}, "stack"),
        ({"submitter_slots": "9"}, "submitter_slots is more than stack_slots"),
        ({"email": "nobody"}, "email"),
    ],
)
def test_settings_that_cannot_be(context: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        DeploymentSettings.of_context(context)
