"""Artefacts survive being written and read, find their files wherever the folder lies, and say what is missing."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splatlib.artifacts import Artifact, Camera, Distortion, SparseScene, Splat, View
from splatlib.config import ExportConfig
from splatlib.errors import ArtifactError
from splatlib.workspace import Workspace
from tests.fakes import fake_exports, fake_frames, fake_masks, fake_scene, fake_splat

MAKERS = (fake_frames, fake_masks, fake_scene, fake_splat, fake_exports)


def finished(ws: Workspace, make: Callable[[Path], Artifact]) -> Artifact:
    kind = type(make(Path()))
    stage = ws.stage(kind, ExportConfig(), {})
    with stage.work() as directory:
        artifact = make(directory)
        if isinstance(artifact, SparseScene):
            artifact.save_arrays()
        return stage.finish(artifact)


def assert_equal(one: object, other: object) -> None:
    """Dataclasses that may hold arrays."""
    assert type(one) is type(other)
    if isinstance(one, np.ndarray):
        assert isinstance(other, np.ndarray) and one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    elif isinstance(one, tuple) and isinstance(other, tuple):
        assert len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            assert_equal(left, right)
    elif dataclasses.is_dataclass(one) and not isinstance(one, type):
        for field in dataclasses.fields(one):
            assert_equal(getattr(one, field.name), getattr(other, field.name))
    else:
        assert one == other


@pytest.mark.parametrize("make", MAKERS)
def test_an_artifact_reads_back_as_it_was_written(make: Callable[[Path], Artifact], tmp_path: Path) -> None:
    artifact = finished(Workspace(tmp_path), make)
    assert_equal(type(artifact).load(artifact.directory), artifact)
    assert artifact.digest and artifact.seconds > 0


@pytest.mark.parametrize(
    "distortion",
    [
        Distortion("radial_tangential", (0.1, -0.05, 0.01, 0.2, 0.0, 0.0), (0.003, -0.004)),
        Distortion("fisheye", (0.1, -0.05, 0.01, 0.2)),
    ],
    ids=lambda distortion: distortion.model,
)
def test_a_distorted_lens_reads_back_as_it_was_written(distortion: Distortion, tmp_path: Path) -> None:
    def make(directory: Path) -> SparseScene:
        scene = fake_scene(directory)
        return dataclasses.replace(scene, cameras=(dataclasses.replace(scene.cameras[0], distortion=distortion),))

    scene = finished(Workspace(tmp_path), make)
    assert_equal(SparseScene.load(scene.directory), scene)


@pytest.mark.parametrize(("make", "records"), [(fake_scene, "cameras"), (fake_splat, "held_out")])
def test_an_artifact_from_before_a_field_was_added_still_loads(
    make: Callable[[Path], Artifact], records: str, tmp_path: Path
) -> None:
    """Lenses had no distortion once, and held-out views no colour-corrected quality."""
    artifact = finished(Workspace(tmp_path), make)
    path = artifact.directory / "artifact.json"
    document = json.loads(path.read_text())
    for record in document["artifact"][records]:
        for name in ("distortion", "psnr_corrected_db"):
            record.pop(name, None)
    path.write_text(json.dumps(document))
    assert_equal(type(artifact).load(artifact.directory), artifact)


@pytest.mark.parametrize("make", MAKERS)
def test_a_moved_workspace_still_loads(make: Callable[[Path], Artifact], tmp_path: Path) -> None:
    artifact = finished(Workspace(tmp_path / "old"), make)
    shutil.move(tmp_path / "old", tmp_path / "new")
    found = Workspace(tmp_path / "new").find(type(artifact))
    assert found is not None
    assert_equal(dataclasses.replace(found, directory=artifact.directory), artifact)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("damage", ["{", "[]", "{}", '{"digest": "d", "seconds": 1, "artifact": {"files": 3}}'])
def test_a_damaged_artifact_says_so(make: Callable[[Path], Artifact], damage: str, tmp_path: Path) -> None:
    kind = type(make(tmp_path))
    (tmp_path / "artifact.json").write_text(damage)
    with pytest.raises(ArtifactError, match=f"holds no complete {kind.__name__}"):
        kind.load(tmp_path)


def test_a_scene_without_its_point_cloud_says_so(tmp_path: Path) -> None:
    scene = finished(Workspace(tmp_path), fake_scene)
    (scene.directory / "scene.npz").unlink()
    with pytest.raises(ArtifactError, match="run the cameras stage"):
        SparseScene.load(scene.directory)


def test_the_point_cloud_stays_out_of_the_json(tmp_path: Path) -> None:
    scene = finished(Workspace(tmp_path), fake_scene)
    data = json.loads((scene.directory / "artifact.json").read_text())["artifact"]
    assert not [name for name in data if name.startswith("point")]


def test_files_are_found_below_the_folder(tmp_path: Path) -> None:
    frames, masks, scene = fake_frames(tmp_path), fake_masks(tmp_path), fake_scene(tmp_path)
    assert frames.image_path(frames.frames[0]) == tmp_path / "images" / "000001.jpg"
    assert frames.alpha_path(frames.frames[0]) == tmp_path / "alpha" / "000001.png"
    assert len(frames) == 2
    assert masks.mask_path("000002.jpg") == tmp_path / "000002.jpg.png"
    assert masks.mask_path("000001.jpg") is None
    assert scene.image_path(scene.views[0]) == tmp_path / "undistorted" / "images" / "000001.jpg"
    assert [scene.mask_path(view) for view in scene.views] == [
        None,
        tmp_path / "undistorted" / "masks" / "000002.jpg.png",
    ]
    truth, render = fake_splat(tmp_path).held_out_paths(fake_splat(tmp_path).held_out[0])
    assert (truth, render) == (tmp_path / "held_out/000001.truth.png", tmp_path / "held_out/000001.render.png")


def test_exported_files_are_found_by_format(tmp_path: Path) -> None:
    exports = fake_exports(tmp_path)
    assert exports.path("spz") == tmp_path / "scene.spz"
    with pytest.raises(ArtifactError, match="no sog file was exported\nTry: there is ply, spz"):
        exports.path("sog")


def test_quality_is_the_mean_over_held_out_views(tmp_path: Path) -> None:
    splat = fake_splat(tmp_path)
    assert (splat.psnr_db, splat.ssim, splat.lpips) == (27.0, pytest.approx(0.85), 0.1)
    without = dataclasses.replace(splat, held_out=())
    assert (without.psnr_db, without.ssim, without.lpips) == (None, None, None)


def test_a_view_knows_its_center() -> None:
    quarter_turn = np.array([[0, -1, 0, 1], [1, 0, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]], dtype=float)
    center = View("a", 0, quarter_turn).center
    np.testing.assert_allclose(quarter_turn @ [*center, 1], [0, 0, 0, 1])


@given(width=st.integers(1, 5000), height=st.integers(1, 5000), x=st.floats(-2, 2), y=st.floats(-2, 2))
def test_a_scaled_camera_sees_the_same_point_at_the_same_place(width: int, height: int, x: float, y: float) -> None:
    camera = Camera(640, 360, 500.0, 510.0, 318.0, 181.0)
    scaled = camera.scaled_to(width, height)
    assert (scaled.fx * x + scaled.cx) / width == pytest.approx((camera.fx * x + camera.cx) / 640)
    assert (scaled.fy * y + scaled.cy) / height == pytest.approx((camera.fy * y + camera.cy) / 360)


def test_the_run_name_is_kept(tmp_path: Path) -> None:
    ws = Workspace(tmp_path)
    stage = ws.stage(Splat, ExportConfig(), {}, run="big")
    with stage.work() as directory:
        stage.finish(fake_splat(directory, run="big"))
    assert ws.splat() is None
    assert (splat := ws.splat("big")) is not None and splat.run == "big"
    assert splat.directory == tmp_path / "train" / "big"
