"""How events travel: S3 with all fields, SQS to Lambda with redelivery of what failed, EventBridge to Lambda."""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from typing import Any
from urllib.parse import quote_plus

import boto3
from flask import request
from moto.awslambda.models import LambdaBackend, lambda_backends
from moto.awslambda_simple.models import lambda_simple_backends
from moto.core import DEFAULT_ACCOUNT_ID
from moto.events import models as events_models
from moto.s3 import notifications
from moto.sqs import models as sqs_models

from tests.infra.aws.faults import happens
from tests.infra.aws.lambdas import client_of, invoke, run_later
from tests.infra.aws.settings import HERE

REGION = "us-east-1"
_sequence = itertools.count(0x1000)
_original_sns = notifications._send_sns_message
_original_targets = events_models.Rule.send_to_targets
_original_mapping = LambdaBackend.create_event_source_mapping


def _event(event_name: Any, bucket: Any, key: Any, notification_id: str) -> dict[str, Any]:
    """With version, sequencer and uploader, which moto leaves out."""
    content = _original_event(event_name, bucket, key, notification_id)
    record = content["Records"][0]
    record["userIdentity"] = {"principalId": "AWS:AIDAOFTESTS"}
    # a header of the upload is how a test says who uploads; moto notes an object's metadata after its event
    if uploader := request.headers.get("x-amz-meta-uploader"):
        record["userIdentity"]["principalId"] = uploader
    if "uploadId" in request.args:  # moto says Put of it
        record["eventName"] = "ObjectCreated:CompleteMultipartUpload"
    record["s3"]["object"] |= {"key": quote_plus(key.name), "sequencer": f"{next(_sequence):018X}"}
    if bucket.is_versioned:
        record["s3"]["object"]["versionId"] = key.version_id
    return content


_original_event = notifications._get_s3_event


def _send_sns(account_id: str, event_body: Any, topic_arn: str, region_name: str) -> None:
    """In the background as S3 does it; now and then twice, or late."""

    def send(delay_s: float) -> None:
        time.sleep(delay_s)
        _original_sns(account_id, event_body, topic_arn, region_name)

    delays = [random.uniform(0.5, 5) if happens("shuffle") else 0.0]
    if happens("duplicate"):
        delays.append(random.uniform(0.1, 8))
    for delay_s in delays:
        threading.Thread(target=send, args=(delay_s,), daemon=True).start()


def _poll(mapping: Any) -> None:
    """A Lambda event source mapping: receives, invokes, deletes what did not fail, with the function's rights."""
    own = boto3.client("sqs", region_name=REGION)
    account, name = mapping.event_source_arn.split(":")[4:6]
    url = own.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"]
    function = _function(mapping.function_arn)
    sqs = client_of(function, "sqs")
    sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])
    pause_s = 0.05
    while True:
        try:
            answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=min(10, mapping.batch_size or 10))
        except sqs.exceptions.QueueDoesNotExist:
            return
        messages = answer.get("Messages", [])
        if not messages:
            time.sleep(pause_s)
            pause_s = min(0.4, 1.5 * pause_s)
            continue
        pause_s = 0.05
        event = {
            "Records": [
                {"messageId": message["MessageId"], "body": message["Body"], "receiptHandle": message["ReceiptHandle"]}
                for message in messages
            ]
        }
        text, failed, _ = invoke(function, event)
        failures = {message["MessageId"] for message in messages}
        if not failed:
            failures = {entry["itemIdentifier"] for entry in (json.loads(text) or {}).get("batchItemFailures", [])}
        for message in messages:
            handle = {"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]}
            if message["MessageId"] in failures:
                # Lambda only waits; here that is made short
                own.change_message_visibility(**handle, VisibilityTimeout=max(1, int(60 * HERE.time_scale)))
            else:
                sqs.delete_message(**handle)


def _function(function_arn: str) -> Any:
    backend = lambda_simple_backends[DEFAULT_ACCOUNT_ID][REGION]
    functions = backend if backend._lambdas._functions else lambda_backends[DEFAULT_ACCOUNT_ID][REGION]
    return functions.get_function(function_arn)


def _create_mapping(self: Any, spec: dict[str, Any]) -> Any:
    mapping = _original_mapping(self, spec)
    if ":sqs:" in mapping.event_source_arn:
        for _ in range(HERE.workers):
            threading.Thread(target=_poll, args=(mapping,), daemon=True).start()
    return mapping


def _to_targets(self: Any, original_event: Any, transform_input: bool = True) -> None:
    """Lambda too, asynchronously. A rule of the clock has no pattern, and no event is its business."""
    if self.scheduled_expression:
        return
    functions = [target for target in self.targets if ":lambda:" in target["Arn"]]
    if functions and self.event_pattern.matches_event(original_event):
        event = json.loads(json.dumps(original_event, default=str))
        for target in functions:
            run_later(_function(target["Arn"]), event)
    rest, self.targets = self.targets, [target for target in self.targets if target not in functions]
    try:
        _original_targets(self, original_event, transform_input)
    finally:
        self.targets = rest


def patch() -> None:
    notifications._get_s3_event = _event
    notifications._send_sns_message = _send_sns
    LambdaBackend.create_event_source_mapping = _create_mapping  # type: ignore[method-assign]
    # moto's own way delivers in the sender's thread and drops what fails
    sqs_models.Queue.lambda_event_source_mappings = property(lambda self: {}, lambda self, value: None)  # type: ignore
    events_models.Rule.send_to_targets = _to_targets  # type: ignore[method-assign]
