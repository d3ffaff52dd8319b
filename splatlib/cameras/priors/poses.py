"""Poses as a file states them, and what the conventions of camera axes mean.

A pose maps between a camera and a world. Whose axes the camera has is its convention:

=========================  =====  =====  ========
convention                 x      y      z
=========================  =====  =====  ========
opencv                     right  down   forward
opengl, arkit, arcore      right  up     backward
ros (REP 103, body frame)  front  left   up
=========================  =====  =====  ========

ARKit and ARCore use OpenGL's axes, of the picture as the sensor reads it; the names are kept apart because people know
their poses by them. ROS' optical frames are ``opencv``. The world's axes and scale stay as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from splatlib.cameras._pycolmap import pycolmap
from splatlib.errors import CamerasError

FloatArray = npt.NDArray[np.float64]

_Y_AND_Z_TURNED = np.diag([1.0, -1.0, -1.0])
# OpenCV's camera axes from those of the convention, [3, 3].
OPENCV_FROM_AXES: dict[str, FloatArray] = {
    "opencv": np.eye(3),
    "opengl": _Y_AND_Z_TURNED,
    "arkit": _Y_AND_Z_TURNED,
    "arcore": _Y_AND_Z_TURNED,
    "ros": np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]]),
}
DIRECTIONS = ("camera_to_world", "world_to_camera")
# How far R Rᵀ may be from the identity; files with six digits are at 1e-6.
_MAX_SKEW = 0.01
_MAX_QUATERNION_NORM_ERROR = 0.01
_NAMED = 3


class Convention(NamedTuple):
    """How to read a file's poses.

    Attributes:
        axes: a key of ``OPENCV_FROM_AXES``.
        direction: one of ``DIRECTIONS``.
        swapped: quaternions are in the other order than the file says.
    """

    axes: str
    direction: str
    swapped: bool = False

    def __str__(self) -> str:
        order = ", quaternions in the other order" if self.swapped else ""
        return f"{self.axes}, {self.direction}{order}"

    def same_as(self, other: Convention) -> bool:
        """Whether both read the same poses out of a file: arkit, arcore and opengl are one."""
        return self[1:] == other[1:] and np.array_equal(OPENCV_FROM_AXES[self.axes], OPENCV_FROM_AXES[other.axes])


@dataclass(frozen=True)
class Lens:
    """Intrinsics as COLMAP writes them.

    Attributes:
        model: of COLMAP. params: in its order.
        width, height: of the picture that they are for; None: unknown, and the focal length is in widths of it.
    """

    model: str
    params: tuple[float, ...]
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, eq=False)
class PosePriors:
    """What a file says about cameras, before any frame is looked at.

    Attributes:
        origin: the file or folder, for messages.
        names: of the pictures, with forward slashes, each once.
        matrices: [N, 4, 4] rigid transforms as written.
        lenses: None where the file has no intrinsics.
        convention: how the file, or the user, says they are to be read.
        swapped_matrices: [N, 4, 4] with quaternions read in the other order; None where the file has matrices.
        digest: of the file's content.
        notes: what was mended, in plain sentences.
        numbers: of the frames of the video that was recorded with the poses, from 0; empty: unknown.
    """

    origin: str
    names: tuple[str, ...]
    matrices: FloatArray
    lenses: tuple[Lens | None, ...]
    convention: Convention
    digest: str
    swapped_matrices: FloatArray | None = None
    notes: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()

    def cam_from_world(self, convention: Convention | None = None) -> FloatArray:
        """[N, 4, 4] with OpenCV's camera axes, read by a convention; without one by the file's own."""
        axes, direction, swapped = convention or self.convention
        matrices = self.swapped_matrices if swapped and self.swapped_matrices is not None else self.matrices
        if direction == "camera_to_world":
            matrices = inverted(matrices)
        opencv_from_axes = np.eye(4)
        opencv_from_axes[:3, :3] = OPENCV_FROM_AXES[axes]
        return opencv_from_axes @ matrices


def inverted(transforms: FloatArray) -> FloatArray:
    """Inverse of rigid transforms [..., 4, 4]."""
    inverse = np.zeros_like(transforms)
    rotations = np.swapaxes(transforms[..., :3, :3], -1, -2)
    inverse[..., :3, :3] = rotations
    inverse[..., :3, 3] = -(rotations @ transforms[..., :3, 3:])[..., 0]
    inverse[..., 3, 3] = 1.0
    return inverse


def rigid_transforms(origin: str, names: Sequence[str], matrices: Sequence[object]) -> FloatArray:
    """[N, 4, 4] from nested lists of 4x4, 3x4 or 16 numbers each, the rotations made exact.

    Raises:
        CamerasError: not numbers, not finite, not a rotation (a determinant of -1, a scale, a skew).
    """
    result = np.tile(np.eye(4), (len(names), 1, 1))
    for index, (name, given) in enumerate(zip(names, matrices, strict=True)):
        try:
            matrix = np.array(given, np.float64)
        except (TypeError, ValueError) as error:
            raise _bad(origin, name, f"its matrix is not made of numbers: {error}") from error
        if matrix.size == 16:
            matrix = matrix.reshape(4, 4)
        if matrix.shape not in ((4, 4), (3, 4)):
            raise _bad(origin, name, f"its matrix has the shape {matrix.shape}, (4, 4) is wanted")
        if not np.isfinite(matrix).all():
            raise _bad(origin, name, "its matrix holds NaN or infinity", "leave out pictures whose tracking was lost")
        if matrix.shape == (4, 4) and not np.allclose(matrix[3], (0, 0, 0, 1), atol=1e-6):
            hint = "transpose the matrices" if np.allclose(matrix[:, 3], (0, 0, 0, 1), atol=1e-6) else ""
            raise _bad(origin, name, f"the last row of its matrix is {matrix[3].tolist()}, not 0 0 0 1", hint)
        result[index, :3, :3] = _rotation(origin, name, matrix[:3, :3])
        result[index, :3, 3] = matrix[:3, 3]
    return result


def _rotation(origin: str, name: str, rotation: FloatArray) -> FloatArray:
    determinant = float(np.linalg.det(rotation))
    skew = float(np.abs(rotation @ rotation.T - np.eye(3)).max())
    if determinant < 0:
        raise _bad(
            origin,
            name,
            f"its rotation has the determinant {determinant:.3g}: it mirrors the scene",
            "one axis was flipped, or two were swapped, on the way: flip two, or swap and flip one",
        )
    if skew > _MAX_SKEW:
        raise _bad(
            origin,
            name,
            f"its rotation is none: R Rᵀ differs from the identity by {skew:.2g}",
            "divide the matrix's first three columns by their scale" if determinant > 0 else "",
        )
    u, _, vt = np.linalg.svd(rotation)
    return u @ vt


def from_quaternions(
    origin: str, names: Sequence[str], quaternions: Sequence[object], translations: Sequence[object], order: str
) -> tuple[FloatArray, tuple[str, ...]]:
    """[N, 4, 4] from quaternions in the order ``wxyz`` or ``xyzw`` and translations, and notes on what was mended.

    Quaternions need not be normalised. Raises CamerasError: not numbers, not finite, or all zeros.
    """
    result = np.tile(np.eye(4), (len(names), 1, 1))
    off = 0
    for index, name in enumerate(names):
        try:
            quaternion, translation = (np.array(x[index], np.float64) for x in (quaternions, translations))
        except (TypeError, ValueError) as error:
            raise _bad(origin, name, f"its pose is not made of numbers: {error}") from error
        if quaternion.shape != (4,) or translation.shape != (3,):
            raise _bad(origin, name, "a quaternion of 4 and a translation of 3 numbers are wanted")
        norm = float(np.linalg.norm(quaternion))
        if not (np.isfinite(quaternion).all() and np.isfinite(translation).all()):
            raise _bad(origin, name, "its pose holds NaN or infinity", "leave out pictures whose tracking was lost")
        if norm < 1e-6:
            raise _bad(origin, name, "its quaternion is all zeros")
        off += abs(norm - 1) > _MAX_QUATERNION_NORM_ERROR
        xyzw = quaternion if order == "xyzw" else np.roll(quaternion, -1)
        result[index, :3, :3] = pycolmap.Rotation3d(xyzw / norm).matrix()
        result[index, :3, 3] = translation
    notes = (f"{off} of {len(names)} quaternions in {origin} were not of length 1 and have been normalised.",)
    return result, notes if off else ()


def unique_names(origin: str, names: Sequence[str]) -> tuple[str, ...]:
    """Names with forward slashes and without a leading ``./``. Raises CamerasError: empty, or one there twice."""
    plain = tuple(name.strip().replace("\\", "/").removeprefix("./") for name in names)
    twice = [name for name, count in Counter(plain).items() if count > 1]
    if twice:
        raise CamerasError(
            f"{len(twice)} names are there more than once in {origin}",
            why=", ".join(twice[:_NAMED]) + (", …" if len(twice) > _NAMED else ""),
            hint="keep one pose a picture",
        )
    if not all(plain):
        raise CamerasError(f"pose {plain.index('') + 1} in {origin} has an empty name")
    return plain


def _bad(origin: str, name: str, why: str, hint: str = "") -> CamerasError:
    return CamerasError(f"the pose of {name} in {origin} cannot be used", why=why, hint=hint)
