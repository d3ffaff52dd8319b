"""The fourth stage's artefact: a trained splat and its quality on held-out views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from splatlib.artifacts.base import Artifact, tuples
from splatlib.errors import ArtifactError
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
        trainer: which other trainer made it, with its version; empty: splatlib itself.
        held_out_by_splatlib: of another trainer's Gaussians, whose ``held_out`` its own renderer drew: the same views
            drawn by splatlib's; pictures under ``held_out/<stem>.splatlib.png``.
        mesh: file of a method without Gaussians (nerfacto), in the scene's axes and scale.
        train_seconds: of another trainer's training alone, without drawing and exporting; 0 where it was not timed.
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
    trainer: str = ""
    held_out_by_splatlib: tuple[HeldOutView, ...] = ()
    mesh: str | None = None
    train_seconds: float = 0.0

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
    def psnr_by_splatlib_db(self) -> float | None:
        """Mean over ``held_out_by_splatlib``."""
        return _mean([view.psnr_db for view in self.held_out_by_splatlib])

    @property
    def ssim_by_splatlib(self) -> float | None:
        return _mean([view.ssim for view in self.held_out_by_splatlib])

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
        """Read the trained Gaussians from ``splat.ply``. Raises ArtifactError, also where only a mesh was made."""
        if self.mesh is not None and not self.ply_path.exists():
            raise ArtifactError(
                f"the run {self.run} has a mesh and no Gaussians",
                why=f"{self.backend} trains a radiance field, of which {self.directory / self.mesh} was made",
                hint="train with another backend to export a splat",
            )
        return Gaussians.load_ply(self.ply_path)

    @classmethod
    def from_data(cls, data: Mapping[str, Any], **own: Any) -> Self:
        views = {
            name: tuple(HeldOutView(**view) for view in data.get(name, ()))
            for name in ("held_out", "held_out_by_splatlib")
        }
        return cls(**{**tuples(data), **views}, **own)


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None
