"""The real 3DGRUT, as far as it runs without a GPU: its configuration takes our settings, its reader our folder.

Looked for at ``SPLATLIB_TEST_3DGRUT``, the folder of an environment whose ``src/threedgrut`` is its checkout.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from splatlib.artifacts import Distortion, SparseScene
from splatlib.config import TrainConfig
from splatlib.environments import Environment, description_for
from splatlib.environments.found import CHECKOUTS, python_of
from splatlib.train.dataset import split_held_out
from splatlib.train.external import trainer_for
from splatlib.train.external.protocol import Work
from tests.unit.train.conftest import make_scene

PLACE = os.environ.get("SPLATLIB_TEST_3DGRUT", "")
pytestmark = [
    pytest.mark.skipif(not PLACE, reason="SPLATLIB_TEST_3DGRUT names no environment with 3DGRUT"),
    pytest.mark.slow,
]

# Run by its Python: what hydra makes of our overrides, and what the reader of COLMAP folders makes of ours.
ASK = """
import json, sys
checkout, _, name, *overrides = sys.argv[1:]
sys.path.insert(0, checkout)
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
OmegaConf.register_new_resolver("int_list", lambda l: [int(x) for x in l], replace=True)
from threedgrut.datasets.dataset_colmap import ColmapDataset
with initialize_config_dir(checkout + "/configs", version_base=None):
    conf = compose(name, overrides)
answer = {"conf": OmegaConf.to_container(conf, resolve=True)}
for split in ("train", "test"):
    read = ColmapDataset(conf.path, device="cpu", split=split, test_split_interval=conf.dataset.test_split_interval)
    (camera, *_), = list(read.intrinsics.values())[:1]
    answer[split] = {"images": [str(p) for p in read.image_paths], "masks": [str(p) for p in read.mask_paths],
                     "poses": read.poses.tolist(), "focal": list(camera["focal_length"]),
                     "kinds": sorted(str(value[3]) for value in read.intrinsics.values())}
print("ANSWER" + json.dumps(answer, default=float))
"""


def ask(scene: SparseScene, folder: Path, **settings: object) -> tuple[Work, dict]:
    environment = Environment(description_for("3dgut"), python_of(Path(PLACE)), Path(PLACE) / CHECKOUTS, {}, None, "")
    config = TrainConfig.from_dict({"backend": "3dgut", **settings})
    trainer = trainer_for(config.backend)
    train_views, held_out = split_held_out(scene.views, config.held_out_every)
    work = Work(scene, train_views, held_out, config, environment, folder, config.steps or trainer.steps)
    trainer.write(work)
    command = trainer.training(work)
    assert command is not None
    process = subprocess.run(
        [str(environment.python), "-c", ASK, *command.arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ""},
        check=False,
    )
    assert process.returncode == 0, process.stderr[-4000:]
    return work, json.loads(process.stdout.rpartition("ANSWER")[2])


@pytest.mark.parametrize("backend", ["3dgut", "3dgrt"])
def test_its_configuration_takes_our_settings_and_its_reader_our_folder(backend: str, tmp_path: Path) -> None:
    scene = make_scene(tmp_path / "a scene, with = signs", with_masks=True)
    settings = {"backend": backend, "steps": 6000, "max_gaussians": 4000, "sh_degree": 2, "ssim_weight": 0.3, "seed": 9}
    work, answer = ask(scene, tmp_path / "it's work", **settings)
    conf = answer["conf"]
    assert (conf["n_iterations"], conf["seed_initialization"], conf["render"]["method"]) == (6000, 9, backend)
    assert conf["strategy"]["method"] == "MCMCStrategy" and conf["strategy"]["add"]["max_n_gaussians"] == 4000
    assert conf["strategy"]["relocate"]["end_iteration"] == 5000 and conf["optimizer"]["type"] == "selective_adam"
    assert conf["loss"]["lambda_ssim"] == 0.3 and conf["loss"]["lambda_l1"] == 0.7
    assert conf["model"]["progressive_training"]["max_n_features"] == 2
    assert conf["export_ply"] == {"enabled": True, "path": str(work.output / "splat.ply")}
    assert conf["checkpoint"]["iterations"] == [5000] and conf["compute_extra_metrics"] is True

    for split, views in (("train", work.train_views), ("test", work.held_out)):
        named = [Path(path).name.partition("_")[2] for path in answer[split]["images"]]
        assert named == [view.name for view in views]
        assert all(Path(path).is_file() for path in [*answer[split]["images"], *answer[split]["masks"]])
        poses = [np.linalg.inv(view.cam_from_world) for view in views]
        np.testing.assert_allclose(answer[split]["poses"], poses, atol=1e-5)
    assert answer["train"]["focal"] == [scene.cameras[0].fx, scene.cameras[0].fy]


def test_it_reads_distorted_lenses(tmp_path: Path) -> None:
    scene = make_scene(tmp_path / "scene")
    for lens, kind in (
        (Distortion("radial_tangential", (0.1, -0.02, 0.0, 0.0, 0.0, 0.0), (0.001, 0.002)), "OpenCVPinhole"),
        (Distortion("fisheye", (0.1, 0.01, 0.0, 0.0)), "OpenCVFisheye"),
    ):
        bent = dataclasses.replace(scene, cameras=tuple(dataclasses.replace(c, distortion=lens) for c in scene.cameras))
        _, answer = ask(bent, tmp_path / kind)
        assert all(kind in found for found in answer["train"]["kinds"])
