"""Similarity transforms: what moves Gaussians, cameras and points together into other world coordinates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from splatlib.gaussians import Gaussians

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Similarity:
    """x' = scale · rotation · x + translation.

    Attributes:
        scale: positive: new scene units per old one.
        rotation: [3, 3] orthonormal, determinant 1.
        translation: [3], new scene units.

    Raises ValueError where these are not what they should be.
    """

    scale: float = 1.0
    rotation: FloatArray = field(default_factory=lambda: np.eye(3))
    translation: FloatArray = field(default_factory=lambda: np.zeros(3))

    def __post_init__(self) -> None:
        rotation, translation = (np.asarray(a, np.float64) for a in (self.rotation, self.translation))
        object.__setattr__(self, "rotation", rotation)
        object.__setattr__(self, "translation", translation)
        orthonormal = rotation.shape == (3, 3) and np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)
        if not orthonormal or np.linalg.det(rotation) < 0:
            raise ValueError(f"rotation wants a [3, 3] orthonormal matrix of determinant 1, got {rotation!r}")
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"wants a positive scale, got {self.scale}")
        if translation.shape != (3,) or not np.isfinite(translation).all():
            raise ValueError(f"translation wants three finite numbers, got {translation!r}")

    @property
    def is_identity(self) -> bool:
        return self.scale == 1 and bool((self.matrix == np.eye(4)).all())

    @property
    def matrix(self) -> FloatArray:
        """[4, 4], applied from the left to column vectors."""
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = self.scale * self.rotation, self.translation
        return matrix

    @classmethod
    def from_matrix(cls, matrix: npt.ArrayLike) -> Self:
        """Of a [4, 4] matrix. Raises ValueError if that is no similarity, or mirrors."""
        matrix = np.asarray(matrix, np.float64)
        scale = float(np.cbrt(np.linalg.det(matrix[:3, :3])))
        if not scale > 0:
            raise ValueError(f"the matrix mirrors or flattens: its determinant is {scale**3:.3g}")
        return cls(scale, matrix[:3, :3] / scale, matrix[:3, 3])

    @property
    def inverse(self) -> Similarity:
        return Similarity(1 / self.scale, self.rotation.T, -self.rotation.T @ self.translation / self.scale)

    def __matmul__(self, first: Similarity) -> Similarity:
        """``(a @ b)`` does b, then a."""
        return Similarity(
            self.scale * first.scale,
            self.rotation @ first.rotation,
            self.scale * self.rotation @ first.translation + self.translation,
        )

    def points(self, xyz: npt.NDArray[np.floating]) -> npt.NDArray[Any]:
        """Points [..., 3], in their own dtype."""
        moved = self.scale * (xyz @ self.rotation.T) + self.translation
        return np.asarray(moved, xyz.dtype)

    def poses(self, cam_from_world: FloatArray) -> FloatArray:
        """Rigid transforms [..., 4, 4]: the same cameras, seeing the same picture of the moved world.

        What is ``scale`` times as large is looked at from ``scale`` times as far away.
        """
        poses = np.array(cam_from_world, np.float64)
        poses[..., :3, :3] = poses[..., :3, :3] @ self.rotation.T
        poses[..., :3, 3] = self.scale * poses[..., :3, 3] - poses[..., :3, :3] @ self.translation
        return poses

    def gaussians(self, gaussians: Gaussians) -> Gaussians:
        """Means, scales, rotations and spherical harmonics."""
        return gaussians.transformed(self.scale, self.rotation, self.translation)
