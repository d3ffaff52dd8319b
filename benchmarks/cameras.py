"""What solving cameras costs and how far off it is.

    python -m benchmarks.cameras [--scene fox_540] [--runs 3] [--captures DIR] [--set FIELD=VALUE ...]

Frames, and masks where pictures have an alpha channel, are made once, outside the clock. Each run is a process of its
own that reads them and solves the cameras into an empty workspace: from pictures on disk to undistorted pictures and
scene, with interpreter and imports inside.
Medians go to ``benchmarks/results/cameras.json``.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common import CAPTURES, RESULTS, append_row, measure

RESULTS_FILE = RESULTS / "cameras.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", action="append", help="folder of a capture; default fox_540; may be repeated")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--captures", type=Path, default=CAPTURES)
    parser.add_argument("--preset", default="default", help="label of the row")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="a field of CamerasConfig")
    parser.add_argument("--dry-run", action="store_true", help="print the row, do not append it")
    arguments = parser.parse_args()
    for scene in arguments.scene or ["fox_540"]:
        row = benchmark(scene, arguments)
        print(json.dumps(row if arguments.dry_run else append_row(RESULTS_FILE, row), indent=1))


def benchmark(scene: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Solve one capture several times; medians of the costs, figures of the median run."""
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="splatlib-cameras-") as scratch:
        shared = Path(scratch) / "frames"
        child = [sys.executable, "-m", "benchmarks.cameras_child"]
        measure([*child, "extract", str(media_of(arguments.captures / scene)), str(shared)])
        for run in range(arguments.runs):
            argv = [*child, "solve", str(shared), str(Path(scratch) / f"run{run}"), *arguments.set]
            measured = measure(argv)
            figures = json.loads(measured.stdout.splitlines()[-1])
            costs = measured._asdict()
            del costs["stdout"]
            runs.append({**costs, **figures})
            print(f"{scene} run {run + 1}: {runs[-1]}", file=sys.stderr)
        transforms = arguments.captures / scene / "transforms.json"
        accuracy = _accuracy(child, Path(scratch) / "run0", shared, transforms) if transforms.is_file() else {}
    return {
        "scene": scene,
        "preset": arguments.preset,
        **{key: _median([run[key] for run in runs]) for key in runs[0]},
        **accuracy,
        "command": "python -m " + shlex.join(["benchmarks.cameras", *sys.argv[1:]]),
    }


def media_of(capture: Path) -> Path:
    """The folder of pictures in a capture's folder, else the folder itself."""
    return capture / "images" if (capture / "images").is_dir() else capture


def _accuracy(child: list[str], solved: Path, frames: Path, transforms: Path) -> dict[str, Any]:
    # In a process of its own: whatever this one imports would count in the children's peak memory.
    return json.loads(measure([*child, "compare", str(solved), str(frames), str(transforms)]).stdout.splitlines()[-1])


def _median(values: list[Any]) -> Any:
    if not all(isinstance(value, int | float) for value in values):
        return values[0]
    median = statistics.median(values)
    return median if isinstance(median, int) else round(median, 3)


if __name__ == "__main__":
    main()
