"""Binary glTF 2.0: the container, and accessors in and out of it.

pygltflib pins old versions of its helpers, trimesh knows no extension of attributes; both read our files in the tests.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from splatlib._version import __version__
from splatlib.errors import ArtifactError, ExportError

RUB_FROM_RDF = np.diag([1.0, -1.0, -1.0])  # glTF: y up; its own inverse
_HEADER, _CHUNK = struct.Struct("<III"), struct.Struct("<II")
_MAGIC, _JSON, _BIN = 0x46546C67, 0x4E4F534A, 0x004E4942
_COMPONENTS = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_CODES = {np.dtype(name): code for code, name in _COMPONENTS.items()}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
_TYPES = {width: name for name, width in _WIDTHS.items()}
_MOST_BYTES = 2**32 - 1


@dataclass
class Document:
    """A glTF document that grows: its JSON, and the arrays of its only buffer."""

    json: dict[str, Any] = field(default_factory=lambda: {"asset": {"version": "2.0"}})
    arrays: list[npt.NDArray[Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.json["asset"]["generator"] = f"splatlib {__version__}"
        self._size = 0

    def accessor(self, array: npt.NDArray[Any], *, normalized: bool = False, bounds: bool = False) -> int:
        """Add an array [N] or [N, 2…4]; the accessor's index. ``bounds`` adds the extremes, which POSITION wants."""
        array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        width = 1 if array.ndim == 1 else array.shape[1]
        entry: dict[str, Any] = {
            "bufferView": self._view(array),
            "componentType": _CODES[array.dtype],
            "count": len(array),
            "type": _TYPES[width],
        }
        if normalized:
            entry["normalized"] = True
        if bounds:
            entry["min"], entry["max"] = (
                np.atleast_1d(edge).tolist() for edge in (array.min(axis=0), array.max(axis=0))
            )
        return self._append("accessors", entry)

    def picture(self, data: bytes, mime_type: str) -> int:
        """Add a picture's file; the image's index."""
        view = self._view(np.frombuffer(data, np.uint8))
        return self._append("images", {"bufferView": view, "mimeType": mime_type})

    def _view(self, array: npt.NDArray[Any]) -> int:
        self.arrays.append(array)
        index = self._append("bufferViews", {"buffer": 0, "byteOffset": self._size, "byteLength": array.nbytes})
        self._size += -(-array.nbytes // 4) * 4
        return index

    def _append(self, part: str, entry: dict[str, Any]) -> int:
        self.json.setdefault(part, []).append(entry)
        return len(self.json[part]) - 1

    def single_mesh(self, primitive: dict[str, Any]) -> None:
        """A scene of one node with one mesh of one primitive."""
        self.json |= {"scene": 0, "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0}]}
        self.json["meshes"] = [{"primitives": [primitive]}]

    def save(self, path: Path) -> None:
        """Raises OSError, and ExportError: more than the 4 GiB that the container's sizes can say."""
        text = json.dumps({**self.json, "buffers": [{"byteLength": self._size}]}, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        total = _HEADER.size + 2 * _CHUNK.size + len(text) + self._size
        if total > _MOST_BYTES:
            raise ExportError(
                f"the splat needs {total / 2**30:.1f} GiB as GLB, which holds 4", hint="crop it, or export PLY or SOG"
            )
        with path.open("wb") as file:
            file.write(_HEADER.pack(_MAGIC, 2, total) + _CHUNK.pack(len(text), _JSON) + text)
            file.write(_CHUNK.pack(self._size, _BIN))
            for array in self.arrays:
                file.write(array.reshape(-1).view(np.uint8).data)
                file.write(bytes(-array.nbytes % 4))


def load(path: Path) -> tuple[dict[str, Any], bytes]:
    """JSON and buffer of a GLB file. Raises ArtifactError."""
    try:
        data = path.read_bytes()
        magic, version, total = _HEADER.unpack_from(data)
        if magic != _MAGIC or version != 2:
            raise ValueError("it is no binary glTF 2.0")
        if total > len(data):
            raise ValueError(f"it is cut short: it announces {total} bytes and holds {len(data)}")
        chunks, place = {}, _HEADER.size
        while place < total:
            size, kind = _CHUNK.unpack_from(data, place)
            place += _CHUNK.size
            chunks[kind] = data[place : place + size]
            place += size
        return json.loads(chunks[_JSON]), chunks.get(_BIN, b"")
    except (OSError, KeyError, ValueError, struct.error) as error:
        raise ArtifactError(f"{path} cannot be read as GLB", why=str(error)) from error


def values(document: dict[str, Any], buffer: bytes, index: int) -> npt.NDArray[np.float32]:
    """[N] or [N, width] of an accessor; normalised integers as the numbers that they stand for.

    Raises KeyError, IndexError or ValueError where the document is damaged or needs another buffer.
    """
    accessor = document["accessors"][index]
    if "sparse" in accessor or "bufferView" not in accessor:
        raise ValueError("sparse accessors are not read")
    view = document["bufferViews"][accessor["bufferView"]]
    if view["buffer"] != 0 or "uri" in document["buffers"][0]:
        raise ValueError("its data lie in another file")
    dtype, width = np.dtype(_COMPONENTS[accessor["componentType"]]), _WIDTHS[accessor["type"]]
    start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    stride = view.get("byteStride", dtype.itemsize * width)
    count = accessor["count"]
    if count and start + (count - 1) * stride + width * dtype.itemsize > len(buffer):
        raise ValueError(f"accessor {index} ends beyond the buffer")
    array = np.ndarray((count, width), dtype, buffer, start, (stride, dtype.itemsize))
    if accessor.get("normalized"):
        array = np.maximum(array / np.float32(np.iinfo(dtype).max), -1)
    array = array.astype(np.float32)
    return array[:, 0] if width == 1 else array


def node_matrices(document: dict[str, Any]) -> list[tuple[int, npt.NDArray[np.float64]]]:
    """(mesh index, world_from_mesh [4, 4]) for each node of the scene that shows a mesh."""
    nodes, found = document.get("nodes", []), []
    scene = document.get("scenes", [{}])[document.get("scene", 0)]
    waiting: list[tuple[int, npt.NDArray[np.float64], int]] = [(n, np.eye(4), 0) for n in scene.get("nodes", [])]
    while waiting:
        index, above, depth = waiting.pop()
        if depth > len(nodes):
            raise ValueError("its nodes contain one another")
        node = nodes[index]
        matrix = above @ _local(node)
        if "mesh" in node:
            found.append((node["mesh"], matrix))
        waiting += [(child, matrix, depth + 1) for child in node.get("children", [])]
    return found


def _local(node: dict[str, Any]) -> npt.NDArray[np.float64]:
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    x, y, z, w = _unit(node.get("rotation", [0, 0, 0, 1]))
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    matrix = np.eye(4)
    matrix[:3, :3] = rotation * np.array(node.get("scale", [1, 1, 1]), np.float64)
    matrix[:3, 3] = node.get("translation", [0, 0, 0])
    return matrix


def _unit(quat: Sequence[float]) -> npt.NDArray[np.float64]:
    array = np.array(quat, np.float64)
    return array / np.linalg.norm(array)
