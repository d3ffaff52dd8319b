"""Gaussians in a GLB by KHR_gaussian_splatting (Khronos, release candidate).

Full precision; y is up (RUB) as glTF demands. A reader that does not know the extension shows the centres as points
in their mean colours.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from splatlib.errors import ArtifactError, ExportError
from splatlib.formats import glb
from splatlib.gaussians import Gaussians
from splatlib.similarity import Similarity

FRAME = "RUB"
EXTENSION = "KHR_gaussian_splatting"
_POINTS = 0


@dataclass(frozen=True)
class Encoded:
    """Gaussians in glTF's axes."""

    turned: Gaussians

    def gaussians(self) -> Gaussians:
        """What a reader of the file will see, in the scene's axes."""
        return self.turned.transformed(rotation=glb.RUB_FROM_RDF)

    def save(self, path: Path) -> None:
        """Raises OSError, and ExportError where 4 GiB are not enough."""
        g = self.turned
        document = glb.Document()
        lengths = np.maximum(np.linalg.norm(g.quats, axis=1, keepdims=True), 1e-12)
        attributes = {
            "POSITION": document.accessor(g.means, bounds=True),
            "COLOR_0": document.accessor(linear_colors(g), normalized=True),
            f"{EXTENSION}:ROTATION": document.accessor(np.roll(g.quats / lengths, -1, axis=1)),
            f"{EXTENSION}:SCALE": document.accessor(g.scales),
            f"{EXTENSION}:OPACITY": document.accessor(g.opacities),
        }
        for index in range(g.sh.shape[1]):
            degree = int(index**0.5)
            name = f"{EXTENSION}:SH_DEGREE_{degree}_COEF_{index - degree**2}"
            attributes[name] = document.accessor(g.sh[:, index])
        settings = {"kernel": "ellipse", "colorSpace": "srgb_rec709_display"}
        document.single_mesh({"attributes": attributes, "mode": _POINTS, "extensions": {EXTENSION: settings}})
        document.json["extensionsUsed"] = [EXTENSION]
        document.save(path)


def encode(gaussians: Gaussians, quality: Any = None, contributions: Any = None) -> Encoded:
    """Full precision whatever the quality. Raises ExportError: no Gaussians, since glTF knows no empty accessor."""
    if not len(gaussians):
        raise ExportError("glTF cannot hold a splat without Gaussians")
    return Encoded(gaussians.transformed(rotation=glb.RUB_FROM_RDF))


def linear_colors(gaussians: Gaussians) -> npt.NDArray[np.uint8]:
    """[N, 4] for COLOR_0: the mean colour in linear light, as glTF wants it, and the opacity."""
    srgb = np.clip(gaussians.base_colors, 0, 1)
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)  # IEC 61966-2-1
    rgba = np.concatenate([linear, gaussians.opacities[:, None]], axis=1)
    return np.rint(rgba * 255).astype(np.uint8)


def read(path: Path) -> Gaussians:
    """All Gaussians of a GLB, moved to where its nodes place them, in the scene's axes. Raises ArtifactError."""
    document, buffer = glb.load(path)
    try:
        parts = [
            Similarity.from_matrix(matrix).gaussians(_of_primitive(primitive["attributes"], document, buffer))
            for mesh, matrix in glb.node_matrices(document)
            for primitive in document["meshes"][mesh]["primitives"]
            if EXTENSION in primitive.get("extensions", {})
        ]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path} cannot be read as a splat", why=f"{type(error).__name__}: {error}") from error
    if not parts:
        raise ArtifactError(f"{path} holds no splat", why=f"none of its meshes has the extension {EXTENSION}")
    return Gaussians.merged(parts).transformed(rotation=glb.RUB_FROM_RDF)


def _of_primitive(attributes: dict[str, int], document: dict[str, Any], buffer: bytes) -> Gaussians:
    def of(name: str) -> npt.NDArray[np.float32]:
        return glb.values(document, buffer, attributes[name])

    degree = max(d for d in range(4) if f"{EXTENSION}:SH_DEGREE_{d}_COEF_0" in attributes)
    names = [f"{EXTENSION}:SH_DEGREE_{d}_COEF_{n}" for d in range(degree + 1) for n in range(2 * d + 1)]
    opacities = np.clip(of(f"{EXTENSION}:OPACITY").astype(np.float64), 1e-12, 1 - 1e-7)
    return Gaussians(
        means=of("POSITION"),
        log_scales=np.log(np.maximum(of(f"{EXTENSION}:SCALE"), np.float32(1e-30))),
        quats=np.roll(of(f"{EXTENSION}:ROTATION"), 1, axis=1),
        opacity_logits=np.log(opacities / (1 - opacities)).astype(np.float32),
        sh=np.stack([of(name) for name in names], axis=1),
    )
