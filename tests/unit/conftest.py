"""Fixtures for unit tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import FakeStages
from tests.s3_server import BUCKET, BadServer, local_s3


@pytest.fixture
def fake_stages(monkeypatch: pytest.MonkeyPatch) -> FakeStages:
    """The six stages replaced by ones that finish at once."""
    stages = FakeStages()
    stages.install(monkeypatch)
    return stages


@pytest.fixture(scope="module")
def s3_servers() -> Iterator[tuple[BadServer, Any]]:
    with local_s3() as started:
        yield started


@pytest.fixture
def bucket(s3_servers: tuple[BadServer, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A client to write with; splatlib reads the same through the bad server."""
    front, client = s3_servers
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", front.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    yield client
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for entry in page.get("Contents", []):
            client.delete_object(Bucket=BUCKET, Key=entry["Key"])


@pytest.fixture
def front(s3_servers: tuple[BadServer, Any]) -> Iterator[BadServer]:
    """The server that the requests pass."""
    server = s3_servers[0]
    server.fetched.clear()
    server.asked.clear()
    server.cuts_left = server.answers_left = 0
    server.puts_left, server.answer = None, (503, "SlowDown")
    yield server
    server.cuts_left = server.answers_left = 0
    server.puts_left, server.answer = None, (503, "SlowDown")
