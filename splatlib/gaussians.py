"""A set of 3D Gaussians in memory, stored the way the optimiser and the 3DGS PLY store them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np
import numpy.typing as npt

from splatlib.errors import ArtifactError
from splatlib.spherical_harmonics import rotate_sh

FloatArray = npt.NDArray[np.float32]

SH_C0 = 0.28209479177387814  # zeroth real spherical harmonic, 1 / (2 √π)

_PLY_TYPES = {
    **{"char": "i1", "uchar": "u1", "short": "<i2", "ushort": "<u2", "int": "<i4", "uint": "<u4"},
    **{"float": "<f4", "double": "<f8", "int8": "i1", "uint8": "u1", "int16": "<i2", "uint16": "<u2"},
    **{"int32": "<i4", "uint32": "<u4", "float32": "<f4", "float64": "<f8"},
}
_PLY_HEADER_LINES = 500  # a file with a longer header is no splat


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
            log_scales=(self.log_scales + np.log(scale)).astype(np.float32),
            quats=_quats_product(quat_from_matrix(turn), self.quats).astype(np.float32),
            sh=rotate_sh(self.sh, turn).astype(np.float32),
        )

    def save_ply(self, path: str | Path) -> None:
        """Write the binary PLY of the 3DGS authors, bit for bit what is in memory. Raises OSError."""
        columns = np.concatenate(list(self._ply_columns()), axis=1, dtype="<f4")
        header = [
            "ply",
            "format binary_little_endian 1.0",
            f"element vertex {len(self)}",
            *(f"property float {name}" for name in _ply_names(self.sh_degree)),
            "end_header",
        ]
        with Path(path).open("wb") as file:
            file.write("".join(line + "\n" for line in header).encode("ascii"))
            file.write(columns.tobytes())  # ndarray.tofile does not say that a disk is full

    @classmethod
    def load_ply(cls, path: str | Path) -> Self:
        """Read a 3DGS PLY: little-endian binary, columns in any order, further columns ignored.

        Read by NumPy: gsply skips columns that are not float, plyfile is GPL. Raises ArtifactError.
        """
        path = Path(path)
        try:
            with path.open("rb") as file:
                count, columns = _read_ply_header(file)
                held = (path.stat().st_size - file.tell()) // max(columns.itemsize, 1)
                table = np.fromfile(file, dtype=columns, count=min(count, held))
        except (OSError, ValueError) as error:
            raise ArtifactError(f"{path} cannot be read as a splat", why=str(error)) from error
        if len(table) != count:
            raise ArtifactError(f"{path} is cut short", why=f"it announces {count} Gaussians and holds {len(table)}")
        num_rest = sum(name.startswith("f_rest_") for name in columns.names or ())
        degree = {0: 0, 9: 1, 24: 2, 45: 3}.get(num_rest)
        missing = sorted(set(_ply_names(degree or 0)) - set(columns.names or ()))
        if degree is None or missing:
            why = f"columns missing: {', '.join(missing)}" if missing else f"{num_rest} columns f_rest_*"
            raise ArtifactError(f"{path} is a PLY, but not of 3D Gaussians", why=why)
        values = np.stack([table[name].astype(np.float32) for name in _ply_names(degree)], axis=1)
        means, dc, rest, opacity, log_scales, quats = np.split(values, np.cumsum([3, 3, num_rest, 1, 3]), axis=1)
        sh = np.concatenate([dc[:, None], rest.reshape(count, 3, num_rest // 3).transpose(0, 2, 1)], axis=1)
        return cls(*(np.ascontiguousarray(a) for a in (means, log_scales, quats, opacity[:, 0], sh)))

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


def _read_ply_header(file: BinaryIO) -> tuple[int, np.dtype]:
    """Number and record type of the vertices; leaves the file where their data begin. Raises ValueError."""
    if file.readline(16).strip() != b"ply":
        raise ValueError("it is no PLY file")
    count, columns, element, binary = -1, [], "", False
    for _ in range(_PLY_HEADER_LINES):
        words = file.readline(4096).decode("ascii", "replace").split()
        if words[:1] == ["format"]:
            binary = words[1:2] == ["binary_little_endian"]
        elif words[:1] == ["element"] and len(words) == 3:
            if not element and words[1] != "vertex":
                raise ValueError(f"its first element is {words[1]!r}, not vertex")
            element = words[1]
            count = int(words[2]) if element == "vertex" else count
        elif words[:1] == ["property"] and element == "vertex":
            if len(words) != 3 or words[1] not in _PLY_TYPES:
                raise ValueError(f"cannot read {' '.join(words)!r}")
            columns.append((words[2], _PLY_TYPES[words[1]]))
        elif words == ["end_header"]:
            if not binary or count < 0:
                raise ValueError("it holds no little-endian binary vertices")
            return count, np.dtype(columns)
    raise ValueError("its header does not end")


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


def _quats_product(left: npt.NDArray[np.float64], right: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Hamilton product of one quaternion [4] with many [N, 4], wxyz."""
    w, x, y, z = left
    matrix = np.array([[w, -x, -y, -z], [x, w, -z, y], [y, z, w, -x], [z, -y, x, w]])
    return right.astype(np.float64) @ matrix.T
