"""The real nerfstudio, as far as it runs without a GPU: its command line, its reader of our folder, its exporter.

Looked for at ``SPLATLIB_TEST_NERFSTUDIO``, a Python (or the folder of an environment) that holds it. Its kernels do not
run here, so a training has no steps: what it exports are the points that it was given.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from splatlib.artifacts import SparseScene
from splatlib.config import TrainConfig
from splatlib.environments import description_for, require
from splatlib.errors import MissingDependencyError
from splatlib.export.upright import moved_scene
from splatlib.formats import points
from splatlib.scene_formats import write_nerfstudio
from splatlib.similarity import Similarity
from splatlib.train.dataset import split_held_out
from splatlib.train.external import nerfstudio, trainer_for
from splatlib.train.external.nerfacto import Nerfacto
from splatlib.train.external.protocol import Command, Trainer, Work
from splatlib.train.external.runner import TOLD
from tests.unit.train.conftest import make_scene

PLACE = os.environ.get("SPLATLIB_TEST_NERFSTUDIO", "")
pytestmark = [
    pytest.mark.skipif(not PLACE, reason="SPLATLIB_TEST_NERFSTUDIO names no environment with nerfstudio"),
    pytest.mark.slow,
]
ON_CPU = Path(__file__).with_name("trainer_on_cpu.py")

# Run by nerfstudio's Python: what its command line makes of our options, and what its reader makes of our folder.
ASK = """
import json, sys
from unittest import mock
import nerfstudio.scripts.train as train
sys.argv = ["ns-train", *sys.argv[1:]]
with mock.patch.object(train, "main") as main:
    train.entrypoint()
config = main.call_args.args[0]
model = {k: v for k, v in vars(config.pipeline.model).items() if isinstance(v, (int, float, str, bool))}
answer = {"steps": config.max_num_iterations, "seed": config.machine.seed, "vis": config.vis, "model": model}
parser = config.pipeline.datamanager.dataparser.setup()
for split in ("train", "val", "test"):
    out = parser.get_dataparser_outputs(split=split)
    answer[split] = {"names": [path.name for path in out.image_filenames],
                     "poses": out.cameras.camera_to_worlds.tolist(), "fx": out.cameras.fx.flatten().tolist(),
                     "cy": out.cameras.cy.flatten().tolist(), "masks": out.mask_filenames is not None}
    answer["transform"], answer["scale"] = out.dataparser_transform.tolist(), out.dataparser_scale
    answer["points"] = out.metadata["points3D_xyz"].tolist()
    answer["colors"] = out.metadata["points3D_rgb"].tolist()
print("ANSWER" + json.dumps(answer))
"""


def run(argv: Sequence[object]) -> str:
    """Standard input stays open, which the launcher takes for a parent that lives."""
    process = subprocess.Popen(
        [str(word) for word in argv],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **nerfstudio.ENVIRONMENT, "PYTHONPATH": ""},
    )
    assert process.stdout is not None
    output = process.stdout.read()
    assert process.wait() == 0, output[-4000:]
    return output


def on_cpu(command: Command | None, work: Work, steps: int | None = None) -> str:
    assert command is not None
    argv = command.argv(work.environment.python)
    if steps is not None:
        argv[argv.index("--max-num-iterations") + 1] = str(steps)
        place = argv.index("nerfstudio-data")
        argv[place:place] = ["--machine.device-type", "cpu"]
    return run([argv[0], ON_CPU, *argv[1:]])


@pytest.fixture
def scene(tmp_path: Path) -> SparseScene:
    return make_scene(tmp_path / "scene", with_masks=True)


def work_of(
    trainer: Trainer, scene: SparseScene, folder: Path, monkeypatch: pytest.MonkeyPatch, **more: object
) -> Work:
    for name in ("NERFSTUDIO", "SPLATFACTO_W"):
        monkeypatch.setenv(f"SPLATLIB_ENVIRONMENT_{name}", PLACE)
    config = TrainConfig.from_dict({"backend": trainer.backend, **more})
    try:
        environment = require(description_for(trainer.backend))
    except MissingDependencyError as error:
        pytest.skip(f"{trainer.backend}: {error.why}")
    train_views, held_out = split_held_out(scene.views, config.held_out_every)
    work = Work(scene, train_views, held_out, config, environment, folder, config.steps or trainer.steps)
    work.output.mkdir(parents=True)
    trainer.write(work)
    return work


@pytest.mark.parametrize(
    "backend", ["splatfacto", "splatfacto-big", "splatfacto-mcmc", "splatfacto-w-light", "nerfacto"]
)
def test_its_command_line_takes_our_options_and_its_reader_our_folder(
    backend: str, scene: SparseScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = trainer_for(backend)
    mcmc = {"max_gaussians": 5000} if backend == "splatfacto-mcmc" else {}
    white = {} if backend == "splatfacto-w-light" else {"background": "white"}
    more = {} if backend == "nerfacto" else {"sh_degree": 2, "ssim_weight": 0.1, **white, **mcmc}
    work = work_of(trainer, scene, tmp_path / "work", monkeypatch, steps=6000, seed=5, **more)
    command = trainer.training(work)
    assert command is not None
    output = run([work.environment.python, "-c", ASK, *command.arguments])
    answer = json.loads(output.rpartition("ANSWER")[2])
    assert (answer["steps"], answer["seed"], answer["vis"]) == (6000, 5, "tensorboard")
    if backend == "nerfacto":
        assert answer["model"]["predict_normals"] is True
    else:
        expected = {"sh_degree": 2, "ssim_lambda": 0.1, "rasterize_mode": "classic", "resolution_schedule": 600}
        expected |= {"sh_degree_interval": 200, "stop_split_at": 5000 if backend == "splatfacto-mcmc" else 3000}
        if backend == "splatfacto-w-light":
            expected |= {"enable_bg_model": True, "enable_alpha_loss": True, "enable_robust_mask": True}
        else:
            expected |= {"background_color": "white", "use_bilateral_grid": False}
        if backend == "splatfacto-mcmc":
            expected |= {"strategy": "mcmc", "max_gs_num": 5000, "use_scale_regularization": True}
        assert {name: answer["model"][name] for name in expected} == expected

    held_out = [view.name for view in work.held_out]
    assert answer["val"]["names"] == answer["test"]["names"] == held_out
    assert answer["train"]["names"] == [view.name for view in work.train_views]
    assert answer["train"]["masks"] is True
    assert set(answer["train"]["fx"]) == {scene.cameras[0].fx} and set(answer["test"]["cy"]) == {scene.cameras[0].cy}
    transform, scale = np.array(answer["transform"]), answer["scale"]
    for view, pose in zip(work.train_views, answer["train"]["poses"], strict=True):
        center = scale * (transform[:, :3] @ view.center + transform[:, 3])
        np.testing.assert_allclose(np.array(pose)[:, 3], center, atol=1e-5)
        axes = np.linalg.inv(view.cam_from_world)[:3, :3] @ np.diag([1, -1, -1])
        np.testing.assert_allclose(np.array(pose)[:, :3], transform[:, :3] @ axes, atol=1e-5)
    moved = scale * (scene.points_xyz @ transform[:, :3].T + transform[:, 3])
    np.testing.assert_allclose(answer["points"], moved, atol=1e-5)
    np.testing.assert_allclose(np.array(answer["colors"]), scene.points_rgb, atol=1)


@pytest.mark.parametrize("backend", ["splatfacto", "splatfacto-mcmc"])
def test_what_it_exports_lies_where_the_scene_lies(
    backend: str, scene: SparseScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Config, checkpoint, transform and PLY are the real ones; the Gaussians are those that it begins with."""
    trainer = trainer_for(backend)
    work = work_of(trainer, scene, tmp_path / "work", monkeypatch)
    on_cpu(trainer.training(work), work, steps=0)
    export = next(command for command in trainer.afterwards(work) if command.what == "exporting")
    on_cpu(export, work)
    gaussians = nerfstudio.read_gaussians(work)
    np.testing.assert_allclose(gaussians.means, scene.points_xyz, atol=1e-5)
    # splatfacto begins with each Gaussian as wide as its three nearest points are far, whatever the scale it works at
    away = np.sort(np.linalg.norm(scene.points_xyz[:, None] - scene.points_xyz[None], axis=-1), axis=1)[:, 1:4].mean(1)
    np.testing.assert_allclose(gaussians.scales[:, 0], away, rtol=1e-3)
    np.testing.assert_allclose(gaussians.base_colors, scene.points_rgb / 255, atol=0.01)
    assert gaussians.sh_degree == 3


def test_nerfacto_trains_and_draws_the_held_out_views(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few steps on the CPU, all of it real: progress, checkpoint, and where ``ns-render`` puts its pictures."""
    scene = make_scene(tmp_path / "scene")
    small = ["--pipeline.datamanager.train-num-rays-per-batch", "64"]
    small += ["--mixed-precision", "False", "--pipeline.model.implementation", "torch"]
    small += ["--pipeline.model.log2-hashmap-size", "12", "--pipeline.model.num-levels", "4"]
    trainer = Nerfacto(more=tuple(small))
    work = work_of(trainer, scene, tmp_path / "work", monkeypatch, max_long_side_px=32)
    output = on_cpu(trainer.training(work), work, steps=3)
    told = [json.loads(line[len(TOLD) :]) for line in output.splitlines() if line.startswith(TOLD)]
    assert told[0]["step"] == 1 and np.isfinite(told[0]["loss"])
    on_cpu(nerfstudio.render_command(work), work)
    placed = nerfstudio.write_data(dataclasses.replace(work, folder=tmp_path / "again"))
    renders = nerfstudio.renders_of(work, placed)
    assert sorted(renders) == [view.name for view in work.held_out]
    assert all(path.is_file() for path in renders.values())


READ = """
import json, sys
from pathlib import Path
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
plain = {"orientation_method": "none", "center_method": "none", "auto_scale_poses": False, "eval_mode": "all"}
out = NerfstudioDataParserConfig(data=Path(sys.argv[1]), load_3D_points=True, **plain).setup().get_dataparser_outputs()
print("ANSWER" + json.dumps({"names": [path.name for path in out.image_filenames],
      "there": all(path.is_file() for path in out.image_filenames),
      "poses": out.cameras.camera_to_worlds.tolist(), "fx": out.cameras.fx.flatten().tolist(),
      "points": out.metadata["points3D_xyz"].tolist(), "scale": out.dataparser_scale}))
"""


def test_its_reader_takes_the_delivered_folder(scene: SparseScene, tmp_path: Path) -> None:
    """What ``export.formats=nerfstudio`` writes, z up, without a split: all views, where our transform puts them."""
    up = Similarity(rotation=points.RFU_FROM_RDF)
    write_nerfstudio(moved_scene(scene, up), tmp_path / "nerfstudio")
    place = Path(PLACE)
    python = place / "bin" / "python" if place.is_dir() else place
    answer = json.loads(run([python, "-c", READ, tmp_path / "nerfstudio"]).rpartition("ANSWER")[2])
    assert answer["names"] == [view.name for view in scene.views] and answer["there"] and answer["scale"] == 1
    assert set(answer["fx"]) == {scene.cameras[0].fx}
    np.testing.assert_allclose(np.array(answer["points"]), up.points(scene.points_xyz), atol=1e-5)
    for view, pose in zip(scene.views, answer["poses"], strict=True):
        np.testing.assert_allclose(np.array(pose)[:, 3], up.points(view.center), atol=1e-5)
