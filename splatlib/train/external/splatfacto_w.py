"""splatfacto-w-light, nerfstudio's plugin for photos of many visitors (Xu, Kerr, Kanazawa 2024; Apache-2).

With all three of its means: a model of the background, a loss against Gaussians in front of it, and a mask that leaves
passers-by out. Held-out views are drawn with the mean of all photos' appearances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from splatlib.config import TrainConfig
from splatlib.errors import ConfigError
from splatlib.scene_formats import PlacedView
from splatlib.train.external import nerfstudio
from splatlib.train.external.protocol import Command, Results, Work

# Learning rates: over how many of 30,000 steps they decay.
DECAYS = {
    "means": nerfstudio.STEPS,
    "appearance-features": 40_000,
    "camera-opt": 15_000,
    **{f"field-background-{part}": 15_000 for part in ("encoder", "base", "rest")},
    **{f"appearance-model-{part}": 15_000 for part in ("encoder", "base", "rest")},
    "appearance-embed": 15_000,
}


@dataclass(frozen=True)
class SplatfactoW:
    backend: str = "splatfacto-w-light"
    steps: int = nerfstudio.STEPS
    honours: frozenset[str] = frozenset({"sh_degree", "antialiased", "ssim_weight", "robust", "refine_poses"})
    draws_distorted: bool = False

    def check(self, config: TrainConfig) -> None:
        if config.sh_degree == 0:
            raise ConfigError("splatfacto-w-light exports SH degrees 1 to 3", hint="leave train.sh_degree out")

    def write(self, work: Work) -> list[PlacedView]:
        return nerfstudio.write_data(work)

    def training(self, work: Work) -> Command | None:
        config = work.config
        model = {
            "enable-bg-model": True,
            "enable-alpha-loss": True,
            "enable-robust-mask": True,
            "sh-degree": config.sh_degree or 3,
            "rasterize-mode": "antialiased" if config.antialiased else "classic",
            "ssim-lambda": config.ssim_weight,
            "camera-optimizer.mode": "SO3xR3" if config.refine_poses else "off",
        }
        if work.steps != self.steps:
            model |= nerfstudio.scaled_schedule(work.steps, stop_at=15_000)
        options = [word for name, value in model.items() for word in (f"--pipeline.model.{name}", str(value))]
        options += nerfstudio.scaled_rates(work.steps, DECAYS)
        return nerfstudio.train_command("splatfacto-w-light", work, options)

    def afterwards(self, work: Work) -> list[Command]:
        script = work.environment.checkouts / "splatfacto-w" / "export_script.py"
        export = [str(script), "--load_config", str(nerfstudio.config_file(work))]
        export += ["--output_dir", str(work.output / "export"), "--camera_idx", str(_middle(work))]
        return [
            nerfstudio.render_command(work),
            Command("exporting", "splatfacto-w-export", export, nerfstudio.ENVIRONMENT),
        ]

    def results(self, work: Work, measured: Sequence[PlacedView]) -> Results:
        like = work.train_views[_middle(work)].name
        return Results(
            nerfstudio.read_gaussians(work),
            nerfstudio.renders_of(work, measured),
            warnings=(
                f"The splat has the colours of {like}, and no background: a PLY can hold neither appearances nor the "
                "model of the background.",
            ),
        )


def _middle(work: Work) -> int:
    """Index, among the trained ones by name, of the view whose appearance is exported."""
    return len(work.train_views) // 2
