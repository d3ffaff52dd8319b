"""One upload to jobs/ becomes one record and one execution, or one record of a rejection; never neither, never two.

Repeated, reordered and concurrent deliveries are told by the content's digest, by S3's sequencer, and by conditional
writes. What fails half-way is taken up by the next delivery where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import logging
from typing import Any

from botocore.exceptions import ClientError

from infra.intake.runtime.checks import check
from infra.intake.runtime.events import Upload, is_older
from infra.runtime import mails
from infra.runtime.aws import client, error_code
from infra.runtime.parameters import Settings
from infra.runtime.records import Record, Records, now_s
from infra.runtime.slots import submitter_slot
from splatlib.config import read_submission
from splatlib.config.submission import MAX_BYTES, is_id
from splatlib.errors import ConfigError

logger = logging.getLogger(__name__)

JOBS = "jobs/"
_SUFFIX = ".json"
_GONE = ("NoSuchKey", "NoSuchVersion", "404")


def take(upload: Upload, settings: Settings) -> None:
    """Handle one upload. What it raises is worth another delivery."""
    if upload.bucket != settings.bucket:
        raise ValueError(f"an event of the bucket {upload.bucket}, and this stack's is {settings.bucket}")
    if upload.is_folder_marker:
        return
    intake = _Intake(upload, settings)
    try:
        submission_id = intake.id = _id_of(upload)
        body = _body(upload)
        intake.digest = hashlib.sha256(body).hexdigest()
        intake.take(submission_id, body)
    except ConfigError as error:
        intake.reject(error)


class _Intake:
    def __init__(self, upload: Upload, settings: Settings) -> None:
        self.upload, self.settings = upload, settings
        self.records = Records(settings.records_table)
        # of the content, once it is read; until then of what names this version of the object
        named = f"{upload.raw_key}\n{upload.version_id}\n{upload.etag}"
        self.digest = hashlib.sha256(named.encode()).hexdigest()
        self.id: str | None = None
        self.replaces: str | None = None

    def take(self, submission_id: str, body: bytes) -> None:
        self.id = None
        existing = self.records.get(submission_id)
        if existing is not None and existing["digest"] == self.digest:
            return self._go_on(existing)
        if existing is not None and self._is_late(existing):
            logger.warning("%s: an earlier upload of the same key arrives late and is passed over", submission_id)
            return None
        if existing is not None and existing["status"] != "REJECTED":
            raise ConfigError(
                f"uuid: {submission_id} was submitted before, with other content",
                why=f"that job is {existing['status']} and is not touched by this one",
                hint="upload it under a new uuid",
            )
        self.id, self.replaces = submission_id, None
        if existing is not None:
            mails.send(self.records, submission_id, self.settings)  # unless it was sent long ago
            self.replaces = existing["digest"]
        record = self._record(submission_id, body)
        if not self.records.put_new(record, self.replaces):
            return self.take_again(submission_id, body)
        self._start(record)
        return None

    def take_again(self, submission_id: str, body: bytes) -> None:
        """Another delivery was quicker by an instant; now its record can be seen."""
        if self.records.get(submission_id) is None:
            raise RuntimeError(f"the record {submission_id} appears and disappears")
        self.take(submission_id, body)

    def reject(self, error: ConfigError) -> None:
        """Record the refusal, with the field, and mail it. Under the name of the file where that is free."""
        what = error.what.removeprefix("Job is not valid: ").removeprefix("Submission is not valid: ")
        fields = {
            "status": "REJECTED",
            "ended_s": now_s(),
            "mail": "DUE",
            "mail_due": "yes",
            "field": _field_of(what),
            "cause": "\n".join(part for part in (what, error.why, f"Try: {error.hint}" if error.hint else "") if part),
        }
        places: list[tuple[str, str | None]] = [(f"rejected-{self.digest[:24]}", None)]
        if self.id is not None:
            places.insert(0, (self.id, self.replaces))
        for record_id, replaces in places:
            if self.records.put_new({**self._head(record_id), **fields}, replaces):
                logger.warning("%s is rejected: %s", self.upload.raw_key, what)
                mails.count("REJECTED", self.settings.stack)
            elif (existing := self.records.get(record_id)) is None or existing["digest"] != self.digest:
                continue  # somebody else's
            mails.send(self.records, record_id, self.settings)
            return
        raise RuntimeError(f"the refusal of {self.upload.raw_key} could not be recorded")

    def _go_on(self, existing: Record) -> None:
        """A repeated delivery: finish what the first one did not."""
        if existing["status"] == "SUBMITTED" and "execution_arn" not in existing:
            self._start(existing)
        elif existing["status"] == "REJECTED":
            mails.send(self.records, existing["id"], self.settings)

    def _is_late(self, existing: Record) -> bool:
        same_key = existing["source"] == self._source()
        return same_key and is_older(self.upload.sequencer, existing.get("sequencer", ""))

    def _record(self, submission_id: str, body: bytes) -> Record:
        read = read_submission(body)
        if read.uuid is not None and read.uuid != submission_id:
            raise ConfigError(
                f"uuid: {read.uuid} is not the name of the file ({submission_id}{_SUFFIX})",
                hint="name the file after the uuid",
            )
        submission = check(read.submission, self.settings)
        return {
            **self._head(submission_id),
            "status": "SUBMITTED",
            "form": read.form,
            "captures": list(submission.job.sources),
            "job": submission.job.to_json(),
            "asked_instance": submission.instance or "",
            "spot": submission.spot,
            "max_run_s": submission.max_run_s,
            "labels": submission.labels,
            "notes": list(read.notes),
        }

    def _head(self, record_id: str) -> Record:
        upload = self.upload
        return {
            "id": record_id,
            "digest": self.digest,
            "source": self._source(),
            "sequencer": upload.sequencer,
            "version_id": upload.version_id or "",
            "how": upload.how,
            "submitter": upload.submitter,
            "submitted_s": now_s(),
        }

    def _source(self) -> str:
        return f"s3://{self.upload.bucket}/{self.upload.key or self.upload.raw_key}"

    def _start(self, record: Record) -> None:
        arn = start_execution(record, self.settings)
        self.records.started(record["id"], arn)
        logger.info("%s is submitted", record["id"])


def start_execution(record: Record, settings: Settings) -> str:
    """Start the workflow of a record. The same record twice is the same execution. Returns its ARN."""
    name = execution_name(record)
    document: dict[str, Any] = {
        "id": record["id"],
        "submitter": record["submitter"],
        "submitter_slot": submitter_slot(record["submitter"]),
        "attempt": 1,
        "max_attempts": settings.attempts,
    }
    states = client("stepfunctions")
    try:
        answer = states.start_execution(
            stateMachineArn=settings.state_machine_arn, name=name, input=json.dumps(document, sort_keys=True)
        )
    except ClientError as error:
        if error_code(error) != "ExecutionAlreadyExists":
            raise
        return settings.state_machine_arn.replace(":stateMachine:", ":execution:") + f":{name}"
    return answer["executionArn"]


def execution_name(record: Record) -> str:
    return f"{record['id']}-{record['digest'][:16]}"


def _id_of(upload: Upload) -> str:
    if upload.key is None:
        raise ConfigError(f"key: {upload.raw_key} is not UTF-8", hint="use letters, digits and hyphens")
    name = upload.key.removeprefix(JOBS)
    stem = name.removesuffix(_SUFFIX)
    if not upload.key.startswith(JOBS) or stem == name or not is_id(stem):
        raise ConfigError(
            f"key: {upload.key!r} is not {JOBS}<uuid>{_SUFFIX}",
            why="the uuid has letters, digits and single hyphens, at most 48",
        )
    return stem


def _body(upload: Upload) -> bytes:
    """The content of exactly the version that the event tells of."""
    if upload.size_bytes > MAX_BYTES:
        raise ConfigError(f"the job has {upload.size_bytes:,} bytes", why=f"at most {MAX_BYTES:,} are read")
    version = {"VersionId": upload.version_id} if upload.version_id else {}
    try:
        answer = client("s3").get_object(Bucket=upload.bucket, Key=upload.key, **version)
    except ClientError as error:
        if error_code(error) not in _GONE:
            raise
        raise ConfigError("the job was deleted before it could be read", hint="upload it again") from error
    return answer["Body"].read(MAX_BYTES + 1)


def _field_of(what: str) -> str:
    """The field that a refusal is about: what stands before its colon, if that is a dotted name."""
    field, colon, _ = what.partition(": ")
    return field if colon and " " not in field else ""
