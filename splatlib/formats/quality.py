"""How coarsely a small format may round, and where: each Gaussian by what it contributes to pictures.

The error that rounding one Gaussian by a step δ brings into pictures grows as its contribution times δ², and the bits
that it saves as log δ. The least error for the bits spent is where each Gaussian's share of it is the same (reverse
water-filling; Cover and Thomas, "Elements of Information Theory", 10.3): δ goes with one over the square root of the
contribution.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from splatlib.gaussians import Gaussians

FloatArray = npt.NDArray[np.float32]
_MOST_SLACK = 16.0  # a Gaussian that was seen little by the capture may be seen by someone else


@dataclass(frozen=True)
class Quality:
    """Rounding steps for a Gaussian of middling contribution.

    Measured on fox: at half of these steps every attribute's next byte takes away about as much error as any other's.

    Attributes:
        position: of the middle standard deviation.
        log_scale: natural logarithm.
        rotation: of a quaternion's component.
        color: of the degree-0 colour, displayed values 0…1.
        opacity: 0…1.
        sh: of the coefficients above degree 0.
        sh_palette: Gaussians to an entry of the palette of higher SH coefficients, at least.
        sh_rate: squared coefficients that one bit of a palette index is worth; 0 takes the nearest entry always.
        prune: share of all contributions that may go with Gaussians that contribute least.
    """

    position: float = 0.22
    log_scale: float = 0.28
    rotation: float = 0.08
    color: float = 0.037
    opacity: float = 0.018
    sh: float = 0.031
    sh_palette: float = 17.0
    sh_rate: float = 2e-4
    prune: float = 5e-4

    def coarser(self, factor: float) -> Quality:
        """Every step times ``factor``; an error of ``factor``² times as much."""
        return replace(
            self,
            position=self.position * factor,
            log_scale=self.log_scale * factor,
            rotation=self.rotation * factor,
            color=self.color * factor,
            opacity=self.opacity * factor,
            sh=self.sh * factor,
            sh_palette=self.sh_palette * factor,
            sh_rate=self.sh_rate * factor**2,
            prune=min(0.1, self.prune * factor**2),
        )


def assumed_contributions(gaussians: Gaussians) -> FloatArray:
    """[N] a guess where no camera is known: opacity times the area of the largest cross-section."""
    largest = np.sort(gaussians.log_scales, axis=1)[:, 1:].sum(axis=1)
    return (gaussians.opacities * np.exp(np.clip(largest, -60, 60))).astype(np.float32)


def slack(contributions: FloatArray) -> FloatArray:
    """[N] factor on a Gaussian's rounding steps, 1 for the weighted median of the contributions [N]."""
    known = np.maximum(np.nan_to_num(contributions.astype(np.float64)), 0)
    if not known.sum() > 0:
        return np.ones(len(contributions), np.float32)
    order = np.argsort(known)
    middle = known[order][np.searchsorted(np.cumsum(known[order]), known.sum() / 2)]
    floor = middle / _MOST_SLACK**2
    return np.sqrt(middle / np.maximum(known, floor)).astype(np.float32)


def exponents(steps: npt.NDArray[np.floating], unit: npt.NDArray[np.floating] | float, most: int) -> npt.NDArray:
    """The largest m, 0…most, with unit · 2^m no more than a step; int32 in the shape of ``steps``."""
    with np.errstate(divide="ignore"):
        return np.clip(np.floor(np.log2(steps / unit)), 0, most).astype(np.int32)


def to_multiples(values: npt.NDArray[np.floating], m: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Numbers rounded to the nearest multiples of 2^m.

    In one step: rounding integers once more would move them upwards in the mean.
    """
    step = np.ldexp(np.float32(1), m)
    return (np.rint(values / step) * step).astype(np.int32)


def without_unseen(contributions: FloatArray, prune: float) -> npt.NDArray[np.int64]:
    """Indices of those kept if the least contributing, together ``prune`` of all contributions, are left out."""
    known = np.maximum(np.nan_to_num(contributions.astype(np.float64)), 0)
    order = np.argsort(known, kind="stable")
    dropped = int(np.searchsorted(np.cumsum(known[order]), prune * known.sum(), side="right")) if known.sum() > 0 else 0
    return np.sort(order[min(dropped, len(order) - 1) :])
