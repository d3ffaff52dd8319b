"""Gaussians in a USDZ by OpenUSD's own schema, ParticleField3DGaussianSplat (OpenUSD 26.03), written by usd-core.

Full precision; y is up, a unit is a metre where the scene's is. Programs with an older OpenUSD open the file and show
nothing. Schema: openusd.org, "UsdVol ParticleField".
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from splatlib.errors import ArtifactError, ExportError, MissingDependencyError
from splatlib.formats.glb import RUB_FROM_RDF
from splatlib.gaussians import Gaussians
from splatlib.similarity import Similarity

FRAME = "RUB"
_PRIM = "/Splat"
_RUB_FROM_Z_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


@dataclass(frozen=True)
class Encoded:
    """Gaussians in USD's axes."""

    turned: Gaussians

    def gaussians(self) -> Gaussians:
        """What a reader of the file will see, in the scene's axes."""
        return self.turned.transformed(rotation=RUB_FROM_RDF)

    def save(self, path: Path) -> None:
        """Raises OSError; ExportError: OpenUSD cannot write it; MissingDependencyError."""
        pxr = _openusd()
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}") as folder:
            layer, package = Path(folder) / "splat.usdc", Path(folder) / "splat.usdz"
            try:
                stage = pxr.Usd.Stage.CreateNew(str(layer))
                _define(pxr, stage, self.turned)
                stage.GetRootLayer().Save()
                writer = pxr.Sdf.ZipFileWriter.CreateNew(str(package))
                writer.AddFile(str(layer), layer.name)
                written = writer.Save()
            except pxr.Tf.ErrorException as error:
                raise ExportError(f"{path.name} cannot be written by OpenUSD", why=str(error).strip()) from error
            if not written:
                raise ExportError(f"{path.name} cannot be written by OpenUSD", hint="is the disk full?")
            shutil.move(package, path)


def encode(gaussians: Gaussians, quality: Any = None, contributions: Any = None) -> Encoded:
    """Full precision whatever the quality."""
    return Encoded(gaussians.transformed(rotation=RUB_FROM_RDF))


def _openusd() -> Any:
    """The parts of OpenUSD that are used. Raises MissingDependencyError, also for versions without the schema."""
    hint = 'pip install "splatlib[usd]"'
    try:
        import pxr
        from pxr import Gf, Sdf, Tf, Usd, UsdGeom, UsdVol, Vt  # noqa: F401 - attributes of pxr
    except ImportError as error:
        raise MissingDependencyError("USDZ needs usd-core", why=str(error), hint=hint) from error
    if not hasattr(UsdVol, "ParticleField3DGaussianSplat"):
        usd: Any = Usd
        version = ".".join(map(str, usd.GetVersion()))
        raise MissingDependencyError(
            "USDZ needs usd-core of 26.3 or newer", why=f"{version} has no schema for Gaussians", hint=hint
        )
    return pxr


def _define(pxr: Any, stage: Any, g: Gaussians) -> None:
    pxr.UsdGeom.SetStageUpAxis(stage, pxr.UsdGeom.Tokens.y)
    pxr.UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    splat = pxr.UsdVol.ParticleField3DGaussianSplat.Define(stage, _PRIM)
    stage.SetDefaultPrim(splat.GetPrim())
    array = pxr.Vt.Vec3fArray.FromNumpy
    lengths = np.maximum(np.linalg.norm(g.quats, axis=1, keepdims=True), 1e-12)
    splat.GetPositionsAttr().Set(array(g.means))
    splat.GetScalesAttr().Set(array(g.scales))
    # OpenUSD keeps a quaternion in memory as ijkr
    splat.GetOrientationsAttr().Set(pxr.Vt.QuatfArray.FromNumpy(np.roll(g.quats / lengths, -1, axis=1)))
    splat.GetOpacitiesAttr().Set(pxr.Vt.FloatArray.FromNumpy(g.opacities))
    splat.GetRadianceSphericalHarmonicsDegreeAttr().Set(g.sh_degree)
    splat.GetRadianceSphericalHarmonicsCoefficientsAttr().Set(array(np.ascontiguousarray(g.sh.reshape(-1, 3))))
    reach = 3 * g.scales.max(axis=1, keepdims=True)
    low, high = ((g.means - reach).min(axis=0), (g.means + reach).max(axis=0))
    splat.GetExtentAttr().Set(array(np.stack([low, high])))


def read(path: Path) -> Gaussians:
    """All splats of a USD file, moved to where it places them, in the scene's axes.

    Raises ArtifactError, MissingDependencyError.
    """
    pxr = _openusd()
    try:
        if not path.is_file():
            raise ValueError("there is no such file")
        stage = pxr.Usd.Stage.Open(str(path))
        z_up = pxr.UsdGeom.GetStageUpAxis(stage) == pxr.UsdGeom.Tokens.z
        cache = pxr.UsdGeom.XformCache()
        parts = []
        for prim in stage.Traverse():
            if prim.IsA(pxr.UsdVol.ParticleField3DGaussianSplat):
                # row vectors, as everywhere in USD
                placed = Similarity.from_matrix(np.array(cache.GetLocalToWorldTransform(prim)).T)
                parts.append(placed.gaussians(_of_prim(prim)))
    except (pxr.Tf.ErrorException, ValueError, TypeError) as error:
        raise ArtifactError(f"{path} cannot be read as a USD splat", why=str(error).strip()) from error
    if not parts:
        raise ArtifactError(f"{path} holds no splat", why="none of its prims is a ParticleField3DGaussianSplat")
    turn = RUB_FROM_RDF @ (_RUB_FROM_Z_UP if z_up else np.eye(3))
    return Gaussians.merged(parts).transformed(rotation=turn)


def _of_prim(prim: Any) -> Gaussians:
    """In the prim's axes. Raises ValueError where something is missing or of the wrong length."""

    def of(name: str) -> npt.NDArray[np.float32]:
        """As float, else as half precision."""
        for attribute in (prim.GetAttribute(name), prim.GetAttribute(f"{name}h")):
            if attribute and attribute.HasAuthoredValue():
                return np.array(attribute.Get(), np.float32)
        raise ValueError(f"{prim.GetPath()} has no {name}")

    means, sh = of("positions"), of("radiance:sphericalHarmonicsCoefficients")
    degree = prim.GetAttribute("radiance:sphericalHarmonicsDegree").Get()
    opacities = np.clip(of("opacities").astype(np.float64), 1e-12, 1 - 1e-7)
    return Gaussians(
        means=means,
        log_scales=np.log(np.maximum(of("scales"), np.float32(1e-30))),
        quats=np.roll(of("orientations"), 1, axis=1),
        opacity_logits=np.log(opacities / (1 - opacities)).astype(np.float32),
        sh=sh.reshape(len(means), (degree + 1) ** 2, 3),
    )
