"""A scene that cannot be trained is refused before its pictures are decoded, and a picture that cannot be used by name.

What is not noticed: a picture that was exchanged for another of the same size. A scene keeps no digest of each picture,
and the time that a file was changed says little where files are copied.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from splatlib.artifacts import SparseScene, View
from splatlib.config import TrainConfig
from splatlib.errors import TrainingError
from splatlib.render.cpu.renderer import CpuRenderer
from splatlib.train import train_splat
from splatlib.train.dataset import ViewPyramid
from splatlib.train.initialize import gaussians_from_points
from splatlib.workspace import Workspace

CONFIG = TrainConfig(device="cpu", max_long_side_px=96, steps=3, sh_degree=0)

Damage = Callable[[SparseScene], SparseScene]


def with_points(scene: SparseScene, count: int) -> SparseScene:
    return replace(
        scene,
        points_xyz=scene.points_xyz[:count],
        points_rgb=scene.points_rgb[:count],
        point_errors_px=scene.point_errors_px[:count],
        point_track_lengths=scene.point_track_lengths[:count],
    )


def with_point(scene: SparseScene, value: float) -> SparseScene:
    points = scene.points_xyz.copy()
    points[7, 1] = value
    return replace(scene, points_xyz=points)


def with_lens(**fields: float) -> Damage:
    """One view gets a camera of its own."""

    def change(scene: SparseScene) -> SparseScene:
        views = [*scene.views[:4], replace(scene.views[4], camera_index=1), *scene.views[5:]]
        return replace(scene, cameras=(*scene.cameras, replace(scene.cameras[0], **fields)), views=tuple(views))

    return change


def with_pose(change: Callable[[np.ndarray], np.ndarray]) -> Damage:
    """The pose of one view is changed."""

    def changed(scene: SparseScene) -> SparseScene:
        view = scene.views[4]
        pose = change(view.cam_from_world.copy())
        return replace(scene, views=(*scene.views[:4], replace(view, cam_from_world=pose), *scene.views[5:]))

    return changed


def entry(row: int, column: int, value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(matrix: np.ndarray) -> np.ndarray:
        matrix[row, column] = value
        return matrix

    return change


def in_one_place(scene: SparseScene) -> SparseScene:
    """All cameras keep where they look and move to the first one's centre."""

    def moved(view: View) -> View:
        pose = view.cam_from_world.copy()
        pose[:3, 3] = -pose[:3, :3] @ scene.views[0].center
        return replace(view, cam_from_world=pose)

    return replace(scene, views=tuple(moved(view) for view in scene.views))


BAD_SCENES: dict[str, tuple[Damage, str]] = {
    "no points": (lambda scene: with_points(scene, 0), "the sparse cloud has no points, training wants at least 10"),
    "three points": (lambda scene: with_points(scene, 3), "the sparse cloud has only 3 points"),
    "a point that is nowhere": (lambda scene: with_point(scene, np.nan), "1 of 200 points of the sparse cloud"),
    "a point at infinity": (lambda scene: with_point(scene, np.inf), "1 of 200 points of the sparse cloud"),
    "principal point to the left": (
        with_lens(cx=-1.0),
        "000005.png cannot have taken it\nWhy: its principal point (-1, 36) lies outside the picture of 96x72 px",
    ),
    "principal point below": (with_lens(cy=73.0), "its principal point (48, 73) lies outside"),
    "principal point nowhere": (with_lens(cx=np.nan), "its principal point (nan, 36) lies outside"),
    "no focal length": (with_lens(fx=0.0), "its focal lengths are 0 and 90 px"),
    "negative focal length": (with_lens(fy=-90.0), "its focal lengths are 90 and -90 px"),
    "infinite focal length": (with_lens(fx=np.inf), "its focal lengths are inf and 90 px"),
    "NaN in a pose": (
        with_pose(entry(1, 3, np.nan)),
        "000005.png cannot have taken it\nWhy: its pose has entries that",
    ),
    "a pose that scales": (with_pose(lambda matrix: matrix * 2), "its pose is no rotation and translation"),
    "a mirrored pose": (with_pose(lambda matrix: np.diag([-1, 1, 1, 1]) @ matrix), "its pose is no rotation and"),
    "a projective pose": (with_pose(entry(3, 0, 0.5)), "its pose is no rotation and translation"),
    "a pose of three rows": (with_pose(lambda matrix: matrix[:3]), "its pose has the shape (3, 4), not (4, 4)"),
    "no parallax": (in_one_place, "all 17 cameras stand in one place\nWhy: without parallax there is no depth"),
}


@pytest.mark.parametrize("name", BAD_SCENES)
def test_a_scene_that_makes_no_sense_is_refused_before_anything_is_decoded_or_deleted(
    name: str, scene: SparseScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws = Workspace(tmp_path)
    earlier = train_splat(scene, ws, CONFIG)
    decoded: list[Path] = []
    monkeypatch.setattr("splatlib.train.dataset._read", lambda path, *rest: decoded.append(path))
    damage, message = BAD_SCENES[name]
    with pytest.raises(TrainingError) as caught:
        train_splat(replace(damage(scene), digest="another"), ws, CONFIG)
    assert message in str(caught.value)
    assert caught.value.hint
    assert not decoded
    assert earlier.ply_path.exists()


def test_who_decodes_pictures_or_places_gaussians_is_told_too(scene: SparseScene) -> None:
    """Without ``train_splat``, as benchmarks do."""
    damaged = with_lens(fx=-1.0)(scene)
    with pytest.raises(TrainingError, match="its focal lengths are -1 and 90 px"):
        ViewPyramid(damaged, damaged.views, [96], CpuRenderer(1))
    with pytest.raises(TrainingError, match="no points"):
        gaussians_from_points(with_points(scene, 0), 0, initial_opacity=0.1)


def test_a_principal_point_on_the_edge_is_one_of_a_cropped_picture(scene: SparseScene, tmp_path: Path) -> None:
    train_splat(with_lens(cx=0.0, cy=72.0)(scene), Workspace(tmp_path), CONFIG)


@pytest.fixture
def copied(masked_scene: SparseScene, tmp_path: Path) -> SparseScene:
    """A scene with masks whose files a test may damage."""
    shutil.copytree(masked_scene.directory, tmp_path / "scene")
    return replace(masked_scene, directory=tmp_path / "scene")


FILES = {
    "a picture": "images/000002.png",
    "a held-out picture": "images/000009.png",
    "a mask": "masks/000002.png.png",
    "a held-out mask": "masks/000009.png.png",
}


@pytest.mark.parametrize("name", FILES.values(), ids=FILES)
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "cannot read {path}\nWhy: the file is gone"),
        (lambda path: path.write_bytes(b""), "cannot read {path}\nWhy: the file is damaged or no picture"),
        (lambda path: path.write_text("not a picture"), "cannot read {path}\nWhy: the file is damaged or no picture"),
        (
            lambda path: cv2.imwrite(str(path), np.zeros((72, 97, 3), np.uint8)),
            "{path} is 97x72, its camera 96x72\nWhy: the file was changed after its camera was solved",
        ),
        (lambda path: cv2.imwrite(str(path), np.zeros((96, 72, 3), np.uint8)), "{path} is 72x96, its camera 96x72"),
    ],
    ids=["gone", "empty", "no picture", "wider", "turned"],
)
def test_a_picture_or_mask_that_cannot_be_used_is_named(
    name: str, damage: Callable[[Path], object], message: str, copied: SparseScene, tmp_path: Path
) -> None:
    path = copied.directory / "undistorted" / name
    damage(path)
    with pytest.raises(TrainingError) as caught:
        train_splat(copied, Workspace(tmp_path / "ws"), CONFIG)
    assert message.format(path=path) in str(caught.value)
    assert caught.value.hint == "solve the cameras again, or put the file back"


def test_a_turned_picture_is_not_turned_back_by_its_metadata(scene: SparseScene, tmp_path: Path) -> None:
    """The cameras were solved on the pixels as they lie in the file."""
    from PIL import Image

    shutil.copytree(scene.directory, tmp_path / "scene")
    path = tmp_path / "scene" / "undistorted" / "images" / "000002.png"
    with Image.open(path) as picture:
        exif = picture.getexif()
        exif[0x0112] = 6  # orientation: turn by 90 degrees
        picture.save(path, exif=exif)
    train_splat(replace(scene, directory=tmp_path / "scene"), Workspace(tmp_path / "ws"), CONFIG)
