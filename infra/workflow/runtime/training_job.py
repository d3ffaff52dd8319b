"""The CreateTrainingJob document of one attempt at a submission."""

from __future__ import annotations

from typing import Any

from infra.runtime.parameters import Settings
from infra.runtime.records import Record
from splatlib.launch.contract import JOB_CHANNEL, metric_definitions

# The workspace holds the capture, the frames at full size and as trained, the database, checkpoints and exports.
_VOLUME_PER_CAPTURE_BYTE = 4
_VOLUME_BASE_GB = 30
_MAX_LABEL = 200
NAME_PREFIX = "splatlib-"


def training_job_name(submission_id: str, attempt: int) -> str:
    """A name that no attempt had before: SageMaker never gives one twice."""
    return f"{NAME_PREFIX}{submission_id}-a{attempt}"


def instance_of(record: Record, attempt: int, settings: Settings) -> str:
    """The instance that was asked for; otherwise the stack's first, and after a lack of capacity the next one."""
    return record["asked_instance"] or settings.instances[(attempt - 1) % len(settings.instances)]


def volume_gb(capture_bytes: int, settings: Settings) -> int:
    """Size of the disk for a capture of so many bytes."""
    return min(_VOLUME_BASE_GB + _VOLUME_PER_CAPTURE_BYTE * capture_bytes // 10**9, settings.max_volume_gb)


def job_prefix(submission_id: str) -> str:
    """Where the channel ``job`` lies in the bucket."""
    return f"results/{submission_id}/job/"


def results_uri(submission_id: str, settings: Settings) -> str:
    return f"s3://{settings.bucket}/results/{submission_id}/"


def checkpoint_uri(submission_id: str, settings: Settings) -> str:
    """The workspace: the same one for every attempt, so that a new one goes on where the last one stopped."""
    return f"s3://{settings.bucket}/checkpoints/{submission_id}/"


def artefact_uri(submission_id: str, attempt: int, settings: Settings) -> str:
    """Where SageMaker puts the files of /opt/ml/model, uncompressed."""
    return f"{results_uri(submission_id, settings)}{training_job_name(submission_id, attempt)}/output/model/"


def document(record: Record, attempt: int, capture_bytes: int, settings: Settings) -> dict[str, Any]:
    """The request for one attempt; checked in the tests against botocore's own model of it."""
    submission_id = record["id"]
    request: dict[str, Any] = {
        "TrainingJobName": training_job_name(submission_id, attempt),
        "RoleArn": settings.training_role_arn,
        "AlgorithmSpecification": {
            "TrainingImage": settings.image_uri,
            "TrainingInputMode": "File",
            "EnableSageMakerMetricsTimeSeries": False,
            "MetricDefinitions": metric_definitions(),
        },
        "InputDataConfig": [
            {
                "ChannelName": JOB_CHANNEL,
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": f"s3://{settings.bucket}/{job_prefix(submission_id)}",
                        "S3DataDistributionType": "FullyReplicated",
                    }
                },
            }
        ],
        "OutputDataConfig": {
            "S3OutputPath": results_uri(submission_id, settings),
            "CompressionType": "NONE",
            "KmsKeyId": settings.kms_key_arn,
        },
        "CheckpointConfig": {"S3Uri": checkpoint_uri(submission_id, settings)},
        "ResourceConfig": {
            "InstanceType": instance_of(record, attempt, settings),
            "InstanceCount": 1,
            "VolumeSizeInGB": volume_gb(capture_bytes, settings),
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": record["max_run_s"]},
        "EnableManagedSpotTraining": record["spot"],
        "EnableInterContainerTrafficEncryption": False,
        "Environment": {"SPLATLIB_WEIGHTS": f"s3://{settings.bucket}/models/"},
        "Tags": _tags(record, settings),
    }
    if record["spot"]:
        waited_s = record["max_run_s"] + settings.max_wait_s
        request["StoppingCondition"]["MaxWaitTimeInSeconds"] = min(waited_s, 28 * 86_400)
    if settings.subnets:
        groups = list(settings.security_groups)
        request["VpcConfig"] = {"Subnets": list(settings.subnets), "SecurityGroupIds": groups}
    return request


def _tags(record: Record, settings: Settings) -> list[dict[str, str]]:
    tags = {"splatlib:stack": settings.stack, "splatlib:job": record["id"]}
    labels = {f"splatlib:label:{name}"[:128]: value[:_MAX_LABEL] for name, value in record.get("labels", {}).items()}
    return [{"Key": _taggable(name), "Value": _taggable(value)} for name, value in (labels | tags).items()]


def _taggable(text: str) -> str:
    """Tags admit letters, digits, spaces and a few signs."""
    return "".join(letter if letter.isalnum() or letter in " _.:/=+-@" else "_" for letter in text)
