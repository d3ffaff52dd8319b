"""What several processes share out among themselves; the training itself needs GPUs (tests/gpu)."""

from __future__ import annotations

import json
import math
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from splatlib.artifacts import SparseScene
from splatlib.config import TrainConfig
from splatlib.errors import ConfigError
from splatlib.train import distributed, train_splat
from splatlib.train.initialize import gaussians_from_points
from splatlib.train.schedule import Schedule, fast
from splatlib.train.strategies import DefaultStrategy, McmcStrategy
from splatlib.workspace import Workspace
from tests.processes import free_port, two_processes


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


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("strategy", ["budget", "default", "mcmc"])
def test_several_processes_refine_as_often_as_one(strategy: Literal["budget", "default", "mcmc"], size: int) -> None:
    if strategy != "budget":
        pytest.importorskip("gsplat")
    config = TrainConfig(steps=8000, strategy=strategy).resolved("cuda")
    whole = Schedule(config, 2.0, fast(8000))
    share = distributed.share_of_schedule(whole, size)
    for steps in (8000, 400):  # a short training, too, where gsplat's strategies have a least interval
        of_one, of_several = (
            num_refinements(replace(schedule, config=schedule.config.model_copy(update={"steps": steps // count})))
            for schedule, count in ((whole, 1), (share, size))
        )
        assert of_several == pytest.approx(of_one, rel=0.3)  # whole steps between


def num_refinements(schedule: Schedule) -> int:
    if schedule.config.strategy == "budget":
        return sum(schedule.refines_at(step) for step in range(schedule.steps))
    strategy = {"default": DefaultStrategy, "mcmc": McmcStrategy}[schedule.config.strategy](schedule.config, schedule)
    rules = strategy._strategy
    return (rules.refine_stop_iter - rules.refine_start_iter) // rules.refine_every


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


DEALT = """
import json
import torch
from splatlib.train import distributed
from splatlib.train.budget import BudgetStrategy
from splatlib.train.deal import Deal
from splatlib.train.rows import deal_rows

distributed.use_device = lambda: None
distributed.join()
count, first = ((7, 0), (4, 100))[distributed.rank()]
names = torch.arange(first, first + count, dtype=torch.float32)
parameters = {
    "means": torch.nn.Parameter(names[:, None].repeat(1, 3)),
    "opacities": torch.nn.Parameter(names.clone()),
    "shN": torch.nn.Parameter(torch.zeros(count, 0, 3)),
}
optimizers = {name: torch.optim.Adam([parameter]) for name, parameter in parameters.items()}
for name, parameter in parameters.items():
    optimizers[name].state[parameter] = {"step": torch.tensor(5.0), "exp_avg": parameter.detach() * 2}
strategy = BudgetStrategy.__new__(BudgetStrategy)
strategy._score, strategy._seen, strategy._idle = None, None, names * 3
deal = Deal(count, torch.device("cpu"))
deal_rows(parameters, optimizers, deal)
strategy.deal(deal)
moments = optimizers["means"].state[parameters["means"]]
assert optimizers["means"].param_groups[0]["params"] == [parameters["means"]] and moments["step"] == 5
assert parameters["shN"].shape == (len(parameters["means"]), 0, 3)
have = parameters["opacities"].detach()
assert torch.equal(parameters["means"].detach(), have[:, None].repeat(1, 3))
assert torch.equal(moments["exp_avg"], 2 * parameters["means"].detach()) and torch.equal(strategy._idle, 3 * have)
print(json.dumps(have.tolist()))
distributed._leave()
"""


def test_gaussians_are_dealt_out_with_all_that_is_noted_of_them() -> None:
    (first_status, first), (second_status, second) = two_processes(DEALT)
    assert (first_status, second_status) == (0, 0)
    assert json.loads(first) == [0, 2, 4, 6, 101, 103]
    assert json.loads(second) == [1, 3, 5, 100, 102]


SHARES = """
import pickle, sys
from pathlib import Path
import torch
from splatlib.config import TrainConfig
from splatlib.render import create_renderer
from splatlib.train import distributed
from splatlib.train.dataset import ViewPyramid
from splatlib.train.order import ViewOrder
from splatlib.train.stage import plan

distributed.use_device = lambda: None
distributed.join()
torch.set_num_threads(1)
scene, mine = pickle.loads(Path(sys.argv[1]).read_bytes()), distributed.rank()
config = TrainConfig(steps=480, max_gaussians=600, max_long_side_px=48, sh_degree=1).resolved("cpu")
settings, schedule, start = plan(scene, scene.views, config)
schedule = distributed.share_of_schedule(schedule, 2)
renderer = create_renderer("cpu")
views = ViewPyramid(scene, scene.views, schedule.long_sides_px, renderer)
order = ViewOrder(views.cameras, 0, rank=mine, world_size=2)
# The first process begins with a quarter of the Gaussians only.
share = distributed.share_of(start, 0, 4) if mine == 0 else start
trainer = distributed.ShareTrainer(schedule.config, schedule, renderer, views, share, order)
counts = [trainer.num_gaussians]
while not trainer.done:
    trainer.step()
    if trainer.num_gaussians != counts[-1]:
        counts.append(trainer.num_gaussians)
print(*counts)
distributed._leave()
"""


def test_shares_stay_as_large_as_each_other(scene: SparseScene, tmp_path: Path) -> None:
    """Each draws its own Gaussians only, on a CPU; what is tested is that the processes agree when to deal."""
    pickled = tmp_path / "scene.pickle"
    pickled.write_bytes(pickle.dumps(scene))
    (first_status, first), (second_status, second) = two_processes(SHARES, str(pickled))
    assert (first_status, second_status) == (0, 0)
    counts = [list(map(int, line.splitlines()[-1].split())) for line in (first, second)]
    assert 3 * counts[0][0] < counts[1][0]
    assert len(counts[0]) > 3
    assert abs(counts[0][-1] - counts[1][-1]) <= 1 and counts[0][-1] <= 300


def test_a_command_under_torchrun_runs_once_and_the_other_processes_leave_with_it(tmp_path: Path) -> None:
    """The first process reports its own error; the other one neither runs the command nor waits for ever."""
    environment = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
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
