"""SPZ (Niantic): 24-bit positions, a byte for most else; gzip inside (version 3) or zstd streams (version 4).

The format fixes its axes: right, up, back (RUB, as OpenGL and three.js), where our scenes and their PLY are right,
down, front (RDF). Writing turns the Gaussians by 180° about x, SH included, and reading turns them back.
Version 3 is the newest that the common web viewers read. Layout: github.com/nianticlabs/spz, README and load-spz.cc.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from splatlib.errors import ExportError
from splatlib.formats import spz_container
from splatlib.formats.comparison import Errors
from splatlib.formats.order import morton_order
from splatlib.formats.palette import make_palette
from splatlib.formats.quality import Quality, assumed_contributions, exponents, slack, to_multiples, without_unseen
from splatlib.formats.quaternions import QUAT_STEP, pack_quats, unpack_quats
from splatlib.formats.spz_container import Sections
from splatlib.gaussians import SH_C0, Gaussians
from splatlib.threads import available_cpus

FRAME = "RUB"
_RUB_FROM_RDF = np.diag([1.0, -1.0, -1.0])  # its own inverse
_COLOR_STEP = 1 / (0.15 * 255)  # of the degree-0 coefficient
_COLOR_LIMIT = 127.5 * _COLOR_STEP
_LOG_SCALE_STEP, _LOG_SCALE_LOW, _LOG_SCALE_HIGH = 1 / 16, -10.0, 255 / 16 - 10
_SH_STEP, _SH_HIGH = 1 / 128, 127 / 128
_POSITION_LIMIT = 2**23 - 1
_MOST_FRACTIONAL_BITS = 16
_INVISIBLE_LOG_SCALE = -9.0
_BLOCK_ROWS = 1 << 16
# Of that many Gaussians each shows so little that its SH coefficients may round to a few steps, most of them to none:
# that takes a tenth of the time of a palette, which would have to be large.
_MANY, _ONE_BY_ONE = 300_000, 2.5


@dataclass(frozen=True)
class Encoded:
    """Gaussians as the bytes of an SPZ file, before compression."""

    sections: Sections
    version: int

    def gaussians(self) -> Gaussians:
        """What a reader of the file will see, in the scene's axes."""
        return decode(self.sections)

    def save(self, path: Path) -> None:
        """Raises OSError."""
        spz_container.write(self.sections, path, self.version)


def encode(
    gaussians: Gaussians,
    quality: Quality | None = None,
    contributions: npt.NDArray[np.floating] | None = None,
    version: int = 3,
) -> Encoded:
    """Round Gaussians to what SPZ stores.

    Args:
        quality: None keeps their order and rounds as little as the format does. Else steps are as coarse as it says,
            higher SH coefficients come from a palette, and the order is what compresses best.
        contributions: [N] of each Gaussian to pictures; None: guessed from opacity and size.

    Raises ExportError where the Gaussians are too far out.
    """
    bits = fractional_bits(gaussians)
    turned = gaussians.transformed(rotation=_RUB_FROM_RDF)
    del gaussians
    if quality is None:
        return Encoded(_rounded(turned, bits), version)
    weights = assumed_contributions(turned) if contributions is None else np.asarray(contributions, np.float32)
    kept = without_unseen(weights, quality.prune)
    turned, weights = turned.select(kept), weights[kept]
    order, sh = morton_order(turned.means), np.empty((len(turned), 0), np.uint8)
    if turned.sh_degree and len(turned) > _MANY:
        sh = _coarse_rest(turned.sh, order, quality, slack(weights))
    elif turned.sh_degree:
        rest = turned.sh[:, 1:].reshape(len(turned), -1)
        palette = make_palette(rest, weights, replace(quality, sh_rate=0.0))  # runs cost nothing: no index is cheaper
        if len(palette.entries) < len(order):
            # Runs of one palette entry cost next to nothing; inside a run, neighbours share their high bytes.
            order = order[np.argsort(palette.labels[order], kind="stable")]
        unit = _SH_STEP * 2.0 ** exponents(np.array(quality.sh), _SH_STEP, 4)
        stored = np.rint(palette.entries / unit) * (unit / _SH_STEP) + 128
        sh = _bytes(stored)[palette.labels[order]]
    plain = Gaussians(turned.means, turned.log_scales, turned.quats, turned.opacity_logits, turned.sh[:, :1])
    return Encoded(_coarse(plain.select(order), bits, _Steps(quality, slack(weights)[order]), sh), version)


def _coarse_rest(
    sh: npt.NDArray[np.float32], order: npt.NDArray[np.int64], quality: Quality, loose: npt.NDArray
) -> npt.NDArray[np.uint8]:
    """[N, D] bytes of the higher of coefficients sh [N, K, 3], in that order, rounded one by one."""
    stored = np.empty((len(order), 3 * (sh.shape[1] - 1)), np.uint8)
    m = exponents(_ONE_BY_ONE * quality.sh * loose, _SH_STEP, 6)

    def convert(begin: int) -> None:
        rows = slice(begin, begin + _BLOCK_ROWS // 4)
        which = order[rows]
        codes = to_multiples(sh[which, 1:].reshape(len(which), -1) * np.float32(1 / _SH_STEP), m[which, None])
        stored[rows] = np.clip(codes + 128, 0, 255)

    with ThreadPoolExecutor(available_cpus()) as executor:
        list(executor.map(convert, range(0, len(order), _BLOCK_ROWS // 4)))
    return stored


@dataclass(frozen=True)
class _Steps:
    quality: Quality
    slack: npt.NDArray[np.float32]

    def of(self, step: float) -> npt.NDArray[np.float32]:
        return (step * self.slack)[:, None]


def _coarse(turned: Gaussians, bits: int, steps: _Steps, sh: npt.NDArray[np.uint8]) -> Sections:
    """Sections whose values are multiples of powers of two, which compress to fewer bits."""
    quality = steps.quality
    middle = np.exp(np.clip(np.sort(turned.log_scales, axis=1)[:, 1:2], _INVISIBLE_LOG_SCALE, None))
    positions = steps.of(quality.position) * middle
    # No more fractional bits than the finest wanted step: then high bytes are mostly empty.
    finest = float(np.quantile(positions, 0.02)) if len(positions) else 1.0
    bits = int(np.clip(np.floor(-np.log2(max(finest, 1e-9))) + 1, 1, bits))

    def coarser(stored: npt.NDArray[np.floating], step: float, unit: float, most: int) -> npt.NDArray[np.uint8]:
        return np.clip(to_multiples(stored, exponents(steps.of(step), unit, most)), 0, 255).astype(np.uint8)

    alphas, colors, scales = _in_bytes(turned)
    return Sections(
        positions=to_multiples(turned.means * np.float32(2.0**bits), exponents(positions, 2.0**-bits, 12)),
        alphas=coarser(alphas[:, None], quality.opacity, 1 / 255, 5)[:, 0],
        colors=coarser(colors, quality.color, _COLOR_STEP * SH_C0, 4),
        scales=coarser(scales, quality.log_scale, _LOG_SCALE_STEP, 3),
        quats=pack_quats(turned.quats, exponents(steps.of(quality.rotation), QUAT_STEP, 7)),
        sh=sh,
        fractional_bits=bits,
        sh_degree={0: 0, 9: 1, 24: 2, 45: 3}[sh.shape[1]],
    )


def _in_bytes(turned: Gaussians) -> tuple[npt.NDArray[np.float32], ...]:
    """Opacities [N], colours and scales [N, 3] in the units of the file's bytes, not rounded."""
    return (
        turned.opacities * 255,
        turned.sh[:, 0] / np.float32(_COLOR_STEP) + np.float32(127.5),
        (turned.log_scales - np.float32(_LOG_SCALE_LOW)) / np.float32(_LOG_SCALE_STEP),
    )


def _rounded(turned: Gaussians, bits: int) -> Sections:
    """Sections as near to the Gaussians, in RUB axes, as the format can be."""
    alphas, colors, scales = _in_bytes(turned)
    return Sections(
        positions=np.rint(turned.means * np.float32(2.0**bits)).astype(np.int32),
        alphas=_bytes(alphas),
        colors=_bytes(colors),
        scales=_bytes(scales),
        quats=pack_quats(turned.quats),
        sh=_bytes(turned.sh[:, 1:].reshape(len(turned), -1) * 128 + 128),
        fractional_bits=bits,
        sh_degree=turned.sh_degree,
    )


def decode(sections: Sections) -> Gaussians:
    """In the scene's axes."""
    count = len(sections.alphas)
    opacities = np.clip(sections.alphas / np.float32(255), 1e-6, 1 - 1e-6)
    sh = np.empty((count, (sections.sh_degree + 1) ** 2, 3), np.float32)
    sh[:, 0] = (sections.colors - np.float32(127.5)) * np.float32(_COLOR_STEP)
    sh[:, 1:] = (sections.sh.reshape(count, -1, 3) - np.float32(128)) * np.float32(_SH_STEP)
    return Gaussians(
        means=(sections.positions / np.float32(2.0**sections.fractional_bits)).astype(np.float32),
        log_scales=sections.scales * np.float32(_LOG_SCALE_STEP) + np.float32(_LOG_SCALE_LOW),
        quats=unpack_quats(sections.quats),
        opacity_logits=np.log(opacities / (1 - opacities)).astype(np.float32),
        sh=sh,
    ).transformed(rotation=_RUB_FROM_RDF)


def read(path: Path) -> Gaussians:
    """Read SPZ 2, 3 or 4 into the scene's axes. Raises ArtifactError."""
    return decode(spz_container.read(path))


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


def representable(gaussians: Gaussians) -> Gaussians:
    """The Gaussians with scales and SH clipped to what the format's bytes can hold."""
    sh = gaussians.sh.copy()
    sh[:, 0] = np.clip(sh[:, 0], -_COLOR_LIMIT, _COLOR_LIMIT)
    sh[:, 1:] = np.clip(sh[:, 1:], -_SH_HIGH, _SH_HIGH)
    log_scales = np.clip(gaussians.log_scales, _LOG_SCALE_LOW, _LOG_SCALE_HIGH)
    return Gaussians(gaussians.means, log_scales, gaussians.quats, gaussians.opacity_logits, sh)


def tolerance(gaussians: Gaussians) -> Errors:
    """The largest errors that rounding without a ``Quality`` explains: half a step each, and a hair for float32."""
    return Errors(
        mean=0.5 / 2 ** fractional_bits(gaussians) + 1e-6 * float(np.abs(gaussians.means).max(initial=1.0)),
        color=0.5 * _COLOR_STEP * 0.2821 + 1e-5,
        # The turn flips signs, and the byte range is not symmetric: one more step at its lower end.
        sh=1.01 * _SH_STEP,
        opacity=0.5 / 255 + 1e-5,
        log_scale=0.5 * _LOG_SCALE_STEP + 1e-5,
        # Three components are off by half a step each; the fourth, at least 1/2, makes up for them and can be off
        # √3 times as far: ‖δq‖ ≤ 2 √3 half steps, and the angle is twice that.
        rotation=2 * 2 * 3**0.5 * 0.5 * QUAT_STEP + 1e-4,
    )


def _bytes(values: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """Rounded and clipped to 0…255."""
    stored = np.empty(values.shape, np.uint8)

    def convert(begin: int) -> None:
        rows = slice(begin, begin + _BLOCK_ROWS)
        stored[rows] = np.clip(np.rint(values[rows]), 0, 255)

    with ThreadPoolExecutor(available_cpus()) as executor:
        list(executor.map(convert, range(0, len(values), _BLOCK_ROWS)))
    return stored
