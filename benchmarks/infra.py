"""The production stack's own figures: seconds to synthesise it, size of its functions, how soon one of them answers.

    python -m benchmarks.infra      # a minute

A cold start is measured as Lambda makes one: a fresh interpreter that finds the bundle's folder and boto3, imports the
handler, and answers its first event. The bundle is built for this machine and this Python, since the deployed one is
for arm64; its bytecode is not kept, as on Lambda, whose folder is read-only. AWS is moto, in a process of its own: its
answers take longer than AWS's, and the network's way is missing.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import boto3

from benchmarks.common import RESULTS, ROOT, append_row
from infra.bundle import build, pack
from infra.stack import BUNDLES
from tests.infra.local_stack import find_cdk, free_port, wait_for
from tests.infra.world import SETTINGS, make_tables

RUNS = 5
REGION = "us-east-1"
# What Lambda's runtime does before the first answer; what it imports itself (boto3 not among it) is in the time, too.
_RUNTIME = """
import json, sys, time
began_s = time.perf_counter()
sys.path.insert(0, sys.argv[1])
from infra.intake.runtime.handler import handle
imported_s = time.perf_counter()
answer = handle(json.load(sys.stdin), None)
assert answer == {"batchItemFailures": []}, answer
print(json.dumps({"import": imported_s - began_s, "first_event": time.perf_counter() - imported_s}))
"""


def main() -> None:
    load = round(os.getloadavg()[0], 1)
    row = {**_synthesis(), **_bundles(), **_cold_start(), "load_of_the_machine": load}
    print(json.dumps(row, indent=2))
    append_row(RESULTS / "infra.json", row)


def _cpu_s() -> float:
    """Of the children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _synthesis() -> dict[str, float]:
    command = find_cdk()
    assert command is not None, "npm's aws-cdk is not installed: make infra-install"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "CDK_DISABLE_CLI_TELEMETRY": "true"}
    seconds, cpu_seconds = [], []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(1 + 3):  # the first one builds the bundle
            began_s, before_s = time.perf_counter(), _cpu_s()
            subprocess.run(
                [command, "synth", "--quiet", "--output", folder],
                cwd=ROOT, env=environment, check=True, capture_output=True,
            )  # fmt: skip
            seconds.append(time.perf_counter() - began_s)
            cpu_seconds.append(_cpu_s() - before_s)
    return {
        "synth_s": round(statistics.median(seconds[1:]), 2),
        "synth_cpu_s": round(statistics.median(cpu_seconds[1:]), 2),
    }


def _bundles() -> dict[str, Any]:
    """One bundle serves the four functions: its size is that of each."""
    folder = build(BUNDLES / "lambda-314-arm64")
    with tempfile.TemporaryDirectory() as temporary:
        zipped = pack(folder, Path(temporary) / "lambda.zip").stat().st_size
    unpacked = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return {"bundle_mb": round(zipped / 1e6, 2), "bundle_unpacked_mb": round(unpacked / 1e6, 2)}


def _cold_start() -> dict[str, Any]:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    with tempfile.TemporaryDirectory() as temporary:
        bundle = build(Path(temporary) / "bundle", version, "x86_64")
        port = free_port()
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "of-a-benchmark",
            "AWS_SECRET_ACCESS_KEY": "of-a-benchmark",
            "AWS_DEFAULT_REGION": REGION,
            "SPLATLIB_PARAMETERS": "/splatlib",
        }
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-p", str(port)], env=environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            wait_for(lambda: _answers(environment["AWS_ENDPOINT_URL"]), 60, lambda: "moto does not start")
            _furnish(environment)
            runs = [_one_start(bundle, environment, number) for number in range(1 + RUNS)][1:]
        finally:
            server.terminate()
            server.wait(20)
    middle = {name: round(statistics.median(run[name] for run in runs), 3) for name in runs[0]}
    return {"cold_start_s": middle.pop("all"), **{f"cold_start_{name}_s": s for name, s in middle.items()}}


def _one_start(bundle: Path, environment: dict[str, str], number: int) -> dict[str, float]:
    name = f"bench-{number}"
    body = json.dumps({"capture": f"s3://{SETTINGS['bucket']}/captures/fox/"}).encode()
    put = _client(environment, "s3").put_object(Bucket=SETTINGS["bucket"], Key=f"jobs/{name}.json", Body=body)
    event = json.loads((ROOT / "tests/infra/events/s3_put.json").read_text())
    event["Records"][0]["s3"]["bucket"]["name"] = SETTINGS["bucket"]
    event["Records"][0]["s3"]["object"] |= {
        "key": f"jobs/{name}.json", "size": len(body), "versionId": put["VersionId"], "eTag": put["ETag"].strip('"'),
    }  # fmt: skip
    messages = {"Records": [{"messageId": "1", "body": json.dumps({"Message": json.dumps(event)})}]}
    began_s, before_s = time.perf_counter(), _cpu_s()
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", _RUNTIME, str(bundle)],
        input=json.dumps(messages), env=environment, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {"all": time.perf_counter() - began_s, "cpu": _cpu_s() - before_s, **json.loads(done.stdout)}


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/moto-api/data.json") as answer:
            return answer.status == 200
    except OSError:
        return False


def _client(environment: dict[str, str], service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name=REGION,
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )


def _furnish(environment: dict[str, str]) -> None:
    """What the trigger function talks to."""
    s3, ssm = _client(environment, "s3"), _client(environment, "ssm")
    s3.create_bucket(Bucket=SETTINGS["bucket"])
    s3.put_bucket_versioning(Bucket=SETTINGS["bucket"], VersioningConfiguration={"Status": "Enabled"})
    make_tables(_client(environment, "dynamodb"))
    machine = _client(environment, "stepfunctions").create_state_machine(
        name="splatlib",
        definition=json.dumps({"StartAt": "End", "States": {"End": {"Type": "Succeed"}}}),
        roleArn="arn:aws:iam::123456789012:role/splatlib-workflow",
    )
    values = {"settings": json.dumps(SETTINGS), "state-machine-arn": machine["stateMachineArn"], "image-uri": "none"}
    for name, value in values.items():
        ssm.put_parameter(Name=f"/splatlib/{name}", Value=value, Type="String")


if __name__ == "__main__":
    main()
