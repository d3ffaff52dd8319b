"""What submitting a capture of 300 photos takes besides the transfer and the SDK's own time.

    python -m benchmarks.submit [--photos 300] [--kilobytes 1500] [--runs 3] [--out FILE]

Through the real SageMaker SDK against the project's local AWS (moto) in the same process, whose requests cost more than
S3's do from the same region. Each run submits twice: the first sends every photo, the second must send none. Rows go to
``results/submit.json``: seconds of looking at the files (their SHA-256), of the upload, of the SDK (its session and
Estimator), and of all else.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.common import RESULTS, append_row
from splatlib import Job, SageMaker, s3
from splatlib.launch.aws import launcher as launching
from splatlib.launch.baggage import pack
from tests.local_aws import BUCKET, local_aws

PARTS = ("look", "upload", "sdk", "other")


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--photos", type=int, default=300)
    arguments.add_argument("--kilobytes", type=int, default=1500)
    arguments.add_argument("--runs", type=int, default=3)
    arguments.add_argument("--out", type=Path, default=RESULTS / "submit.json")
    options = arguments.parse_args()
    # a container that ends at once: only submitting is measured
    with local_aws([sys.executable, "-c", "pass"]) as aws:
        os.environ.update(aws.environment)
        import sagemaker.estimator  # noqa: F401  its import, four seconds, is the SDK's own time

        rows = [row for run in range(options.runs) for row in measure(options.photos, options.kilobytes, run)]
    medians = {
        name: {part: round(statistics.median(row[part] for row in rows if row["sent"] == name), 2) for part in PARTS}
        for name in ("all", "none")
    }
    command = f"python -m benchmarks.submit --photos {options.photos} --kilobytes {options.kilobytes}"
    row = {"photos": options.photos, "megabytes": round(options.photos * options.kilobytes / 1e3), **medians}
    print(append_row(options.out, {**row, "runs": options.runs, "command": command}))


def measure(photos: int, kilobytes: int, run: int) -> list[dict[str, Any]]:
    """Both submissions of one capture of its own."""
    rng = np.random.default_rng(run)
    with tempfile.TemporaryDirectory(prefix="splatlib-submit-") as folder:
        for number in range(photos):
            (Path(folder) / f"IMG_{number:04d}.jpg").write_bytes(rng.bytes(kilobytes * 1000))
        return [submitted(folder, "all"), submitted(folder, "none")]


def submitted(folder: str, sent: str) -> dict[str, Any]:
    spent: dict[str, float] = {}
    launcher = SageMaker(bucket=BUCKET)
    uploads: list[s3.Uploaded] = []

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            started_s = time.perf_counter()
            result = function(*arguments, **named)
            spent[name] = spent.get(name, 0.0) + time.perf_counter() - started_s
            if isinstance(result, s3.Uploaded):
                uploads.append(result)
            return result

        return call

    with (
        mock.patch.object(launching, "pack", timed("look", pack)),
        mock.patch.object(launching.s3, "upload", timed("upload", s3.upload)),
        mock.patch.object(launching, "sagemaker_session", timed("sdk", launching.sagemaker_session)),
        mock.patch.object(SageMaker, "_ask", timed("sdk", SageMaker._ask)),
    ):
        started_s = time.perf_counter()
        launcher.submit(Job(capture=folder))
        whole_s = time.perf_counter() - started_s
    (uploaded,) = uploads
    assert uploaded.num_sent == (uploaded.num_files if sent == "all" else 0), uploaded
    other_s = whole_s - sum(spent.values())
    return {"sent": sent, **spent, "other": other_s}


if __name__ == "__main__":
    main()
