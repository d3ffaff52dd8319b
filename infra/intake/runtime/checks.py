"""What a submission may ask of this stack. Every refusal names the field."""

from __future__ import annotations

import re
from collections.abc import Iterator

from infra.runtime.parameters import Settings
from splatlib.config import Submission
from splatlib.config.cameras import PRIORS_OF_CAPTURE
from splatlib.errors import ConfigError

CAPTURES, MODELS = "captures/", "models/"


def check(submission: Submission, settings: Settings) -> Submission:
    """The submission with the stack's own values in the fields left out. Raises ConfigError."""
    if submission.instance is not None and submission.instance not in settings.instances:
        raise ConfigError(
            f"instance: {submission.instance} is not allowed in this stack",
            hint=f"one of {', '.join(settings.instances)}; the list is deployed with the stack",
        )
    if submission.max_run_s is not None and submission.max_run_s > settings.max_run_s:
        raise ConfigError(f"max_run_s: {submission.max_run_s} is more than this stack allows ({settings.max_run_s})")
    for field, place, folder in places(submission):
        _refuse_foreign(field, place, folder, settings.bucket)
    masks = submission.job.masks
    if masks is not None and masks.weights == "download":
        raise ConfigError(
            "job.masks.weights: nothing is downloaded from the internet here",
            hint="leave it out: weights come from models/ in the job bucket",
        )
    return submission.model_copy(
        update={
            "spot": settings.spot if submission.spot is None else submission.spot,
            "max_run_s": submission.max_run_s or settings.max_run_s,
        }
    )


def places(submission: Submission) -> Iterator[tuple[str, str, str]]:
    """Field, place and the folder of the bucket that it has to lie in, of all that a job reads."""
    job = submission.job
    for number, source in enumerate(job.sources):
        yield ("job.capture" if len(job.sources) == 1 else f"job.capture.{number}"), source, CAPTURES
    if job.masks is not None and job.masks.folder:
        yield "job.masks.folder", job.masks.folder, CAPTURES
    if job.masks is not None and job.masks.weights and job.masks.weights != "download":
        yield "job.masks.weights", job.masks.weights, MODELS
    if job.cameras.priors and job.cameras.priors != PRIORS_OF_CAPTURE:
        yield "job.cameras.priors", job.cameras.priors, CAPTURES


def _refuse_foreign(field: str, place: str, folder: str, bucket: str) -> None:
    example = f"s3://{bucket}/{folder}…"
    if not place.startswith("s3://"):
        raise ConfigError(f"{field}: {place!r} is a path of some machine", hint=f"upload it, and name it {example}")
    named, _, key = place.removeprefix("s3://").partition("/")
    if named != bucket:
        raise ConfigError(
            f"{field}: {place!r} lies in another bucket than the job",
            why="the training job may read this stack's bucket only",
            hint=f"copy it to {example}",
        )
    parts = key.rstrip("/").split("/")
    if {"..", ".", ""} & set(parts) or re.search(r"[\x00-\x1f\x7f\\]", key):
        raise ConfigError(f"{field}: {place!r} is no plain place", why="it has '.', '..', '//', or control characters")
    if not key.startswith(folder) or len(parts) < 2:
        raise ConfigError(f"{field}: {place!r} does not lie below {folder}", hint=f"name something like {example}")
