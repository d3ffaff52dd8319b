"""Faults on purpose, and a record of every call: which role, which action, on what."""

from __future__ import annotations

import json
import random
import re
import threading
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

from tests.infra.aws.settings import HERE

_random, _lock = random.Random(HERE.seed), threading.Lock()
CALLS: list[dict[str, Any]] = []
enabled = True
_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/[^/]+/([^/]+)/")
_MAX_BODY = 64 * 1024


def happens(fault: str) -> bool:
    rate = HERE.fault_rates.get(fault, 0.0)
    with _lock:
        return enabled and rate > 0 and _random.random() < rate


class Watched:
    """moto's WSGI application: every call of a role is noted, some are throttled, and two addresses are our own."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/splatlib/calls":
            return _json(start, CALLS)
        if path == "/splatlib/faults":
            globals()["enabled"] = environ.get("QUERY_STRING") == "on"
            return _json(start, {})
        found = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
        role, service = found.groups() if found else ("", "")
        if role.startswith("splatlib"):
            _note(role, service, environ)
            if service == "dynamodb" and happens("dynamodb"):
                headers = [("Content-Type", "application/x-amz-json-1.0"), ("x-amzn-RequestId", "injected")]
                start("400 Bad Request", headers)
                kind = "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"
                return [json.dumps({"__type": kind, "message": "injected: throttled"}).encode()]
            if environ.get("HTTP_X_AMZ_TARGET", "").endswith(".CreateTrainingJob") and happens("sagemaker"):
                start("500 Internal Server Error", [("Content-Type", "application/x-amz-json-1.1")])
                return [json.dumps({"__type": "InternalFailure", "message": "injected: no job was created"}).encode()]
        return self._application(environ, start)


def _json(start: Callable[..., Any], content: Any) -> Iterable[bytes]:
    start("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(content).encode()]


def _note(role: str, service: str, environ: dict[str, Any]) -> None:
    """The call as its service names it: from the target header, the query protocol's Action, or method and path."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = b""
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    if service != "s3" and 0 < length < _MAX_BODY:
        import io

        body = environ["wsgi.input"].read(length)
        environ["wsgi.input"] = io.BytesIO(body)
    action = target.rpartition(".")[2]
    parameters: Any = {}
    if body.startswith(b"{"):
        parameters = json.loads(body)
    elif body:
        parameters = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        action = action or parameters.get("Action", "")
    if not action:
        action = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}?{environ.get('QUERY_STRING', '')}"
    note(role, service, action, parameters)


def note(role: str, service: str, action: str, parameters: Any) -> None:
    """Also of what AWS does with a role's rights and is done here without a call."""
    CALLS.append({"role": role, "service": service, "action": action, "parameters": parameters})
