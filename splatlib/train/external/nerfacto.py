"""nerfstudio's nerfacto (Tancik et al. 2023): a radiance field, and of it a textured mesh instead of Gaussians.

Its predicted normals orient a Poisson reconstruction (Kazhdan and Hoppe 2013), nerfstudio bakes the texture.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from splatlib.config import TrainConfig
from splatlib.errors import TrainingError
from splatlib.scene_formats import PlacedView
from splatlib.train.external import nerfstudio
from splatlib.train.external.protocol import Command, Results, Work

# Learning rates: over how many steps they decay, of which nerfacto does 30,000.
DECAYS = {"proposal-networks": 200_000, "fields": 200_000, "camera-opt": 5000}


@dataclass(frozen=True)
class Nerfacto:
    """
    Attributes:
        more: options for ``ns-train``.
    """

    backend: str = "nerfacto"
    steps: int = nerfstudio.STEPS
    honours: frozenset[str] = frozenset({"refine_poses"})
    draws_distorted: bool = True
    more: tuple[str, ...] = ()

    def check(self, config: TrainConfig) -> None:
        pass

    def write(self, work: Work) -> list[PlacedView]:
        return nerfstudio.write_data(work)

    def training(self, work: Work) -> Command | None:
        options = ["--pipeline.model.predict-normals", "True"]
        # On by default, it would also move what the held-out views are compared with.
        options += ["--pipeline.model.camera-optimizer.mode", "SO3xR3" if work.config.refine_poses else "off"]
        if work.steps != self.steps:
            share = work.steps / self.steps
            options += ["--pipeline.model.proposal-warmup", str(max(1, round(5000 * share)))]
            options += ["--pipeline.model.proposal-weights-anneal-max-num-iters", str(max(1, round(1000 * share)))]
        options += nerfstudio.scaled_rates(work.steps, DECAYS)
        return nerfstudio.train_command("nerfacto", work, [*options, *self.more])

    def afterwards(self, work: Work) -> list[Command]:
        export = ["poisson", "--load-config", str(nerfstudio.config_file(work))]
        export += ["--output-dir", str(work.output / "export"), "--normal-method", "model_output"]
        matrix = json.dumps(_scene_from_trainer(work).tolist())
        convert = [str(work.output / "export" / "mesh.obj"), str(work.output / "export" / "mesh.glb"), matrix]
        return [
            nerfstudio.render_command(work),
            Command("making a mesh", "nerfstudio-export", export, nerfstudio.ENVIRONMENT),
            Command("writing the mesh as GLB", "mesh-to-glb", convert),
        ]

    def results(self, work: Work, measured: Sequence[PlacedView]) -> Results:
        mesh = work.output / "export" / "mesh.glb"
        if not mesh.is_file():
            raise TrainingError("nerfacto exported no mesh", why=f"there is no {mesh}", hint="its log says more")
        return Results(None, nerfstudio.renders_of(work, measured), mesh=mesh)


def _scene_from_trainer(work: Work) -> np.ndarray:
    """[4, 4] similarity."""
    matrix, scale = nerfstudio.trainer_from_scene(work)
    back = np.eye(4)
    back[:3, :3] = matrix[:, :3].T / scale
    back[:3, 3] = -matrix[:, :3].T @ matrix[:, 3]
    return back
