"""Other programs' readers and writers agree with ours: gsply, trimesh, pygltflib, and splat-transform if installed.

splat-transform is found on the path, or where SPLAT_TRANSFORM says (npm install @playcanvas/splat-transform@2.7.1).
"""

# pyright: reportAttributeAccessIssue=false, reportOptionalSubscript=false, reportCallIssue=false
# pyright: reportArgumentType=false, reportOptionalMemberAccess=false

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import gsply
import numpy as np
import pygltflib
import pytest
import trimesh

from splatlib.formats import FORMATS, points, read_gaussians, write_gaussians
from splatlib.formats.comparison import compare
from splatlib.formats.quality import Quality
from splatlib.gaussians import Gaussians
from splatlib.spherical_harmonics import evaluate_sh
from tests.unit.formats.made import likeness_db, random_gaussians, shell

FLIP = np.array([1, -1, -1])
PEER = os.environ.get("SPLAT_TRANSFORM") or shutil.which("splat-transform")


def of_gsply(data: gsply.GSData) -> Gaussians:
    """What gsply read, in the file's axes."""
    rest = data.shN if data.shN is not None and data.shN.size else np.empty((len(data.means), 0, 3), np.float32)
    arrays = (data.means, data.scales, data.quats, data.opacities, np.concatenate([data.sh0[:, None], rest], axis=1))
    return Gaussians(*(np.ascontiguousarray(array, np.float32) for array in arrays))


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("sh_degree", [0, 1, 2, 3])
def test_spz_is_stored_right_up_back(tmp_path: Path, sh_degree: int, version: int) -> None:
    """Read by gsply as it lies in the file: y and z are negated, and colours follow the directions."""
    gaussians = random_gaussians(7, sh_degree)
    FORMATS["spz" if version == 3 else "spz4"].encode(gaussians).save(tmp_path / "scene.spz")
    stored = of_gsply(gsply.read_spz(tmp_path / "scene.spz"))
    np.testing.assert_allclose(stored.means, gaussians.means * FLIP, atol=1e-4)
    directions = np.random.default_rng(0).normal(size=(len(gaussians), 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    expected = evaluate_sh(gaussians.sh, directions)
    np.testing.assert_allclose(evaluate_sh(stored.sh, directions * FLIP), expected, atol=0.05 * (sh_degree + 1))
    ours = read_gaussians(tmp_path / "scene.spz").transformed(rotation=np.diag([1.0, -1.0, -1.0]))
    difference = compare(stored, ours)
    assert max(difference.mean, difference.log_scale, difference.sh, difference.color) < 1e-5
    assert max(difference.opacity, difference.rotation) < 1e-3


@pytest.mark.parametrize("version", [3, 4])
def test_spz_of_gsply_is_read(tmp_path: Path, version: int) -> None:
    gaussians = shell(300, 2)
    turned = gaussians.transformed(rotation=np.diag([1.0, -1.0, -1.0]))
    data = gsply.GSData(
        means=turned.means,
        scales=turned.log_scales,
        quats=turned.quats,
        opacities=turned.opacity_logits,
        sh0=np.ascontiguousarray(turned.sh[:, 0]),
        shN=np.ascontiguousarray(turned.sh[:, 1:]),
    )
    gsply.write_spz(tmp_path / "theirs.spz", data, version=version)
    assert likeness_db(read_gaussians(tmp_path / "theirs.spz"), gaussians) > 42


@pytest.mark.parametrize("name", ["ply", "compressed_ply"])
def test_gsply_reads_our_plys_and_we_read_its(tmp_path: Path, name: str) -> None:
    gaussians = shell(700)
    path = tmp_path / f"ours{FORMATS[name].suffix}"
    write_gaussians(gaussians, path)
    assert likeness_db(of_gsply(gsply.plyread(path)), read_gaussians(path)) > 55
    arrays = (gaussians.means, gaussians.log_scales, gaussians.quats, gaussians.opacity_logits)
    sh = (np.ascontiguousarray(gaussians.sh[:, 0]), np.ascontiguousarray(gaussians.sh[:, 1:]))
    theirs = tmp_path / "theirs.ply"
    gsply.plywrite(theirs, *arrays, *sh, compressed=name == "compressed_ply")
    written = theirs if theirs.exists() else tmp_path / "theirs.compressed.ply"
    assert likeness_db(read_gaussians(written), gaussians) > 36


@pytest.mark.parametrize("quality", [None, Quality()])
def test_gsply_reads_our_sog(tmp_path: Path, quality: Quality | None) -> None:
    FORMATS["sog"].encode(shell(700), quality).save(tmp_path / "ours.sog")
    pytest.importorskip("imagecodecs", reason="gsply reads SOG with imagecodecs")
    assert likeness_db(of_gsply(gsply.sogread(tmp_path / "ours.sog")), read_gaussians(tmp_path / "ours.sog")) > 55


@pytest.mark.parametrize("sh_degree", [0, 3])
def test_pygltflib_finds_the_extension_and_its_accessors(tmp_path: Path, sh_degree: int) -> None:
    gaussians = shell(100, sh_degree)
    write_gaussians(gaussians, tmp_path / "scene.glb")
    document = pygltflib.GLTF2().load(str(tmp_path / "scene.glb"))
    assert document is not None and document.extensionsUsed == ["KHR_gaussian_splatting"]
    primitive = document.meshes[0].primitives[0]
    assert primitive.mode == pygltflib.POINTS
    assert primitive.extensions["KHR_gaussian_splatting"]["kernel"] == "ellipse"
    names = vars(primitive.attributes)
    assert sum(name.startswith("KHR_gaussian_splatting:SH_DEGREE_") for name in names) == (sh_degree + 1) ** 2

    def held(name: str) -> np.ndarray:
        accessor = document.accessors[names[name]]
        view = document.bufferViews[accessor.bufferView]
        blob = document.binary_blob()[view.byteOffset : view.byteOffset + view.byteLength]
        return np.frombuffer(blob, "<f4").reshape(accessor.count, -1)

    np.testing.assert_allclose(held("POSITION"), gaussians.means * FLIP)
    np.testing.assert_allclose(held("KHR_gaussian_splatting:SCALE"), gaussians.scales, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(held("KHR_gaussian_splatting:ROTATION"), axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(held("KHR_gaussian_splatting:SH_DEGREE_0_COEF_0"), gaussians.sh[:, 0])


def test_trimesh_shows_a_splat_without_the_extension_as_points(tmp_path: Path) -> None:
    write_gaussians(shell(100), tmp_path / "scene.glb")
    (cloud,) = trimesh.load_scene(tmp_path / "scene.glb").geometry.values()
    assert isinstance(cloud, trimesh.PointCloud)
    np.testing.assert_allclose(cloud.vertices, shell(100).means * FLIP, atol=1e-6)


@pytest.mark.skipif(not PEER, reason="splat-transform is not installed")
def test_our_glb_has_what_that_of_splat_transform_has(tmp_path: Path) -> None:
    """The same attributes by the same names; theirs, read by us, is our splat.

    Both have y up. From the PLY's axes, splat-transform turns about z, and we about x.
    """
    gaussians = shell(200)
    write_gaussians(gaussians, tmp_path / "ours.glb")
    write_gaussians(gaussians, tmp_path / "ours.ply")
    peer(tmp_path / "ours.ply", tmp_path / "theirs.glb")
    turned = read_gaussians(tmp_path / "theirs.glb").transformed(rotation=np.diag([-1.0, 1.0, -1.0]))
    assert likeness_db(turned, gaussians) > 60
    ours, theirs = (floats_of(tmp_path / f"{whose}.glb") for whose in ("ours", "theirs"))
    assert set(theirs) <= set(ours)
    for name in ("SCALE", "OPACITY", "SH_DEGREE_0_COEF_0"):
        key = f"KHR_gaussian_splatting:{name}"
        np.testing.assert_allclose(np.sort(theirs[key], axis=0), np.sort(ours[key], axis=0), rtol=1e-4, atol=1e-5)


def floats_of(path: Path) -> dict[str, np.ndarray]:
    """[N, width] of each attribute that is stored as float32, by name."""
    document = pygltflib.GLTF2().load(str(path))
    assert document is not None
    found = {}
    for name, index in vars(document.meshes[0].primitives[0].attributes).items():
        if index is not None and document.accessors[index].componentType == pygltflib.FLOAT:
            accessor = document.accessors[index]
            view = document.bufferViews[accessor.bufferView]
            start = view.byteOffset + (accessor.byteOffset or 0)
            width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor.type]
            blob = document.binary_blob()[start : start + 4 * width * accessor.count]
            found[name] = np.frombuffer(blob, "<f4").reshape(accessor.count, width)
    return found


@pytest.mark.parametrize("sh_degree", [0, 3])
def test_openusd_finds_a_sound_splat(tmp_path: Path, sh_degree: int) -> None:
    """OpenUSD's own validators have nothing to say, and its arrays are ours, of the schema's lengths."""
    pytest.importorskip("pxr", reason="usd-core is not installed")
    from pxr import Usd, UsdGeom, UsdValidation, UsdVol

    gaussians = shell(100, sh_degree)
    path = tmp_path / "scene.usdz"
    write_gaussians(gaussians, path)
    stage = Usd.Stage.Open(str(path))
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    complaints = UsdValidation.ValidationContext(validators).Validate(stage)
    assert validators and not [complaint.GetMessage() for complaint in complaints]
    assert UsdGeom.GetStageUpAxis(stage) == "Y" and UsdGeom.GetStageMetersPerUnit(stage) == 1
    splat = UsdVol.ParticleField3DGaussianSplat(stage.GetDefaultPrim())
    assert splat.GetRadianceSphericalHarmonicsDegreeAttr().Get() == sh_degree
    assert len(splat.GetRadianceSphericalHarmonicsCoefficientsAttr().Get()) == 100 * (sh_degree + 1) ** 2
    np.testing.assert_allclose(np.array(splat.GetPositionsAttr().Get()), gaussians.means * FLIP, atol=1e-6)
    np.testing.assert_allclose(np.array(splat.GetScalesAttr().Get()), gaussians.scales, rtol=1e-5)
    first = splat.GetOrientationsAttr().Get()[0]
    turned = gaussians.transformed(rotation=np.diag([1.0, -1.0, -1.0])).quats[0]
    np.testing.assert_allclose([first.GetReal(), *first.GetImaginary()], turned / np.linalg.norm(turned), atol=1e-6)


def test_trimesh_opens_point_clouds(tmp_path: Path) -> None:
    gaussians = shell(300)
    kept = gaussians.select(gaussians.opacities >= points.MIN_OPACITY)
    points.save_ply(gaussians, tmp_path / "points.ply")
    points.save_glb(gaussians, tmp_path / "points.glb")
    cloud = trimesh.load(tmp_path / "points.ply")
    np.testing.assert_allclose(
        cloud.vertices, np.stack([kept.means[:, 0], kept.means[:, 2], -kept.means[:, 1]], axis=1)
    )
    np.testing.assert_allclose(cloud.colors[:, :3] / 255, np.clip(kept.base_colors, 0, 1), atol=0.003)
    (cloud,) = trimesh.load_scene(tmp_path / "points.glb").geometry.values()
    np.testing.assert_allclose(cloud.vertices, kept.means * FLIP, atol=1e-6)


@pytest.mark.skipif(not PEER, reason="splat-transform is not installed")
@pytest.mark.parametrize("name", ["ply", "compressed_ply", "spz", "spz4", "sog", "splat"])
def test_splat_transform_reads_ours(tmp_path: Path, name: str) -> None:
    source = tmp_path / f"ours{FORMATS[name].suffix}"
    FORMATS[name].encode(shell(700), Quality()).save(source)
    peer(source, tmp_path / "theirs.ply")
    assert likeness_db(read_gaussians(tmp_path / "theirs.ply"), read_gaussians(source)) > 55


@pytest.mark.skipif(not PEER, reason="splat-transform is not installed")
@pytest.mark.parametrize(
    ("target", "options", "at_least_db"),
    [
        ("a.compressed.ply", [], 36),
        ("a.spz", ["--spz-version", "3"], 33),
        ("a.spz", [], 33),
        ("a.sog", [], 26),
    ],
)
def test_we_read_what_splat_transform_writes(
    tmp_path: Path, target: str, options: list[str], at_least_db: float
) -> None:
    gaussians = shell(1500, 0 if target == "a.sog" else 3)  # its SH palette wants a GPU
    write_gaussians(gaussians, tmp_path / "ours.ply")
    peer(tmp_path / "ours.ply", tmp_path / target, *options)
    assert likeness_db(read_gaussians(tmp_path / target), gaussians) > at_least_db


def peer(source: Path, target: Path, *options: str) -> None:
    subprocess.run([str(PEER), "-q", "-w", str(source), str(target), *options], check=True, timeout=120)
