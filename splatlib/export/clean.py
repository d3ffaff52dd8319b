"""Fog and floaters out: Gaussians that no camera stands for, as far as held-out photos do not mind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from splatlib.export.judge import Judge
from splatlib.export.views import Contributions
from splatlib.gaussians import Gaussians
from splatlib.progress import logger

_FAINT = 0.02  # opacity
_FEW_VIEWS = 0.04  # of the views looked at: a surface is seen by more
_ISOLATED = 6.0  # times the median distance to neighbours
_NEIGHBOURS = 8


@dataclass(frozen=True)
class Cleaning:
    """Attributes:
    kept: [N] bool. removed: how many went, by reason, in the order of trying. loss_db: on held-out photos.
    """

    kept: npt.NDArray[np.bool_]
    removed: dict[str, int]
    loss_db: float

    def __str__(self) -> str:
        parts = ", ".join(f"{count:,} {reason}" for reason, count in self.removed.items() if count)
        return f"{(~self.kept).sum():,} of {len(self.kept):,} Gaussians removed ({parts or 'none'})"


def clean(judge: Judge, max_loss_db: float) -> Cleaning | None:
    """Which of the judge's Gaussians to keep; None where no camera can tell.

    Reasons are tried one after the other, the surest first. Of each as many Gaussians go, the least contributing first,
    as keep the sum of all losses within ``max_loss_db``; where all would be too many, half, a quarter, an eighth.
    """
    seen = judge.contributions
    if seen is None:
        return None
    kept, removed, total_db = np.ones(len(judge.gaussians), np.bool_), {}, 0.0
    for reason, suspects in _suspects(judge.gaussians, seen).items():
        which = np.flatnonzero(suspects & kept)
        which = which[np.argsort(seen.weights[which], kind="stable")]
        removed[reason] = 0
        for share in (1.0, 0.5, 0.25, 0.125):
            trial = kept.copy()
            trial[which[: int(share * len(which))]] = False
            if not trial.any() or (trial == kept).all():
                continue
            loss_db = judge.held_out_loss_db(judge.gaussians.select(trial))
            logger.debug("export: without %d that are %s: %.3f dB", (kept & ~trial).sum(), reason, loss_db)
            if loss_db <= max_loss_db:
                removed[reason] = int((kept & ~trial).sum())
                kept, total_db = trial, loss_db
                break
    return Cleaning(kept, removed, total_db)


def _suspects(gaussians: Gaussians, seen: Contributions) -> dict[str, npt.NDArray[np.bool_]]:
    """[N] each, by reason; the surest first."""
    few = max(1, round(_FEW_VIEWS * seen.num_views))
    rarely = seen.views <= few
    return {
        "seen by no camera": seen.views == 0,
        "fainter than fog": gaussians.opacities < _FAINT,
        "isolated": _isolated(gaussians) & (seen.views < 0.25 * seen.num_views),
        "seen by hardly a camera": rarely,
    }


def _isolated(gaussians: Gaussians) -> npt.NDArray[np.bool_]:
    """[N] far from their neighbours, and from any that their own size would reach."""
    from scipy.spatial import KDTree

    if len(gaussians) <= _NEIGHBOURS:
        return np.zeros(len(gaussians), np.bool_)
    distances, _ = KDTree(gaussians.means).query(gaussians.means, _NEIGHBOURS + 1, workers=-1)
    mean = distances[:, 1:].mean(axis=1)
    return np.asarray((mean > _ISOLATED * np.median(mean)) & (mean > 2 * gaussians.scales.max(axis=1)))
