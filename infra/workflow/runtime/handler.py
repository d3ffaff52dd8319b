"""The workflow's first step, before each attempt: is the capture there, and what SageMaker is to be asked for."""

from __future__ import annotations

import logging
from typing import Any

from infra.runtime.aws import client
from infra.runtime.parameters import Settings, settings
from infra.runtime.records import ACTIVE, Record, Records
from infra.workflow.runtime.training_job import document, instance_of, job_prefix, training_job_name
from splatlib.config import Job
from splatlib.errors import CaptureNotFoundError, SplatlibError
from splatlib.launch.contract import JobDocuments

logger = logging.getLogger(__name__)
logging.getLogger().setLevel(logging.INFO)


class CaptureNotThereYet(CaptureNotFoundError):
    """The state machine knows this name: it waits and asks again."""


class RecordHasEnded(SplatlibError):
    """The submission was cancelled, or ended otherwise, while it waited."""


class NoImage(SplatlibError):
    """No image was built yet for this stack."""


def handle(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Takes the execution's input; returns the CreateTrainingJob document under ``request``."""
    here = settings()
    records = Records(here.records_table)
    record = records.get(event["id"])
    if record is None or record["status"] not in ACTIVE:
        state = record["status"] if record else "not there"
        raise RecordHasEnded(f"the record {event['id']} is {state}, and the workflow still runs")
    if not here.image_uri or here.image_uri == "none":
        raise NoImage(
            "this stack has no image yet",
            why="its build has not finished, or failed",
            hint="see CodeBuild; make cloud-image",
        )
    job = Job.from_json(record["job"])
    capture_bytes = sum(_bytes_at(source, here) for source in job.sources)
    attempt = int(event["attempt"])
    _write_job(record, job, here)
    instance = instance_of(record, attempt, here)
    name = training_job_name(record["id"], attempt)
    if not records.training(record["id"], attempt, name, instance):
        raise RecordHasEnded(f"the record {record['id']} has ended meanwhile")
    logger.info("%s: attempt %d on %s, %d bytes of capture", record["id"], attempt, instance, capture_bytes)
    return {"name": name, "request": document(record, attempt, capture_bytes, here)}


def _bytes_at(place: str, here: Settings) -> int:
    """Bytes of the object, or of all below the prefix. Raises CaptureNotThereYet.

    By listing alone: asked for an object that is not there, S3 answers "forbidden" to whoever may not list the whole
    bucket, and this function may list captures/ only.
    """
    bucket, _, key = place.removeprefix("s3://").partition("/")
    s3 = client("s3")
    if not key.endswith("/"):
        # a key comes before all that it begins
        first = s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1).get("Contents", [])
        if first and first[0]["Key"] == key:
            return int(first[0]["Size"])
        key += "/"
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)
    sizes = [int(entry["Size"]) for page in pages for entry in page.get("Contents", [])]
    if not any(sizes):
        raise CaptureNotThereYet(
            f"job.capture: there is nothing at {place}",
            why=f"it was looked for several times since the job arrived, in {here.region}",
            hint="upload the capture first, then the job; check the spelling",
        )
    return sum(sizes)


def _write_job(record: Record, job: Job, here: Settings) -> None:
    """The channel ``job``: what the container reads, kept beside the results."""
    for name, text in JobDocuments(job, {}).files().items():
        client("s3").put_object(
            Bucket=here.bucket,
            Key=f"{job_prefix(record['id'])}{name}",
            Body=text.encode(),
            ContentType="application/json",
            Metadata={"digest": record["digest"][:64]},
        )
