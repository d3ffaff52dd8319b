"""The production stack under load: so many submissions in a minute, with faults injected at every hop.

    python -m benchmarks.production --submissions 1000

On the local AWS (tests/infra/aws), deployed by the real CDK. Injected: throttled DynamoDB calls, functions that fail
before they ran or whose answer is lost, events that come twice or late. Counted at the end: submissions without exactly
one record that has ended, and without exactly one mail. What is measured is that nothing is lost, not how fast AWS is.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from benchmarks.common import RESULTS, append_row
from tests.infra.aws.settings import ServerSettings
from tests.infra.local_stack import ENDED, REGION, LocalStack, local_stack

FAULTS = {
    "dynamodb": 0.03,
    "sagemaker": 0.03,
    "lambda_before": 0.03,
    "lambda_after": 0.03,
    "duplicate": 0.1,
    "shuffle": 0.2,
}
PLANS: list[tuple[str, dict[str, Any]]] = [
    ("-fails", {"failure": "[cameras] no two frames match", "seconds": 0.01}),
    (".*", {"seconds": 0.01, "training_s": 600}),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--submissions", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=1.0, help="over which they come")
    parser.add_argument("--patience-s", type=float, default=1800, help="until all must have ended")
    arguments = parser.parse_args()
    # time: a wait of five minutes for a slot takes fifteen seconds here
    with local_stack(ServerSettings(fault_rates=FAULTS, training=PLANS, workers=6, time_scale=0.05)) as stack:
        stack.context |= {"stack_slots": "60", "submitter_slots": "20"}
        stack.deploy()
        stack.put("captures/fox/0001.jpg", b"x" * 1000)
        wanted, uploaded_s = _submit(stack, arguments.submissions, 60 * arguments.minutes)
        print(f"{len(wanted)} submissions in {uploaded_s:.0f} s", flush=True)
        row = {"submissions": len(wanted), "seconds_to_upload": round(uploaded_s)}
        row |= _outcome(stack, wanted, arguments.patience_s)
        print(json.dumps(row, indent=2))
        append_row(RESULTS / "production.json", row)


def _submit(stack: LocalStack, number: int, seconds: float) -> tuple[dict[str, str], float]:
    """Upload jobs evenly, some twice; returns what must become of each, and the seconds until all were uploaded."""
    pool, uploads = ThreadPoolExecutor(8), []
    stack.client("s3")
    chosen = random.Random(7)
    wanted: dict[str, str] = {}
    began_s = time.monotonic()
    for index in range(number):
        kind = chosen.choices(["SUCCEEDED", "FAILED", "REJECTED"], [80, 10, 10])[0]
        job_id = f"load-{index}{'-fails' if kind == 'FAILED' else ''}"
        wanted[job_id] = kind
        fields = {"train": {"stepz": 1}} if kind == "REJECTED" else {}
        body = {"capture": f"s3://{stack.bucket}/captures/fox/", **fields}
        for _ in range(1 + (chosen.random() < 0.05)):
            key, uploader = f"jobs/{job_id}.json", f"AWS:USER{index % 5}"
            uploads.append(pool.submit(stack.put, key, body, uploader=uploader))
        time.sleep(max(0.0, began_s + seconds * (index + 1) / number - time.monotonic()))
    for upload in uploads:
        upload.result()
    return wanted, time.monotonic() - began_s


def _outcome(stack: LocalStack, wanted: dict[str, str], patience_s: float) -> dict[str, Any]:
    began_s = time.monotonic()
    mails: Counter[str] = Counter()
    threading.Thread(target=_sweep_now_and_then, args=(stack,), daemon=True).start()
    while time.monotonic() - began_s < patience_s:
        mails.update(subject for subject, _ in stack.mails())
        statuses = _statuses(stack)
        open_ones = [job_id for job_id in wanted if statuses.get(job_id, ("", ""))[0] not in ENDED]
        unsent = [job_id for job_id in wanted if statuses.get(job_id, ("", ""))[1] != "SENT"]
        print(f"{time.monotonic() - began_s:6.0f} s: {len(open_ones)} open, {len(unsent)} unsent", flush=True)
        if not open_ones and not unsent:
            break
        time.sleep(5)
    time.sleep(3)
    mails.update(subject for subject, _ in stack.mails())
    statuses = _statuses(stack)
    about = {job_id: sum(n for subject, n in mails.items() if job_id in subject.split()) for job_id in wanted}
    wrong = [job_id for job_id, kind in wanted.items() if statuses.get(job_id, ("",))[0] != kind]
    for job_id in wrong:
        record = stack.record(job_id) or {}
        told = {name: record.get(name) for name in ("status", "cause", "error", "log_lines", "training_jobs")}
        print(f"{job_id} was to be {wanted[job_id]}: {told}", flush=True)
    names = [job["TrainingJobName"] for job in _training_jobs(stack)]
    return {
        "seconds_until_all_ended": round(time.monotonic() - began_s),
        "records": len(statuses),
        "wrong_or_missing_ends": len(wrong),
        "without_mail": sum(number == 0 for number in about.values()),
        "with_two_mails": sum(number > 1 for number in about.values()),
        "training_jobs": len(names),
        "trained_twice": sum(n > 1 for n in Counter(name.rpartition("-a")[0] for name in names).values()),
        "load_of_the_machine": [round(load, 1) for load in os.getloadavg()],
        "faults": FAULTS,
    }


def _sweep_now_and_then(stack: LocalStack) -> None:
    """EventBridge's clock, which the local AWS lacks; a quarter of an hour takes 45 seconds at this scale of time."""
    functions = boto3.client(
        "lambda",
        endpoint_url=stack.endpoint,
        region_name=REGION,
        aws_access_key_id="somebody",
        aws_secret_access_key="of-tests",
        config=Config(read_timeout=900, retries={"total_max_attempts": 1}),
    )
    while True:
        time.sleep(45)
        try:
            functions.invoke(FunctionName="splatlib-sweep", Payload=json.dumps({"patience_s": 120}).encode())
        except (BotoCoreError, ClientError) as error:  # at the end, the server goes first
            print(f"the sweep: {error}", flush=True)
            return


def _statuses(stack: LocalStack) -> dict[str, tuple[str, str]]:
    pages = (
        stack.client("dynamodb")
        .get_paginator("scan")
        .paginate(
            TableName="splatlib-records",
            ProjectionExpression="id, #status, mail",
            ExpressionAttributeNames={"#status": "status"},
        )
    )
    items = [item for page in pages for item in page["Items"]]
    return {item["id"]["S"]: (item["status"]["S"], item.get("mail", {}).get("S", "")) for item in items}


def _training_jobs(stack: LocalStack) -> list[dict[str, Any]]:
    pages = stack.client("sagemaker").get_paginator("list_training_jobs").paginate()
    return [job for page in pages for job in page["TrainingJobSummaries"]]


if __name__ == "__main__":
    main()
