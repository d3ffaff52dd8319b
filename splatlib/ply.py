"""PLY files as tables: any encoding, any order of properties, several elements.

The format: Turk, "The PLY Polygon File Format" (1994). Read by NumPy: gsply skips columns that are not float, and
plyfile is GPL.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from splatlib.errors import ArtifactError

_TYPES = {
    **{"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4"},
    **{"float": "f4", "double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2"},
    **{"int32": "i4", "uint32": "u4", "float32": "f4", "float64": "f8"},
}
_NAMES = {"i1": "char", "u1": "uchar", "i2": "short", "u2": "ushort", "i4": "int", "u4": "uint", "f4": "float"}
_NAMES |= {"f8": "double"}
_ENCODINGS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_HEADER_LINES = 500  # a file with a longer header is no splat
_BLOCK_ROWS = 65536

Table = npt.NDArray[Any]


@dataclass(frozen=True)
class _Element:
    name: str
    count: int
    columns: list[tuple[str, str]]
    has_lists: bool


def read_ply(path: Path, wanted: Iterable[str]) -> dict[str, Table]:
    """Elements of a PLY file as structured arrays, numbers in the machine's own byte order.

    Args:
        wanted: names of elements; those that the file lacks are left out of the answer, all others are skipped.

    Raises ArtifactError: it is no PLY file, it is cut short, or a wanted element holds lists or comes after one.
    """
    wanted = set(wanted)
    try:
        with path.open("rb") as file:
            order, elements = _read_header(file)
            tables: dict[str, Table] = {}
            for element in elements:
                if element.has_lists:
                    if wanted - tables.keys() & {e.name for e in elements}:
                        _refuse_lists(element, wanted - tables.keys(), elements)
                    break
                if order and element.name not in wanted:
                    file.seek(element.count * np.dtype(element.columns).itemsize, 1)
                    continue
                table = _read_ascii(file, element) if not order else _read_binary(file, path, element)
                if element.name in wanted:
                    tables[element.name] = table
                if wanted <= tables.keys():
                    break
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} cannot be read as a PLY file", why=str(error)) from error
    return tables


def _refuse_lists(element: _Element, missing: set[str], elements: list[_Element]) -> None:
    names = [e.name for e in elements]
    late = [name for name in names[names.index(element.name) :] if name in missing]
    if late:
        raise ValueError(f"element {late[0]!r} holds lists, or comes after {element.name!r}, which does")


def _read_binary(file: BinaryIO, path: Path, element: _Element) -> Table:
    dtype = np.dtype(element.columns)
    held = (path.stat().st_size - file.tell()) // max(dtype.itemsize, 1)
    if element.count > held:
        raise ValueError(f"it is cut short: it announces {element.count} of {element.name!r} and holds {held}")
    table = np.fromfile(file, dtype=dtype, count=element.count)
    if len(table) != element.count:
        raise ValueError(f"it is cut short: it announces {element.count} of {element.name!r}, read {len(table)}")
    native = dtype.newbyteorder("=")
    return table if native == dtype else table.astype(native)


def _read_ascii(file: BinaryIO, element: _Element) -> Table:
    dtype = np.dtype(element.columns)
    blocks, rows = [np.empty(0, dtype)], 0
    while rows < element.count:
        lines = [line for _, line in zip(range(min(_BLOCK_ROWS, element.count - rows)), file, strict=False)]
        if not lines:
            raise ValueError(f"it is cut short: it announces {element.count} of {element.name!r} and holds {rows}")
        try:
            values = np.loadtxt(io.BytesIO(b"".join(lines)), dtype=np.float64, ndmin=2)
        except ValueError as error:
            raise ValueError(f"after {rows} rows of {element.name!r}: {error}") from error
        if values.shape[1] != len(element.columns):
            raise ValueError(
                f"{element.name!r} has {len(element.columns)} properties, a row holds {values.shape[1]} values"
            )
        block = np.empty(len(values), dtype)
        for index, name in enumerate(dtype.names or ()):
            block[name] = values[:, index]
        blocks.append(block)
        rows += len(block)
    return np.concatenate(blocks)


def _read_header(file: BinaryIO) -> tuple[str, list[_Element]]:
    """Byte order ("" for text) and elements; leaves the file where their data begin. Raises ValueError."""
    if file.readline(16).strip() != b"ply":
        raise ValueError("it is no PLY file")
    order: str | None = None
    elements: list[_Element] = []
    for _ in range(_HEADER_LINES):
        words = file.readline(4096).decode("ascii", "replace").split()
        match words:
            case ["format", encoding, *_]:
                if encoding not in _ENCODINGS:
                    raise ValueError(f"its encoding {encoding!r} is not known")
                order = _ENCODINGS[encoding]
            case ["element", name, count]:
                if not count.isdigit():
                    raise ValueError(f"element {name!r} has {count!r} rows")
                elements.append(_Element(name, int(count), [], False))
            case ["property", "list", *_] if elements:
                elements[-1] = _Element(elements[-1].name, elements[-1].count, elements[-1].columns, True)
            case ["property", kind, name] if elements and kind in _TYPES:
                if name in dict(elements[-1].columns):
                    raise ValueError(f"property {name!r} is there twice")
                elements[-1].columns.append((name, (order or "=") + _TYPES[kind]))
            case ["end_header"]:
                if order is None:
                    raise ValueError("its header names no format")
                return order, elements
            case ["property", *_]:
                raise ValueError(f"cannot read {' '.join(words)!r}")
    raise ValueError("its header does not end")


def write_ply(path: Path, elements: Mapping[str, Table], comments: Iterable[str] = ()) -> None:
    """Write structured arrays as a little-endian binary PLY. Raises OSError."""
    with path.open("wb") as file:
        file.write(header(elements, comments))
        for table in elements.values():
            for begin in range(0, len(table), _BLOCK_ROWS):
                block = table[begin : begin + _BLOCK_ROWS]
                file.write(np.ascontiguousarray(block.astype(block.dtype.newbyteorder("<"), copy=False)).data)


def header(elements: Mapping[str, Table], comments: Iterable[str] = ()) -> bytes:
    """The header of a little-endian binary PLY, up to where the data begin."""
    lines = ["ply", "format binary_little_endian 1.0", *(f"comment {text}" for text in comments)]
    for name, table in elements.items():
        lines.append(f"element {name} {len(table)}")
        for column in table.dtype.names or ():
            lines.append(f"property {_NAMES[table.dtype[column].str[1:]]} {column}")
    return "".join(line + "\n" for line in [*lines, "end_header"]).encode("ascii")
