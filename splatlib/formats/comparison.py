"""How far a file, read back, is from what was written."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from splatlib.gaussians import Gaussians


@dataclass(frozen=True)
class Errors:
    """Largest absolute differences over all Gaussians.

    Attributes:
        mean: of the centres, scene units.
        color: of the degree-0 colour, as displayed (0…1).
        sh: of the higher SH coefficients.
        opacity: 0…1.
        log_scale: natural logarithm, so 0.03 is 3 %.
        rotation: angle, radians.
    """

    mean: float
    color: float
    sh: float
    opacity: float
    log_scale: float
    rotation: float

    def beyond(self, tolerance: Errors) -> dict[str, float]:
        """The errors larger than a tolerance allows (NaN is)."""
        allowed = asdict(tolerance)
        return {name: error for name, error in asdict(self).items() if not error <= allowed[name]}


def compare(written: Gaussians, read: Gaussians) -> Errors:
    """Raises ValueError if number or SH degree differ."""
    if len(written) != len(read) or written.sh_degree != read.sh_degree:
        raise ValueError(
            f"wrote {len(written)} Gaussians of SH degree {written.sh_degree}, "
            f"read {len(read)} of degree {read.sh_degree}"
        )
    return Errors(
        mean=_largest(written.means - read.means),
        color=_largest(np.clip(written.base_colors, 0, 1) - np.clip(read.base_colors, 0, 1)),
        sh=_largest(written.sh[:, 1:] - read.sh[:, 1:]),
        opacity=_largest(written.opacities - read.opacities),
        log_scale=_largest(written.log_scales - read.log_scales),
        rotation=_largest(_angles(written, read)),
    )


def _largest(difference: np.ndarray) -> float:
    return float(np.abs(difference).max()) if difference.size else 0.0


def _angles(written: Gaussians, read: Gaussians) -> np.ndarray:
    """[N] angle between the rotations, radians; exact for small ones too."""
    a, b = (g.quats.astype(np.float64) for g in (written, read))
    a, b = (q / np.linalg.norm(q, axis=1, keepdims=True) for q in (a, b))
    nearer = np.minimum(np.linalg.norm(a - b, axis=1), np.linalg.norm(a + b, axis=1))
    return 4 * np.arcsin(np.clip(nearer / 2, 0, 1))
