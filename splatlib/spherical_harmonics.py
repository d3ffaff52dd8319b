"""Real spherical harmonics of degree 0–3 in the sign convention of 3DGS and gsplat: values and exact rotation."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

MAX_DEGREE = 3


def sh_bases(directions: npt.ArrayLike, degree: int) -> npt.NDArray[np.float64]:
    """The basis functions Y_k at unit directions.

    Order and signs are those of the 3DGS code (Kerbl et al. 2023, ``utils/sh_utils.py``), after Sloan, "Efficient
    Spherical Harmonic Evaluation" (JCGT 2013): k = l² + l + m, with the Condon–Shortley phase.

    Args:
        directions: [..., 3], of unit length.

    Returns:
        [..., (degree + 1)²] float64.
    """
    if not 0 <= degree <= MAX_DEGREE:
        raise ValueError(f"degree wants 0…{MAX_DEGREE}, got {degree}")
    x, y, z = np.moveaxis(np.asarray(directions, np.float64), -1, 0)
    xx, yy, zz, xy, yz, xz = x * x, y * y, z * z, x * y, y * z, x * z
    bases = [np.full_like(x, 0.28209479177387814)]
    if degree >= 1:
        c = 0.4886025119029199
        bases += [-c * y, c * z, -c * x]
    if degree >= 2:
        c = 1.0925484305920792
        bases += [c * xy, -c * yz, 0.31539156525252005 * (2 * zz - xx - yy), -c * xz, 0.5462742152960396 * (xx - yy)]
    if degree >= 3:
        bases += [
            -0.5900435899266435 * y * (3 * xx - yy),
            2.890611442640554 * xy * z,
            -0.4570457994644658 * y * (4 * zz - xx - yy),
            0.3731763325901154 * z * (2 * zz - 3 * xx - 3 * yy),
            -0.4570457994644658 * x * (4 * zz - xx - yy),
            1.445305721320277 * z * (xx - yy),
            -0.5900435899266435 * x * (xx - 3 * yy),
        ]
    return np.stack(bases, axis=-1)


def evaluate_sh(sh: npt.ArrayLike, directions: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Σ_k Y_k(d) sh_k, without 3DGS's offset of 0.5 and its clamp at 0.

    Args:
        sh: [..., (degree + 1)², C] coefficients. directions: [..., 3] of unit length; both broadcast.

    Returns:
        [..., C] float64.
    """
    coefficients = np.asarray(sh, np.float64)
    degree = round(coefficients.shape[-2] ** 0.5) - 1
    return np.einsum("...k,...kc->...c", sh_bases(directions, degree), coefficients)


def rotate_sh(sh: npt.NDArray[np.floating], rotation: npt.NDArray[np.float64]) -> npt.NDArray[np.floating]:
    """Coefficients of the turned function: ``evaluate_sh(rotate_sh(sh, R), R d) == evaluate_sh(sh, d)``.

    Degrees do not mix under a rotation. Each degree's matrix is found exactly by solving for the values at a fixed
    set of directions, which needs no table of recursion formulae (cf. Ivanic and Ruedenberg 1996). All Gaussians,
    degrees and colours are then turned by one matrix product.

    Args:
        sh: [N, (degree + 1)², C]. rotation: [3, 3] orthonormal, determinant 1.

    Returns:
        [N, (degree + 1)², C] in the precision of ``sh``.
    """
    count, num_bases, channels = sh.shape
    matrix = np.eye(num_bases)
    for degree in range(1, round(num_bases**0.5)):
        band = slice(degree**2, (degree + 1) ** 2)
        directions, inverse = _probe(degree)
        matrix[band, band] = (inverse @ sh_bases(directions @ rotation.T, degree)[:, band]).T
    flat = np.ascontiguousarray(sh).reshape(count, num_bases * channels)
    return (flat @ np.kron(matrix.T, np.eye(channels)).astype(sh.dtype)).reshape(sh.shape)


def mirror_sh(sh: npt.NDArray[np.floating], normal: npt.ArrayLike) -> npt.NDArray[np.floating]:
    """Coefficients of the function seen in a mirror: with M = I - 2 n nᵀ, its value at M d is the old one at d.

    M is a half turn about n times the inversion d -> -d, under which the odd degrees change their sign.

    Args:
        sh: [N, (degree + 1)², C]. normal: [3] of the mirror, of any length but 0.
    """
    turned = np.array(rotate_sh(sh, half_turn(normal)))
    for degree in range(1, round(sh.shape[1] ** 0.5), 2):
        turned[:, degree**2 : (degree + 1) ** 2] *= -1
    return turned


def half_turn(axis: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """[3, 3] rotation by 180° about an axis [3] of any length but 0."""
    unit = np.asarray(axis, np.float64)
    unit = unit / np.linalg.norm(unit)
    return 2 * np.outer(unit, unit) - np.eye(3)


@lru_cache
def _probe(degree: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.floating]]:
    """Directions [S, 3] spread over the sphere (a Fibonacci lattice), and the pseudo-inverse of their bases."""
    count = 32
    z = 1 - (2 * np.arange(count) + 1) / count
    azimuth = np.pi * (1 + 5**0.5) * np.arange(count)
    radius = np.sqrt(1 - z * z)
    directions = np.stack([radius * np.cos(azimuth), radius * np.sin(azimuth), z], axis=1)
    return directions, np.linalg.pinv(sh_bases(directions, degree)[:, degree**2 :])
