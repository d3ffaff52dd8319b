"""SPZ version 3 (Niantic): about a tenth of the PLY's size, quantised, gzip inside.

The format fixes its axes: right, up, back (RUB, as OpenGL and three.js), where our scenes and their PLY are right,
down, front (RDF). Writing turns the Gaussians by 180° about x, SH included, and reading turns them back.
Version 3 is the newest that the common web viewers read. gsply writes; reading is ours, since gsply's reader
compiles for five seconds first, and a second opinion is worth more here than the writer's own.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from splatlib.errors import ArtifactError, ExportError
from splatlib.export.comparison import Errors
from splatlib.gaussians import Gaussians

FRAME = "RUB"
VERSION = 3
_RUB_FROM_RDF = np.diag([1.0, -1.0, -1.0])  # its own inverse
_HEADER = struct.Struct("<IIIBBBB")  # magic, version, count, SH degree, fractional bits, flags, reserved
_MAGIC = 0x5053474E  # "NGSP"
_COLOR_STEP = 1 / (0.15 * 255)  # of the degree-0 coefficient
_COLOR_LIMIT = 127.5 * _COLOR_STEP
_LOG_SCALE_STEP, _LOG_SCALE_LOW, _LOG_SCALE_HIGH = 1 / 16, -10.0, 255 / 16 - 10
_SH_STEP, _SH_LOW, _SH_HIGH = 1 / 128, -1.0, 127 / 128
_POSITION_LIMIT = 2**23 - 1
_MOST_FRACTIONAL_BITS = 16
_QUAT_STEP = 0.5**0.5 / 511


def fractional_bits(gaussians: Gaussians) -> int:
    """Bits after the binary point of the 24-bit positions: as many as hold the farthest mean, at most 16.

    Raises ExportError where none do.
    """
    farthest = float(np.abs(gaussians.means).max(initial=0.0))
    for bits in range(_MOST_FRACTIONAL_BITS, 0, -1):
        if farthest * 2**bits < _POSITION_LIMIT:
            return bits
    raise ExportError(
        f"a Gaussian lies {farthest:.3g} scene units from the origin, SPZ holds at most {_POSITION_LIMIT / 2:.3g}",
        hint="export PLY only, or crop the splat",
    )


def write(gaussians: Gaussians, path: Path) -> None:
    """Raises OSError, and ExportError where the Gaussians are too far out."""
    import gsply

    turned = gaussians.transformed(rotation=_RUB_FROM_RDF)
    data = gsply.GSData(
        means=turned.means,
        scales=turned.log_scales,
        quats=turned.quats,
        opacities=turned.opacity_logits,
        sh0=np.ascontiguousarray(turned.sh[:, 0]),
        shN=np.ascontiguousarray(turned.sh[:, 1:]),
    )
    gsply.write_spz(path, data, version=VERSION, fractional_bits=fractional_bits(gaussians))
    with path.open("r+b") as file:  # gzip's header holds the time of day; without it equal splats give equal files
        file.seek(4)
        file.write(bytes(4))


def read(path: Path) -> Gaussians:
    """Read SPZ 2 or 3 into the scene's axes. Raises ArtifactError."""
    try:
        payload = gzip.decompress(path.read_bytes())
        magic, version, count, sh_degree, bits, _, _ = _HEADER.unpack_from(payload)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise ArtifactError(f"{path} cannot be read as SPZ", why=str(error)) from error
    if magic != _MAGIC or version not in (2, 3) or sh_degree > 3:
        raise ArtifactError(
            f"{path} is no SPZ of version 2 or 3 and SH degree 0–3", why=f"{magic=:#x} {version=} {sh_degree=}"
        )
    num_rest = (sh_degree + 1) ** 2 - 1
    widths = (9, 1, 3, 3, 4 if version == 3 else 3, 3 * num_rest)
    body = np.frombuffer(payload, np.uint8, offset=_HEADER.size)
    if len(body) < count * sum(widths):
        raise ArtifactError(
            f"{path} is cut short", why=f"{count} Gaussians want {count * sum(widths)} bytes, {len(body)}"
        )
    ends = count * np.cumsum(widths)
    sections = [
        part.reshape(count, width) for part, width in zip(np.split(body[: ends[-1]], ends[:-1]), widths, strict=True)
    ]
    positions, alphas, colors, scales, quats, rest = sections
    opacities = np.clip(alphas[:, 0] / 255, 1e-6, 1 - 1e-6)
    sh = np.zeros((count, 1 + num_rest, 3), np.float32)
    sh[:, 0] = (colors - 127.5) * _COLOR_STEP
    sh[:, 1:] = (rest.reshape(count, num_rest, 3) - 128.0) * _SH_STEP
    return Gaussians(
        means=(_int24(positions) / 2.0**bits).astype(np.float32),
        log_scales=(scales * np.float32(_LOG_SCALE_STEP) + np.float32(_LOG_SCALE_LOW)),
        quats=_smallest_three(quats) if version == 3 else _first_three(quats),
        opacity_logits=np.log(opacities / (1 - opacities)).astype(np.float32),
        sh=sh,
    ).transformed(rotation=_RUB_FROM_RDF)


def representable(gaussians: Gaussians) -> Gaussians:
    """The Gaussians with scales and SH clipped to what the format's bytes can hold."""
    sh = gaussians.sh.copy()
    sh[:, 0] = np.clip(sh[:, 0], -_COLOR_LIMIT, _COLOR_LIMIT)
    sh[:, 1:] = np.clip(sh[:, 1:], -_SH_HIGH, _SH_HIGH)
    return replace(gaussians, log_scales=np.clip(gaussians.log_scales, _LOG_SCALE_LOW, _LOG_SCALE_HIGH), sh=sh)


def tolerance(gaussians: Gaussians) -> Errors:
    """The largest errors that rounding explains: half a step each, and a hair for float32."""
    return Errors(
        mean=0.5 / 2 ** fractional_bits(gaussians) + 1e-6 * float(np.abs(gaussians.means).max(initial=1.0)),
        color=0.5 * _COLOR_STEP * 0.2821 + 1e-5,
        # The turn flips signs, and the byte range is not symmetric: one more step at its lower end.
        sh=1.01 * _SH_STEP,
        opacity=0.5 / 255 + 1e-5,
        log_scale=0.5 * _LOG_SCALE_STEP + 1e-5,
        # Three components are off by half a step each; the fourth, at least 1/2, makes up for them and can be off
        # √3 times as far: ‖δq‖ ≤ 2 √3 half steps, and the angle is twice that.
        rotation=2 * 2 * 3**0.5 * 0.5 * _QUAT_STEP + 1e-4,
    )


def _int24(positions: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
    """[N, 3] signed numbers of three bytes each, little-endian."""
    padded = np.zeros((len(positions), 3, 4), np.uint8)
    padded[..., 1:] = positions.reshape(len(positions), 3, 3)
    return padded.view("<i4")[..., 0] >> 8


def _smallest_three(packed: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """[N, 4] wxyz of version 3: two bits name the largest of xyzw, the others follow as sign and nine bits."""
    bits = np.ascontiguousarray(packed).view("<u4")[:, 0].astype(np.int64)
    largest = bits >> 30
    xyzw = np.zeros((len(bits), 4))
    for axis in (3, 2, 1, 0):
        stored = largest != axis
        value = (bits & 511) * _QUAT_STEP * np.where(bits & 512, -1, 1)
        xyzw[stored, axis] = value[stored]
        bits = np.where(stored, bits >> 10, bits)
    xyzw[np.arange(len(bits)), largest] = np.sqrt(np.maximum(0, 1 - (xyzw**2).sum(axis=1)))
    return np.roll(xyzw, 1, axis=1).astype(np.float32)


def _first_three(stored: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """[N, 4] wxyz of version 2: a byte each for x, y, z."""
    xyz = stored / 127.5 - 1
    w = np.sqrt(np.maximum(0, 1 - (xyz**2).sum(axis=1, keepdims=True)))
    return np.concatenate([w, xyz], axis=1).astype(np.float32)
