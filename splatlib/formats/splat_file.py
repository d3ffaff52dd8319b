"""The ``.splat`` file of the first web viewer (antimatter15): 32 bytes a Gaussian, no header.

No dependence of colours on the direction. Means and standard deviations as float32, colour and opacity as bytes, the
quaternion wxyz as bytes about 128. The most visible come first, so that a partial download shows something. Axes as in
the PLY.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from splatlib.errors import ArtifactError
from splatlib.formats.quality import assumed_contributions
from splatlib.gaussians import SH_C0, Gaussians

FRAME = "RDF"
_RECORD = np.dtype([("mean", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("quat", "u1", 4)])


@dataclass(frozen=True)
class Encoded:
    """The file's records."""

    records: npt.NDArray[Any]

    def gaussians(self) -> Gaussians:
        """What a reader of the file will see."""
        return _decode(self.records)

    def save(self, path: Path) -> None:
        """Raises OSError."""
        path.write_bytes(self.records.view(np.uint8).data)


def encode(gaussians: Gaussians, quality: Any = None, contributions: npt.NDArray | None = None) -> Encoded:
    """The most contributing first; SH above degree 0 is left out. The format has one quality."""
    weights = assumed_contributions(gaussians) if contributions is None else contributions
    gaussians = gaussians.select(np.argsort(-weights, kind="stable"))
    records = np.empty(len(gaussians), _RECORD)
    records["mean"], records["scale"] = gaussians.means, gaussians.scales
    records["rgba"][:, :3] = _bytes(gaussians.base_colors * 255)
    records["rgba"][:, 3] = _bytes(gaussians.opacities * 255)
    lengths = np.maximum(np.linalg.norm(gaussians.quats, axis=1, keepdims=True), 1e-12)
    records["quat"] = _bytes(gaussians.quats / lengths * 128 + 128)
    return Encoded(records)


def read(path: Path) -> Gaussians:
    """Raises ArtifactError: it cannot be read, or is no whole number of records, or holds values that make no sense."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read", why=str(error)) from error
    if len(data) % _RECORD.itemsize:
        raise ArtifactError(
            f"{path} is no .splat file, or is cut short", why=f"{len(data)} bytes are no multiple of {_RECORD.itemsize}"
        )
    records = np.frombuffer(data, _RECORD)
    if not (np.isfinite(records["mean"]).all() and (records["scale"] >= 0).all()):
        raise ArtifactError(f"{path} is no .splat file, or is damaged", why="means that are not finite, scales below 0")
    return _decode(records)


def _decode(records: npt.NDArray[Any]) -> Gaussians:
    rgba = records["rgba"] / np.float32(255)
    opacities = np.clip(rgba[:, 3], 1e-6, 1 - 1e-6)
    quats = np.asarray((records["quat"].astype(np.float32) - 128) / 128, np.float32)
    quats[(quats == 0).all(axis=1), 0] = 1
    return Gaussians(
        means=np.ascontiguousarray(records["mean"], np.float32),
        log_scales=np.log(np.maximum(records["scale"], np.float32(1e-30))),
        quats=quats,
        opacity_logits=np.log(opacities / (1 - opacities)),
        sh=((rgba[:, None, :3] - np.float32(0.5)) / np.float32(SH_C0)).astype(np.float32),
    )


def _bytes(values: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
