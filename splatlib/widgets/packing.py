"""Gaussians for the browser: quantised, in columns, gzipped; an eighth of the PLY.

Read by ``js/src/splat/unpack.ts``. Gaussians are in Morton order, in chunks of 256 that share a box, so that 16 bits
hold a position to a 65 535th of a *chunk*, however far out others lie. Columns one after the other, little-endian:

    low      float32 [C, 3]     corner of each chunk's box
    step     float32 [C, 3]     a 65 535th of its edges
    quats    uint32  [N]        the three smaller components of xyzw in 10 bits each, from low to high in their order,
                                k = (code / 511 - 1) / √2; bits 30–31: which component was left out, being positive
    places   uint16  [3, N]     position = low + step · code
    scales   uint8   [3, N]     log-scale = info.log_scale[0] + info.log_scale[1] · code
    opacity  uint8   [N]        opacity = code / 255
    color    uint8   [3, N]     degree-0 colour = info.color[0] + info.color[1] · code
    sh       int8    [K · 3, N] coefficient k of channel c in row 3 k + c = info.sh_steps[degree - 1] · code

Coefficients take 31, 15 and 9 values in degrees 1, 2 and 3: on a trained splat that is 49 dB from the original picture,
and half of the bytes that 8 bits take.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from splatlib.gaussians import SH_C0, Gaussians

CHUNK = 256
MOST_GAUSSIANS = 1_000_000
_COLOR_LOW, _COLOR_STEP = -0.5, 2 / 255
_SH_LEVELS = (15, 7, 4)  # of each sign, of degrees 1, 2, 3
_SMALLEST_LOG_SCALE = -16.0
_GZIP_LEVEL = 4  # 6 is twice as slow for 2 % less


@dataclass(frozen=True)
class Packed:
    """What the front end is sent.

    Attributes:
        info: numbers that the reader needs, as JSON types.
        data: the gzipped columns.
        total: Gaussians there were.
        note: in plain words what was left out; empty if nothing was.
    """

    info: dict[str, Any]
    data: bytes
    total: int
    note: str


def pack(gaussians: Gaussians, *, most: int = MOST_GAUSSIANS) -> Packed:
    """Quantise; Gaussians that are not finite are left out, and beyond ``most`` the least visible ones."""
    total = len(gaussians)
    kept, notes = _finite(gaussians)
    if len(kept) > most:
        notes.append(
            f"Showing the {most:,} most visible of {len(kept):,} Gaussians: a browser is sure to turn so many. "
            "Files and renders of splatlib hold them all."
        )
        kept = kept.select(np.sort(np.argpartition(-_visibility(kept), most - 1)[:most]))
    kept = kept.select(_morton_order(kept.means))
    columns, info = _columns(kept)
    data = gzip.compress(b"".join(column.tobytes() for column in columns), _GZIP_LEVEL, mtime=0)
    return Packed(info, data, total, "\n".join(notes))


def unpack(packed: Packed) -> Gaussians:
    """What the browser sees, in the order it is sent: the reference for the front end's reader."""
    info, raw = packed.info, gzip.decompress(packed.data)
    count, bases = info["count"], (info["sh_degree"] + 1) ** 2 - 1
    chunks = -(-count // info["chunk"])
    at = 0

    def part(dtype: str, *shape: int) -> npt.NDArray[Any]:
        nonlocal at
        values = np.frombuffer(raw, dtype, int(np.prod(shape)), at).reshape(shape)
        at += values.nbytes
        return values

    low, step = part("<f4", chunks, 3), part("<f4", chunks, 3)
    quats, places, scales = part("<u4", count), part("<u2", 3, count), part("u1", 3, count)
    opacity, color, sh = part("u1", count), part("u1", 3, count), part("i1", bases, 3, count)
    chunk = np.arange(count) // info["chunk"]
    steps = np.repeat(np.array(info["sh_steps"], np.float32), (3, 5, 7))[:bases]
    base = (info["color"][0] + info["color"][1] * color.T - 0.5) / SH_C0
    rest = (sh * steps[:, None, None]).transpose(2, 0, 1)
    alpha = np.clip(opacity / 255, 1e-6, 1 - 1e-6)
    return Gaussians(
        means=(low[chunk] + step[chunk] * places.T).astype(np.float32),
        log_scales=(info["log_scale"][0] + info["log_scale"][1] * scales.T).astype(np.float32),
        quats=_decoded_quats(quats),
        opacity_logits=np.log(alpha / (1 - alpha)).astype(np.float32),
        sh=np.concatenate([base[:, None], rest], axis=1).astype(np.float32),
    )


def _finite(gaussians: Gaussians) -> tuple[Gaussians, list[str]]:
    parts = (gaussians.means, gaussians.log_scales, gaussians.quats, gaussians.opacity_logits[:, None])
    values = np.concatenate([*parts, gaussians.sh.reshape(len(gaussians), 3 * gaussians.sh.shape[1])], axis=1)
    finite = np.asarray(np.isfinite(values).all(axis=1))
    missing = int(len(finite) - finite.sum())
    if not missing:
        return gaussians, []
    return gaussians.select(finite), [f"{missing:,} Gaussians hold NaN or infinite numbers and are not shown."]


def _visibility(gaussians: Gaussians) -> npt.NDArray[np.float32]:
    """[N] opacity times the area of the largest cross-section: what one Gaussian can cover."""
    two_largest = np.sort(gaussians.log_scales, axis=1)[:, 1:].sum(axis=1)
    return gaussians.opacities * np.exp(two_largest)


def _morton_order(means: npt.NDArray[np.float32]) -> npt.NDArray[np.intp]:
    """[N] indices along a Z-curve through the box that holds all but the outermost."""
    if not len(means):
        return np.zeros(0, np.intp)
    low, high = np.percentile(means, (1, 99), axis=0)
    cells = np.clip((means - low) / np.maximum(high - low, 1e-9) * 1023, 0, 1023).astype(np.uint64)
    key = np.zeros(len(means), np.uint64)
    for bit in range(10):
        for axis in range(3):
            key |= ((cells[:, axis] >> np.uint64(bit)) & np.uint64(1)) << np.uint64(3 * bit + axis)
    return np.argsort(key, kind="stable")


def _columns(gaussians: Gaussians) -> tuple[list[npt.NDArray[Any]], dict[str, Any]]:
    count, degree = len(gaussians), gaussians.sh_degree
    edges = np.arange(0, count, CHUNK)
    low = np.minimum.reduceat(gaussians.means, edges) if count else np.zeros((0, 3), np.float32)
    high = np.maximum.reduceat(gaussians.means, edges) if count else low
    step = ((high - low) / 65535).astype("<f4")
    chunk = np.arange(count) // CHUNK
    places = np.round((gaussians.means - low[chunk]) / np.maximum(step[chunk], 1e-30))
    log_scales = np.maximum(gaussians.log_scales, _SMALLEST_LOG_SCALE)
    scale_low = float(log_scales.min(initial=0.0))
    scale_step = max((float(log_scales.max(initial=scale_low)) - scale_low) / 255, 1e-6)
    color = np.round((gaussians.base_colors - _COLOR_LOW) / _COLOR_STEP)
    sh, sh_steps = _sh_columns(gaussians)
    columns = [
        low.astype("<f4"),
        step,
        _encoded_quats(gaussians.quats),
        np.clip(places, 0, 65535).astype("<u2").T,
        np.round((log_scales - scale_low) / scale_step).astype(np.uint8).T,
        np.round(gaussians.opacities * 255).astype(np.uint8),
        np.clip(color, 0, 255).astype(np.uint8).T,
        *sh,
    ]
    info = {
        "count": count,
        "sh_degree": degree,
        "chunk": CHUNK,
        "log_scale": [scale_low, scale_step],
        "color": [_COLOR_LOW, _COLOR_STEP],
        "sh_steps": sh_steps,
    }
    return columns, info


def _sh_columns(gaussians: Gaussians) -> tuple[list[npt.NDArray[np.int8]], list[float]]:
    """A row for each coefficient and channel, and each degree's step: all but one in a thousand fit its range."""
    rows, steps = [], []
    for degree in range(1, gaussians.sh_degree + 1):
        band = gaussians.sh[:, degree**2 : (degree + 1) ** 2]
        levels = _SH_LEVELS[degree - 1]
        largest = float(np.quantile(np.abs(band), 0.999)) if band.size else 0.0
        step = max(largest, 1e-6) / levels
        codes = np.clip(np.round(band / step), -levels, levels).astype(np.int8)
        rows.append(codes.transpose(1, 2, 0).reshape(3 * (2 * degree + 1), len(gaussians)))
        steps.append(step)
    return rows, steps + [1.0] * (3 - len(steps))


def _encoded_quats(wxyz: npt.NDArray[np.float32]) -> npt.NDArray[np.uint32]:
    quats = wxyz[:, [1, 2, 3, 0]].astype(np.float64)
    norm = np.linalg.norm(quats, axis=1, keepdims=True)
    quats = np.where(norm > 1e-12, quats / np.maximum(norm, 1e-12), [0.0, 0.0, 0.0, 1.0])
    largest = np.abs(quats).argmax(axis=1)
    quats *= np.where(np.take_along_axis(quats, largest[:, None], 1) < 0, -1.0, 1.0)
    codes = np.round((quats * np.sqrt(2) + 1) * 511).astype(np.uint32)
    word = largest.astype(np.uint32) << 30
    kept = _smaller_three(largest)
    for place in range(3):
        word |= np.take_along_axis(codes, kept[:, place : place + 1], 1)[:, 0] << np.uint32(10 * place)
    return word.astype("<u4")


def _decoded_quats(word: npt.NDArray[np.uint32]) -> npt.NDArray[np.float32]:
    largest = (word >> 30).astype(np.intp)
    quats = np.zeros((len(word), 4))
    for place, kept in enumerate(_smaller_three(largest).T):
        quats[np.arange(len(word)), kept] = (((word >> (10 * place)) & 1023) / 511 - 1) / np.sqrt(2)
    quats[np.arange(len(word)), largest] = np.sqrt(np.maximum(1 - (quats**2).sum(axis=1), 0))
    return quats[:, [3, 0, 1, 2]].astype(np.float32)


def _smaller_three(largest: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """[N, 3] the components that are not the largest, in their order."""
    return np.array([[k for k in range(4) if k != left_out] for left_out in range(4)])[largest]
