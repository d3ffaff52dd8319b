"""Files of Gaussians: one module per format, each with ``encode``, ``read`` and the axes that it stores."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from splatlib.errors import ArtifactError, ExportError
from splatlib.files import replacing
from splatlib.formats.quality import Quality
from splatlib.gaussians import Gaussians


class Encoded(Protocol):
    """Gaussians rounded to what a format stores."""

    def gaussians(self) -> Gaussians:
        """What a reader of the file will see, in the axes of the scene."""
        ...

    def save(self, path: Path) -> None:
        """Raises OSError, and ExportError where the format's sizes do not reach."""
        ...


class _Encode(Protocol):
    def __call__(
        self, gaussians: Gaussians, quality: Quality | None = None, contributions: npt.NDArray | None = None
    ) -> Encoded: ...


@dataclass(frozen=True)
class Format:
    """Attributes:
    suffix: of its files. frame: world axes in the file. rounds_as: formats of the same name round alike by ``Quality``;
    "": it changes nothing.
    """

    name: str
    suffix: str
    frame: str
    rounds_as: str
    encode: _Encode


def _formats() -> dict[str, Format]:
    from splatlib.formats import compressed_ply, gltf_splat, sog, splat_file, spz, standard_ply, usdz

    rows: list[tuple[str, str, Any, str, Any]] = [
        ("ply", ".ply", standard_ply, "", standard_ply.encode),
        ("compressed_ply", ".compressed.ply", compressed_ply, "", compressed_ply.encode),
        ("spz", ".spz", spz, "spz", partial(spz.encode, version=3)),
        ("spz4", ".v4.spz", spz, "spz", partial(spz.encode, version=4)),
        ("sog", ".sog", sog, "sog", sog.encode),
        ("splat", ".splat", splat_file, "", splat_file.encode),
        ("glb", ".glb", gltf_splat, "", gltf_splat.encode),
        ("usdz", ".usdz", usdz, "", usdz.encode),
    ]
    return {row[0]: Format(row[0], row[1], row[2].FRAME, *row[3:]) for row in rows}


FORMATS = _formats()


def format_of(path: Path) -> Format:
    """By the name's end, the longest that fits. Raises ExportError."""
    fitting = [format for format in FORMATS.values() if path.name.lower().endswith(format.suffix)]
    if not fitting:
        known = ", ".join(format.suffix for format in FORMATS.values())
        raise ExportError(f"{path.name}: no format has this ending", hint=f"known are {known}")
    return max(fitting, key=lambda format: len(format.suffix))


def read_gaussians(path: str | Path) -> Gaussians:
    """Read a splat of any known format into the scene's axes (RDF).

    PLY (of any tool, compressed too), SPZ 2 to 4, SOG 2 (also its meta.json), ``.splat``, GLB and USDZ.
    Raises ArtifactError, MissingDependencyError.
    """
    from splatlib.formats import gltf_splat, sog, splat_file, spz, standard_ply, usdz

    path = Path(path)
    readers = {
        ".ply": standard_ply.read,
        ".spz": spz.read,
        ".sog": sog.read,
        ".json": sog.read,
        ".splat": splat_file.read,
        ".glb": gltf_splat.read,
        ".usdz": usdz.read,
    }
    if path.suffix.lower() not in readers:
        raise ArtifactError(
            f"{path.name}: no known format of splats has this ending", hint=f"known are {', '.join(readers)}"
        )
    return readers[path.suffix.lower()](path)


def write_gaussians(
    gaussians: Gaussians,
    path: str | Path,
    format: Format | None = None,
    quality: Quality | None = None,
    contributions: npt.NDArray | None = None,
) -> None:
    """Write a splat; whatever goes wrong, no part of a file is left, and an old one stays.

    Args:
        gaussians: in the scene's axes (RDF).
        format: None: by the path's ending.
        quality: how coarsely formats that can may round; None: as little as they can.
        contributions: [N] of each Gaussian to pictures, for ``quality``.

    Raises OSError, and ExportError: no Gaussians, or values that are not finite, or that the format cannot hold.
    """
    path = Path(path)
    format = format or format_of(path)
    require_finite(gaussians)
    encoded = format.encode(gaussians, quality, contributions)
    with replacing(path) as partial_path:
        encoded.save(partial_path)


def require_finite(gaussians: Gaussians) -> None:
    """Raises ExportError: no Gaussians, or how many hold NaN or infinite values."""
    if not len(gaussians):
        raise ExportError("the splat holds no Gaussians", hint="train it again, or crop less of it away")
    bad = np.zeros(len(gaussians), np.bool_)
    for array in vars(gaussians).values():
        bad |= ~np.isfinite(array).reshape(len(gaussians), -1).all(axis=1)
    if bad.any():
        raise ExportError(
            f"{bad.sum()} of {len(gaussians)} Gaussians hold values that are not finite",
            why="the training diverged, or the file is damaged",
            hint="train again with another seed or fewer steps",
        )
