"""Functions run as they were deployed: the zip, unpacked, its handler called in a child interpreter that stays warm."""

from __future__ import annotations

import io
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from typing import Any

import boto3
from moto.awslambda import models
from moto.awslambda_simple import models as simple_models
from moto.core import DEFAULT_ACCOUNT_ID

from tests.infra.aws.faults import happens, note
from tests.infra.aws.settings import HERE

# Runs in the child. What the handler prints goes to stderr, so that stdout carries answers only.
_CHILD = """
import importlib, json, logging, os, sys, time
sys.path.insert(0, os.environ["LAMBDA_TASK_ROOT"])
answers, sys.stdout = sys.stdout, sys.stderr
logging.basicConfig(stream=sys.stderr)
module, _, name = os.environ["_HANDLER"].rpartition(".")
class Context:
    aws_request_id = "local"
    function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
for line in sys.stdin:
    try:
        answer = {"ok": getattr(importlib.import_module(module), name)(json.loads(line), Context())}
    except Exception as error:
        logging.exception("the handler raised")
        answer = {"error": {"errorType": type(error).__name__, "errorMessage": str(error)}}
    answers.write(json.dumps(answer) + "\\n")
    answers.flush()
"""
_pools: dict[tuple[str, str], queue.LifoQueue[Worker | None]] = {}
_lock = threading.Lock()


class Worker:
    """One warm execution environment."""

    def __init__(self, function: Any) -> None:
        root = tempfile.mkdtemp(prefix="lambda-")
        zipfile.ZipFile(io.BytesIO(function.code_bytes)).extractall(root)
        role = role_of(function)
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115  # lives as long as the worker
        self._process = subprocess.Popen(
            [sys.executable, "-c", _CHILD],
            cwd=root,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={
                "PATH": os.environ["PATH"],
                "LAMBDA_TASK_ROOT": root,
                "_HANDLER": function.handler,
                "AWS_LAMBDA_FUNCTION_NAME": function.function_name,
                "AWS_ENDPOINT_URL": os.environ["AWS_ENDPOINT_URL"],
                "AWS_REGION": function.region,
                "AWS_DEFAULT_REGION": function.region,
                # whose calls these are: see faults.py
                "AWS_ACCESS_KEY_ID": role,
                "AWS_SECRET_ACCESS_KEY": "of-tests",
                **{name: str(value) for name, value in function.environment_vars.items()},
            },
        )

    def call(self, event: Any) -> tuple[dict[str, Any], str]:
        """The answer, and what was logged."""
        assert self._process.stdin is not None and self._process.stdout is not None
        begin = self._log.seek(0, os.SEEK_END)
        self._process.stdin.write(json.dumps(event) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        self._log.seek(begin)
        logged = self._log.read()
        if not line:
            return {"error": {"errorType": "Runtime.ExitError", "errorMessage": logged[-500:]}}, logged
        return json.loads(line), logged


def invoke(self: Any, event: Any = None) -> tuple[str, bool, str]:
    """Instead of ``LambdaFunction._invoke_lambda``, which wants Docker."""
    self.logs_backend.ensure_log_group(self.logs_group_name)
    if happens("lambda_before"):
        return _failed("Lambda.ServiceException", "injected: it never ran")
    pool = _pool_of(self)
    worker = pool.get()
    try:
        worker = worker or Worker(self)
        answer, logged = worker.call(event)
    finally:
        pool.put(worker)
    if logged.strip():
        self.save_logs(logged)
        for action in ("CreateLogStream", "PutLogEvents"):  # by Lambda's runtime, with the function's rights
            note(role_of(self), "logs", action, {"logGroupName": self.logs_group_name})
    if happens("lambda_after"):
        return _failed("Lambda.Unknown", "injected: it ran, and its answer was lost")
    if "error" in answer:
        return json.dumps(answer["error"]), True, logged
    return json.dumps(answer["ok"]), False, logged


def role_of(function: Any) -> str:
    """The name of its role, which is the id of the key that its calls are signed with."""
    return str(function.role).rpartition("/")[2]


def client_of(function: Any, service: str) -> Any:
    """For what Lambda itself does with the function's rights."""
    role = role_of(function)
    return boto3.client(service, region_name=function.region, aws_access_key_id=role, aws_secret_access_key="of-tests")


def run_later(function: Any, event: Any) -> None:
    """An asynchronous call: twice more if it fails, and then the function's dead-letter queue."""
    threading.Thread(target=_run_later, args=(function, event), daemon=True).start()


def _run_later(function: Any, event: Any) -> None:
    for attempt in range(3):
        time.sleep(60 * attempt * HERE.time_scale)
        _, failed, _ = invoke(function, event)
        if not failed:
            return
    if function.dead_letters:
        sqs = client_of(function, "sqs")
        # by its name: asking for its address would be a call of the role that Lambda does not make
        url = f"{os.environ['AWS_ENDPOINT_URL']}/{DEFAULT_ACCOUNT_ID}/{function.dead_letters.rpartition(':')[2]}"
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps(event))


def _called(self: Any, body: Any, request_headers: Any, response_headers: Any) -> Any:
    if request_headers.get("X-Amz-Invocation-Type") == "Event":
        run_later(self, json.loads(body or "{}"))
        return b""
    return _original_called(self, body, request_headers, response_headers)


def _made(self: Any, account_id: str, spec: dict[str, Any], *others: Any, **named: Any) -> None:
    """With its own log group and its dead letters, which moto leaves out."""
    _original_made(self, account_id, spec, *others, **named)
    self.logs_group_name = spec.get("LoggingConfig", {}).get("LogGroup") or self.logs_group_name
    self.dead_letters = spec.get("DeadLetterConfig", {}).get("TargetArn", "")


def _made_by_template(cls: Any, name: str, template: dict[str, Any], *others: Any, **named: Any) -> Any:
    function = _original_template(cls, name, template, *others, **named)
    properties = template["Properties"]
    function.logs_group_name = properties.get("LoggingConfig", {}).get("LogGroup") or function.logs_group_name
    function.dead_letters = properties.get("DeadLetterConfig", {}).get("TargetArn", "")
    return function


_original_called, _original_made = models.LambdaFunction.invoke, models.LambdaFunction.__init__
_original_template = models.LambdaFunction.create_from_cloudformation_json.__func__  # type: ignore[attr-defined]


def _failed(kind: str, message: str) -> tuple[str, bool, str]:
    time.sleep(0.01)
    return json.dumps({"errorType": kind, "errorMessage": message}), True, message


def _pool_of(function: Any) -> queue.LifoQueue[Worker | None]:
    with _lock:
        key = (function.function_name, function.code_sha_256)
        if key not in _pools:
            _pools[key] = queue.LifoQueue()
            for _ in range(HERE.workers):
                _pools[key].put(None)
        return _pools[key]


def patch() -> None:
    models.LambdaFunction._invoke_lambda = invoke  # type: ignore[method-assign]
    models.LambdaFunction.invoke = _called  # type: ignore[method-assign]
    models.LambdaFunction.__init__ = _made  # type: ignore[method-assign]
    models.LambdaFunction.create_from_cloudformation_json = classmethod(_made_by_template)  # type: ignore
    simple_models.LambdaSimpleBackend.invoke = models.LambdaBackend.invoke  # type: ignore[method-assign]
