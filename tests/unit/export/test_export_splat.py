"""The export stage: verified files, their measured losses, and what it refuses."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pycolmap
import pytest

from splatlib.artifacts import ExportBundle, SparseScene, Splat
from splatlib.config import ExportConfig
from splatlib.errors import ArtifactError, ConfigError, ExportError, SplatlibError
from splatlib.export import export_splat
from splatlib.formats import FORMATS, read_gaussians, standard_ply
from splatlib.gaussians import Gaussians
from splatlib.samples import Sample
from splatlib.similarity import Similarity
from splatlib.widgets.splat import view_splat
from splatlib.workspace import Workspace
from tests.limits import files_of_at_most
from tests.made import made_frames, made_scene, made_splat
from tests.unit.export.conftest import fog

EVERY = tuple(FORMATS)


@pytest.fixture(scope="module")
def splat(made: tuple[Splat, SparseScene]) -> Splat:
    return made[0]


def test_export_writes_verified_files(splat: Splat, tmp_path: Path) -> None:
    bundle = export_splat(splat, Workspace(tmp_path))
    assert [file.format for file in bundle.files] == ["ply", "spz"]
    assert [file.frame for file in bundle.files] == ["RDF", "RUB"]
    for file in bundle.files:
        assert bundle.path(file.format).stat().st_size == file.bytes
        assert file.num_gaussians == splat.num_gaussians and file.psnr_loss_db is None  # no cameras in that workspace
    exact, rounded = bundle.files
    assert rounded.bytes < exact.bytes / 3
    assert any("No cameras" in warning for warning in bundle.warnings)
    assert bundle.path("ply").read_bytes() == splat.ply_path.read_bytes()  # neither moved nor cleaned either
    assert ExportBundle.load(bundle.directory).files == bundle.files


def test_losses_are_measured_and_kept_within_what_is_asked(made: tuple[Splat, SparseScene], tmp_path: Path) -> None:
    splat, scene = made
    config = ExportConfig(formats=EVERY, max_psnr_loss_db=0.1)  # pyright: ignore[reportArgumentType]
    bundle = export_splat(splat, Workspace(tmp_path), config, scene=scene)
    files = {file.format: file for file in bundle.files}
    for name in ("spz", "spz4", "sog"):
        loss_db = files[name].psnr_loss_db
        assert loss_db is not None and loss_db <= 0.1
        assert files[name].bytes < 0.12 * files["ply"].bytes
    assert files["ply"].psnr_loss_db == 0 and files["ply"].render_psnr_db == 100
    looser = ExportConfig(formats=("sog",), max_psnr_loss_db=1.0)
    loose = export_splat(splat, Workspace(tmp_path), looser, scene=scene)
    assert loose.files[0].bytes < files["sog"].bytes
    assert (files["splat"].num_gaussians, files["glb"].num_gaussians) == (bundle.num_delivered,) * 2
    assert any("scene.splat has no colours" in warning for warning in bundle.warnings)


def test_cameras_of_the_same_workspace_are_used_of_another_not(
    made: tuple[Splat, SparseScene], tmp_path: Path, sample_photos: Sample
) -> None:
    ws = Workspace(tmp_path)
    scene = made_scene(ws, sample_photos, made_frames(ws, sample_photos))
    splat = made_splat(ws, sample_photos, scene)
    assert export_splat(splat, ws).files[1].psnr_loss_db is not None
    scene = made_scene(ws, sample_photos, made_frames(ws, sample_photos), points_per_view=7)
    (ws.root / "cameras" / "artifact.json").write_text(
        (ws.root / "cameras" / "artifact.json").read_text().replace(scene.digest, "another")
    )
    assert export_splat(splat, ws).files[1].psnr_loss_db is None


def test_export_is_reused_until_its_config_changes(splat: Splat, tmp_path: Path) -> None:
    ws = Workspace(tmp_path)
    first = export_splat(splat, ws)
    assert export_splat(splat, ws).seconds == first.seconds
    only_ply = export_splat(splat, ws, ExportConfig(formats=("ply",)))
    assert [file.name for file in only_ply.files] == ["scene.ply"]
    assert not (ws.root / "export" / "scene.spz").exists()
    with pytest.raises(ArtifactError, match="no spz file was exported"):
        only_ply.path("spz")


def test_values_that_are_not_finite_are_refused(splat: Splat, tmp_path: Path) -> None:
    gaussians = splat.gaussians()
    means = gaussians.means.copy()
    means[[1, 5], 2] = np.nan
    replace(gaussians, means=means).save_ply(tmp_path / "splat.ply")
    with pytest.raises(ExportError, match=r"^2 of .* not finite"):
        export_splat(replace(splat, directory=tmp_path), Workspace(tmp_path / "ws"))


def test_a_file_that_reads_back_wrong_is_refused(splat: Splat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_moved(path: Path) -> Gaussians:
        gaussians = Gaussians.load_ply(path)
        return replace(gaussians, means=gaussians.means + np.float32(0.01))

    monkeypatch.setattr(standard_ply, "read", read_moved)
    ws = Workspace(tmp_path)
    with pytest.raises(ExportError, match="is not what was written"):
        export_splat(splat, ws)
    assert ws.exports is None


def test_a_splat_without_its_file_is_named(splat: Splat, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"splat\.ply"):
        export_splat(replace(splat, directory=tmp_path / "gone"), Workspace(tmp_path))


def test_what_is_delivered_is_upright_and_clean_and_says_so(made: tuple[Splat, SparseScene], tmp_path: Path) -> None:
    splat, scene = made
    behind = np.array([view.center - view.cam_from_world[2, :3] * 1.5 for view in scene.views])
    foggy = tmp_path / "foggy"
    foggy.mkdir()
    Gaussians.merged([splat.gaussians(), fog(300, behind)]).save_ply(foggy / "splat.ply")
    foggy_splat = replace(splat, directory=foggy)
    formats = ("ply", "spz", "points_ply", "points_glb", "colmap", "nerfstudio", "thumbnail")
    bundle = export_splat(foggy_splat, Workspace(tmp_path / "ws"), ExportConfig(formats=formats), scene=scene)
    assert bundle.num_trained == splat.num_gaussians + 300
    assert bundle.num_delivered is not None and bundle.num_delivered <= splat.num_gaussians + 60
    assert bundle.removed["seen by no camera"] > 200
    assert np.shape(cv2.imread(str(bundle.directory / "cleaning.png"))) == (800, 1200, 3)  # pyright: ignore
    move = Similarity.from_matrix(np.array(bundle.delivered_from_world))
    np.testing.assert_allclose(move.rotation @ [0, 0, -1], [0, 1, 0], atol=0.03)
    delivered = read_gaussians(bundle.path("ply"))
    assert np.percentile(delivered.means[:, 1], 99) < 0.1 and np.median(delivered.means[:, 1]) < -0.05  # y is down
    assert ExportBundle.load(bundle.directory) == bundle
    model = pycolmap.Reconstruction(bundle.path("colmap") / "sparse" / "0")
    assert model.num_reg_images() == len(scene.views)
    centers = {image.name: image.projection_center() for image in model.images.values()}
    np.testing.assert_allclose(centers[scene.views[0].name], move.points(scene.views[0].center), atol=1e-6)
    frames = json.loads((bundle.path("nerfstudio") / "transforms.json").read_text())["frames"]
    first = next(f for f in frames if Path(f["file_path"]).name == scene.views[0].name)
    right, down, front = move.points(scene.views[0].center)
    np.testing.assert_allclose(np.array(first["transform_matrix"])[:3, 3], [right, front, -down], atol=1e-6)
    assert np.shape(cv2.imread(str(bundle.path("thumbnail"))))[1] == 512  # pyright: ignore


def test_crops_are_in_delivered_axes(made: tuple[Splat, SparseScene], tmp_path: Path) -> None:
    splat, scene = made
    config = ExportConfig(formats=("ply",), crop_box=(-1, -0.9, -1, 1, 0.1, 1), crop_sphere=(0, 0, 0, 1.2))
    means = read_gaussians(export_splat(splat, Workspace(tmp_path), config, scene=scene).path("ply")).means
    assert 100 < len(means) < 0.9 * splat.num_gaussians
    assert np.abs(means).max() <= 1.0 and np.linalg.norm(means, axis=1).max() <= 1.2
    with pytest.raises(ExportError, match="cropping leaves no Gaussian"):
        export_splat(splat, Workspace(tmp_path), ExportConfig(crop_sphere=(99, 0, 0, 1)), scene=scene)


def test_the_box_drawn_in_a_view_is_what_is_delivered(made: tuple[Splat, SparseScene], tmp_path: Path) -> None:
    splat, scene = made
    view = view_splat(splat, scene=scene)
    turned = [0.8, 0, 0.6, 0, 1, 0, -0.6, 0, 0.8]  # about y
    view.crop = {"center": scene.points_xyz.mean(axis=0).tolist(), "size": [1.6, 1.2, 1.0], "rotation": turned}
    drawn = view.cropped()
    assert 100 < len(drawn) < 0.9 * splat.num_gaussians
    config = ExportConfig(formats=("ply",), clean=False, crop=view.crop)  # pyright: ignore[reportArgumentType]
    bundle = export_splat(splat, Workspace(tmp_path), config, scene=scene)
    assert bundle.num_delivered == len(drawn)
    moved = Similarity.from_matrix(np.array(bundle.delivered_from_world)).points(drawn.means)
    np.testing.assert_allclose(read_gaussians(bundle.path("ply")).means, moved, atol=1e-4)
    view.crop = {}
    assert ExportConfig(crop=view.crop).crop is None  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("crop", "message"),
    [
        ({"center": [0, 0, 0]}, "crop.size"),
        ({"center": [0, 0, 0], "size": [1, 0, 1]}, "three positive lengths"),
        ({"center": [0, 0, 0], "size": [1, 1, 1], "rotation": [1, 0, 0, 0, 1, 0, 0, 1, 0]}, "no rotation"),
    ],
)
def test_what_is_no_box_is_refused_before_anything_is_done(crop: dict[str, list[float]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ExportConfig.from_dict({"crop": crop})


@pytest.mark.parametrize("name", ["colmap", "nerfstudio", "thumbnail"])
def test_formats_that_need_cameras_say_so_first(made: tuple[Splat, SparseScene], tmp_path: Path, name: str) -> None:
    with pytest.raises(ExportError, match=f"{name} needs the capture's cameras"):
        export_splat(made[0], Workspace(tmp_path), ExportConfig(formats=("ply", name)))  # pyright: ignore
    assert not (tmp_path / "export").exists()


def test_a_page_of_its_own_holds_viewer_and_splat(made: tuple[Splat, SparseScene], tmp_path: Path) -> None:
    """That it draws is tested in tests/browser; here: it needs nothing from anywhere, and no cameras."""
    splat, scene = made
    sizes = []
    for number, cameras in enumerate((scene, None)):
        bundle = export_splat(splat, Workspace(tmp_path / str(number)), ExportConfig(formats=("html",)), scene=cameras)
        text = bundle.path("html").read_text()
        assert not re.findall(r"""(?:src|href)=["'](?!data:)""", text) and "@import" not in text
        state = re.findall(r'<script type="application/json" id="splatlib-widgets">(.*?)</script>', text)
        (model,) = json.loads(state[0])["models"].values()
        sizes.append((len(model["state"]["info"]["cameras"]), model["state"]["info"]["total"]))
    assert sizes == [(len(scene.views), bundle_count(tmp_path / "0")), (0, splat.num_gaussians)]


def bundle_count(root: Path) -> int | None:
    exports = Workspace.open(root).exports
    return None if exports is None else exports.num_delivered


@pytest.mark.parametrize(
    "name", ["mesh", "mp4", "thumbnail", "html", "colmap", "nerfstudio", "points_ply", "points_glb"]
)
def test_an_output_folder_that_fills_up_holds_nothing_that_looks_finished(
    made: tuple[Splat, SparseScene], tmp_path: Path, name: str
) -> None:
    """Each writer meets the system's own refusal; the stage is not done, and the next attempt begins anew."""
    splat, scene = made
    ws = Workspace(tmp_path)
    config = ExportConfig(formats=(name,), upright=False, clean=False, mesh_voxels=32, film_seconds=0.2)  # pyright: ignore
    with files_of_at_most(2500), pytest.raises((OSError, SplatlibError)):
        export_splat(splat, ws, config, scene=scene)
    assert ws.exports is None
    assert not (ws.root / "export" / "artifact.json").exists()
