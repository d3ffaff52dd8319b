"""Rendering and training on two GPUs of one host, beside one."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from splatlib.artifacts import SparseScene, Splat
from splatlib.config import TrainConfig
from splatlib.train import train_splat
from splatlib.workspace import Workspace
from tests.gpu.random_scene import (
    assert_close_gradients,
    assert_close_pictures,
    gradients_of,
    random_scene,
    relative_error,
)
from tests.gpu.test_renderer import SAME_GRADIENT, SAME_IMAGE
from tests.gpu.test_training import MAX_GAUSSIANS, SETTINGS
from tests.processes import NUM_PROCESSES, two_processes

pytestmark = pytest.mark.gpu

STEPS, NUM_SEEDS = 480, 4

# What `splat` does under torchrun: the first process works, the others train along when it calls them.
PROCESS = """
import pickle
import sys
from pathlib import Path

from splatlib.config import TrainConfig
from splatlib.train import distributed, train_splat
from splatlib.workspace import Workspace

scene, folder, *settings = sys.argv[1:]
if distributed.rank() > 0:
    distributed.serve()
else:
    scene = pickle.loads(Path(scene).read_bytes())
    for seed, config in enumerate(map(TrainConfig.model_validate_json, settings)):
        train_splat(scene, Workspace(folder), config, run=f"seed{seed}")
    distributed.dismiss()
"""


# Each process has every second Gaussian, and draws one of the two views.
DRAWN = """
import pickle, sys
from pathlib import Path

import torch
from splatlib.render.cuda.distributed import DistributedRenderer
from splatlib.train import distributed
from tests.gpu.random_scene import gradients_of, random_scene

folder, antialiased, rank = Path(sys.argv[1]), sys.argv[2] == "antialiased", distributed.rank()
distributed.join()
made, renderer = random_scene(501), DistributedRenderer(torch.device("cuda", rank), antialiased=antialiased)
leaves = {name: leaf.detach()[rank::2].contiguous().requires_grad_() for name, leaf in made.leaves(renderer).items()}
for _ in range(2):  # the second time, everything is warm and nothing is in step by chance
    rendering = made.render(renderer, leaves, (rank,))
    made.loss(renderer, rendering, (rank,), masked=True).backward()
    gradients = gradients_of(leaves)
drawn = rendering.image.detach().cpu(), gradients, rendering.screen_gradient.cpu(), rendering.radii.cpu()
(folder / f"{rank}.pickle").write_bytes(pickle.dumps(drawn))
distributed._leave()
"""


@pytest.fixture(autouse=True)
def needs_two_gpus() -> None:
    if torch.cuda.device_count() < NUM_PROCESSES:
        pytest.skip(f"needs {NUM_PROCESSES} GPUs, and {torch.cuda.device_count()} are here")


@pytest.mark.parametrize("mode", ["plain", "antialiased"])
def test_two_gpus_draw_and_learn_what_one_does(mode: str, tmp_path: Path) -> None:
    from splatlib.render.cuda.renderer import CudaRenderer

    ended = two_processes(DRAWN, str(tmp_path), mode)
    assert [status for status, _ in ended] == [0, 0]
    made, alone = random_scene(501), CudaRenderer(packed=False, antialiased=mode == "antialiased")
    leaves, renderings = made.leaves(alone), []
    for view in range(2):
        renderings.append(made.render(alone, leaves, (view,)))
        made.loss(alone, renderings[-1], (view,), masked=True).backward()
    truth = gradients_of(leaves)
    radii = torch.cat([rendering.radii for rendering in renderings]).cpu()
    for rank in range(NUM_PROCESSES):
        image, gradients, screen, drawn_radii = pickle.loads((tmp_path / f"{rank}.pickle").read_bytes())
        assert_close_pictures(image, renderings[rank].image, SAME_IMAGE)
        assert_close_gradients(gradients, {name: tensor[rank::2] for name, tensor in truth.items()}, SAME_GRADIENT)
        assert torch.equal(drawn_radii, radii[:, rank::2])
        if mode == "plain":  # absolute gradients; gsplat's own distributed rasterisation has plain ones
            whole = torch.cat([rendering.screen_gradient for rendering in renderings]).cpu()
            assert relative_error(screen, whole[:, rank::2]) < SAME_GRADIENT


@pytest.mark.parametrize("strategy", ["budget", "default", "mcmc"])
def test_two_gpus_learn_as_much_as_one(strategy: str, scene: SparseScene, tmp_path: Path) -> None:
    """The mean of several seeds: three held-out views of one spread by a dB."""
    configs = [
        TrainConfig.from_dict({**SETTINGS, "steps": STEPS, "device": "cuda", "strategy": strategy, "seed": seed})
        for seed in range(NUM_SEEDS)
    ]
    together, alone = Workspace(tmp_path / "together"), Workspace(tmp_path / "alone")
    pickled = tmp_path / "scene.pickle"
    pickled.write_bytes(pickle.dumps(scene))
    ended = two_processes(PROCESS, str(pickled), str(together.root), *(config.model_dump_json() for config in configs))
    assert [status for status, _ in ended] == [0, 0]
    two = [Splat.load(made.parent) for made in together.root.glob("train/*/artifact.json")]
    one = [train_splat(scene, alone, config, run=f"seed{seed}") for seed, config in enumerate(configs)]
    assert len(two) == NUM_SEEDS
    assert mean_psnr_db(two) > mean_psnr_db(one) - 1
    for splat in two:
        assert splat.num_gaussians > 200
        assert strategy == "default" or splat.num_gaussians <= MAX_GAUSSIANS  # a growth may end above it
        assert splat.steps == STEPS // NUM_PROCESSES


def mean_psnr_db(splats: list[Splat]) -> float:
    """Of the held-out views."""
    figures = [splat.psnr_db for splat in splats]
    assert None not in figures
    return float(np.mean(np.array(figures, dtype=np.float64)))
