"""Submits jobs to SageMaker: the capture goes up once, the Estimator asks for the job, a handle follows it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from splatlib import s3
from splatlib.config import Job
from splatlib.errors import ConfigError, JobNotFoundError, LaunchError
from splatlib.launch.aws.account import bucket_of, refuse_missing_image, role_arn
from splatlib.launch.aws.handle import SageMakerJob
from splatlib.launch.aws.request import Places, estimator_for, training_job
from splatlib.launch.aws.session import aws_errors_translated, logging_left_alone, sagemaker_session
from splatlib.launch.aws.settings import SageMakerSettings
from splatlib.launch.baggage import Baggage, job_name, pack
from splatlib.launch.estimate import Estimate, estimate, frames_of, refuse_beyond
from splatlib.launch.prices import price_of
from splatlib.progress import logger

_PREFIX = "splatlib-"  # of every job's name: by it they are found again
_MAX_NAME = 63
# A capture is there once as blobs; frames, undistorted pictures and checkpoints are of about its size each.
_ROOM_FOR_WORK = 4
_LATEST = 100


@dataclass(frozen=True)
class SageMaker(SageMakerSettings):
    """Runs jobs as SageMaker training jobs, through the SageMaker SDK's Estimator.

    >>> launcher = SageMaker(instance="ml.g6e.xlarge", image="….amazonaws.com/splatlib:0.1.0", budget_usd=1)
    >>> print(launcher.estimate(job))
    >>> handle = launcher.submit(job)
    """

    @cached_property
    def _session(self) -> Any:
        return sagemaker_session(self.region)

    @property
    def _client(self) -> Any:
        return self._session.sagemaker_client

    def estimate(self, job: Job, megapixels: float | None = None) -> Estimate:
        """What a job will take and cost, from the files on this machine; nothing is uploaded.

        Raises CaptureNotFoundError, LaunchError where no region is set.
        """
        return self._estimate(job, pack(job), megapixels)

    def submit(self, job: Job, name: str | None = None) -> SageMakerJob:
        """Upload what is not there yet and start the job.

        Args:
            name: letters, digits and hyphens; ``splatlib-`` is put before it.

        Raises:
            ConfigError: no image is named, or the name is none.
            CaptureNotFoundError, CaptureUnreadableError: a local file.
            BudgetError: it may cost more than ``budget_usd``.
            LaunchAccessError, LaunchQuotaError: AWS refuses. LaunchError: the bucket lies elsewhere, there is no such
                image, the capture does not fit on the disk, or the name is taken.
            S3Error and its subclasses: the upload broke off; what arrived is kept.
        """
        image = self.image_uri
        name = _checked_name(name or job_name(job))
        self._refuse_what_cannot_work(job)
        baggage = pack(job)
        self._refuse_too_large(job, baggage)
        estimated = self._estimate(job, baggage, None)
        refuse_beyond(self.budget_usd, estimated)
        refuse_missing_image(image, self._session)
        role = role_arn(self, self._session)
        places = Places(f"s3://{bucket_of(self, self._session)}/{self.prefix}", name)
        document = training_job(self, baggage.job, places, role, has_capture=bool(baggage.files))
        self._refuse_taken(name)
        logger.info("submitting %s: %s", name, estimated)
        self._send(baggage, places)
        self._ask(document)
        return SageMakerJob(name, self)

    def attach(self, name: str) -> SageMakerJob:
        """A job that was submitted before. Raises JobNotFoundError, LaunchAccessError."""
        handle = SageMakerJob(name, self)
        handle.describe()
        return handle

    def jobs(self) -> Sequence[SageMakerJob]:
        """The latest hundred jobs of splatlib in this account and region, the latest first."""
        with aws_errors_translated("listing training jobs", needs="sagemaker:ListTrainingJobs"):
            answer = self._client.list_training_jobs(
                NameContains=_PREFIX, SortBy="CreationTime", SortOrder="Descending", MaxResults=_LATEST
            )
        found = sorted(answer["TrainingJobSummaries"], key=lambda summary: summary["CreationTime"], reverse=True)
        return [SageMakerJob(summary["TrainingJobName"], self) for summary in found]

    def _estimate(self, job: Job, baggage: Baggage, megapixels: float | None) -> Estimate:
        instance = self.instance_for(job)
        region = self._session.boto_session.region_name
        price = price_of(instance.name, region)
        frames = frames_of(job, baggage)
        return estimate(job, instance, price, frames=frames, megapixels=megapixels, spot=self.spot)

    def _refuse_what_cannot_work(self, job: Job) -> None:
        instance = self.instance_for(job)
        if not instance.gpus and (job.train.device == "cuda" or job.train.backend != "splatlib"):
            wants = (
                "train.device is cuda" if job.train.device == "cuda" else f"{job.train.backend} trains on a GPU only"
            )
            raise ConfigError(f"{wants}, and {instance.name} has no GPU", hint="an instance of ml.g…")
        if self.network_isolation and any(source.startswith("s3://") for source in job.sources):
            raise ConfigError(
                "a container without a network cannot read a capture from S3",
                hint="name local files, or network_isolation=False",
            )

    def _refuse_too_large(self, job: Job, baggage: Baggage) -> None:
        instance = self.instance_for(job)
        room_gib = instance.nvme_gb * 1e9 / 2**30 if instance.nvme_gb else self.volume_gib
        needed_gib = baggage.size_bytes * _ROOM_FOR_WORK / 2**30
        if needed_gib > room_gib:
            raise LaunchError(
                f"the capture has {baggage.size_bytes / 2**30:.1f} GiB, too much for the disk of {instance.name}",
                why=f"with frames and checkpoints it takes about {needed_gib:.0f} GiB; there are {room_gib:.0f}",
                hint="a larger instance of the family" if instance.nvme_gb else "a larger volume_gib",
            )

    def _refuse_taken(self, name: str) -> None:
        """SageMaker says so too, but only after the upload."""
        try:
            SageMakerJob(name, self).describe()
        except JobNotFoundError:
            return
        raise LaunchError(f"there is a job {name} already", hint="choose another name, or none at all")

    def _send(self, baggage: Baggage, places: Places) -> None:
        files = [s3.Content(file.path, file.size_bytes, file.sha256) for file in baggage.files]
        texts = {f"{places.job}/{name}": text for name, text in baggage.documents.files().items()}
        if files:
            uploaded = s3.upload(files, places.blobs, "uploading the capture", self.kms_key)
            logger.info(
                "%d files, %d of them new, %.1f MB sent", len(files), uploaded.num_sent, uploaded.bytes_sent / 1e6
            )
            manifest = [{"prefix": f"{places.blobs}/"}, *sorted({file.sha256 for file in files})]
            texts[places.manifest] = json.dumps(manifest)
        s3.put_texts(texts, self.kms_key)

    def _ask(self, document: dict[str, Any]) -> None:
        with (
            logging_left_alone(),
            aws_errors_translated("starting a training job", needs="sagemaker:CreateTrainingJob"),
        ):
            estimator, inputs = estimator_for(document, self._session)
            estimator.fit(inputs, wait=False, job_name=document["TrainingJobName"])


def _checked_name(name: str) -> str:
    name = name if name.startswith(_PREFIX) else _PREFIX + name
    if not re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*", name) or len(name) > _MAX_NAME:
        raise ConfigError(
            f"{name!r} is no name for a job", hint=f"letters, digits and single hyphens, at most {_MAX_NAME} in all"
        )
    return name
