"""Training on CPU cores: quality against CPU-seconds, and how two threads compare with one.

    python -m benchmarks.cpu_train [--runs 3] [--capture DIR] [--only quality|threads]

Cameras are solved once by the project itself. Each run is a process of its own with an empty cache of compiled
kernels, so compiling is part of the figure, as are imports, decoding, the previews' measurements and the final
one. Rows go to ``results/cpu_train.json``: medians over the runs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common import CAPTURES, RESULTS, append_row, measure

# What to train: the preset, what is changed in it, and held-out PSNRs whose price in CPU-seconds is noted.
CASES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("preview", {}),
    ("preview", {"steps": 2000, "max_gaussians": 30_000}),
)
LEVELS_DB = (25.8, 27.0, 29.0)

# Runs in the child. argv: workspace, run name, TrainConfig as JSON. Prints one JSON line.
CHILD = """
import json, sys, time
import splatlib as sl
ws = sl.Workspace(sys.argv[1])
before = time.process_time()
splat = sl.train_splat(ws.scene, ws, sl.TrainConfig.from_json(sys.argv[3]), run=sys.argv[2])
lines = [json.loads(line) for line in splat.metrics_path.read_text().splitlines()]
curve = [(before + line["cpu_seconds"], line["psnr_db"]) for line in lines if "psnr_db" in line]
losses = [line for line in lines if "loss" in line]
print(json.dumps({"psnr_db": splat.psnr_db, "ssim": splat.ssim, "num_gaussians": splat.num_gaussians,
                  "curve": curve, "last": losses[-1], "ply": str(splat.ply_path),
                  "steady": [losses[len(losses) // 2], losses[-1]]}))
"""


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--runs", type=int, default=3)
    arguments.add_argument("--capture", type=Path, default=CAPTURES / "fox_540")
    arguments.add_argument("--only", choices=("quality", "threads"))
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder) / "workspace"
        prepare = "import sys, splatlib as sl; ws = sl.Workspace(sys.argv[2]);"
        prepare += "sl.solve_cameras(sl.extract_frames(sys.argv[1], ws), ws)"
        measure([sys.executable, "-c", prepare, str(options.capture), str(workspace)])
        if options.only != "threads":
            for preset, changes in CASES:
                print(json.dumps(quality(workspace, options.capture.name, preset, changes, options.runs)), flush=True)
        if options.only != "quality":
            print(json.dumps(threads(workspace, options.capture.name, options.runs)), flush=True)


def quality(workspace: Path, scene: str, preset: str, changes: dict[str, Any], runs: int) -> dict[str, Any]:
    """Medians of fresh trainings, and the CPU-seconds at which each level was first reached."""
    config = {"preset": preset, "preview_every_steps": 100, **changes}
    measured, results = [], []
    for index in range(runs):
        with tempfile.TemporaryDirectory() as cache:
            os.environ["NUMBA_CACHE_DIR"] = cache
            run = f"{preset}-{len(changes)}-{index}"
            m = measure([sys.executable, "-c", CHILD, str(workspace), run, json.dumps(config)])
        measured.append(m)
        results.append(json.loads(m.stdout.splitlines()[-1]))
    return append_row(
        RESULTS / "cpu_train.json",
        {
            "scene": scene,
            "preset": preset,
            "changes": changes,
            "px": 320,
            "cpu_seconds": round(statistics.median(m.cpu_seconds for m in measured), 1),
            "wall_seconds": round(statistics.median(m.wall_seconds for m in measured), 1),
            "psnr_db": round(statistics.median(r["psnr_db"] for r in results), 2),
            "ssim": round(statistics.median(r["ssim"] for r in results), 4),
            "num_gaussians": results[0]["num_gaussians"],
            "peak_rss_mib": round(max(m.peak_rss_mib for m in measured)),
            "cpu_seconds_to_psnr": {str(level): _price(results, level) for level in LEVELS_DB},
            "runs": runs,
            "command": "python -m benchmarks.cpu_train",
        },
    )


def _price(results: list[dict[str, Any]], level_db: float) -> float | None:
    """Median CPU-seconds of the process until a preview first measured so many decibels; None if it never did."""
    firsts = [next((cpu for cpu, psnr in r["curve"] if psnr >= level_db), None) for r in results]
    return None if None in firsts else round(statistics.median(firsts), 1)  # type: ignore[type-var]


def threads(workspace: Path, scene: str, runs: int) -> dict[str, Any]:
    """Steps a second over the second half of a short training, one thread against two; and whether bits agree."""
    config = json.dumps({"steps": 600, "preview_every_steps": 0})
    rates: dict[str, list[float]] = {"1": [], "2": []}
    digests = set()
    for index in range(runs):
        for count, found in rates.items():
            os.environ["SPLATLIB_THREADS"] = count
            run = f"threads-{count}-{index}"
            result = json.loads(
                measure([sys.executable, "-c", CHILD, str(workspace), run, config]).stdout.splitlines()[-1]
            )
            first, last = result["steady"]
            found.append((last["step"] - first["step"]) / (last["seconds"] - first["seconds"]))
            digests.add(hashlib.sha256(Path(result["ply"]).read_bytes()).hexdigest())
    del os.environ["SPLATLIB_THREADS"]
    medians = {count: statistics.median(found) for count, found in rates.items()}
    return append_row(
        RESULTS / "cpu_train.json",
        {
            "scene": scene,
            "preset": "preview",
            "measure": "steps a second at 320 px, two threads against one, in turn",
            "steps_per_second": {count: round(rate, 2) for count, rate in medians.items()},
            "ratio": round(medians["2"] / medians["1"], 2),
            "bitwise_equal": len(digests) == 1,
            "load_average": round(os.getloadavg()[0], 1),
            "runs": runs,
            "command": "python -m benchmarks.cpu_train --only threads",
        },
    )


if __name__ == "__main__":
    main()
