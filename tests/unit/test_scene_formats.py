"""Scenes written for other programs: read back by pycolmap, by our own reader of poses, and by hand."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pycolmap
import pytest

from splatlib.artifacts import Camera, Distortion, SparseScene, View
from splatlib.cameras.existing import load_colmap
from splatlib.errors import ArtifactError, SceneFormatError
from splatlib.ply import read_ply
from splatlib.scene_formats import write_colmap, write_nerfstudio

BARREL = Distortion("radial_tangential", (0.1, -0.02, 0.0, 0.0, 0.0, 0.0), (0.001, -0.002))


def turned(angle_rad: float, center: tuple[float, float, float]) -> np.ndarray:
    """cam_from_world [4, 4] of a camera at a place, turned about y."""
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    pose = np.eye(4)
    pose[:3, :3] = [[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]]
    pose[:3, 3] = -pose[:3, :3] @ center
    return pose


@pytest.fixture
def scene(tmp_path: Path) -> SparseScene:
    """Ten views of two cameras; the fourth has a mask."""
    images, masks = tmp_path / "scene" / "undistorted" / "images", tmp_path / "scene" / "undistorted" / "masks"
    images.mkdir(parents=True)
    masks.mkdir()
    rng = np.random.default_rng(0)
    cameras = (Camera(64, 48, 50.0, 51.0, 31.5, 24.5), Camera(48, 64, 45.0, 45.5, 24.0, 33.0))
    views = []
    for index in range(10):
        camera = cameras[index % 2]
        picture = rng.integers(256, size=(camera.height, camera.width, 3), dtype=np.uint8)
        name = f"{index:06d}.png"
        cv2.imwrite(str(images / name), picture)
        if index == 3:
            cv2.imwrite(str(masks / f"{name}.png"), np.where(picture[..., 0] > 99, 255, 0).astype(np.uint8))
        views.append(View(name, index % 2, turned(0.1 * index, (0.2 * index, 0.1, -2.0)), has_mask=index == 3))
    count = 20
    return SparseScene(
        directory=tmp_path / "scene",
        cameras=cameras,
        views=tuple(views),
        points_xyz=rng.normal(size=(count, 3)).astype(np.float32),
        points_rgb=rng.integers(256, size=(count, 3), dtype=np.uint8),
        point_errors_px=np.full(count, 0.5, np.float32),
        point_track_lengths=np.full(count, 3, np.int32),
        num_frames=10,
        mean_reprojection_error_px=0.5,
        mapper="incremental",
    )


def test_a_colmap_folder_holds_the_same_cameras_poses_and_points(scene: SparseScene, tmp_path: Path) -> None:
    write_colmap(scene, tmp_path / "out")
    back = load_colmap(tmp_path / "out" / "sparse" / "0", tmp_path / "out" / "images")
    assert [view.name for view in back.views] == [view.name for view in scene.views]
    for one, other in zip(scene.views, back.views, strict=True):
        np.testing.assert_allclose(other.cam_from_world, one.cam_from_world, atol=1e-12)
        assert back.camera(other) == scene.camera(one)
        assert other.has_mask == one.has_mask
        assert back.image_path(other).samefile(scene.image_path(one)), "linked, not copied"
    np.testing.assert_allclose(np.sort(back.points_xyz, axis=0), np.sort(scene.points_xyz, axis=0))
    assert sorted(map(tuple, back.points_rgb)) == sorted(map(tuple, scene.points_rgb))


def test_colmap_images_have_the_order_of_the_views_and_may_come_twice(scene: SparseScene, tmp_path: Path) -> None:
    order = [scene.views[7], scene.views[2]]
    write_colmap(scene, tmp_path / "out", views=order, name_of=lambda view: f"{order.index(view)}_{view.name}")
    model = pycolmap.Reconstruction(tmp_path / "out" / "sparse" / "0")
    assert [model.images[i].name for i in (1, 2)] == ["0_000007.png", "1_000002.png"]
    twice = [dataclasses.replace(scene.views[7]), *scene.views]
    names = {id(view): f"{position:06d}.png" for position, view in enumerate(twice)}
    write_colmap(scene, tmp_path / "twice", views=twice, name_of=lambda view: names[id(view)])
    again = load_colmap(tmp_path / "twice" / "sparse" / "0", tmp_path / "twice" / "images")
    assert len(again.views) == 11
    np.testing.assert_allclose(again.views[0].cam_from_world, again.views[8].cam_from_world)


@pytest.mark.parametrize(
    ("lens", "model"),
    [
        (BARREL, "OPENCV"),
        (Distortion("radial_tangential", (0.1, 0.2, 0.3, 0.4, 0.5, 0.6), (0.01, 0.02)), "FULL_OPENCV"),
        (Distortion("fisheye", (0.1, 0.2, 0.3, 0.4)), "OPENCV_FISHEYE"),
    ],
)
def test_colmap_lenses_come_back(scene: SparseScene, tmp_path: Path, lens: Distortion, model: str) -> None:
    bent = dataclasses.replace(scene, cameras=tuple(dataclasses.replace(c, distortion=lens) for c in scene.cameras))
    write_colmap(bent, tmp_path / "out")
    read = pycolmap.Reconstruction(tmp_path / "out" / "sparse" / "0")
    assert {camera.model_name for camera in read.cameras.values()} == {model}
    back = load_colmap(tmp_path / "out" / "sparse" / "0", tmp_path / "out" / "images")
    assert {back.camera(view).distortion for view in back.views} == {lens}


def test_nerfstudio_frames_have_opengl_poses_and_the_split(scene: SparseScene, tmp_path: Path) -> None:
    held_out = [scene.views[0], scene.views[8]]
    write_nerfstudio(scene, tmp_path, held_out=held_out)
    document = json.loads((tmp_path / "transforms.json").read_text())
    assert document["camera_model"] == "OPENCV"
    assert document["val_filenames"] == document["test_filenames"] == ["images/000000.png", "images/000008.png"]
    assert document["train_filenames"] == [f"images/{i:06d}.png" for i in range(10) if i not in (0, 8)]
    point = np.array([0.3, -0.2, 1.0, 1.0])
    for view, frame in zip(scene.views, document["frames"], strict=True):
        in_opengl = np.linalg.inv(np.array(frame["transform_matrix"])) @ point
        np.testing.assert_allclose(in_opengl * (1, -1, -1, 1), view.cam_from_world @ point, atol=1e-12)
        camera = scene.camera(view)
        assert (frame["w"], frame["h"], frame["fl_x"], frame["cy"]) == (
            camera.width,
            camera.height,
            camera.fx,
            camera.cy,
        )
        assert (tmp_path / frame["file_path"]).samefile(scene.image_path(view))
    cloud = read_ply(tmp_path / document["ply_file_path"], ["vertex"])["vertex"]
    np.testing.assert_array_equal(np.stack([cloud[axis] for axis in "xyz"], axis=1), scene.points_xyz)
    np.testing.assert_array_equal(np.stack([cloud[c] for c in ("red", "green", "blue")], axis=1), scene.points_rgb)


def test_nerfstudio_gets_a_mask_for_every_view_where_one_has_one(scene: SparseScene, tmp_path: Path) -> None:
    write_nerfstudio(scene, tmp_path)
    frames = json.loads((tmp_path / "transforms.json").read_text())["frames"]
    masks = [cv2.imread(str(tmp_path / frame["mask_path"]), cv2.IMREAD_GRAYSCALE) for frame in frames]
    arrays = [np.asarray(mask) for mask in masks]
    assert [bool((mask < 255).any()) for mask in arrays] == [index == 3 for index in range(10)]
    assert [mask.shape[::-1] for mask in arrays] == [(f["w"], f["h"]) for f in frames]
    unmasked = dataclasses.replace(
        scene, views=tuple(dataclasses.replace(view, has_mask=False) for view in scene.views)
    )
    write_nerfstudio(unmasked, tmp_path / "unmasked")
    assert not any("mask_path" in f for f in json.loads((tmp_path / "unmasked/transforms.json").read_text())["frames"])


def test_large_pictures_are_scaled_down_with_their_cameras_and_masks(scene: SparseScene, tmp_path: Path) -> None:
    placed = write_nerfstudio(scene, tmp_path, max_long_side_px=32)
    for one in placed:
        picture = cv2.imread(str(tmp_path / one.picture))
        truth = cv2.imread(str(scene.image_path(one.view)))
        assert picture is not None and truth is not None
        np.testing.assert_array_equal(picture, cv2.resize(truth, (picture.shape[1], picture.shape[0]), interpolation=3))
        assert picture.shape[1::-1] == (one.camera.width, one.camera.height)
        assert one.camera.fx == scene.camera(one.view).fx / 2
    mask = cv2.imread(str(tmp_path / (placed[3].mask or "")), cv2.IMREAD_GRAYSCALE)
    assert mask is not None and set(np.unique(mask)) == {0, 255}


def test_what_nerfstudio_cannot_hold_is_refused_before_anything_is_written(scene: SparseScene, tmp_path: Path) -> None:
    fisheye = Distortion("fisheye", (0.1, 0.2, 0.3, 0.4))
    rational = Distortion("radial_tangential", (0.1, 0.0, 0.0, 0.2, 0.0, 0.0))
    mixed = dataclasses.replace(scene.cameras[0], distortion=fisheye), scene.cameras[1]
    for cameras in (mixed, (dataclasses.replace(scene.cameras[0], distortion=rational), scene.cameras[1])):
        with pytest.raises(SceneFormatError, match="nerfstudio"):
            write_nerfstudio(dataclasses.replace(scene, cameras=cameras), tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_a_picture_that_is_gone_or_was_exchanged_is_named(scene: SparseScene, tmp_path: Path) -> None:
    path = scene.image_path(scene.views[4])
    cv2.imwrite(str(path), np.zeros((5, 5, 3), np.uint8))
    with pytest.raises(ArtifactError, match=r"000004.png is 5x5, its camera 64x48"):
        write_nerfstudio(scene, tmp_path / "out", max_long_side_px=32)
    path.unlink()
    with pytest.raises(ArtifactError, match=r"000004.png is gone"):
        write_colmap(scene, tmp_path / "other")


def test_without_hard_links_a_folder_that_stays_here_gets_symbolic_ones(
    scene: SparseScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    placed = write_colmap(scene, tmp_path / "here", portable=False)
    assert all((tmp_path / "here" / one.picture).is_symlink() for one in placed)
    placed = write_colmap(scene, tmp_path / "away")
    assert not any((tmp_path / "away" / one.picture).is_symlink() for one in placed)
    assert all((tmp_path / "away" / o.picture).read_bytes() == scene.image_path(o.view).read_bytes() for o in placed)
