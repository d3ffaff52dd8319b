"""A local AWS whose image is the stub, one server for all tests of this folder."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from splatlib import Job, SageMaker
from splatlib.launch.aws import handle
from tests.local_aws import BUCKET, LocalAws, local_aws

ROOT = Path(__file__).parents[3]
MakeJob = Callable[..., Job]


def keys(aws: LocalAws, prefix: str = "") -> list[str]:
    pages = aws.client("s3").get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


@pytest.fixture(scope="package")  # it changes moto, of which a process has one
def _server() -> Iterator[LocalAws]:
    with local_aws([sys.executable, "-m", "tests.unit.launch.stub_container"]) as aws:
        aws.container_environment = {"PYTHONPATH": str(ROOT)}
        yield aws


@pytest.fixture
def aws(_server: LocalAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[LocalAws]:
    for name, value in _server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("SPLATLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setattr(handle.SageMakerJob, "poll_s", 0.1)
    # the SDK makes this one address itself, whatever AWS_ENDPOINT_URL says
    monkeypatch.setattr("sagemaker.session.sts_regional_endpoint", lambda region: _server.endpoint)
    _server.requests.clear()
    yield _server
    _server.quotas.clear()
    _server.refusals.clear()
    _server.throttle = 0


@pytest.fixture
def launcher(aws: LocalAws) -> SageMaker:
    return SageMaker(bucket=BUCKET, instance="ml.g6.xlarge")


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Job]:
    """A job whose capture is a script for the stub."""

    def written(*lines: str, **fields: Any) -> Job:
        script = tmp_path / "script.mov"
        script.write_text("\n".join(lines) + "\n")
        return Job.from_dict({"capture": str(script), **fields})

    return written
