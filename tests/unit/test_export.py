"""The delivered files hold the splat, in the axes and within the rounding that their formats state."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import gsply
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splatlib.artifacts import ExportBundle, Splat
from splatlib.config import ExportConfig
from splatlib.errors import ArtifactError, ExportError
from splatlib.export import export_splat, ply, spz
from splatlib.export.comparison import compare
from splatlib.gaussians import Gaussians
from splatlib.samples import Sample
from splatlib.spherical_harmonics import evaluate_sh
from splatlib.workspace import Workspace
from tests.made import made_frames, made_scene, made_splat

_FLIP = np.array([1, -1, -1])


def random_gaussians(seed: int, sh_degree: int, count: int = 30, reach: float = 3.0) -> Gaussians:
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> npt.NDArray[np.float32]:
        return rng.normal(size=(count, *shape)).astype(np.float32)

    sh = normal((sh_degree + 1) ** 2, 3) * np.float32(0.2)
    return Gaussians(normal(3) * np.float32(reach), normal(3) - 4, normal(4), normal() * 3, sh)


@pytest.fixture(scope="module")
def splat(tmp_path_factory: pytest.TempPathFactory, sample_photos: Sample) -> Splat:
    ws = Workspace(tmp_path_factory.mktemp("export"))
    return made_splat(ws, sample_photos, made_scene(ws, sample_photos, made_frames(ws, sample_photos)))


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(0, 3), st.floats(1e-3, 1e5))
def test_spz_round_trip_stays_within_its_rounding(
    tmp_path_factory: pytest.TempPathFactory, seed: int, sh_degree: int, reach: float
) -> None:
    path = tmp_path_factory.getbasetemp() / "round_trip.spz"
    gaussians = random_gaussians(seed, sh_degree, reach=reach)
    spz.write(gaussians, path)
    errors = compare(spz.representable(gaussians), spz.read(path))
    assert errors.beyond(spz.tolerance(gaussians)) == {}
    assert errors.opacity > 0  # it is quantised: were nothing rounded, nothing would have been compared


@pytest.mark.parametrize("sh_degree", [0, 1, 2, 3])
def test_spz_is_stored_right_up_back(tmp_path: Path, sh_degree: int) -> None:
    """Read by gsply as it lies in the file: y and z are negated, and colours follow the directions."""
    gaussians = random_gaussians(7, sh_degree)
    spz.write(gaussians, tmp_path / "scene.spz")
    stored = gsply.read_spz(tmp_path / "scene.spz")
    np.testing.assert_allclose(stored.means, gaussians.means * _FLIP, atol=1e-4)
    rest = [] if stored.shN is None else [stored.shN]
    sh = np.concatenate([stored.sh0[:, None], *rest], axis=1)
    assert sh.shape == gaussians.sh.shape
    directions = np.random.default_rng(0).normal(size=(len(gaussians), 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    np.testing.assert_allclose(
        evaluate_sh(sh, directions * _FLIP), evaluate_sh(gaussians.sh, directions), atol=0.05 * (sh_degree + 1)
    )
    ours = spz.read(tmp_path / "scene.spz").transformed(rotation=np.diag([1.0, -1.0, -1.0]))
    theirs = Gaussians(stored.means, stored.scales, stored.quats, stored.opacities, sh.astype(np.float32))
    difference = compare(theirs, ours)
    assert max(difference.mean, difference.log_scale, difference.sh, difference.color) < 1e-5
    assert max(difference.opacity, difference.rotation) < 1e-3


def test_a_rotation_of_the_wrong_sense_would_show(tmp_path: Path) -> None:
    gaussians = random_gaussians(3, 2)
    spz.write(gaussians, tmp_path / "scene.spz")
    unturned = spz.read(tmp_path / "scene.spz").transformed(rotation=np.diag([1.0, -1.0, -1.0]))
    wrong = replace(spz.read(tmp_path / "scene.spz"), sh=unturned.sh)
    assert "sh" in compare(gaussians, wrong).beyond(spz.tolerance(gaussians))


def test_spz_uses_the_finest_positions_that_fit() -> None:
    near, far = random_gaussians(0, 0, reach=1.0), random_gaussians(0, 0, reach=1e4)
    assert spz.fractional_bits(near) == 16
    assert 1 <= spz.fractional_bits(far) < 12
    with pytest.raises(ExportError, match="scene units from the origin"):
        spz.fractional_bits(random_gaussians(0, 0, reach=1e8))


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"plain", "cannot be read"), (gzip.compress(b"short"), "cannot be read"), (gzip.compress(bytes(64)), "no SPZ")],
)
def test_a_damaged_spz_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "bad.spz").write_bytes(content)
    with pytest.raises(ArtifactError, match=says):
        spz.read(tmp_path / "bad.spz")


def test_an_spz_cut_short_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cut.spz"
    spz.write(random_gaussians(0, 1), path)
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-50]))
    with pytest.raises(ArtifactError, match="cut short"):
        spz.read(path)


def test_export_writes_verified_files(splat: Splat, tmp_path: Path) -> None:
    bundle = export_splat(splat, Workspace(tmp_path))
    assert [file.format for file in bundle.files] == ["ply", "spz"]
    assert [file.frame for file in bundle.files] == ["RDF", "RUB"]
    for file in bundle.files:
        assert bundle.path(file.format).stat().st_size == file.bytes
    exact, rounded = bundle.files
    assert (exact.max_mean_error, exact.max_color_error) == (0, 0)
    assert 0 < rounded.max_mean_error < 1e-4
    assert 0 < rounded.max_color_error < 0.005
    assert rounded.bytes < exact.bytes / 3
    assert bundle.path("ply").read_bytes() == splat.ply_path.read_bytes()
    assert ExportBundle.load(bundle.directory).files == bundle.files


def test_export_is_reused_until_its_config_changes(splat: Splat, tmp_path: Path) -> None:
    ws = Workspace(tmp_path)
    first = export_splat(splat, ws)
    assert export_splat(splat, ws).seconds == first.seconds
    only_ply = export_splat(splat, ws, ExportConfig(formats=("ply",)))
    assert [file.name for file in only_ply.files] == ["scene.ply"]
    assert not (ws.root / "export" / "scene.spz").exists()
    with pytest.raises(ArtifactError, match="no spz file was exported"):
        only_ply.path("spz")


def test_what_spz_cannot_hold_is_clipped_and_said(splat: Splat, tmp_path: Path) -> None:
    gaussians = splat.gaussians()
    log_scales = gaussians.log_scales.copy()
    log_scales[:3] = -14
    changed = tmp_path / "splat"
    changed.mkdir()
    replace(gaussians, log_scales=log_scales).save_ply(changed / "splat.ply")
    bundle = export_splat(replace(splat, directory=changed), Workspace(tmp_path / "ws"))
    assert any("3 of" in warning and "SPZ" in warning for warning in bundle.warnings)
    np.testing.assert_array_equal(ply.read(bundle.path("ply")).log_scales, log_scales)


def test_values_that_are_not_finite_are_refused(splat: Splat, tmp_path: Path) -> None:
    gaussians = splat.gaussians()
    means = gaussians.means.copy()
    means[[1, 5], 2] = np.nan
    replace(gaussians, means=means).save_ply(tmp_path / "splat.ply")
    with pytest.raises(ExportError, match=r"^2 of .* not finite"):
        export_splat(replace(splat, directory=tmp_path), Workspace(tmp_path / "ws"))


def test_a_file_that_reads_back_wrong_is_refused(splat: Splat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_moved(gaussians: Gaussians, path: Path) -> None:
        replace(gaussians, means=gaussians.means + np.float32(0.01)).save_ply(path)

    monkeypatch.setattr(ply, "write", write_moved)
    ws = Workspace(tmp_path)
    with pytest.raises(ExportError, match="differs from the splat"):
        export_splat(splat, ws)
    assert ws.exports is None


def test_a_splat_without_its_file_is_named(splat: Splat, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"splat\.ply"):
        export_splat(replace(splat, directory=tmp_path / "gone"), Workspace(tmp_path))
