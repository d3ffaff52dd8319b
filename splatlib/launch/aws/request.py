"""The CreateTrainingJob document of a job: what is asked of SageMaker, and the Estimator that asks for it.

The document is the contract, held by tests against what the SDK really sends; another SDK needs another
``estimator_for`` only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from splatlib.config import Job
from splatlib.launch.aws.settings import SageMakerSettings
from splatlib.launch.contract import (
    CAPTURE_CHANNEL,
    JOB_CHANNEL,
    SAGEMAKER_ROOT,
    TORCH_DISTRIBUTED,
    metric_definitions,
)


@dataclass(frozen=True)
class Places:
    """Where a job's documents lie in S3.

    Attributes:
        root: ``s3://bucket/prefix``.
        name: the job's.
    """

    root: str
    name: str

    @property
    def blobs(self) -> str:
        """Files by their SHA-256, shared by all jobs."""
        return f"{self.root}/blobs"

    @property
    def _own(self) -> str:
        return f"{self.root}/jobs/{self.name}"

    @property
    def job(self) -> str:
        return f"{self._own}/input/job"

    @property
    def manifest(self) -> str:
        return f"{self._own}/input/capture.manifest"

    @property
    def workspace(self) -> str:
        return f"{self._own}/workspace"

    @property
    def output(self) -> str:
        return f"{self._own}/output"


def training_job(
    settings: SageMakerSettings, job: Job, places: Places, role_arn: str, *, has_capture: bool
) -> dict[str, Any]:
    """The document.

    Args:
        has_capture: whether files travel with the job; else all of it lies in S3.
    """
    instance = settings.instance_for(job)
    resources: dict[str, Any] = {
        "InstanceType": instance.name,
        "InstanceCount": 1,
        # one with its own disk has that disk, whole, and takes no key for it
        "VolumeSizeInGB": settings.volume_gib if not instance.nvme_gb else min(settings.volume_gib, instance.nvme_gb),
    }
    if settings.kms_key and not instance.nvme_gb:
        resources["VolumeKmsKeyId"] = settings.kms_key
    if settings.keep_alive_s:
        resources["KeepAlivePeriodInSeconds"] = settings.keep_alive_s
    stopping = {"MaxRuntimeInSeconds": settings.max_run_s}
    if settings.spot:
        stopping["MaxWaitTimeInSeconds"] = settings.wait_s
    channels = [_channel(JOB_CHANNEL, places.job, "S3Prefix")]
    if has_capture:
        channels.append(_channel(CAPTURE_CHANNEL, places.manifest, "ManifestFile"))
    document: dict[str, Any] = {
        "TrainingJobName": places.name,
        "AlgorithmSpecification": {
            "TrainingImage": settings.image_uri,
            "TrainingInputMode": "File",
            "MetricDefinitions": metric_definitions(),
        },
        "RoleArn": role_arn,
        "InputDataConfig": channels,
        "OutputDataConfig": {
            "S3OutputPath": places.output,
            **({"KmsKeyId": settings.kms_key} if settings.kms_key else {}),
        },
        "ResourceConfig": resources,
        "StoppingCondition": stopping,
        "EnableManagedSpotTraining": settings.spot,
        "CheckpointConfig": {"S3Uri": places.workspace, "LocalPath": f"{SAGEMAKER_ROOT}/checkpoints"},
        "Environment": {"SPLATLIB_PROGRESS": "text", **settings.environment},
        "Tags": [{"Key": key, "Value": value} for key, value in settings.all_tags.items()],
        "ProfilerConfig": {"DisableProfiler": True},
    }
    if instance.gpus > 1:
        document["HyperParameters"] = {TORCH_DISTRIBUTED: "true"}
    if settings.network_isolation:
        document["EnableNetworkIsolation"] = True
    if settings.subnets:
        document["VpcConfig"] = {
            "Subnets": list(settings.subnets),
            "SecurityGroupIds": list(settings.security_groups),
        }
    return document


def _channel(name: str, uri: str, kind: str) -> dict[str, Any]:
    source = {"S3DataType": kind, "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}


def estimator_for(document: dict[str, Any], session: Any) -> tuple[Any, dict[str, Any]]:
    """The SDK's Estimator that sends this document, and the inputs for its ``fit``."""
    from sagemaker.estimator import Estimator
    from sagemaker.inputs import TrainingInput

    resources, stopping = document["ResourceConfig"], document["StoppingCondition"]
    vpc = document.get("VpcConfig", {})
    estimator = Estimator(
        image_uri=document["AlgorithmSpecification"]["TrainingImage"],
        role=document["RoleArn"],
        sagemaker_session=session,
        instance_count=resources["InstanceCount"],
        instance_type=resources["InstanceType"],
        volume_size=resources["VolumeSizeInGB"],
        volume_kms_key=resources.get("VolumeKmsKeyId"),
        keep_alive_period_in_seconds=resources.get("KeepAlivePeriodInSeconds"),
        max_run=stopping["MaxRuntimeInSeconds"],
        use_spot_instances=document["EnableManagedSpotTraining"],
        max_wait=stopping.get("MaxWaitTimeInSeconds"),
        input_mode=document["AlgorithmSpecification"]["TrainingInputMode"],
        output_path=document["OutputDataConfig"]["S3OutputPath"],
        output_kms_key=document["OutputDataConfig"].get("KmsKeyId"),
        checkpoint_s3_uri=document["CheckpointConfig"]["S3Uri"],
        checkpoint_local_path=document["CheckpointConfig"]["LocalPath"],
        hyperparameters=document.get("HyperParameters"),
        metric_definitions=document["AlgorithmSpecification"]["MetricDefinitions"],
        environment=document["Environment"],
        tags=document["Tags"],
        subnets=vpc.get("Subnets"),
        security_group_ids=vpc.get("SecurityGroupIds"),
        enable_network_isolation=document.get("EnableNetworkIsolation", False),
        disable_profiler=True,
        debugger_hook_config=False,
    )
    inputs = {}
    for channel in document["InputDataConfig"]:
        source = channel["DataSource"]["S3DataSource"]
        inputs[channel["ChannelName"]] = TrainingInput(
            source["S3Uri"], distribution=source["S3DataDistributionType"], s3_data_type=source["S3DataType"]
        )
    return estimator, inputs
