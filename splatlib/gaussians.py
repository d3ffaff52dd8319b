"""A set of 3D Gaussians in memory, stored the way the optimiser and the 3DGS PLY store them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from splatlib.errors import ArtifactError
from splatlib.ply import header, read_ply
from splatlib.spherical_harmonics import half_turn, mirror_sh, rotate_sh

FloatArray = npt.NDArray[np.float32]

SH_C0 = 0.28209479177387814  # zeroth real spherical harmonic, 1 / (2 √π)

_PLY_BLOCK_ROWS = 8192


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

    @property
    def base_colors(self) -> FloatArray:
        """[N, 3] RGB of degree 0, the mean over all directions; 0…1 is displayable."""
        return self.sh[:, 0] * np.float32(SH_C0) + np.float32(0.5)

    def select(self, which: npt.NDArray[np.bool_] | npt.NDArray[np.integer]) -> Self:
        """The Gaussians of a boolean mask [N] or an index array."""
        return replace(self, **{f.name: np.ascontiguousarray(getattr(self, f.name)[which]) for f in fields(self)})

    def transformed(
        self,
        scale: float = 1.0,
        rotation: npt.ArrayLike = ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
        translation: npt.ArrayLike = (0, 0, 0),
    ) -> Self:
        """The same Gaussians in other world coordinates, x' = scale · rotation · x + translation; SH turn along.

        Args:
            scale: positive. rotation: [3, 3] orthonormal, determinant 1. translation: [3], new scene units.
        """
        turn, shift = np.asarray(rotation, np.float64), np.asarray(translation, np.float64)
        if turn.shape != (3, 3) or not np.allclose(turn @ turn.T, np.eye(3), atol=1e-6) or np.linalg.det(turn) < 0:
            raise ValueError(f"rotation wants a [3, 3] orthonormal matrix of determinant 1, got {turn!r}")
        if not (np.isfinite(scale) and scale > 0) or shift.shape != (3,):
            raise ValueError(f"wants a positive scale and a translation [3], got {scale=}, {shift.shape=}")
        return replace(
            self,
            means=(scale * (self.means @ turn.T) + shift).astype(np.float32),
            log_scales=self.log_scales + np.float32(np.log(scale)),
            quats=_quats_product(quat_from_matrix(turn), self.quats),
            sh=np.asarray(rotate_sh(self.sh, turn), np.float32),
        )

    def mirrored(self, normal: npt.ArrayLike, offset: float = 0.0) -> Self:
        """The Gaussians seen in the mirror {x : n · x = offset}, n the unit vector along ``normal`` [3].

        A mirror turns ellipsoids as a half turn about its normal does: they are their own mirror images.
        """
        unit = np.asarray(normal, np.float64)
        length = np.linalg.norm(unit) if unit.shape == (3,) else np.nan
        if not (np.isfinite(length) and length > 0):
            raise ValueError(f"normal wants three numbers that are not all zero, got {normal!r}")
        unit = unit / length
        distances = self.means @ unit - offset
        return replace(
            self,
            means=(self.means - 2 * distances[:, None] * unit).astype(np.float32),
            quats=_quats_product(quat_from_matrix(half_turn(unit)), self.quats),
            sh=np.asarray(mirror_sh(self.sh, unit), np.float32),
        )

    def with_sh_degree(self, degree: int) -> Self:
        """Cut, or filled with zeros, to another SH degree, 0…3."""
        if not 0 <= degree <= 3:
            raise ValueError(f"degree wants 0…3, got {degree}")
        num_bases = (degree + 1) ** 2
        missing = np.zeros((len(self), max(0, num_bases - self.sh.shape[1]), 3), np.float32)
        return replace(self, sh=np.concatenate([self.sh[:, :num_bases], missing], axis=1))

    @classmethod
    def merged(cls, parts: Sequence[Gaussians]) -> Gaussians:
        """Several sets as one, of the highest SH degree among them."""
        if not parts:
            raise ValueError("nothing to merge")
        degree = max(part.sh_degree for part in parts)
        same = [part.with_sh_degree(degree) for part in parts]
        return Gaussians(**{f.name: np.concatenate([getattr(p, f.name) for p in same]) for f in fields(Gaussians)})

    def save_ply(self, path: str | Path) -> None:
        """Write the binary PLY of the 3DGS authors, bit for bit what is in memory. Raises OSError."""
        with Path(path).open("wb") as file:
            names = _ply_names(self.sh_degree)
            file.write(header({"vertex": np.broadcast_to(np.zeros((), [(n, "<f4") for n in names]), len(self))}))
            for begin in range(0, len(self), _PLY_BLOCK_ROWS):  # in blocks: a second copy of all would not be small
                block = self.select(np.arange(begin, min(begin + _PLY_BLOCK_ROWS, len(self))))
                columns = np.concatenate(block._ply_columns(), axis=1, dtype="<f4")
                file.write(columns.data)  # ndarray.tofile does not say that a disk is full

    @classmethod
    def load_ply(cls, path: str | Path) -> Self:
        """Read a 3DGS PLY: binary or text, columns in any order, further columns and elements ignored.

        Raises ArtifactError: it is no PLY of Gaussians, is cut short, or cannot be read.
        """
        path = Path(path)
        table = read_ply(path, ["vertex"]).get("vertex")
        if table is None:
            raise ArtifactError(f"{path} is a PLY, but not of 3D Gaussians", why="it has no element 'vertex'")
        return cls.from_table(table, path)

    @classmethod
    def from_table(cls, table: npt.NDArray[np.void], path: Path) -> Self:
        """Of the vertices of a 3DGS PLY, a structured array; ``path`` is for messages. Raises ArtifactError."""
        held = table.dtype.names or ()
        num_rest = sum(name.startswith("f_rest_") for name in held)
        degree = {0: 0, 9: 1, 24: 2, 45: 3}.get(num_rest)
        missing = sorted(set(_ply_names(degree or 0)) - set(held))
        if degree is None or missing:
            why = f"columns missing: {', '.join(missing)}" if missing else f"{num_rest} columns f_rest_*"
            raise ArtifactError(f"{path} is a PLY, but not of 3D Gaussians", why=why)

        loaded = cls(
            means=np.empty((len(table), 3), np.float32),
            log_scales=np.empty((len(table), 3), np.float32),
            quats=np.empty((len(table), 4), np.float32),
            opacity_logits=np.empty(len(table), np.float32),
            sh=np.empty((len(table), 1 + num_rest // 3, 3), np.float32),
        )
        for begin in range(0, len(table), _PLY_BLOCK_ROWS):  # blocks that a cache holds: 4x faster than whole columns
            rows = slice(begin, begin + _PLY_BLOCK_ROWS)
            for name, target in loaded._ply_targets():
                target[rows] = table[name][rows]
        return loaded

    def _ply_targets(self) -> Iterator[tuple[str, FloatArray]]:
        """Each PLY column's name with the view [N] of these arrays that holds it."""
        for prefix, array in (("", self.means), ("scale_", self.log_scales), ("rot_", self.quats)):
            for axis in range(array.shape[1]):
                yield (prefix + str(axis) if prefix else "xyz"[axis]), array[:, axis]
        yield "opacity", self.opacity_logits
        num_rest = self.sh.shape[1] - 1
        for channel in range(3):
            yield f"f_dc_{channel}", self.sh[:, 0, channel]
            for index in range(num_rest):
                yield f"f_rest_{channel * num_rest + index}", self.sh[:, 1 + index, channel]

    def _ply_columns(self) -> tuple[FloatArray, ...]:
        rest = self.sh[:, 1:].transpose(0, 2, 1).reshape(len(self), 3 * (self.sh.shape[1] - 1))  # channel-major
        return self.means, self.sh[:, 0], rest, self.opacity_logits[:, None], self.log_scales, self.quats


def _ply_names(sh_degree: int) -> list[str]:
    num_rest = 3 * ((sh_degree + 1) ** 2 - 1)
    return [
        *("x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2"),
        *(f"f_rest_{index}" for index in range(num_rest)),
        *("opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"),
    ]


def quat_from_matrix(rotation: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """[4] unit quaternion wxyz, w ≥ 0, of a rotation matrix [3, 3] (eigenvector method of Bar-Itzhack, 2000)."""
    m = rotation
    k = np.array(
        [
            [m[0, 0] + m[1, 1] + m[2, 2], m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]],
            [0, m[0, 0] - m[1, 1] - m[2, 2], m[0, 1] + m[1, 0], m[0, 2] + m[2, 0]],
            [0, 0, m[1, 1] - m[0, 0] - m[2, 2], m[1, 2] + m[2, 1]],
            [0, 0, 0, m[2, 2] - m[0, 0] - m[1, 1]],
        ]
    )
    _, vectors = np.linalg.eigh(k, UPLO="U")
    quat = vectors[:, -1]
    return quat if quat[0] >= 0 else -quat


def _quats_product(left: npt.NDArray[np.float64], right: FloatArray) -> FloatArray:
    """Hamilton product of one quaternion [4] with many [N, 4], wxyz."""
    w, x, y, z = left
    matrix = np.array([[w, -x, -y, -z], [x, w, -z, y], [y, z, w, -x], [z, -y, x, w]], np.float32)
    return right @ matrix.T
