"""What every benchmark shares: measure a command, name the machine and commit, append a row to a results file."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).resolve().parent / "results"
CAPTURES = ROOT.parent / "shared" / "captures"


class Measured(NamedTuple):
    """What one run of a command cost; CPU-seconds are user + system of the whole process tree."""

    cpu_seconds: float
    wall_seconds: float
    peak_rss_mib: float
    stdout: str


def measure(argv: Sequence[str | os.PathLike[str]]) -> Measured:
    """Run a command and measure it. Raises CalledProcessError with its standard error if it fails.

    A child's peak memory starts from its parent's (Linux carries the high-water mark over ``exec``), so the
    measuring process should import nothing large.
    """
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        started_s = time.perf_counter()
        process = subprocess.Popen(argv, stdout=stdout, stderr=stderr, text=True)
        _, status, usage = os.wait4(process.pid, 0)
        wall_seconds = time.perf_counter() - started_s
        process.returncode = os.waitstatus_to_exitcode(status)
        stdout.seek(0)
        stderr.seek(0)
        printed = stdout.read()
        if process.returncode:
            sys.stderr.write(complaint := stderr.read())
            raise subprocess.CalledProcessError(process.returncode, list(argv), printed, complaint)
    rss_unit = 1024 if platform.system() == "Linux" else 1024**2  # kibibytes on Linux, bytes on macOS
    return Measured(usage.ru_utime + usage.ru_stime, wall_seconds, usage.ru_maxrss / rss_unit, printed)


def machine() -> str:
    """Processor, cores this process may use, and memory: ``AMD EPYC 9R14, 2 cores, 24 GiB``."""
    cpu = platform.processor() or platform.machine()
    if (info := Path("/proc/cpuinfo")).exists():
        models = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        cpu = models[0] if models else cpu
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{cpu}, {cores} cores, {memory_gib:.0f} GiB"


def commit() -> str:
    """Short hash of the checkout, with ``+`` where files differ from it; ``unknown`` outside a git checkout."""
    try:
        git = ["git", "-C", str(ROOT)]
        head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
        # the rows that a benchmark has just appended are no change of what it measures
        status = [*git, "status", "--porcelain", "--", ".", ":!benchmarks/results"]
        changes = subprocess.run(status, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("+" if changes.stdout.strip() else "")


def append_row(path: Path, row: Mapping[str, Any]) -> dict[str, Any]:
    """Append a row to a JSON list, with machine, commit and date filled in where absent; returns it as written."""
    stamped = {"machine": machine(), "commit": commit(), "date": datetime.date.today().isoformat(), **row}
    rows = json.loads(path.read_text()) if path.exists() else []
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([*rows, stamped], indent=1) + "\n")
    return stamped
