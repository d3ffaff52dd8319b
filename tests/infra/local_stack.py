"""The production stack, deployed into the local AWS by the real `cdk`, and what a person would look at there."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3

from tests.infra.aws.settings import ServerSettings
from tests.processes import free_port

ROOT = Path(__file__).parents[2]
REGION, ACCOUNT = "us-east-1", "123456789012"
STACK = "splatlib"
ENDED = ("SUCCEEDED", "FAILED", "TIMED_OUT", "CANCELLED", "REJECTED")


def find_cdk() -> str | None:
    """The command of npm's `aws-cdk`: of the project's own folder, or of the PATH."""
    own = ROOT / "build" / "node" / "node_modules" / ".bin" / "cdk"
    return str(own) if own.exists() else shutil.which("cdk")


@dataclass
class LocalStack:
    endpoint: str
    log: Path
    context: dict[str, str] = field(default_factory=dict)
    clients: dict[str, Any] = field(default_factory=dict)
    _letters: list[tuple[str, str]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": "of-tests",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "CDK_DEFAULT_ACCOUNT": ACCOUNT,
            "CDK_DEFAULT_REGION": REGION,
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
            "PYTHONPATH": str(ROOT),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }

    def client(self, service: str) -> Any:
        if service not in self.clients:
            self.clients[service] = boto3.client(
                service,
                endpoint_url=self.endpoint,
                region_name=REGION,
                aws_access_key_id="somebody",
                aws_secret_access_key="of-tests",
            )
        return self.clients[service]

    @property
    def bucket(self) -> str:
        return f"{STACK}-jobs-{ACCOUNT}-{REGION}"

    # deployment

    def cdk(self, *arguments: str, timeout_s: float = 500) -> str:
        """Run the CDK command line; returns what it printed. Raises AssertionError with it if it fails."""
        command = find_cdk()
        assert command is not None
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        context = {"lambda_python": version, "lambda_architecture": "x86_64", "email": "me@example.com", **self.context}
        options = [part for name, value in context.items() for part in ("-c", f"{name}={value}")]
        done = subprocess.run(
            [command, *arguments, *options, "--output", str(self.log.parent / "cdk.out")],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:] + self.log.read_text()[-3000:]
        return done.stdout + done.stderr

    def deploy(self) -> None:
        self.cdk("bootstrap", f"aws://{ACCOUNT}/{REGION}")
        self.cdk("deploy", "--import-existing-resources", "--require-approval", "never")
        self.furnish()

    def furnish(self) -> None:
        """What a person does after the deployment: an image is built; here a mailbox is subscribed, too."""
        image = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{STACK}@sha256:{'0' * 64}"
        self.client("ssm").put_parameter(Name=f"/{STACK}/image-uri", Value=image, Type="String", Overwrite=True)
        sqs, sns = self.client("sqs"), self.client("sns")
        url = sqs.create_queue(QueueName="mailbox")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        topic = f"arn:aws:sns:{REGION}:{ACCOUNT}:{STACK}-mail"
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)

    # use

    def put(self, key: str, body: bytes | str | dict[str, Any], uploader: str | None = None) -> None:
        data = json.dumps(body).encode() if isinstance(body, dict) else body.encode() if isinstance(body, str) else body
        metadata = {"uploader": uploader} if uploader else {}
        self.client("s3").put_object(Bucket=self.bucket, Key=key, Body=data, Metadata=metadata)

    def submit(self, job_id: str, **fields: Any) -> None:
        self.put(f"jobs/{job_id}.json", {"capture": f"s3://{self.bucket}/captures/fox/", **fields})

    def record(self, job_id: str) -> dict[str, Any] | None:
        from boto3.dynamodb.types import TypeDeserializer

        item = self.client("dynamodb").get_item(TableName=f"{STACK}-records", Key={"id": {"S": job_id}}).get("Item")
        return {name: TypeDeserializer().deserialize(value) for name, value in item.items()} if item else None

    def wait(self, job_id: str, timeout_s: float = 60) -> dict[str, Any]:
        """The record once it has ended and its mail was sent."""

        def ended() -> dict[str, Any] | None:
            record = self.record(job_id)
            return record if record and record["status"] in ENDED and record.get("mail") == "SENT" else None

        return wait_for(ended, timeout_s, lambda: f"{job_id} has not ended: {self.record(job_id)}")

    def execution(self, job_id: str) -> dict[str, Any]:
        record = self.record(job_id)
        assert record is not None
        states = self.client("stepfunctions")

        def ended() -> dict[str, Any] | None:
            found = states.describe_execution(executionArn=record["execution_arn"])
            return found if found["status"] != "RUNNING" else None

        return wait_for(ended, 30, lambda: f"the execution of {job_id} still runs")

    def mails(self) -> list[tuple[str, str]]:
        """Subject and text of all mails since the last call."""
        sqs = self.client("sqs")
        url = sqs.get_queue_url(QueueName="mailbox")["QueueUrl"]
        found = []
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                content = json.loads(message["Body"])
                found.append((content["Subject"], content["Message"]))
            handles = [
                {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                for number, message in enumerate(messages)
            ]
            sqs.delete_message_batch(QueueUrl=url, Entries=handles)
        return found

    def letters(self) -> list[tuple[str, str]]:
        """Subject and text of all mails that ever came."""
        self._letters.extend(self.mails())
        return self._letters

    def calls(self) -> list[dict[str, Any]]:
        """What each role of the stack asked for."""
        with urllib.request.urlopen(f"{self.endpoint}/splatlib/calls") as answer:
            return json.load(answer)


@contextlib.contextmanager
def local_stack(settings: ServerSettings) -> Iterator[LocalStack]:
    """A server in a process of its own; ends with it."""
    with tempfile.TemporaryDirectory(prefix="local-stack-") as folder:
        port = free_port()
        log = Path(folder) / "server.log"
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **settings.environment()}
        with log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.infra.aws", str(port)], env=environment, stdout=output, stderr=output
            )
            try:
                wait_for(lambda: "http://" in log.read_text(), 60, lambda: f"it does not start: {log.read_text()}")
                yield LocalStack(f"http://127.0.0.1:{port}", log)
            finally:
                process.terminate()
                process.wait(20)


def succeeded(stack: LocalStack, execution_arn: str) -> dict[str, Any]:
    """A workflow's end, waited for: as Step Functions describes it."""
    states = stack.client("stepfunctions")
    ended = wait_for(
        lambda: (
            (found := states.describe_execution(executionArn=execution_arn)) and found["status"] != "RUNNING" and found
        ),
        120,
        lambda: f"{execution_arn} still runs",
    )
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    return ended


def wait_for(found: Callable[[], Any], timeout_s: float, otherwise: Callable[[], str]) -> Any:
    limit_s = time.monotonic() + timeout_s
    while time.monotonic() < limit_s:
        if value := found():
            return value
        time.sleep(0.1)
    raise AssertionError(otherwise())
