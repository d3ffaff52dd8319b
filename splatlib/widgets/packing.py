"""Gaussians for the browser: quantised, in columns, deflated; a tenth of the PLY.

Read by ``js/src/splat/unpack.ts``. Gaussians are in Morton order, in chunks of 256 that share a box and the step of
their places, so that one far out does not coarsen the others. Columns one after the other, little-endian:

    low      float32 [C, 3]     corner of each chunk's box
    step     float32 [C, 3]     a twentieth of its smaller Gaussians' size, but at least a 65 535th of the box
    places   uint8   [2, 3, N]  position = low + step · (256 · first + second)
    turns    int8    [3, N]     x, y, z of the rotation = code / 63 · sin 22.5°; w = √(1 - x² - y² - z²)
    scales   uint8   [3, N]     log-scale = info.log_scale[0] + info.log_scale[1] · code
    opacity  uint8   [N]        opacity = code / 255
    color    uint8   [3, N]     degree-0 colour = info.color[0] + info.color[1] · code
    sh       int8    [K, 3, N]  coefficient k of a channel = info.sh_steps[degree - 1] · code

Where ``info.differences`` is set, red and blue of ``color`` and ``sh`` are what they differ from green, modulo 256:
channels of a photographed scene are much alike.

An ellipsoid is the same after 24 turns that permute its axes; the smallest one is sent, so that x, y and z are small
and w need not be. Steps of all coefficients are equal, which for a given error of the picture takes the fewest bits.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from splatlib.gaussians import SH_C0, Gaussians
from splatlib.widgets.turns import smallest_turns, turns_of

CHUNK = 256
MOST_GAUSSIANS = 1_000_000
_COLOR_LOW, _COLOR_STEP = -0.5, 2 / 255
_SH_STEP = 0.033
_SH_ROUNDING = 0.45  # under a half: more zeros, which cost least; held-out views even gain by it
_LOG_SCALE_STEP = 0.05
_PLACE_STEP = 0.05  # of the size of a small Gaussian of the chunk
_SMALLEST_LOG_SCALE = -16.0
_SAMPLE = 1 << 16
_SEARCH_LEVEL = 4  # of zlib; 6 is twice as slow for 2 % less


@dataclass(frozen=True)
class Packed:
    """What the front end is sent.

    Attributes:
        info: numbers that the reader needs, as JSON types.
        data: the columns as one gzip file.
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
    return Packed(info, _gzipped(columns), total, "\n".join(notes))


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
    places, turns, scales = part("u1", 2, 3, count), part("i1", 3, count), part("u1", 3, count)
    opacity, color, sh = part("u1", count), part("u1", 3, count), part("i1", bases, 3, count)
    if info["differences"]:
        color, sh = _undone(color), _undone(sh)
    chunk = np.arange(count) // info["chunk"]
    steps = np.repeat(np.array(info["sh_steps"], np.float32), (3, 5, 7))[:bases]
    base = (info["color"][0] + info["color"][1] * color.T - 0.5) / SH_C0
    rest = (sh * steps[:, None, None]).transpose(2, 0, 1)
    alpha = np.clip(opacity / 255, 1e-6, 1 - 1e-6)
    return Gaussians(
        means=(low[chunk] + step[chunk] * (256.0 * places[0] + places[1]).T).astype(np.float32),
        log_scales=(info["log_scale"][0] + info["log_scale"][1] * scales.T).astype(np.float32),
        quats=turns_of(turns.T),
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
    count = len(gaussians)
    low, step, places = _places(gaussians)
    turns, log_scales = smallest_turns(gaussians.quats, np.maximum(gaussians.log_scales, _SMALLEST_LOG_SCALE))
    scale_low = float(log_scales.min(initial=0.0))
    scale_step = max((float(log_scales.max(initial=scale_low)) - scale_low) / 255, _LOG_SCALE_STEP)
    color = np.clip(np.round((gaussians.base_colors - _COLOR_LOW) / _COLOR_STEP), 0, 255).astype(np.uint8).T
    sh, sh_steps = _sh_columns(gaussians)
    some = slice(max(0, (count - _SAMPLE) // 2), (count + _SAMPLE) // 2)
    few = color[..., some], sh[..., some]
    are_smaller = _huffman_bytes(*map(_differences, few)) < _huffman_bytes(*few)
    columns = [
        low.astype("<f4"),
        step.astype("<f4"),
        *places,
        turns.T,
        np.round((log_scales - scale_low) / scale_step).astype(np.uint8).T,
        np.round(gaussians.opacities * 255).astype(np.uint8),
        *((_differences(color), _differences(sh)) if are_smaller else (color, sh)),
    ]
    info = {
        "count": count,
        "sh_degree": gaussians.sh_degree,
        "chunk": CHUNK,
        "log_scale": [scale_low, scale_step],
        "color": [_COLOR_LOW, _COLOR_STEP],
        "sh_steps": sh_steps,
        "differences": are_smaller,
    }
    return columns, info


def _places(gaussians: Gaussians) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """[C, 3] corners, [C, 3] steps, [2, 3, N] upper and lower bytes of codes."""
    means, count = gaussians.means, len(gaussians)
    if not count:
        return np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32), np.zeros((2, 3, 0), np.uint8)
    edges = np.arange(0, count, CHUNK)
    low, high = np.minimum.reduceat(means, edges), np.maximum.reduceat(means, edges)
    sizes = np.full(len(edges) * CHUNK, np.inf, np.float32)
    sizes[:count] = np.exp(np.sort(gaussians.log_scales, axis=1)[:, 1])
    small = np.sort(sizes.reshape(-1, CHUNK), axis=1)[np.arange(len(edges)), np.diff(edges, append=count) // 5]
    step = np.maximum((high - low) / 65535, _PLACE_STEP * small[:, None]).astype(np.float32)
    chunk = np.arange(count) // CHUNK
    codes = np.clip(np.round((means - low[chunk]) / np.maximum(step[chunk], 1e-30)), 0, 65535).astype(np.uint16).T
    return low, step, np.stack([codes >> 8, codes & 255]).astype(np.uint8)


def _sh_columns(gaussians: Gaussians) -> tuple[npt.NDArray[np.int8], list[float]]:
    """[K, 3, N] codes, and each degree's step: larger where else not all but one in a thousand would fit a byte."""
    bands, steps = [np.zeros((0, 3, len(gaussians)), np.int8)], []
    for degree in range(1, gaussians.sh_degree + 1):
        band = gaussians.sh[:, degree**2 : (degree + 1) ** 2]
        step = _SH_STEP
        if float(np.abs(band).max(initial=0.0)) > 127 * step:
            step = max(float(np.quantile(np.abs(band), 0.999)) / 127, step)
        codes = np.sign(band) * np.floor(np.abs(band) / step + _SH_ROUNDING)
        bands.append(np.clip(codes, -127, 127).astype(np.int8).transpose(1, 2, 0))
        steps.append(step)
    return np.concatenate(bands), steps + [1.0] * (3 - len(steps))


def _differences(codes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Red and blue of [..., 3, N] as what they differ from green; bytes wrap round."""
    green = codes[..., 1:2, :]
    return np.concatenate([codes[..., 0:1, :] - green, green, codes[..., 2:3, :] - green], axis=-2)


def _undone(differences: npt.NDArray[Any]) -> npt.NDArray[Any]:
    green = differences[..., 1:2, :]
    return np.concatenate([differences[..., 0:1, :] + green, green, differences[..., 2:3, :] + green], axis=-2)


def _gzipped(columns: Sequence[npt.NDArray[Any]]) -> bytes:
    """One gzip file (RFC 1952) whose deflate blocks know their column.

    Quantised numbers hardly ever repeat in sequence, and where zlib finds matches by chance, coding each byte by itself
    takes fewer bits; which it is, a part of the column tells.
    """
    parts, crc, size = [b"\x1f\x8b\x08\0\0\0\0\0\0\xff"], 0, 0
    for column in columns:
        raw = column.tobytes()
        part = raw[max(0, (len(raw) - _SAMPLE) // 2) :][:_SAMPLE]
        strategy = min(zlib.Z_HUFFMAN_ONLY, zlib.Z_DEFAULT_STRATEGY, key=lambda each: len(_deflated(part, each)))
        parts.append(_deflated(raw, strategy))
        crc, size = zlib.crc32(raw, crc), size + len(raw)
    return b"".join([*parts, b"\x03\0", struct.pack("<II", crc, size & 0xFFFFFFFF)])


def _deflated(raw: bytes, strategy: int) -> bytes:
    """Whole blocks that refer to nothing before them, none marked as the last."""
    stream = zlib.compressobj(_SEARCH_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, 9, strategy)
    return stream.compress(raw) + stream.flush(zlib.Z_FULL_FLUSH)


def _huffman_bytes(*columns: npt.NDArray[Any]) -> int:
    return sum(len(_deflated(column.tobytes(), zlib.Z_HUFFMAN_ONLY)) for column in columns)
