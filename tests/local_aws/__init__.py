"""AWS without an account: moto's HTTP server, with SageMaker training jobs that really run. For tests only.

>>> with local_aws() as aws:
...     os.environ.update(aws.environment)
...     # boto3 and the SageMaker SDK now talk to it

Plain moto finishes a training job at once, without a container, logs, metrics, or validation of the request. Here a job
is the container's own entry point in a child process, with its channels, checkpoints and results copied from and to S3
as SageMaker does, its lines in CloudWatch Logs, its metrics in CloudWatch.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlparse

from tests.local_aws.gaps import fill_gaps
from tests.local_aws.training import Running

REGION = "us-east-1"
ACCOUNT = "123456789012"
BUCKET = "splatlib-of-tests"
ROLE = "splatlib-job"
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/splatlib:test"
CREDENTIALS = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}


@dataclass
class LocalAws:
    """A running server, and what a test may change of its behaviour.

    Attributes:
        endpoint: its URL, for AWS_ENDPOINT_URL.
        requests: each CreateTrainingJob document that arrived, in order.
        quotas: how many jobs of an instance are allowed; no limit where it is not named.
        throttle: so many of the next CreateTrainingJob requests are answered with ThrottlingException.
        refusals: error code and message for the next request of an action, once.
        container_environment: of the child processes.
        sync_s: seconds between two looks at the checkpoint folder.
    """

    endpoint: str
    requests: list[dict[str, Any]] = field(default_factory=list)
    quotas: dict[str, int] = field(default_factory=dict)
    throttle: int = 0
    refusals: dict[str, tuple[str, str]] = field(default_factory=dict)
    container_environment: Mapping[str, str] = field(default_factory=dict)
    sync_s: float = 0.3
    running: dict[str, Running] = field(default_factory=dict)
    _clients: dict[tuple[str, str], Any] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def environment(self) -> dict[str, str]:
        """For programs that are to talk to it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": CREDENTIALS["aws_access_key_id"],
            "AWS_SECRET_ACCESS_KEY": CREDENTIALS["aws_secret_access_key"],
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "SPLATLIB_IMAGE": IMAGE,
            "SPLATLIB_ROLE": ROLE,
        }

    def client(self, service: str, key: str = CREDENTIALS["aws_access_key_id"]) -> Any:
        """Made once: a client takes a tenth of a second. ``key`` says whose calls these are."""
        import boto3
        from botocore.config import Config

        with self._lock:
            if (service, key) not in self._clients:
                self._clients[service, key] = boto3.client(
                    service,
                    endpoint_url=self.endpoint,
                    region_name=REGION,
                    aws_access_key_id=key,
                    aws_secret_access_key=CREDENTIALS["aws_secret_access_key"],
                    config=Config(max_pool_connections=50),
                )
            return self._clients[service, key]

    def interrupt(self, name: str) -> None:
        """Take the spot instance of a job away; it gets another one, and its checkpoint."""
        self.running[name].interrupt()

    def lose(self, name: str) -> None:
        """The same without a warning: the container gets SIGKILL, and what was not copied by then is lost."""
        self.running[name].interrupt(warned=False)


@contextlib.contextmanager
def local_aws(container: list[str] | None = None, port: int = 0) -> Iterator[LocalAws]:
    """Start it, with a bucket, a role and an image's entry in ECR. Only one at a time in a process.

    Args:
        container: the command that stands for the image; the entry point unless told.
    """
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    host, bound_port = server.get_host_and_port()
    aws = LocalAws(f"http://{host}:{bound_port}")
    try:
        with fill_gaps(aws, container or [sys.executable, "-m", "splatlib.container"]):
            _furnish(aws)
            yield aws
    finally:
        for job in aws.running.values():
            job.abandon()
        _reset(aws.endpoint)
        server.stop()


def _furnish(aws: LocalAws) -> None:
    aws.client("s3").create_bucket(Bucket=BUCKET)
    trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    aws.client("iam").create_role(RoleName=ROLE, AssumeRolePolicyDocument=document)
    ecr = aws.client("ecr")
    ecr.create_repository(repositoryName="splatlib")
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json", "layers": []}
    ecr.put_image(repositoryName="splatlib", imageManifest=json.dumps(manifest), imageTag="test")


def _reset(endpoint: str) -> None:
    connection = http.client.HTTPConnection(urlparse(endpoint).netloc)
    connection.request("POST", "/moto-api/reset")
    connection.getresponse().read()


def serve(port: int) -> None:
    """Until it is killed: for programs that are no tests (``python -m tests.local_aws PORT``)."""
    with local_aws(port=port) as aws:
        print(json.dumps(aws.environment), flush=True)
        threading.Event().wait()
