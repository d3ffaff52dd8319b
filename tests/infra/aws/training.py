"""Training jobs of ``tests.local_aws``, with ends that a test plans by a pattern of the job's name.

{"seconds": 0.2, "metrics": {"psnr_db": 27.5}, "failure": "text", "lines": […], "training_s": 900}   a short program
{"reason": "CapacityError: …", "seconds": 0.1}        SageMaker's own fault: no container ever ran
{"checkpoints": 2}                                    so many, each instead of the one before
{"interrupt_after_s": 3}                              a spot instance that is taken away once
{"limit_s": 2}                                        a time limit shorter than the request's
{"real": true}                                        the real entry point, where a short program stands for the others
"""

from __future__ import annotations

import json
import re
import sys
import threading
from pathlib import Path
from typing import Any

from tests.infra.aws.settings import HERE
from tests.local_aws.training import Running

_one_container, _run_process, _put_model, _end = (
    Running._one_container,
    Running._run_process,
    Running._put_model,
    Running._end,
)
# What stands for the image: a program that does what the plan says, unless the plan wants the real entry point.
_PROGRAM = """
import json, os, sys, time
plan = json.loads(os.environ["PLAN"])
metrics = plan.get("metrics", {"psnr_db": 27.5})
print("[splatlib] stage=train step=10", *(f"{name}={value}" for name, value in metrics.items()))
for line in plan.get("lines", []):
    print(line)
sys.stdout.flush()
root = os.environ["SPLATLIB_ML_ROOT"]
for number in range(plan.get("checkpoints", 0)):  # each instead of the one before
    open(f"{root}/checkpoints/{number}.pt", "wb").write(b"state")
    if number:
        os.remove(f"{root}/checkpoints/{number - 1}.pt")
    time.sleep(0.7)
time.sleep(plan.get("seconds", 0.05))
if "failure" in plan:
    open(root + "/output/failure", "w").write(plan["failure"])
    sys.exit(1)
open(root + "/model/scene.spz", "wb").write(b"splat")
"""


def container() -> list[str]:
    return [sys.executable, "-I", "-S", "-c", _PROGRAM]


def plan_of(job_name: str) -> dict[str, Any]:
    return next((plan for pattern, plan in HERE.training if re.search(pattern, job_name)), {})


def _one(self: Any) -> tuple[int, str]:
    plan = plan_of(self._request["TrainingJobName"])
    self._request["Environment"] = {**self._request.get("Environment", {}), "PLAN": json.dumps(plan)}
    if "reason" in plan:
        threading.Event().wait(plan.get("seconds", 0.05))
        return 1, ""
    return _one_container(self)


def _process(self: Any, root: Path, started_s: float) -> int:
    plan = plan_of(self._request["TrainingJobName"])
    if plan.get("real"):
        self._container = [sys.executable, "-m", "splatlib.container"]
    if "interrupt_after_s" in plan and self.containers == 1:
        threading.Timer(plan["interrupt_after_s"], self.interrupt).start()
    if "limit_s" in plan:
        self._request["StoppingCondition"]["MaxRuntimeInSeconds"] = plan["limit_s"]
    return _run_process(self, root, started_s)


def _model(self: Any, root: Path) -> None:
    """``CompressionType`` NONE: the files themselves, below output/model/."""
    output = self._request["OutputDataConfig"]
    if output.get("CompressionType") != "NONE":
        return _put_model(self, root)
    bucket, _, prefix = output["S3OutputPath"].removeprefix("s3://").partition("/")
    s3 = self._client("s3")
    for path in sorted((root / "model").rglob("*")):
        if path.is_file():
            name = path.relative_to(root / "model").as_posix()
            key = f"{prefix.rstrip('/')}/{self._request['TrainingJobName']}/output/model/{name}"
            s3.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())
    return None


def _ended(self: Any, status: str, secondary: str | None = None) -> None:
    plan = plan_of(self._request["TrainingJobName"])
    if status == "Failed" and "reason" in plan:
        self._job.failure_reason = plan["reason"]
    self._seconds = plan.get("training_s", self._seconds)
    _end(self, status, secondary)


def patch() -> None:
    for name, function in {
        "_one_container": _one,
        "_run_process": _process,
        "_put_model": _model,
        "_end": _ended,
    }.items():
        assert hasattr(Running, name), f"tests/local_aws has no Running.{name} any more"
        setattr(Running, name, function)
