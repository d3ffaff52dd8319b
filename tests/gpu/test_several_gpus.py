"""Training on two GPUs of one host, beside one."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from splatlib.artifacts import SparseScene, Splat
from splatlib.config import TrainConfig
from splatlib.train import train_splat
from splatlib.workspace import Workspace
from tests.gpu.test_training import MAX_GAUSSIANS, SETTINGS

pytestmark = pytest.mark.gpu

GPUS = 2
# What `splat` does under torchrun: the first process works, the others train along when it calls them.
PROCESS = """
import pickle
import sys
from pathlib import Path

from splatlib.config import TrainConfig
from splatlib.train import distributed, train_splat
from splatlib.workspace import Workspace

scene, folder, settings = sys.argv[1:]
if distributed.rank() > 0:
    distributed.serve()
else:
    train_splat(pickle.loads(Path(scene).read_bytes()), Workspace(folder), TrainConfig.model_validate_json(settings))
    distributed.dismiss()
"""


def free_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


@pytest.mark.parametrize("strategy", ["budget", "default", "mcmc"])
def test_two_gpus_learn_as_much_as_one(strategy: str, scene: SparseScene, tmp_path: Path) -> None:
    if torch.cuda.device_count() < GPUS:
        pytest.skip(f"needs {GPUS} GPUs, and {torch.cuda.device_count()} are here")
    config = TrainConfig.from_dict({**SETTINGS, "steps": 480, "device": "cuda", "strategy": strategy})
    together = Workspace(tmp_path / "together")
    pickled, port = tmp_path / "scene.pickle", free_port()
    pickled.write_bytes(pickle.dumps(scene))
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, pickled, together.root, config.model_dump_json()],
            env={
                **os.environ, "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(GPUS),
                "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
            },
        )
        for rank in range(GPUS)
    ]  # fmt: skip
    try:
        assert [process.wait(timeout=300) for process in processes] == [0] * GPUS
    finally:
        for process in processes:
            process.kill()
    (made,) = together.root.glob("train/*/artifact.json")
    two, one = Splat.load(made.parent), train_splat(scene, Workspace(tmp_path / "alone"), config)
    assert two.psnr_db is not None and one.psnr_db is not None
    assert two.psnr_db > one.psnr_db - (2 if strategy == "mcmc" else 1)  # its noise has half the steps to settle
    assert two.num_gaussians > 200
    assert strategy == "default" or two.num_gaussians <= MAX_GAUSSIANS  # a growth may end above it
    assert two.steps == 480 // GPUS
