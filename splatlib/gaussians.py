"""A set of 3D Gaussians in memory, stored the way the optimiser and the 3DGS PLY store them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]

SH_C0 = 0.28209479177387814  # zeroth real spherical harmonic, 1 / (2 √π)


@dataclass(frozen=True)
class Gaussians:
    """N Gaussians, float32, in scene units and world coordinates.

    Attributes:
        means: [N, 3] centres.
        log_scales: [N, 3] natural logarithm of the standard deviations along the principal axes.
        quats: [N, 4] world_from_axes rotation, wxyz, not necessarily normalised.
        opacity_logits: [N] logit of the opacity.
        sh: [N, (degree + 1)², 3] spherical-harmonics coefficients of RGB, degree 0 first; the colour seen along
            a unit direction d (camera to Gaussian, world axes) is max(0, Σ Y_k(d) sh_k + 0.5).
    """

    means: FloatArray
    log_scales: FloatArray
    quats: FloatArray
    opacity_logits: FloatArray
    sh: FloatArray

    def __post_init__(self) -> None:
        n = len(self.means)
        num_bases = self.sh.shape[1] if self.sh.ndim == 3 else 0
        if num_bases not in (1, 4, 9, 16):
            raise ValueError(f"sh wants shape [N, 1|4|9|16, 3], got {self.sh.shape=}")
        expected = {
            "means": (n, 3),
            "log_scales": (n, 3),
            "quats": (n, 4),
            "opacity_logits": (n,),
            "sh": (n, num_bases, 3),
        }
        for name, shape in expected.items():
            array = getattr(self, name)
            if array.shape != shape or array.dtype != np.float32:
                raise ValueError(f"{name} wants float32 {shape}, got {array.dtype} {array.shape}")

    def __len__(self) -> int:
        return len(self.means)

    @property
    def sh_degree(self) -> int:
        return int(np.sqrt(self.sh.shape[1])) - 1

    @property
    def opacities(self) -> FloatArray:
        """[N] in (0, 1)."""
        return (1.0 / (1.0 + np.exp(-self.opacity_logits))).astype(np.float32)

    @property
    def scales(self) -> FloatArray:
        """[N, 3] standard deviations, scene units."""
        return np.exp(self.log_scales)

    def select(self, which: npt.NDArray[np.bool_] | npt.NDArray[np.integer]) -> Self:
        """The Gaussians of a boolean mask [N] or an index array."""
        return replace(self, **{f.name: np.ascontiguousarray(getattr(self, f.name)[which]) for f in fields(self)})
