"""The stack deployed into the local AWS, once for all tests of it; and, for tests of its functions alone, the resources
that they work with in moto's memory, and the environment that Lambda gives them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from infra.runtime import aws, parameters
from infra.runtime.records import Records
from tests.infra import driven
from tests.infra.aws.settings import ServerSettings
from tests.infra.local_stack import LocalStack, local_stack
from tests.infra.world import REGION, SETTINGS, World, make_tables

PATH = "/splatlib"


@pytest.fixture(scope="package")
def cdk_stack() -> Iterator[LocalStack]:
    """By the real `cdk`, which takes a minute."""
    with local_stack(ServerSettings(training=driven.PLANS)) as deployed:
        deployed.deploy()
        deployed.put("captures/fox/0001.jpg", b"x" * 5000)
        yield deployed


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Bucket, tables, topic with a mailbox, parameters and a state machine that only notes its executions."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "of-tests")
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(parameters.PATH_VARIABLE, PATH)
    aws.client.cache_clear()
    parameters._kept.clear()
    with mock_aws():
        yield _made()
    aws.client.cache_clear()
    parameters._kept.clear()


def _made() -> World:
    client: dict[str, Any] = {
        name: boto3.client(name, region_name=REGION) for name in ("s3", "dynamodb", "sns", "sqs", "ssm")
    }
    client["s3"].create_bucket(Bucket=SETTINGS["bucket"])
    client["s3"].put_bucket_versioning(Bucket=SETTINGS["bucket"], VersioningConfiguration={"Status": "Enabled"})
    make_tables(client["dynamodb"])
    topic = client["sns"].create_topic(Name="splatlib-mail")["TopicArn"]
    queue = client["sqs"].create_queue(QueueName="mailbox")["QueueUrl"]
    arn = client["sqs"].get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    client["sns"].subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    machine = boto3.client("stepfunctions", region_name=REGION).create_state_machine(
        name="splatlib",
        definition=json.dumps({"StartAt": "End", "States": {"End": {"Type": "Succeed"}}}),
        roleArn="arn:aws:iam::123456789012:role/splatlib-workflow",
    )["stateMachineArn"]
    values: dict[str, Any] = {
        parameters.SETTINGS: json.dumps({**SETTINGS, "mail_topic_arn": topic}),
        parameters.STATE_MACHINE: machine,
        parameters.IMAGE: f"123456789012.dkr.ecr.{REGION}.amazonaws.com/splatlib@sha256:{'0' * 64}",
    }
    for name, value in values.items():
        client["ssm"].put_parameter(Name=f"{PATH}/{name}", Value=value, Type="String")
    return World(records=Records(SETTINGS["records_table"]), settings=parameters.settings(), mailbox=queue, **client)
