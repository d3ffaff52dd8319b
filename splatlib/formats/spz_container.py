"""The two containers of SPZ: one gzip stream (versions 2 and 3), or a zstd stream for each attribute (version 4)."""

from __future__ import annotations

import gzip
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from splatlib.errors import ArtifactError
from splatlib.formats.quaternions import pack_quats
from splatlib.threads import available_cpus

_MAGIC = 0x5053474E  # "NGSP"
_HEADER = struct.Struct("<IIIBBBB")  # magic, version, count, SH degree, fractional bits, flags, reserved
_HEADER_4 = struct.Struct("<IIIBBBBI12x")  # the same, with the number of streams and the place of their table
_STREAM = struct.Struct("<QQ")  # compressed and plain size
_GZIP_HEADER = b"\x1f\x8b\x08\x00" + bytes(4) + b"\x00\xff"  # no time of day: equal splats give equal files
_GZIP_LEVEL, _ZSTD_LEVEL = 9, 12
_LARGE_BYTES, _GZIP_LEVEL_LARGE = 1 << 24, 6  # four times as fast, two per cent larger
_GZIP_BLOCK = 1 << 21


@dataclass(frozen=True)
class Sections:
    """An SPZ file's contents, in its RUB axes.

    Attributes:
        positions: [N, 3] int32 of 24 bits. alphas: [N]. colors, scales: [N, 3]. quats: [N] uint32, smallest three.
        sh: [N, 3 K], of each coefficient red, green, blue. All uint8 unless said.
    """

    positions: npt.NDArray[np.int32]
    alphas: npt.NDArray[np.uint8]
    colors: npt.NDArray[np.uint8]
    scales: npt.NDArray[np.uint8]
    quats: npt.NDArray[np.uint32]
    sh: npt.NDArray[np.uint8]
    fractional_bits: int
    sh_degree: int

    def streams(self) -> list[memoryview]:
        """The attributes' bytes, in the file's order."""
        four = np.ascontiguousarray(self.positions.astype("<i4")).view(np.uint8).reshape(-1, 3, 4)
        arrays = (four[..., :3], self.alphas, self.colors, self.scales, self.quats.astype("<u4"), self.sh)
        return [np.ascontiguousarray(array).reshape(-1).view(np.uint8).data for array in arrays]


def write(sections: Sections, path: Path, version: int) -> None:
    """Write version 3 or 4. Raises OSError."""
    if version not in (3, 4):
        raise ValueError(f"SPZ is written as version 3 or 4, not {version}")
    count, degree, bits = len(sections.alphas), sections.sh_degree, sections.fractional_bits
    streams = sections.streams()
    with path.open("wb") as file:
        if version == 3:
            _write_gzip(file, [memoryview(_HEADER.pack(_MAGIC, 3, count, degree, bits, 0, 0)), *streams])
            return
        import zstandard

        packed = [zstandard.ZstdCompressor(level=_ZSTD_LEVEL, threads=-1).compress(s) for s in streams if len(s)]
        sizes = [(len(p), len(s)) for p, s in zip(packed, [s for s in streams if len(s)], strict=True)]
        file.write(_HEADER_4.pack(_MAGIC, 4, count, degree, bits, 0, len(packed), _HEADER_4.size))
        file.write(b"".join(_STREAM.pack(*size) for size in sizes))
        for stream in packed:
            file.write(stream)


def _write_gzip(file, parts: list[memoryview]) -> None:
    """One gzip member, its blocks deflated side by side (as pigz does)."""
    file.write(_GZIP_HEADER)
    level = _GZIP_LEVEL if sum(map(len, parts)) < _LARGE_BYTES else _GZIP_LEVEL_LARGE
    blocks = [part[begin : begin + _GZIP_BLOCK] for part in parts for begin in range(0, len(part), _GZIP_BLOCK)]

    def deflated(block: memoryview) -> bytes:
        packer = zlib.compressobj(level, zlib.DEFLATED, -15)
        return packer.compress(block) + packer.flush(zlib.Z_SYNC_FLUSH)

    with ThreadPoolExecutor(available_cpus()) as executor:
        for packed in executor.map(deflated, blocks):
            file.write(packed)
    checksum, size = 0, 0
    for part in parts:
        checksum, size = zlib.crc32(part, checksum), size + len(part)
    last = zlib.compressobj(level, zlib.DEFLATED, -15)
    file.write(last.flush(zlib.Z_FINISH) + struct.pack("<II", checksum, size & 0xFFFFFFFF))


def read(path: Path) -> Sections:
    """Raises ArtifactError: it is no SPZ of version 2, 3 or 4, or is damaged or cut short."""
    try:
        data = path.read_bytes()
        header, streams = _streams_4(data) if data[:4] == _MAGIC.to_bytes(4, "little") else _streams_3(data)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise ArtifactError(f"{path} cannot be read as SPZ", why=str(error)) from error
    except ValueError as error:
        raise ArtifactError(f"{path} is damaged or cut short", why=str(error)) from error
    magic, version, count, sh_degree, bits = header
    if magic != _MAGIC or version not in (2, 3, 4) or sh_degree > 3:
        raise ArtifactError(
            f"{path} is no SPZ of version 2 to 4 and SH degree 0–3", why=f"{magic=:#x} {version=} {sh_degree=}"
        )
    num_rest = (sh_degree + 1) ** 2 - 1
    widths = (9, 1, 3, 3, 3 if version == 2 else 4, 3 * num_rest)
    body = b"".join(streams)
    if len(body) < count * sum(widths):
        raise ArtifactError(
            f"{path} is cut short", why=f"{count} Gaussians want {count * sum(widths)} bytes, it has {len(body)}"
        )
    ends = count * np.cumsum(widths)
    parts = np.split(np.frombuffer(body, np.uint8, int(ends[-1])), ends[:-1])
    positions, alphas, colors, scales, quats, sh = (
        part.reshape(count, width) for part, width in zip(parts, widths, strict=True)
    )
    packed = _from_first_three(quats) if version == 2 else np.ascontiguousarray(quats).view("<u4")[:, 0]
    return Sections(_int24(positions), alphas[:, 0], colors, scales, packed, sh, bits, sh_degree)


_Head = tuple[int, int, int, int, int]


def _streams_3(data: bytes) -> tuple[_Head, list[bytes]]:
    payload = gzip.decompress(data)
    magic, version, count, sh_degree, bits, _, _ = _HEADER.unpack_from(payload)
    return (magic, version, count, sh_degree, bits), [payload[_HEADER.size :]]


def _streams_4(data: bytes) -> tuple[_Head, list[bytes]]:
    """Raises ValueError where the table of streams points outside the file, or a stream is damaged."""
    import zstandard

    magic, version, count, sh_degree, bits, _, num_streams, table = _HEADER_4.unpack_from(data)
    place, streams = table + num_streams * _STREAM.size, []
    most = count * (9 + 1 + 3 + 3 + 4 + 72)  # what a damaged size could otherwise make us reserve
    for index in range(num_streams):
        packed, plain = _STREAM.unpack_from(data, table + index * _STREAM.size)
        if place + packed > len(data) or plain > most:
            raise ValueError(f"stream {index} of {num_streams} ends at byte {place + packed} of {len(data)}")
        try:
            stream = zstandard.ZstdDecompressor().decompress(data[place : place + packed], max_output_size=plain)
        except zstandard.ZstdError as error:
            raise ValueError(f"stream {index}: {error}") from error
        if len(stream) != plain:
            raise ValueError(f"stream {index} holds {len(stream)} bytes, not {plain}")
        streams.append(stream)
        place += packed
    return (magic, version, count, sh_degree, bits), streams


def _int24(positions: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
    """[N, 3] signed numbers of three bytes each, little-endian."""
    padded = np.zeros((len(positions), 3, 4), np.uint8)
    padded[..., 1:] = positions.reshape(len(positions), 3, 3)
    return padded.view("<i4")[..., 0] >> 8


def _from_first_three(stored: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    """[N] in version 3's packing, of version 2's: a byte each for x, y, z."""
    xyz = (stored / 127.5 - 1).astype(np.float32)
    w = np.sqrt(np.maximum(0, 1 - (xyz**2).sum(axis=1, keepdims=True)))
    return pack_quats(np.concatenate([w, xyz], axis=1))
