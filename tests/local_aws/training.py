"""One training job: channels from S3, the container's entry point as a child process, checkpoints and results to S3."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import tarfile
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moto.core.utils import utcnow

if TYPE_CHECKING:
    from tests.local_aws import LocalAws

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
GRACE_S = 120.0
# Of the time that a spot job trains, the share that is billed here; AWS's own differs by the hour.
BILLED_OF_SPOT = 0.4
_MAX_REASON = 1024


class Running:
    """A job between its creation and its end."""

    def __init__(self, aws: LocalAws, job: Any, request: dict[str, Any], container: list[str]) -> None:
        self._aws, self._job, self._request, self._container = aws, job, request, container
        self.instance = request["ResourceConfig"]["InstanceType"]
        # SageMaker copies, logs and runs the container with the rights of the job's role: its name is the key's id
        self.role = request["RoleArn"].rpartition("/")[2]
        self.containers = 0
        self._process: subprocess.Popen[str] | None = None
        self._wanted = ""  # "", "stop", "interrupt", "lose", "time"
        self._seconds = 0.0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._synced: dict[str, tuple[int, int]] = {}

    def _client(self, service: str) -> Any:
        return self._aws.client(service, self.role)

    @property
    def ended(self) -> bool:
        return self._job.training_job_status in ("Completed", "Failed", "Stopped")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        if not self.ended:
            self._job.training_job_status = self._job.secondary_status = "Stopping"
            self._end_process("stop", signal.SIGTERM)

    def interrupt(self, warned: bool = True) -> None:
        assert self._request.get("EnableManagedSpotTraining"), "only spot instances are taken away"
        self._end_process("interrupt" if warned else "lose", signal.SIGTERM if warned else signal.SIGKILL)

    def time_is_over(self) -> None:
        """As if max_run_s, which is a minute at least, had passed."""
        self._end_process("time", signal.SIGTERM)

    def abandon(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._end_process("stop", signal.SIGKILL)
        self._thread.join(30)

    def _end_process(self, wanted: str, sent: signal.Signals) -> None:
        self._wanted = wanted
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(sent)
            threading.Timer(GRACE_S, self._process.kill).start() if sent is signal.SIGTERM else None

    def _run(self) -> None:
        try:
            while True:
                self._tell("Downloading")
                status, reason = self._one_container()
                if self._wanted in ("interrupt", "lose"):
                    self._tell("Interrupted", "Instance was taken back")
                    self._wanted = ""
                    continue
                break
            self._finish(status, reason)
        except Exception as error:  # noqa: BLE001  a job of SageMaker fails, its service does not
            self._job.failure_reason = f"ClientError: {error}"
            self._end("Failed")

    def _one_container(self) -> tuple[int, str]:
        """Exit status of one container on a disk of its own, and what it left in the failure file."""
        self.containers += 1
        root = Path(tempfile.mkdtemp(prefix="splatlib-opt-ml-"))
        try:
            self._lay_out(root)
            self._tell("Training")
            started_s = time.monotonic()
            status = self._run_process(root, started_s)
            self._seconds += time.monotonic() - started_s
            if self._wanted != "lose":
                self._sync_checkpoints(root)
            if status == 0:
                self._tell("Uploading")
                self._put_model(root)
            failure = root / "output" / "failure"
            return status, failure.read_text() if failure.exists() else ""
        finally:
            shutil.rmtree(root, ignore_errors=True)

    def _lay_out(self, root: Path) -> None:
        for folder in ("input/data", "input/config", "model", "output/data", "checkpoints"):
            (root / folder).mkdir(parents=True)
        for channel in self._request["InputDataConfig"]:
            source = channel["DataSource"]["S3DataSource"]
            target = root / "input" / "data" / channel["ChannelName"]
            target.mkdir()
            if source["S3DataType"] == "ManifestFile":
                self._get_manifest(source["S3Uri"], target)
            else:
                self._get_prefix(source["S3Uri"], target)
        (root / "input/config/hyperparameters.json").write_text(json.dumps(self._request.get("HyperParameters", {})))
        resources = {"current_host": "algo-1", "hosts": ["algo-1"], "current_instance_type": self.instance}
        (root / "input/config/resourceconfig.json").write_text(json.dumps(resources))
        if checkpoints := self._request.get("CheckpointConfig"):
            self._get_prefix(checkpoints["S3Uri"], root / "checkpoints")

    def _run_process(self, root: Path, started_s: float) -> int:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SPLATLIB_"))},
            **{name: value for name, value in self._aws.environment.items() if name.startswith("AWS_")},
            "AWS_ACCESS_KEY_ID": self.role,
            **self._aws.container_environment,
            **self._request.get("Environment", {}),
            "TRAINING_JOB_NAME": self._request["TrainingJobName"],
            "SPLATLIB_ML_ROOT": str(root),
        }
        if self._wanted == "stop":
            return 143
        self._process = subprocess.Popen(
            self._container, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        syncing = threading.Event()
        sync = threading.Thread(target=self._keep_in_sync, args=(root, syncing), daemon=True)
        sync.start()
        limit_s = self._request["StoppingCondition"]["MaxRuntimeInSeconds"] - self._seconds
        timer = threading.Timer(limit_s, self.time_is_over)
        timer.start()
        self._put_lines(self._process)
        status = self._process.wait()
        timer.cancel()
        syncing.set()
        sync.join()
        return status

    def _put_lines(self, process: subprocess.Popen[str]) -> None:
        logs = self._client("logs")
        stream = f"{self._request['TrainingJobName']}/algo-1-{int(time.time())}-{self.containers}"
        try:
            logs.create_log_stream(logGroupName=LOG_GROUP, logStreamName=stream)
        except logs.exceptions.ResourceNotFoundException:
            with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):  # of a job at the same moment
                logs.create_log_group(logGroupName=LOG_GROUP)
            logs.create_log_stream(logGroupName=LOG_GROUP, logStreamName=stream)
        assert process.stdout is not None
        for line in process.stdout:
            if text := line.rstrip("\n"):
                event = {"timestamp": int(time.time() * 1000), "message": text}
                logs.put_log_events(logGroupName=LOG_GROUP, logStreamName=stream, logEvents=[event])
                self._note_metrics(text)

    def _note_metrics(self, line: str) -> None:
        final = {entry["MetricName"]: entry for entry in self._job.final_metric_data_list}
        data = []
        for definition in self._request["AlgorithmSpecification"].get("MetricDefinitions", []):
            if match := re.search(definition["Regex"], line):
                entry = {"MetricName": definition["Name"], "Value": float(match[1]), "Timestamp": utcnow()}
                final[definition["Name"]] = entry
                data.append({**entry, "Dimensions": [{"Name": "Host", "Value": self._request["TrainingJobName"]}]})
        self._job.final_metric_data_list = list(final.values())
        if data:
            self._client("cloudwatch").put_metric_data(Namespace=LOG_GROUP, MetricData=data)

    def _finish(self, status: int, reason: str) -> None:
        if self._wanted == "time":
            self._job.secondary_status = "MaxRuntimeExceeded"
            self._end("Stopped", "MaxRuntimeExceeded")
        elif self._wanted == "stop":
            self._end("Stopped")
        elif status == 0:
            self._end("Completed")
        else:
            self._job.failure_reason = f"AlgorithmError: {reason[:_MAX_REASON]}, exit code: {status}"
            self._end("Failed")

    def _end(self, status: str, secondary: str | None = None) -> None:
        job = self._job
        job.training_time_in_seconds = max(1, round(self._seconds))
        share = BILLED_OF_SPOT if self._request.get("EnableManagedSpotTraining") else 1.0
        job.billable_time_in_seconds = max(1, round(share * self._seconds))
        self._tell(secondary or status)
        job.training_end_time = job.last_modified_time = utcnow()
        job.training_job_status = status

    def _tell(self, secondary: str, message: str = "") -> None:
        job, now = self._job, utcnow()
        if secondary == "Training" and job.training_start_time is None:
            job.training_start_time = now
        if job.training_job_status == "Stopping" and secondary not in ("Stopped", "MaxRuntimeExceeded"):
            return
        for transition in job.secondary_status_transitions[-1:]:
            transition["EndTime"] = now
        job.secondary_status = secondary
        transition = {"Status": secondary, "StartTime": now, "StatusMessage": message}
        job.secondary_status_transitions = [*job.secondary_status_transitions, transition]

    # S3

    def _get_prefix(self, url: str, target: Path) -> None:
        bucket, prefix = _bucket_and_key(url.rstrip("/") + "/")
        s3 = self._client("s3")
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                self._get(s3, bucket, entry["Key"], target / entry["Key"].removeprefix(prefix))

    def _get_manifest(self, url: str, target: Path) -> None:
        s3 = self._client("s3")
        bucket, key = _bucket_and_key(url)
        head, *names = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        bucket, prefix = _bucket_and_key(head["prefix"])
        for name in names:
            self._get(s3, bucket, prefix + name, target / name)

    def _get(self, s3: Any, bucket: str, key: str, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        # plainly, not by boto3's transfers: they begin ten threads for each file
        target.write_bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())

    def _put_model(self, root: Path) -> None:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            archive.add(root / "model", arcname=".")
        bucket, key = _bucket_and_key(self._job.model_artifacts["S3ModelArtifacts"])
        self._client("s3").put_object(Bucket=bucket, Key=key, Body=packed.getvalue())

    def _keep_in_sync(self, root: Path, leave: threading.Event) -> None:
        while not leave.wait(self._aws.sync_s):
            self._sync_checkpoints(root)

    def _sync_checkpoints(self, root: Path) -> None:
        """Files that changed, one by one. Markers come first, the worst order there is: SageMaker states none."""
        checkpoints = self._request.get("CheckpointConfig")
        if not checkpoints:
            return
        bucket, prefix = _bucket_and_key(checkpoints["S3Uri"].rstrip("/") + "/")
        s3, folder = self._client("s3"), root / "checkpoints"
        there = set()
        for path in sorted(folder.rglob("*")):
            if self._wanted == "lose":
                return
            name = path.relative_to(folder).as_posix()
            try:
                if not path.is_file():
                    continue
                state = path.stat()
                there.add(name)
                if self._synced.get(name) != (state.st_mtime_ns, state.st_size):
                    s3.put_object(Bucket=bucket, Key=prefix + name, Body=path.read_bytes())
                    self._synced[name] = (state.st_mtime_ns, state.st_size)
            except FileNotFoundError:
                continue  # it was replaced meanwhile
        for name in self._synced.keys() - there:
            s3.delete_object(Bucket=bucket, Key=prefix + name)
            del self._synced[name]


def _bucket_and_key(url: str) -> tuple[str, str]:
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return bucket, key
