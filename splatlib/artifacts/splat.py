"""The fourth stage's artefact: a trained splat and its quality on held-out views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from splatlib.artifacts.base import Artifact, tuples
from splatlib.gaussians import Gaussians


@dataclass(frozen=True)
class HeldOutView:
    """Quality on one view that training never saw; pictures under ``held_out/<stem>.{truth,render}.png``.

    Attributes:
        psnr_corrected_db: after a least-squares fit of the render's colours to the photo's; None if not measured.
    """

    name: str
    psnr_db: float
    ssim: float
    lpips: float | None = None
    psnr_corrected_db: float | None = None


@dataclass(frozen=True, kw_only=True)
class Splat(Artifact):
    """A trained splat: ``splat.ply`` and how well it renders views it never saw.

    Attributes:
        run: name of the training run.
        psnr_db, ssim, lpips, psnr_corrected_db: means over ``held_out``; None where no view was measured so.
        settings: the config with the preset's values for the device filled in.
        stopped: whether somebody ended the training early, after ``steps`` of ``settings["steps"]``.
    """

    stage: ClassVar[str] = "train"

    run: str
    backend: str
    device: str
    steps: int
    num_gaussians: int
    sh_degree: int
    held_out: tuple[HeldOutView, ...] = ()
    warnings: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    stopped: bool = False

    @property
    def ply_path(self) -> Path:
        return self.directory / "splat.ply"

    @property
    def metrics_path(self) -> Path:
        """One JSON object a line, written while training."""
        return self.directory / "metrics.jsonl"

    @property
    def psnr_db(self) -> float | None:
        return _mean([view.psnr_db for view in self.held_out])

    @property
    def ssim(self) -> float | None:
        return _mean([view.ssim for view in self.held_out])

    @property
    def lpips(self) -> float | None:
        return _mean([view.lpips for view in self.held_out if view.lpips is not None])

    @property
    def psnr_corrected_db(self) -> float | None:
        """Where photos differ in exposure, this tells wrong colours from wrong shapes; ``psnr_db`` is the headline."""
        return _mean([view.psnr_corrected_db for view in self.held_out if view.psnr_corrected_db is not None])

    def held_out_paths(self, view: HeldOutView) -> tuple[Path, Path]:
        """Truth and render of a held-out view."""
        stem = self.directory / "held_out" / Path(view.name).stem
        return stem.with_name(stem.name + ".truth.png"), stem.with_name(stem.name + ".render.png")

    def gaussians(self) -> Gaussians:
        """Read the trained Gaussians from ``splat.ply``."""
        return Gaussians.load_ply(self.ply_path)

    @classmethod
    def from_data(cls, data: Mapping[str, Any], **own: Any) -> Self:
        held_out = tuple(HeldOutView(**view) for view in data["held_out"])
        return cls(**{**tuples(data), "held_out": held_out}, **own)


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None
