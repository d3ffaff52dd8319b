"""A job that is killed at random moments, again and again, against the same job left alone.

    python -m benchmarks.kill [--kills 20] [--seed 0] [--threads 1] [--out FILE]

The job is the container's entry point on the sample capture, started by ``LocalProcess``. Once it is left alone; then
a second one is killed, SIGKILL and SIGTERM in turn, each time at a random moment of what is left of it, and started
again from its checkpoint folder, until it has died so often; then it may finish. Between two deaths its workspace is
checked: a stage that was finished must never be worked on again, with any number of threads.

What must be equal in the end: with one thread the splats and exports of both jobs, bit for bit. With several, COLMAP's
matching of the very same features is not quite repeatable (2 of 666 pairs differed once in 14 runs with two threads,
in none of 12 with four), and all that follows differs by that; given the same matches, six incremental solves with two
and four threads gave the same cameras, bit for bit. What it has finished, a killed job keeps: so its splat and exports
must be those of a job left alone that begins with its frames and cameras, bit for bit. One row goes to
``results/kill.json``; with several threads it also tells which files equal those of the job that solved its own
cameras.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS, ROOT, append_row
from splatlib.config import Job, TrainConfig
from splatlib.launch.local import LocalJob, LocalProcess
from splatlib.samples import make_sample

# Its stages take about as long as one another, so that random moments meet all of them.
TRAIN = TrainConfig(device="cpu", steps=800, max_gaussians=8000, max_long_side_px=192, checkpoint_every_s=0.5)
SAME = ("train/main/splat.ply", "export/scene.ply", "export/scene.spz")
STAGES = ("frames", "check", "cameras", "train", "export")
GIVEN = ("frames", "check", "cameras")


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--kills", type=int, default=20)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--out", type=Path, default=RESULTS / "kill.json")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="splatlib-kill-") as folder:
        sample = make_sample(Path(folder) / "sample", num_frames=40, width=320, height=180)
        job = Job(capture=str(sample.path), train=TRAIN)
        row = compare(job, Path(folder), options.kills, options.seed, options.threads)
    command = f"python -m benchmarks.kill --kills {options.kills} --seed {options.seed} --threads {options.threads}"
    print(append_row(options.out, {**row, "command": command}))


def compare(job: Job, folder: Path, kills: int, seed: int, threads: int = 1) -> dict[str, Any]:
    """All jobs to their end. Raises AssertionError where the killed one repeated a finished stage or differs."""
    launcher = LocalProcess(folder / "jobs", environment(threads))
    started_s = time.monotonic()
    undisturbed = launcher.submit(job, "undisturbed")
    undisturbed.wait()
    whole_s = time.monotonic() - started_s
    killed = launcher.submit(job, "killed")
    deaths = die_often(killed, kills, random.Random(seed), whole_s)
    killed.wait()
    killed_s = time.monotonic() - started_s - whole_s
    peer = undisturbed if threads == 1 else left_alone_from(launcher, job, killed)
    assert (differ := differing(killed, peer)) == [], f"{differ} of the killed job differ"
    return {
        "threads": threads,
        "kills": len(deaths),
        "sigkill": sum(death["signal"] == "SIGKILL" for death in deaths),
        "sigterm": sum(death["signal"] == "SIGTERM" for death in deaths),
        "died_in": {stage: sum(death["in"] == stage for death in deaths) for stage in ("start", *STAGES, "end")},
        "seed": seed,
        "undisturbed_seconds": round(whole_s, 1),
        "killed_seconds": round(killed_s, 1),
        "stages_done_twice": 0,
        "same_bits": list(SAME),
        "same_bits_as": "undisturbed" if threads == 1 else "left alone, from the same frames and cameras",
        "also_of_own_cameras": [name for name in SAME if name not in differing(killed, undisturbed)],
        "slowest_sigterm_seconds": max((d["seconds_to_end"] for d in deaths if d["signal"] == "SIGTERM"), default=None),
    }


def environment(threads: int) -> dict[str, str]:
    number = str(threads)
    return {"SPLATLIB_THREADS": number, "OMP_NUM_THREADS": number, "PYTHONPATH": str(ROOT)}


def left_alone_from(launcher: LocalProcess, job: Job, of: LocalJob) -> LocalJob:
    """A job that begins with another one's frames and cameras, as if these had been its own, and is left alone."""
    handle = launcher.submit(job, f"from-{of.name}")
    with contextlib.suppress(ProcessLookupError):
        os.kill(handle.pid, signal.SIGKILL)  # it is to find them when it starts
    while not handle.status().ended:
        time.sleep(0.01)
    shutil.rmtree(handle.paths.workspace)
    for stage in GIVEN:
        shutil.copytree(of.paths.workspace / stage, handle.paths.workspace / stage)
    given = _finished(handle.paths.workspace)
    handle.start()
    handle.wait()
    now = _finished(handle.paths.workspace)
    assert all(now[stage] == written_s for stage, written_s in given.items()), "it did not take what it was given"
    return handle


def differing(one: LocalJob, other: LocalJob) -> list[str]:
    """Which of the files that must be equal are not."""
    return [name for name in SAME if _content(one.paths.workspace / name) != _content(other.paths.workspace / name)]


def die_often(handle: LocalJob, kills: int, rng: random.Random, whole_s: float) -> list[dict[str, Any]]:
    """Kill the running job so often, each time start it again; what it died in."""
    deaths: list[dict[str, Any]] = []
    finished: dict[str, float] = {}
    while len(deaths) < kills:
        _sleep_unless_ended(handle, rng.uniform(0.3, 0.8 * whole_s))
        if handle.status().ended:  # it won the race: some of its stages are taken away, so that deaths go on
            assert handle.status().state == "done", handle.status()
            finished = _take_back(handle.paths.workspace, rng.choice(STAGES))
            handle.start()
            continue
        sent = signal.SIGKILL if len(deaths) % 2 == 0 else signal.SIGTERM
        died_in, sent_s = _current_stage(handle.paths.workspace), time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            os.kill(handle.pid, sent)
        while not handle.status().ended:
            time.sleep(0.01)
        deaths.append({"signal": sent.name, "in": died_in, "seconds_to_end": round(time.monotonic() - sent_s, 2)})
        print(len(deaths), deaths[-1], flush=True)
        now = _finished(handle.paths.workspace)
        for stage, written_s in finished.items():
            assert now.get(stage) == written_s, f"{stage} was finished, and was done again"
        finished = now
        handle.start()
    return deaths


def _sleep_unless_ended(handle: LocalJob, seconds: float) -> None:
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s and not handle.status().ended:
        time.sleep(0.02)


def _take_back(workspace: Path, stage: str) -> dict[str, float]:
    """Remove a stage and all after it, as if the job had not come so far; what is still finished."""
    for name in STAGES[STAGES.index(stage) :]:
        shutil.rmtree(workspace / name)
    return _finished(workspace)


def _finished(workspace: Path) -> dict[str, float]:
    """When each finished stage was written."""
    return {str(path.parent.relative_to(workspace)): path.stat().st_mtime for path in workspace.rglob("artifact.json")}


def _current_stage(workspace: Path) -> str:
    begun = {path.parent.relative_to(workspace).parts[0] for path in workspace.rglob("started.json")}
    done = {name.split("/")[0] for name in _finished(workspace)}
    working = [stage for stage in STAGES if stage in begun - done]
    return working[0] if working else ("start" if not begun | done else "end" if "export" in done else "start")


def _content(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
