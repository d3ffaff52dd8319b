"""Does the capture check foretell what solve_cameras will place? One row a case, what it foretold against what came.

    python -m benchmarks.capture_check [--case fox_540 ...] [--captures DIR]

Cases are the real captures, three of them spoiled, and the sample room filmed badly (``benchmarks.degraded``).
"Registered" is what solve_cameras places with ``allow_partial``. Rows go to ``benchmarks/results/capture_check.json``;
the last one sums up the newest of each case: precision and recall of "will not be registered", with and without the
doubtful ones.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.cameras import media_of
from benchmarks.common import CAPTURES, RESULTS, append_row, measure

RESULTS_FILE = RESULTS / "capture_check.json"
# Folder of a capture, whether its alpha masks are used, and how it is spoiled.
REAL: dict[str, tuple[str, bool, str | None]] = {
    "fox_540": ("fox_540", False, None),
    "fox_540 every third": ("fox_540", False, "every_third"),
    "fox_540 smeared": ("fox_540", False, "smeared"),
    "buddha_gray_1368": ("buddha_gray_1368", False, None),
    "buddha_gray_1368 every third": ("buddha_gray_1368", False, "every_third"),
    "cattoy_720": ("cattoy_720", True, None),
    "cattoy_720 no masks": ("cattoy_720", False, None),
    "video_fruits": ("video_fruits", False, None),
}
MADE = (
    *("intact", "gap", "blurred", "turn_at_the_end", "only_turns"),
    *("low_texture", "two_scenes", "exposure_jump", "too_few", "jump_to_a_wall"),
)
CHILD = [sys.executable, "-m", "benchmarks.capture_check_child"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", action="append", help="default: all; may be repeated")
    parser.add_argument("--captures", type=Path, default=CAPTURES)
    parser.add_argument("--keep", type=Path, help="leave workspaces here, and reuse frames and cameras found there")
    parser.add_argument("--dry-run", action="store_true", help="print rows, do not append them")
    arguments = parser.parse_args()
    command = "python -m " + shlex.join(["benchmarks.capture_check", *sys.argv[1:]])
    with tempfile.TemporaryDirectory(prefix="splatlib-check-") as scratch:
        for case in arguments.case or [*REAL, *MADE]:
            row = benchmark(case, arguments.captures, arguments.keep or Path(scratch))
            print(json.dumps(row), flush=True)
            if not arguments.dry_run:
                append_row(RESULTS_FILE, {**row, "command": command})
    if not arguments.dry_run:
        newest = {row["case"]: row for row in json.loads(RESULTS_FILE.read_text()) if row["case"] != "all"}
        total = sum((counts_of(row) for row in newest.values()), Counter[tuple[str, bool]]())
        row = {"case": "all", "cases": len(newest), **quality(total), "command": command}
        print(json.dumps(append_row(RESULTS_FILE, row), indent=1))


def benchmark(case: str, captures: Path, scratch: Path) -> dict[str, Any]:
    """One case: what was foretold, what came, and what it cost."""
    place = scratch / case.replace(" ", "-")
    workspace = place / "ws"
    if not (place / "extracted").exists():
        capture, masked = _capture(case, captures, place)
        measure([*CHILD, "extract", str(capture), str(workspace), "masked" if masked else "whole"])
        (place / "extracted").touch()
    checked = measure([*CHILD, "check", str(workspace)])
    solved = measure([*CHILD, "solve", str(workspace)])
    foretold = json.loads(checked.stdout.splitlines()[-1])
    came = json.loads(solved.stdout.splitlines()[-1])
    registered = set(came["registered"])
    counts = Counter((outlook, name in registered) for name, outlook in foretold["outlook"].items())
    return {
        "case": case,
        "frames": len(foretold["outlook"]),
        "registered": len(registered),
        "verdict": foretold["verdict"],
        **quality(counts),
        "check_cpu_seconds": round(checked.cpu_seconds, 1),
        "check_wall_seconds": round(checked.wall_seconds, 1),
        "solve_wall_seconds": came["seconds"],
        "findings": foretold["findings"],
    }


def counts_of(row: dict[str, Any]) -> Counter[tuple[str, bool]]:
    """How often each outlook came with a frame that was registered, and with one that was not."""
    return Counter(
        {
            (outlook, came == "registered"): count
            for outlook, of_outlook in row["outlook"].items()
            for came, count in of_outlook.items()
        }
    )


def quality(counts: Counter[tuple[str, bool]]) -> dict[str, Any]:
    """Of each outlook, how many were registered and how many not; precision and recall of what will not be."""
    table = {
        outlook: {"registered": counts[outlook, True], "not": counts[outlook, False]}
        for outlook in ("places", "doubtful", "lost")
    }
    missing = sum(count for (_, registered), count in counts.items() if not registered)

    def of(outlooks: tuple[str, ...]) -> dict[str, float | None]:
        foretold = sum(counts[outlook, registered] for outlook in outlooks for registered in (True, False))
        right = sum(counts[outlook, False] for outlook in outlooks)
        return {
            "precision": round(right / foretold, 3) if foretold else None,
            "recall": round(right / missing, 3) if missing else None,
        }

    return {"outlook": table, "lost": of(("lost",)), "lost_or_doubtful": of(("lost", "doubtful"))}


def _capture(case: str, captures: Path, place: Path) -> tuple[Path, bool]:
    """The folder or file of a case, made if need be, and whether its alpha masks are used."""
    if case in MADE:
        measure([*CHILD, "make", case, str(place / "photos")])
        return place / "photos", False
    folder, masked, how = REAL[case]
    capture = media_of(captures / folder)
    if how is None:
        return capture, masked
    measure([*CHILD, "spoil", str(capture), how, str(place / "photos")])
    return place / "photos", masked


if __name__ == "__main__":
    main()
