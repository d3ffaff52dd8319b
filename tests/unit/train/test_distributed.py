"""What several processes share out among themselves; the training itself needs GPUs (tests/gpu)."""

from __future__ import annotations

import json
import math
import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from splatlib.artifacts import SparseScene
from splatlib.config import TrainConfig
from splatlib.errors import ConfigError
from splatlib.train import distributed, train_splat
from splatlib.train.initialize import gaussians_from_points
from splatlib.train.schedule import Schedule, fast
from splatlib.workspace import Workspace


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_shares_make_the_whole(scene: SparseScene, size: int) -> None:
    whole = gaussians_from_points(scene, 2, initial_opacity=0.1)
    shares = [distributed.share_of(whole, rank, size) for rank in range(size)]
    joined = distributed.concatenated(shares)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert len(joined) == len(whole)
    for name in ("means", "log_scales", "quats", "opacity_logits", "sh"):
        before, after = (np.sort(getattr(g, name).reshape(len(g), -1), axis=0) for g in (whole, joined))
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("size", [2, 4])
def test_more_views_a_step_mean_fewer_steps_and_higher_rates(size: int) -> None:
    config = TrainConfig(steps=1000, max_gaussians=8000).resolved("cuda")
    whole = Schedule(config, 2.0, fast(1000))
    share = distributed.share_of_schedule(whole, size)
    assert share.config.steps * size == 1000
    assert share.config.max_gaussians * size == 8000
    for name, rate in whole.learning_rates(0).items():
        assert share.learning_rates(0)[name] == pytest.approx(rate * math.sqrt(size))


def test_a_task_travels_between_processes(scene: SparseScene) -> None:
    config = TrainConfig(steps=10).resolved("cuda")
    start = gaussians_from_points(scene, 1, initial_opacity=0.1)
    task = distributed.Task(scene, scene.views, Schedule(config, 2.0, fast(10)), start)
    arrived = pickle.loads(pickle.dumps(task))
    assert arrived.schedule == task.schedule
    assert [view.name for view in arrived.views] == [view.name for view in scene.views]
    np.testing.assert_array_equal(arrived.start.means, start.means)


def test_what_several_processes_cannot_share_is_refused(
    scene: SparseScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="several GPUs cannot train appearance or poses"):
        train_splat(scene, Workspace(tmp_path), TrainConfig(device="cpu", appearance="affine"))


def free_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


CHILD = """
import sys
import torch.distributed as dist
from splatlib.train import distributed

distributed.use_device = lambda: None  # the calls go through the host: no GPU is needed for them
seen = []
distributed.train_share = lambda task: seen.append(task) or ("trained by all" if distributed.rank() == 0 else None)
if distributed.rank() == 0:
    print(distributed.train_together("first"), distributed.train_together("second"))
    distributed.dismiss()
else:
    distributed.serve()
    print("served", *seen)
"""


def two_processes(code: str) -> list[tuple[int, str]]:
    """Exit status and output of both."""
    processes, port = [], free_port()
    for rank in range(2):
        environment = {
            **os.environ, "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
        }  # fmt: skip
        processes.append(
            subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
        )
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    return [(process.returncode, output.strip()) for process, output in zip(processes, outputs, strict=True)]


def test_the_others_serve_until_they_are_dismissed() -> None:
    assert two_processes(CHILD) == [(0, "trained by all trained by all"), (0, "served first second")]


STUCK = """
import datetime, os, time
import torch
import torch.distributed as dist
from splatlib.train import distributed

distributed.use_device = lambda: None
distributed.STEP_PATIENCE = datetime.timedelta(seconds=8)

def train_share(task):
    if distributed.rank() == 0 or task != "stuck":
        dist.all_reduce(torch.ones(1))
    return "trained"

distributed.train_share = train_share
if distributed.rank() == 0:
    distributed.join()
    time.sleep(12)  # cameras are solved, for longer than a step may take
    print(distributed.train_together("well"))
    try:
        distributed.train_together("stuck")
    except RuntimeError as error:
        print("gave up", flush=True)
        os._exit(0)  # past the connection's threads, which end a process that leaves them running
else:
    try:
        distributed.serve()
    except RuntimeError as error:
        print("alone", flush=True)
        os._exit(0)
"""


def test_the_others_wait_for_days_but_no_step_waits_for_ever() -> None:
    first, second = two_processes(STUCK)
    assert first == (0, "trained\ngave up")
    assert second == (0, "alone")


UNEVEN = """
from types import SimpleNamespace
import torch
from splatlib.train import distributed

distributed.use_device = lambda: None
distributed.join()
count = (300, 100)[distributed.rank()]
recipe = SimpleNamespace(opacity_weight=0.01, scale_weight=0.0)
trainer = distributed.ShareTrainer.__new__(distributed.ShareTrainer)
trainer.schedule, trainer.renderer = SimpleNamespace(recipe=recipe), SimpleNamespace(device="cpu")
trainer.parameters = {"means": torch.zeros(count, 3), "opacities": torch.zeros(count, requires_grad=True)}
trainer._regularization().backward()
print(trainer.parameters["opacities"].grad.unique().tolist())
distributed._leave()
"""


def test_a_small_share_is_pulled_down_no_harder_than_a_large_one() -> None:
    """By its own count it was, on two GPUs, until it had no Gaussian left."""
    first, second = two_processes(UNEVEN)
    assert first == second
    (pull,) = json.loads(first[1])
    assert pull == pytest.approx(0.01 * 0.25 / 200)  # the sigmoid's slope at 0; 200 Gaussians a process


def test_a_command_under_torchrun_runs_once_and_the_other_processes_leave_with_it(tmp_path: Path) -> None:
    """The first process reports its own error; the other one neither runs the command nor waits for ever."""
    environment = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    code = (
        "from splatlib.train import distributed; distributed.use_device = lambda: None;"
        "from splatlib.cli import main; main()"
    )
    command = [sys.executable, "-c", code, "run", str(tmp_path / "absent.mov"), "--out", str(tmp_path / "out")]
    processes = [
        subprocess.Popen(command, env={**environment, "RANK": str(rank)}, stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [1, 0]
    assert "absent.mov" in errors[0] and "absent.mov" not in errors[1]
