"""boto3's clients, kept from one invocation to the next, patient with a service that asks to go slower."""

from __future__ import annotations

import functools
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

# A throttled table is asked for a quarter of a minute; then the queue or the state machine comes again later.
_CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 8}, connect_timeout=5, read_timeout=20)


@functools.cache
def client(service: str) -> Any:
    return boto3.client(service, config=_CONFIG)


def error_code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def error_text(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Message") or error)
