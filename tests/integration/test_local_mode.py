"""SageMaker's local mode: the SDK's Estimator and LocalSession start a container of the entry point by podman.

Local mode knows neither spot, checkpoints nor manifests, so that the document is the launcher's without them. Where
podman can run no container the tests are skipped with what it answered: ``python -m tests.local_mode`` says the same.
``SPLATLIB_TEST_LOCAL_MODE=1`` makes that a failure, for where podman is known to work.
"""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from splatlib import Job, SageMaker, TrainConfig, s3
from splatlib.launch.aws.request import Places, estimator_for, training_job
from splatlib.launch.aws.session import logging_left_alone, sagemaker_session
from splatlib.launch.baggage import pack
from splatlib.samples import make_sample
from splatlib.workspace import Workspace
from tests.local_aws import BUCKET, LocalAws, local_aws
from tests.local_mode import IMAGE, LocalMode, PodmanUnavailableError, leave, prepare

pytestmark = pytest.mark.slow

TRAIN = TrainConfig(device="cpu", steps=40, max_gaussians=2000, max_long_side_px=96)
ROLE_ARN = "arn:aws:iam::123456789012:role/splatlib-job"


@pytest.fixture(scope="module")
def mode(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalMode]:
    try:
        mode = prepare(tmp_path_factory.mktemp("local-mode"))
    except PodmanUnavailableError as error:
        if os.environ.get("SPLATLIB_TEST_LOCAL_MODE"):
            raise
        pytest.skip(f"podman can run no container here: {error}")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in mode.environment.items():
            patch.setenv(name, value)
        yield mode
    leave(mode)


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAws]:
    with local_aws() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        yield server


def run_locally(job: Job, name: str, folder: Path) -> str:
    """Upload as the launcher does and let the SDK run the image here; the place of model.tar.gz in S3.

    Raises RuntimeError, as the SDK does, where the container does not end well.
    """
    import boto3.session
    from sagemaker.local.local_session import LocalSession

    baggage = pack(job)
    places = Places(f"s3://{BUCKET}/{name}", name)
    settings = SageMaker(instance="ml.m5.xlarge", image=IMAGE, bucket=BUCKET, spot=False)
    document = training_job(settings, baggage.job, places, ROLE_ARN, has_capture=True)
    document["ResourceConfig"]["InstanceType"] = "local"
    document["CheckpointConfig"] = {"S3Uri": None, "LocalPath": None}
    (capture,) = (channel for channel in document["InputDataConfig"] if channel["ChannelName"] == "capture")
    capture["DataSource"]["S3DataSource"] |= {"S3DataType": "S3Prefix", "S3Uri": places.blobs}
    s3.upload([s3.Content(f.path, f.size_bytes, f.sha256) for f in baggage.files], places.blobs, "uploading", None)
    s3.put_texts({f"{places.job}/{file}": text for file, text in baggage.documents.files().items()}, None)
    # the session's own is set up so that the SDK sends nothing home
    own = sagemaker_session(None).sagemaker_config
    session = LocalSession(boto3.session.Session(), sagemaker_config=own)
    session.config = {"local": {"container_root": str(folder)}}
    with logging_left_alone():
        estimator, inputs = estimator_for(document, session)
        estimator.fit(inputs, job_name=name, logs="None")
    return str(estimator.model_data)


def fetched(url: str, folder: Path, aws: LocalAws) -> Path:
    bucket, _, key = url.removeprefix("s3://").partition("/")
    aws.client("s3").download_file(bucket, key, str(folder / "model.tar.gz"))
    with tarfile.open(folder / "model.tar.gz") as archive:
        archive.extractall(folder / "model", filter="data")
    return folder / "model"


def test_local_mode_runs_the_entry_point_and_brings_the_exports_back(
    mode: LocalMode, aws: LocalAws, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    sample = make_sample(tmp_path / "sample", num_frames=24, width=320, height=180)
    model = run_locally(Job(capture=str(sample.path), train=TRAIN), "local-mode", tmp_path)
    told = capfd.readouterr().out
    assert "[splatlib] job=done" in told and f"step={TRAIN.steps}" in told
    ws = Workspace(fetched(model, tmp_path, aws))
    assert ws.exports is not None and ws.exports.files
    for file in ws.exports.files:
        assert ws.exports.path(file.format).stat().st_size == file.bytes
    report: dict[str, Any] = json.loads(ws.report_json_path.read_text())
    assert report["train"]["steps"] == TRAIN.steps and report["cameras"]["registered"] >= 20


def test_local_mode_hears_of_a_capture_that_is_none(mode: LocalMode, aws: LocalAws, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all" * 100)
    with pytest.raises(RuntimeError, match="exited with code: 1"):
        run_locally(Job(capture=str(broken)), "broken", tmp_path)
