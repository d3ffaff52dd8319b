"""Submits jobs to a deployed stack: the capture goes up once, the job's document after it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from splatlib import s3
from splatlib.config import Job, Submission
from splatlib.config.submission import MAX_ID_LENGTH, is_id
from splatlib.errors import ConfigError, LaunchError
from splatlib.launch.aws.session import aws_errors_translated
from splatlib.launch.baggage import Baggage, job_name, pack
from splatlib.launch.production.job import ProductionJob
from splatlib.launch.production.stack import STATUSES, DeployedStack
from splatlib.progress import logger


@dataclass(frozen=True)
class Production:
    """Runs jobs through a deployed stack (``make deploy``): queued, recorded, mailed.

    >>> handle = sl.submit(sl.Job(capture="bench.mov"), sl.Production())

    Args:
        stack: its name, as it was deployed.
        instance, spot, max_run_s: of this submission; None: as the stack was deployed.
        labels: free text for the record and the training job's tags.
    """

    stack: str = "splatlib"
    region: str | None = None
    instance: str | None = None
    spot: bool | None = None
    max_run_s: int | None = None
    labels: dict[str, str] = field(default_factory=dict)

    @cached_property
    def deployed(self) -> DeployedStack:
        """Raises LaunchError if there is no such stack, LaunchAccessError."""
        return DeployedStack.find(self.stack, self.region)

    def submit(self, job: Job, name: str | None = None) -> ProductionJob:
        """Upload what is not there yet, then the job; returns at once. The stack's checks come after: see ``status``.

        Raises ConfigError (the name is none, the instance or the bucket of the capture is not one of the stack's),
        LaunchError (the name is taken),
        CaptureNotFoundError, S3Error and its subclasses.
        """
        name = name or _short(job_name(job))
        self.check_name(name)
        self._refuse_foreign(job)
        if self.instance is not None and self.instance not in self.deployed.instances:
            allowed = ", ".join(self.deployed.instances)
            raise ConfigError(f"the instance {self.instance} is not allowed in this stack", hint=f"one of {allowed}")
        placed = self._send(pack(job))
        submission = Submission(
            job=placed, instance=self.instance, spot=self.spot, max_run_s=self.max_run_s, labels=self.labels
        )
        return self.put(submission, name)

    def put(self, submission: Submission, name: str) -> ProductionJob:
        """Hand in a submission whose capture is in the stack's bucket already."""
        place = f"s3://{self.deployed.bucket}/jobs/{name}.json"
        s3.put_text(place, submission.to_json(), self.deployed.kms_key_arn)
        logger.info("submitted %s", name)
        return ProductionJob(name, self)

    def submit_batch(self, jobs: Mapping[str, Job], name: str) -> str:
        """Hand in many jobs at once; one mail for each, and one summary at the end.

        Their places are in the stack's bucket already, or local files, which are uploaded first: jobs that share a
        capture, such as those of a sweep, share the upload.

        Args:
            jobs: by the name that each submission gets.
            name: of the batch.

        Returns:
            The ARN of the batch's execution.
        """
        for each in (name, *jobs):
            if not is_id(each):
                raise ConfigError(f"{each!r} is no name", hint="letters, digits and single hyphens, at most 48")
        entries = []
        for job_id, job in jobs.items():
            submission = Submission(
                job=self._send(pack(job)),
                instance=self.instance,
                spot=self.spot,
                max_run_s=self.max_run_s,
                labels={**self.labels, "batch": name},
            )
            entries.append({"uuid": job_id, "submission": submission.to_dict()})
        deployed, key = self.deployed, f"batches/{name}.json"
        s3.put_text(f"s3://{deployed.bucket}/{key}", json.dumps(entries), deployed.kms_key_arn)
        with aws_errors_translated("starting the batch", needs="states:StartExecution"):
            answer = deployed.client("stepfunctions").start_execution(
                stateMachineArn=f"{deployed.state_machine_arn}-batch",
                name=name,
                input=json.dumps({"batch": name, "manifest": key}),
            )
        return answer["executionArn"]

    def attach(self, name: str) -> ProductionJob:
        """A job that was submitted before. Raises JobNotFoundError, LaunchAccessError."""
        handle = ProductionJob(name, self)
        handle.record()
        return handle

    def jobs(self, status: str | None = None, limit: int = 50) -> Sequence[ProductionJob]:
        """The latest submissions, the latest first; of one status, or of all."""
        wanted = STATUSES if status is None else (status.upper(),)
        if wanted[0] not in STATUSES:
            raise ConfigError(f"status {status!r} is not known", hint=f"one of {', '.join(STATUSES).lower()}")
        found = sorted((entry for each in wanted for entry in self.deployed.ids(each, limit)), reverse=True)
        return [ProductionJob(name, self) for _, name in found[:limit]]

    def free_name(self, name: str) -> str:
        """``name-r2``, ``-r3``, …: the first that has no record."""
        stem = re.sub(r"-r\d+$", "", name)[: MAX_ID_LENGTH - 5].rstrip("-")
        for number in range(2, 1000):
            if self.deployed.record(f"{stem}-r{number}") is None:
                return f"{stem}-r{number}"
        raise LaunchError(f"{name} was run a thousand times", hint="give the new one a name of its own")

    def check_name(self, name: str) -> None:
        """Raises ConfigError (it is none), LaunchError (it is taken)."""
        if not is_id(name):
            raise ConfigError(
                f"{name!r} is no name for a job", hint=f"letters, digits, single hyphens, at most {MAX_ID_LENGTH}"
            )
        record = self.deployed.record(name)
        if record is not None and record["status"] != "REJECTED":
            raise LaunchError(f"there is a job {name} already ({record['status']})", hint="choose another name")

    def _refuse_foreign(self, job: Job) -> None:
        """The stack would refuse it, too, and mail that; here it is told at once."""
        bucket = self.deployed.bucket
        for source in job.sources:
            if source.startswith("s3://") and source.removeprefix("s3://").partition("/")[0] != bucket:
                raise ConfigError(
                    f"capture: {source} lies in another bucket than the stack's",
                    hint=f"copy it to s3://{bucket}/captures/…",
                )

    def _send(self, baggage: Baggage) -> Job:
        """The job with all its places in the bucket. The same files are the same folder, and are sent once."""
        if not baggage.files:
            return baggage.job
        listing = "".join(f"{file.sha256}  {file.name}\n" for file in baggage.files)
        folder = f"captures/{hashlib.sha256(listing.encode()).hexdigest()[:24]}"
        with aws_errors_translated("uploading the capture", needs="s3:PutObject and kms:GenerateDataKey"):
            self._upload(baggage, folder)
        here = f"s3://{self.deployed.bucket}/{folder}/"
        return baggage.job.with_places(lambda place: place if place.startswith("s3://") else here + place)

    def _upload(self, baggage: Baggage, folder: str) -> None:
        bucket, key_arn = self.deployed.bucket, self.deployed.kms_key_arn
        client = self.deployed.client("s3")
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{folder}/")
        # the folder is named by its files' digests: a file of that name and size is the same
        there = {entry["Key"]: entry["Size"] for page in pages for entry in page.get("Contents", [])}
        waiting = [file for file in baggage.files if there.get(f"{folder}/{file.name}") != file.size_bytes]
        for file in waiting:
            client.upload_file(
                str(Path(file.path)),
                bucket,
                f"{folder}/{file.name}",
                ExtraArgs={
                    "ServerSideEncryption": "aws:kms",
                    "SSEKMSKeyId": key_arn,
                    "Metadata": {"sha256": file.sha256},
                },
            )
        logger.info("%d files, %d of them new", len(baggage.files), len(waiting))


def _short(name: str) -> str:
    """A job's made name, without the prefix that SageMaker's own names have."""
    return name.removeprefix("splatlib-")[:MAX_ID_LENGTH].rstrip("-")
