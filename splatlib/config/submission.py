"""A Submission: a Job, and how the production stack is to run it. What ``jobs/<id>.json`` in the job bucket holds."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from splatlib.config.base import Config
from splatlib.config.job import Job
from splatlib.config.toolbox import is_toolbox_document, read_toolbox
from splatlib.errors import ConfigError

SCHEMA = 1
# A training job's name has at most 63 characters, of which "splatlib-" and "-a99" are taken.
ID_PATTERN = r"[A-Za-z0-9](?:-?[A-Za-z0-9]){0,47}"
MAX_ID_LENGTH = 48
# A job is a few hundred bytes, with prompts for masks some thousands.
MAX_BYTES = 256 * 1024


class Submission(Config):
    """A job, and how the production stack is to run it. Fields left out (None) are as the stack was deployed."""

    schema_: Literal[1] = Field(default=1, alias="schema", description="of this document")
    job: Job = Field(description="what to reconstruct; its capture lies below captures/ in the job bucket")
    instance: str | None = Field(default=None, pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9-]+$", description="SageMaker's name")
    spot: bool | None = Field(default=None, description="on spare capacity: cheaper, may be interrupted and goes on")
    max_run_s: int | None = Field(default=None, ge=60, le=432_000, description="seconds of training job, at most")
    labels: dict[str, str] = Field(default={}, max_length=20, description="free text for the record and the tags")

    def to_dict(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True)


@dataclass(frozen=True)
class ReadSubmission:
    """A submission as it came, in whichever of the three forms.

    Attributes:
        form: ``submission``, ``job`` (a bare Job), or ``toolbox`` (the AWS guidance's job JSON).
        uuid: of a toolbox document that names one.
        notes: what could not be mapped.
    """

    submission: Submission
    form: Literal["submission", "job", "toolbox"]
    uuid: str | None = None
    notes: tuple[str, ...] = ()


def is_id(text: str) -> bool:
    """Whether a text may name a submission: letters, digits and single hyphens, at most 48."""
    return len(text) <= MAX_ID_LENGTH and re.fullmatch(ID_PATTERN, text) is not None


def read_submission(body: bytes) -> ReadSubmission:
    """Read the content of a ``jobs/<id>.json``: a Submission, a bare Job, or the AWS guidance's job JSON.

    Raises:
        ConfigError: it is not JSON, too large, of a schema that this version does not know, or a field is wrong; the
            message names the field.
    """
    if len(body) > MAX_BYTES:
        raise ConfigError(f"the job has {len(body):,} bytes", why=f"at most {MAX_BYTES:,} are read")
    try:
        fields = json.loads(body.decode("utf-8-sig"), object_pairs_hook=_without_duplicates)
    except UnicodeDecodeError as error:
        raise ConfigError("the job is not UTF-8 text", why=str(error), hint="save it as UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError("the job is not valid JSON", why=str(error)) from error
    if not isinstance(fields, dict):
        raise ConfigError(f"the job is a JSON {type(fields).__name__}, and an object is wanted")
    if "job" not in fields and is_toolbox_document(fields):
        toolbox = read_toolbox(fields)
        submission = Submission(job=toolbox.job, instance=toolbox.instance)
        return ReadSubmission(submission, "toolbox", toolbox.uuid, toolbox.notes)
    if "capture" in fields:
        return ReadSubmission(Submission(job=Job.from_dict(fields)), "job")
    if not {"job", "schema"} & fields.keys():
        raise ConfigError(
            "the job is neither a Submission, nor a Job, nor a job of the AWS guidance",
            why=f"its keys are {', '.join(sorted(fields)) or 'none'}; job, capture or s3 are missing",
        )
    _refuse_unknown_schema(fields.get("schema", SCHEMA))
    return ReadSubmission(Submission.from_dict(fields), "submission")


def _refuse_unknown_schema(schema: Any) -> None:
    if schema != SCHEMA:
        raise ConfigError(
            f"schema: {schema!r} is not known here, only {SCHEMA}",
            why="the job was written by another version of splatlib",
            hint="deploy the stack of that version, or submit with the one that is deployed",
        )


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """json keeps the last of two equal keys, and what the first said would be lost without a word."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is there twice")
    return fields
