"""Stands for the image where a test is about SageMaker and not about splats: keeps the contract, does no work.

The capture's file says what to do, a word a line: ``say TEXT``, ``sleep SECONDS``, ``export`` (leave results), ``fail
REASON``. SIGTERM makes it leave a checkpoint; started again it counts on.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from typing import Any

from splatlib.container.inputs import placed_job
from splatlib.launch.contract import DONE, FAILED, INTERRUPTED, ContainerPaths, event_line


def main() -> int:
    paths = ContainerPaths.of_environment()
    checkpoint = paths.workspace / "train" / "main" / "metrics.jsonl"
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    done = len(checkpoint.read_text().splitlines()) if checkpoint.exists() else 0
    (script,) = placed_job(paths).sources

    def on_terminate(signum: int, frame: Any) -> None:
        print(event_line(job="interrupted"), flush=True)
        sys.exit(INTERRUPTED)

    signal.signal(signal.SIGTERM, on_terminate)
    print(event_line(job="started"), flush=True)
    with open(script, encoding="utf-8") as file:
        lines = file.read().splitlines()[done:]
    for line in lines:
        word, _, rest = line.partition(" ")
        if word == "say":
            print(rest, flush=True)
        elif word == "sleep":
            time.sleep(float(rest))
        elif word == "export":
            export = paths.workspace / "export"
            export.mkdir(exist_ok=True)
            (export / "scene.ply").write_text("ply")
            (paths.workspace / "report.json").write_text(json.dumps({"schema": 1, "cost_usd": None}))
            (paths.workspace / "report.html").write_text("<html>")
            (paths.workspace / "job.json").write_text("{}")
            (paths.workspace / "frames").mkdir(exist_ok=True)
            (paths.workspace / "frames" / "000001.jpg").write_text("jpg")
        elif word == "fail":
            paths.failure.write_text(rest)
            return FAILED
        with checkpoint.open("a") as file:
            file.write(json.dumps({"line": line}) + "\n")
    print(event_line(job="done"), flush=True)
    return DONE


if __name__ == "__main__":
    sys.exit(main())
