"""SOG, spatially ordered Gaussians (PlayCanvas, version 2): lossless WebP pictures in a zip, one texel a Gaussian.

Positions are 16 bits of the signed logarithm; scales and colours are indices into codebooks; rotations three bytes;
higher SH coefficients come from a palette. Written by us: splat-transform needs WebGPU for the palette, and Python
has no writer. Layout: github.com/playcanvas/splat-transform, read-sog.ts; axes as in the PLY (RDF).
"""

from __future__ import annotations

import json
import math
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from splatlib._version import __version__
from splatlib.errors import ArtifactError, ExportError
from splatlib.formats import webp
from splatlib.formats.order import morton_order
from splatlib.formats.palette import make_palette
from splatlib.formats.quality import Quality, assumed_contributions, exponents, slack, to_multiples, without_unseen
from splatlib.formats.quaternions import from_smallest_three, smallest_three
from splatlib.gaussians import SH_C0, Gaussians

FRAME = "RDF"
FINEST = Quality(0.02, 0.02, 0.008, 0.004, 0.004, sh=0.0, sh_palette=1.0, sh_rate=0.0, prune=0.0)
_LARGEST = 65535
_INVISIBLE_LOG_SCALE = -12.0
_PALETTE_COLUMNS = 64
_CODES = 256
_FINEST_SHARE = 16  # of a step, for the Gaussians that contribute most

# what zipfile, zlib and our own look-ups raise for files with wrong bytes; RuntimeError is zipfile's for encrypted ones
_DAMAGED = (OSError, LookupError, TypeError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error)

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Encoded:
    """The contents of a SOG file.

    Attributes:
        meta: meta.json. texels: by the file's name, [N, 4] (of the palette: [entries, coefficients, 4]) RGBA.
    """

    meta: dict[str, Any]
    texels: dict[str, Bytes]

    def gaussians(self) -> Gaussians:
        """What a reader of the file will see."""
        return _decode(self.meta, self.texels)

    def save(self, path: Path) -> None:
        """Raises OSError."""
        pictures = {name: _as_picture(texels) for name, texels in self.texels.items()}
        files = webp.encode_all(pictures)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            for name, data in [("meta.json", json.dumps(self.meta).encode()), *files.items()]:
                archive.writestr(zipfile.ZipInfo(name), data)  # ZipInfo's fixed date: equal splats, equal files


def encode(
    gaussians: Gaussians,
    quality: Quality | None = None,
    contributions: npt.NDArray[np.floating] | None = None,
) -> Encoded:
    """Round Gaussians to what a SOG file stores, in Morton order.

    Args:
        quality: None: as fine as the format allows.
        contributions: [N] of each Gaussian to pictures; None: guessed from opacity and size.

    Raises ExportError: no Gaussians, which the format cannot say.
    """
    if not len(gaussians):
        raise ExportError("SOG cannot hold a splat without Gaussians")
    weights = assumed_contributions(gaussians) if contributions is None else np.asarray(contributions, np.float32)
    order = morton_order(gaussians.means)
    if quality is not None:
        order = order[np.isin(order, without_unseen(weights, quality.prune))]
    gaussians, weights = gaussians.select(order), weights[order]
    loose = np.ones(len(weights), np.float32) if quality is None else slack(weights)
    quality = quality or FINEST
    meta: dict[str, Any] = {
        "version": 2,
        "asset": {"generator": f"splatlib {__version__}"},
        "count": len(gaussians),
    }
    texels: dict[str, Bytes] = {}
    meta["means"] = _encode_means(gaussians, quality.position * loose, texels)
    meta["scales"] = _encode_scales(gaussians, quality.log_scale, loose, texels)
    meta["quats"] = _encode_quats(gaussians, quality.rotation * loose, texels)
    meta["sh0"] = _encode_colors(gaussians, quality, loose, texels)
    if gaussians.sh_degree:
        meta["shN"] = _encode_rest(gaussians, quality, weights, texels)
    return Encoded(meta, texels)


def _texels(count: int, *channels: npt.NDArray) -> Bytes:
    """[N, 4]: the channels given, opaque where alpha is not among them."""
    texels = np.zeros((count, 4), np.uint8)
    texels[:, 3] = 255
    for index, channel in enumerate(channels):
        texels[:, index] = channel
    return texels


def _encode_means(gaussians: Gaussians, steps: npt.NDArray, texels: dict[str, Bytes]) -> dict[str, Any]:
    logs = np.sign(gaussians.means) * np.log1p(np.abs(gaussians.means.astype(np.float64)))
    low, high = logs.min(axis=0), logs.max(axis=0)
    extent = np.where(high > low, high - low, 1.0)
    stored = ((logs - low) / extent * _LARGEST).astype(np.float32)
    # one unit of the logarithm is 1 + |x| scene units
    unit = extent / _LARGEST * (1 + np.abs(gaussians.means))
    middle = np.exp(np.clip(np.sort(gaussians.log_scales, axis=1)[:, 1:2], _INVISIBLE_LOG_SCALE, None))
    stored = np.minimum(to_multiples(stored, exponents(steps[:, None] * middle, unit, 12)), _LARGEST)
    texels["means_l.webp"] = _texels(len(stored), *(stored & 255).T)
    texels["means_u.webp"] = _texels(len(stored), *(stored >> 8).T)
    return {"mins": low.tolist(), "maxs": (low + extent).tolist(), "files": ["means_l.webp", "means_u.webp"]}


def _encode_scales(gaussians: Gaussians, step: float, loose: npt.NDArray, texels: dict[str, Bytes]) -> dict[str, Any]:
    log_scales = np.clip(gaussians.log_scales, _INVISIBLE_LOG_SCALE, 20)
    codebook, unit = _even_codebook(log_scales, step / _FINEST_SHARE)
    indices = (log_scales - np.float32(codebook[0])) / np.float32(unit)
    indices = to_multiples(indices, exponents(step * loose[:, None], unit, 7))
    texels["scales.webp"] = _texels(len(loose), *np.clip(indices, 0, _CODES - 1).T)
    return {"codebook": codebook.tolist(), "files": ["scales.webp"]}


def _encode_quats(gaussians: Gaussians, steps: npt.NDArray, texels: dict[str, Bytes]) -> dict[str, Any]:
    largest, others = smallest_three(gaussians.quats)
    unit = 2 / _CODES / 2**0.5
    m = exponents(steps[:, None], unit, 6)
    # Multiples of 2^m about the middle, so that a component of 0 is stored as 128 at any m.
    stored = np.clip(to_multiples(others * np.float32(2**0.5 * 127.5) - np.float32(0.5), m) + 128, 0, 255)
    texels["quats.webp"] = _texels(len(steps), *stored.T, 252 + largest)
    return {"files": ["quats.webp"]}


def _encode_colors(
    gaussians: Gaussians, quality: Quality, loose: npt.NDArray, texels: dict[str, Bytes]
) -> dict[str, Any]:
    step = quality.color / SH_C0
    low, high = (np.float32((edge - 0.5) / SH_C0) for edge in (-1.0, 2.0))  # darker than black, for SH to lighten
    colors = np.clip(gaussians.sh[:, 0], low, high)
    codebook, unit = _even_codebook(colors, step / _FINEST_SHARE)
    indices = (colors - np.float32(codebook[0])) / np.float32(unit)
    indices = np.clip(to_multiples(indices, exponents(step * loose[:, None], unit, 7)), 0, _CODES - 1)
    opacities = np.clip(to_multiples(gaussians.opacities * 255, exponents(quality.opacity * loose, 1 / 255, 5)), 0, 255)
    texels["sh0.webp"] = _texels(len(loose), *indices.T, opacities)
    return {"codebook": codebook.tolist(), "files": ["sh0.webp"]}


def _encode_rest(
    gaussians: Gaussians, quality: Quality, weights: npt.NDArray, texels: dict[str, Bytes]
) -> dict[str, Any]:
    rest = gaussians.sh[:, 1:].reshape(len(gaussians), -1)
    palette = make_palette(rest, weights, quality)
    codebook, unit = _even_codebook(palette.entries, quality.sh)
    codes = np.clip(np.rint((palette.entries - codebook[0]) / unit), 0, _CODES - 1)
    codes = codes.reshape(len(codes), gaussians.sh.shape[1] - 1, 3)
    whole = np.zeros((-(-len(codes) // _PALETTE_COLUMNS) * _PALETTE_COLUMNS, codes.shape[1], 4), np.uint8)
    whole[: len(codes), :, :3], whole[..., 3] = codes, 255
    texels["shN_centroids.webp"] = whole
    labels = palette.labels
    texels["shN_labels.webp"] = _texels(len(labels), labels & 255, labels >> 8)
    files = ["shN_centroids.webp", "shN_labels.webp"]
    return {"count": len(codes), "bands": gaussians.sh_degree, "codebook": codebook.tolist(), "files": files}


def _even_codebook(values: npt.NDArray[np.float32], unit: float) -> tuple[npt.NDArray[np.float64], float]:
    """256 multiples of ``unit``, or of as much more as it takes to cover all values."""
    low, high = float(values.min(initial=0)), float(values.max(initial=0))
    unit = max(unit, (high - low) / (_CODES - 2), 1e-6)
    digits = 2 - math.floor(math.log10(unit))
    unit = math.ceil(unit * 10**digits) / 10**digits  # three digits, so that the codebook's text is short
    codebook = unit * (math.floor(low / unit) + np.arange(_CODES, dtype=np.float64))
    return np.asarray(np.round(codebook, digits), np.float64), unit


def _as_picture(texels: Bytes) -> Bytes:
    """[H, W, 4]: texels in rows of a nearly square picture, or the palette, 64 entries a row."""
    if texels.ndim == 3:
        return texels.reshape(len(texels) // _PALETTE_COLUMNS, -1, 4)
    width = -(-math.isqrt(max(1, len(texels) - 1) + 1) // 4) * 4
    height = -(-len(texels) // width)
    picture = np.zeros((height * width, 4), np.uint8)
    picture[: len(texels)] = texels
    picture[len(texels) :] = texels[-1:]
    return picture.reshape(height, width, 4)


def read(path: Path) -> Gaussians:
    """Read SOG version 2: a .sog file, or a folder's meta.json. Raises ArtifactError."""
    try:
        if path.suffix == ".json":
            meta = json.loads(path.read_text())
            _check(meta)
            texels = {name: webp.decode((path.parent / name).read_bytes()) for name in _files(meta)}
        else:
            with zipfile.ZipFile(path) as archive:
                meta = json.loads(archive.read("meta.json"))
                _check(meta)
                texels = {name: webp.decode(archive.read(name)) for name in _files(meta)}
        return _decode(meta, {name: picture.reshape(-1, 4) for name, picture in texels.items()})
    except _DAMAGED as error:
        raise ArtifactError(f"{path} cannot be read as SOG", why=f"{type(error).__name__}: {error}") from error


def _check(meta: Any) -> None:
    if not isinstance(meta, dict) or meta.get("version") != 2 or not isinstance(meta.get("count"), int):
        raise ValueError("it is no SOG of version 2")


def _files(meta: dict[str, Any]) -> list[str]:
    names = [
        name for part in ("means", "scales", "quats", "sh0", "shN") if part in meta for name in meta[part]["files"]
    ]
    if any(Path(name).name != name for name in names):
        raise ValueError(f"it names files outside its folder: {names}")
    return names


def _decode(meta: dict[str, Any], texels: dict[str, Bytes]) -> Gaussians:
    count = meta["count"]

    def texture(part: str, index: int = 0) -> Bytes:
        found = texels[meta[part]["files"][index]]
        if len(found) < count:
            raise ValueError(f"{meta[part]['files'][index]} holds {len(found)} texels of {count}")
        return found[:count]

    low, high = (np.array(meta["means"][key], np.float64) for key in ("mins", "maxs"))
    stored = texture("means")[:, :3] | texture("means", 1)[:, :3].astype(np.uint16) << 8
    logs = low + (high - low) * (stored / _LARGEST)
    quats, sh0 = texture("quats"), texture("sh0")
    largest = np.clip(quats[:, 3].astype(np.int64) - 252, 0, 3)
    opacities = np.clip(sh0[:, 3] / np.float32(255), 1e-6, 1 - 1e-6)
    sh = np.array(meta["sh0"]["codebook"], np.float32)[sh0[:, :3]][:, None]
    if "shN" in meta:
        num_rest = (meta["shN"]["bands"] + 1) ** 2 - 1
        entries = texels[meta["shN"]["files"][0]].reshape(-1, num_rest, 4)[..., :3]
        label = texture("shN", 1).astype(np.int64)
        rest = np.array(meta["shN"]["codebook"], np.float32)[entries][label[:, 0] | label[:, 1] << 8]
        sh = np.concatenate([sh, rest], axis=1)
    return Gaussians(
        means=(np.sign(logs) * np.expm1(np.abs(logs))).astype(np.float32),
        log_scales=np.array(meta["scales"]["codebook"], np.float32)[texture("scales")[:, :3]],
        quats=from_smallest_three(largest, (quats[:, :3] / np.float32(255) * 2 - 1) / np.float32(2**0.5)),
        opacity_logits=np.asarray(np.log(opacities / (1 - opacities)), np.float32),
        sh=np.ascontiguousarray(sh),
    )
