"""The short form of benchmarks/kill.py: a job that dies at random moments ends as the one that was left alone."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks.kill import SAME, compare, die_often, differing, environment, left_alone_from
from splatlib import Job, TrainConfig, make_sample
from splatlib.launch import LocalProcess

pytestmark = pytest.mark.slow

TRAIN = TrainConfig(device="cpu", steps=300, max_gaussians=5000, max_long_side_px=160, checkpoint_every_s=0.3)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    sample = make_sample(tmp_path_factory.mktemp("sample") / "sample", num_frames=24, width=320, height=180)
    return Job(capture=str(sample.path), train=TRAIN)


def test_a_job_killed_three_times_ends_with_the_same_bits(job: Job, tmp_path: Path) -> None:
    row = compare(job, tmp_path, kills=3, seed=4)
    assert row["kills"] == 3 and row["sigkill"] == 2 and row["same_bits"] == list(SAME)


def test_with_several_threads_no_stage_is_done_twice_and_training_ends_with_the_same_bits(
    job: Job, tmp_path: Path
) -> None:
    """COLMAP may match differently each time; what follows from the cameras that the killed job has may not differ."""
    launcher = LocalProcess(tmp_path / "jobs", environment(3))
    killed = launcher.submit(job, "killed")
    deaths = die_often(killed, 3, random.Random(2), whole_s=20.0)  # which looks for stages that are done again
    killed.wait()
    assert len(deaths) == 3
    assert differing(killed, left_alone_from(launcher, job, killed)) == []
