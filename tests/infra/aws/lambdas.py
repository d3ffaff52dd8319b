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

from moto.awslambda import models
from moto.awslambda_simple import models as simple_models

from tests.infra.aws.faults import happens
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
        role = str(function.role).rpartition("/")[2]
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
    if happens("lambda_after"):
        return _failed("Lambda.Unknown", "injected: it ran, and its answer was lost")
    if "error" in answer:
        return json.dumps(answer["error"]), True, logged
    return json.dumps(answer["ok"]), False, logged


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
    simple_models.LambdaSimpleBackend.invoke = models.LambdaBackend.invoke  # type: ignore[method-assign]
