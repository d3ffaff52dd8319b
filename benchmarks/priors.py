"""What known poses save: cameras solved from nothing and with the capture's ``transforms.json`` as priors.

    python -m benchmarks.priors [--scene fox_540 ...] [--runs 3] [--modes none trust refine] [--noise 3]
                                [--captures DIR] [--conventions fox_540]

The modes take turns in one run of this program, so that a busy machine slows all. Processes, clock and figures are
those of ``benchmarks.cameras``: interpreter, features, matching, mapping and undistortion. Medians go to
``benchmarks/results/priors.json``. A row has the reprojection error of the mode's own observations, which each mode
chooses by its own limit, and under ``same_matches`` the error of its cameras on the matches of the run without priors,
with one limit for all. ``--noise N`` turns the priors by N degrees and moves them by N percent of the path's extent;
errors of poses are still those from the capture's own. With ``--conventions`` the poses of a scene are also written in
each convention and direction, and stated as each other one: a row counts what was refused, and what was named.
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

from benchmarks.cameras import media_of
from benchmarks.common import CAPTURES, RESULTS, append_row, measure

RESULTS_FILE = RESULTS / "priors.json"
MODES = ("none", "trust", "refine", "pairs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", action="append", help="folder of a capture; default fox_540 and buddha_gray_1368")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--modes", nargs="+", choices=MODES, default=["none", "trust"])
    parser.add_argument("--noise", type=float, default=0.0, help="of the priors: degrees, and percent of the extent")
    parser.add_argument("--captures", type=Path, default=CAPTURES)
    parser.add_argument("--conventions", metavar="SCENE", help="only try all conventions on a scene")
    parser.add_argument("--dry-run", action="store_true", help="print the rows, do not append them")
    arguments = parser.parse_args()
    if arguments.conventions:
        rows = [conventions(arguments.conventions, arguments.captures)]
    else:
        scenes = arguments.scene or ["fox_540", "buddha_gray_1368"]
        rows = [row for scene in scenes for row in benchmark(scene, arguments)]
    for row in rows:
        row["command"] = "python -m " + shlex.join(["benchmarks.priors", *sys.argv[1:]])
        print(json.dumps(row if arguments.dry_run else append_row(RESULTS_FILE, row), indent=1))


def benchmark(scene: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Solve one capture several times in each mode; medians of costs and figures, a row a mode."""
    transforms = arguments.captures / scene / "transforms.json"
    child, priors_child = ([sys.executable, "-m", f"benchmarks.{name}_child"] for name in ("cameras", "priors"))
    runs: dict[str, list[dict[str, Any]]] = {mode: [] for mode in arguments.modes}
    errors: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="splatlib-priors-") as scratch:
        shared = Path(scratch) / "frames"
        measure([*child, "extract", str(media_of(arguments.captures / scene)), str(shared)])
        priors = Path(scratch) / "priors.json"
        measure([*priors_child, "perturb", str(transforms), str(priors), str(arguments.noise)])
        for run in range(arguments.runs):
            for mode in arguments.modes:
                settings = [] if mode == "none" else [f"priors={priors}", f"priors_mode={mode}"]
                solved = Path(scratch) / f"{mode}{run}"
                measured = measure([*child, "solve", str(shared), str(solved), *settings])
                costs = measured._asdict()
                figures = json.loads(costs.pop("stdout").splitlines()[-1])
                runs[mode].append({**costs, **figures})
                print(f"{scene} {mode} run {run + 1}: {runs[mode][-1]}", file=sys.stderr)
                if run == 0:
                    compared = measure([*child, "compare", str(solved), str(shared), str(transforms)])
                    errors[mode] = json.loads(compared.stdout.splitlines()[-1])
                    reference = Path(scratch) / f"{arguments.modes[0]}0"
                    if arguments.modes[0] == "none":
                        same = measure([*priors_child, "same_matches", str(shared), str(reference), str(solved)])
                        errors[mode] |= json.loads(same.stdout.splitlines()[-1])
    rows = [
        {
            "scene": scene,
            "priors_mode": mode,
            "noise": arguments.noise,
            **{key: _median([run[key] for run in each]) for key in each[0]},
        }
        for mode, each in runs.items()
    ]
    for row in rows:
        row.update(errors[row["priors_mode"]])
        if rows[0]["priors_mode"] == "none":
            row["times_less_cpu"] = round(rows[0]["cpu_seconds"] / row["cpu_seconds"], 2)
    return rows


def _median(values: list[Any]) -> Any:
    if not all(isinstance(value, int | float) for value in values):
        return values[0]
    median = round(statistics.median(values), 3)
    return int(median) if median == int(median) and isinstance(values[0], int) else median


def conventions(scene: str, captures: Path) -> dict[str, Any]:
    """Write a scene's poses in each convention and direction, state each other one, and count the answers."""
    with tempfile.TemporaryDirectory(prefix="splatlib-priors-") as scratch:
        argv = [
            "benchmarks.priors_child",
            "conventions",
            str(media_of(captures / scene)),
            str(captures / scene),
            scratch,
        ]
        measured = measure([sys.executable, "-m", *argv])
    return {"scene": scene, **json.loads(measured.stdout.splitlines()[-1])}


if __name__ == "__main__":
    main()
