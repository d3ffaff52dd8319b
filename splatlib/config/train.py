"""Configuration of the fourth stage, train_splat, and its presets."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from splatlib.config.base import NOT_IN_DIGEST, Config

# A preset's values by kind of device. Where each number comes from is said beside the code that it tunes
# (splatlib/train/schedule.py).
TRAIN_PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "preview": {
        "cpu": {
            "max_long_side_px": 320,
            "steps": 1200,
            "max_gaussians": 24_000,
            "sh_degree": 1,
            "pixels_per_gaussian": 100,
        },
        "cuda": {
            "max_long_side_px": 1024,
            "steps": 1300,
            "max_gaussians": 200_000,
            "sh_degree": 2,
            "pixels_per_gaussian": 200,
        },
    },
    "balanced": {
        "cpu": {
            "max_long_side_px": 640,
            "steps": 4000,
            "max_gaussians": 80_000,
            "sh_degree": 2,
            "pixels_per_gaussian": 100,
        },
        "cuda": {
            "max_long_side_px": 1600,
            "steps": 3600,
            "max_gaussians": 500_000,
            "sh_degree": 3,
            "pixels_per_gaussian": 200,
        },
    },
    "high": {
        "cpu": {
            "max_long_side_px": 960,
            "steps": 10_000,
            "max_gaussians": 200_000,
            "sh_degree": 3,
            "pixels_per_gaussian": 100,
        },
        "cuda": {
            "max_long_side_px": 1600,
            "steps": 11_000,
            "max_gaussians": 1_500_000,
            "sh_degree": 3,
            "pixels_per_gaussian": 150,
        },
    },
    # The published schedule of 3D Gaussian Splatting, for comparison: slow.
    "reference": {
        kind: {
            "max_long_side_px": 1600,
            "steps": 30_000,
            "max_gaussians": 5_000_000,
            "sh_degree": 3,
            "pixels_per_gaussian": 0,
            "strategy": "default",
        }
        for kind in ("cpu", "cuda")
    },
}
# Who trains: splatlib itself, or another trainer as a process of its own (splatlib/train/external).
Backend = Literal[
    "splatlib", "splatfacto", "splatfacto-big", "splatfacto-mcmc", "splatfacto-w-light", "nerfacto", "3dgut", "3dgrt"
]
# What a preset may decide.
OF_PRESETS = ("max_long_side_px", "steps", "max_gaussians", "pixels_per_gaussian", "sh_degree", "strategy")


class TrainConfig(Config):
    """How a splat is trained. Fields left out (None) come from the preset, whose values depend on the device."""

    preset: Literal["preview", "balanced", "high", "reference"] = Field(
        default="preview", description="values of the fields left out; reference is the published schedule"
    )
    backend: Backend = Field(
        default="splatlib",
        description="who trains; all but splatlib itself need a GPU and an environment of their own "
        "(`splat backend list`), and refuse settings that they do not have",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="where to train; auto takes the best renderer here"
    )
    max_long_side_px: int | None = Field(
        default=None, ge=32, le=8192, description="pictures are scaled down to this for training"
    )
    steps: int | None = Field(default=None, ge=1, le=1_000_000, description="of the optimiser")
    max_gaussians: int | None = Field(default=None, ge=100, le=50_000_000, description="densification stops there")
    pixels_per_gaussian: int | None = Field(
        default=None,
        ge=0,
        description="at most one Gaussian for so many pixels of all training pictures, lest they over-fit; 0: no limit",
    )
    sh_degree: int | None = Field(
        default=None, ge=0, le=3, description="of the colour's change with the viewing direction"
    )
    strategy: Literal["budget", "default", "mcmc"] | None = Field(
        default=None, description="densification; default and mcmc are gsplat's own"
    )
    antialiased: bool = Field(
        default=False,
        description="GPU: dim Gaussians smaller than a pixel, for views from nearer or further",
    )
    ssim_weight: float = Field(default=0.2, ge=0, le=1, description="loss: (1 - weight) L1 + weight (1 - SSIM)")
    background: Literal["black", "white", "random"] = Field(default="black", description="behind all Gaussians")
    appearance: Literal["none", "affine", "bilateral"] = Field(
        default="none",
        description="learn what exposure and white balance did to each photo: one colour matrix, or a grid of them "
        "that covers vignettes and local tone mapping too",
    )
    refine_poses: bool = Field(default=False, description="GPU: correct the cameras' poses a little while training")
    robust: bool = Field(default=False, description="leave out what only some photos show, such as passers-by")
    outside_mask: Literal["auto", "ignore", "transparent"] = Field(
        default="auto",
        description="pixels outside a mask teach nothing, or that nothing is there; auto: what the masks mean",
    )
    held_out_every: int = Field(default=8, ge=0, description="every n-th view by name is kept for measuring; 0: none")
    preview_every_steps: int | None = Field(
        default=None,
        ge=0,
        description="a rendered preview picture and its quality this often; 0: none",
        json_schema_extra=NOT_IN_DIGEST,
    )
    checkpoint_every_s: float = Field(
        default=20.0,
        ge=0,
        description="seconds between checkpoints; 0: after every step",
        json_schema_extra=NOT_IN_DIGEST,
    )
    seed: int = Field(default=0, ge=0, description="of all random choices")

    @model_validator(mode="after")
    def _some_views_are_left(self) -> Self:
        if self.held_out_every == 1:
            raise ValueError("held_out_every 1 would hold out every view; 0 holds out none, 8 is usual")
        return self

    @model_validator(mode="after")
    def _poses_have_a_gradient(self) -> Self:
        # resolved() comes by here too, so that device auto on a machine without a GPU is refused before any work
        if self.refine_poses and self.device == "cpu":
            raise ValueError("refine_poses needs a GPU: the CPU renderer has no gradient by the pose; leave it off")
        return self

    def resolved(self, device_kind: str) -> ResolvedTrainConfig:
        """With the preset's values for ``cpu`` or ``cuda`` in the fields left out."""
        every = {"cpu": 200, "cuda": 1000}[device_kind]
        preset = {"strategy": "budget", "preview_every_steps": every, **TRAIN_PRESETS[self.preset][device_kind]}
        chosen = {name: value for name, value in self.to_dict().items() if value is not None}
        return ResolvedTrainConfig(**{**preset, **chosen, "device": device_kind})


class ResolvedTrainConfig(TrainConfig):
    """A TrainConfig with every field set, for one kind of device."""

    max_long_side_px: int  # type: ignore[assignment]
    steps: int  # type: ignore[assignment]
    max_gaussians: int  # type: ignore[assignment]
    pixels_per_gaussian: int  # type: ignore[assignment]
    sh_degree: int  # type: ignore[assignment]
    strategy: Literal["budget", "default", "mcmc"]  # type: ignore[assignment]
    preview_every_steps: int = Field(json_schema_extra=NOT_IN_DIGEST)  # type: ignore[assignment]
