"""What a person waits for: ``splat run`` from pictures to report, ``make demo``'s two commands, and the import.

    python -m benchmarks.whole_run [--runs 3] [--capture DIR] [--preset preview]

Every run is a fresh process with an empty workspace and an empty cache of compiled kernels. Rows go to
``results/whole_run.json``: medians over the runs; peak memory is the largest of them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common import CAPTURES, RESULTS, Measured, append_row, measure

SPLAT = (sys.executable, "-m", "splatlib")


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--runs", type=int, default=3)
    arguments.add_argument("--capture", type=Path, default=CAPTURES / "fox_540")
    arguments.add_argument("--preset", default="preview")
    options = arguments.parse_args()
    os.environ["SPLATLIB_PROGRESS"] = "off"
    rows = [whole_run(options.capture, options.preset, options.runs)]
    if options.preset == "preview":
        rows += [demo(options.runs), import_seconds(max(options.runs, 9))]
    for row in rows:
        print(json.dumps(append_row(RESULTS / "whole_run.json", row)), flush=True)


def whole_run(capture: Path, preset: str, runs: int) -> dict[str, Any]:
    """``splat run CAPTURE --preset PRESET``."""
    command = [*SPLAT, "run", str(capture), "--preset", preset, "--out"]
    measured, reports = zip(*(_fresh([command]) for _ in range(runs)), strict=True)
    return {**_row(capture.name, preset, measured, reports), "command": f"splat run {capture.name} --preset {preset}"}


def demo(runs: int) -> dict[str, Any]:
    """What ``make demo`` does once everything is installed."""
    measured, reports = [], []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            sample = measure([*SPLAT, "sample", folder])
            run, report = _fresh([[*SPLAT, "run", sample.stdout.split()[-1], "--out"]])
        reports.append(report)
        measured.append(
            Measured(
                sample.cpu_seconds + run.cpu_seconds,
                sample.wall_seconds + run.wall_seconds,
                max(sample.peak_rss_mib, run.peak_rss_mib),
                "",
            )
        )
    return {**_row("sample video", "preview", measured, reports), "command": "make demo (installed)"}


def import_seconds(runs: int) -> dict[str, Any]:
    """``import splatlib`` in a fresh interpreter, less what the interpreter itself takes."""
    bare = [measure([sys.executable, "-c", "pass"]).wall_seconds for _ in range(runs)]
    full = [measure([sys.executable, "-c", "import splatlib"]).wall_seconds for _ in range(runs)]
    seconds = statistics.median(full) - statistics.median(bare)
    return {"measure": "import splatlib, wall seconds", "wall_seconds": round(seconds, 3), "runs": runs}


def _fresh(commands: list[list[str]]) -> tuple[Measured, dict[str, Any]]:
    """Run commands that end in ``--out`` with a new workspace and no compiled kernels; the last one's report."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as cache:
        os.environ["NUMBA_CACHE_DIR"] = cache
        out = Path(folder) / "workspace"
        measured = [measure([*command, str(out)]) for command in commands]
        return measured[-1], json.loads((out / "report.json").read_text())


def _row(scene: str, preset: str, measured: Any, reports: Any) -> dict[str, Any]:
    def median(values: Any, digits: int) -> float:
        return round(statistics.median(values), digits)

    stages = [stage for stage in reports[0]["seconds"] if stage != "total"]
    return {
        "scene": scene,
        "preset": preset,
        "cpu_seconds": median([m.cpu_seconds for m in measured], 1),
        "wall_seconds": median([m.wall_seconds for m in measured], 1),
        "stage_seconds": {stage: median([r["seconds"][stage] for r in reports], 1) for stage in stages},
        "peak_rss_mib": round(max(m.peak_rss_mib for m in measured)),
        "registered": reports[0]["cameras"]["registered"],
        "total": reports[0]["cameras"]["total"],
        "psnr_db": median([r["train"]["psnr_db"] for r in reports], 2),
        "ssim": median([r["train"]["ssim"] for r in reports], 4),
        "num_gaussians": reports[0]["train"]["num_gaussians"],
        "runs": len(measured),
        "load_average": round(os.getloadavg()[0], 1),
    }


if __name__ == "__main__":
    main()
