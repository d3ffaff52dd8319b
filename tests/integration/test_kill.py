"""The short form of benchmarks/kill.py: a job that dies at random moments ends as the one that was left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.kill import SAME, compare
from splatlib import Job, TrainConfig, make_sample

pytestmark = pytest.mark.slow


def test_a_job_killed_three_times_ends_with_the_same_bits(tmp_path: Path) -> None:
    sample = make_sample(tmp_path / "sample", num_frames=24, width=320, height=180)
    train = TrainConfig(device="cpu", steps=300, max_gaussians=5000, max_long_side_px=160, checkpoint_every_s=0.3)
    row = compare(Job(capture=str(sample.path), train=train), tmp_path, kills=3, seed=4)
    assert row["kills"] == 3 and row["sigkill"] == 2 and row["same_bits"] == list(SAME)
