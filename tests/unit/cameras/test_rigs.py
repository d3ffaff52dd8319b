"""Panoramas as rigs: what is written to the database, which pairs are compared, and the poses that come out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from splatlib.artifacts import Frame, FrameSet, RigFace, SparseScene
from splatlib.cameras import solve_cameras
from splatlib.cameras._pycolmap import pycolmap
from splatlib.cameras.accuracy import center_errors_percent, relative_rotation_errors_deg
from splatlib.cameras.pairs import choose_method, choose_pairs
from splatlib.cameras.rigs import known_cameras, write_rigs
from splatlib.capture import extract_frames
from splatlib.config import CamerasConfig, FramesConfig
from splatlib.errors import CamerasError
from splatlib.matching.order import moments
from splatlib.samples.panorama import PanoramaSample, make_panoramas
from splatlib.workspace import Workspace

# 90 degrees to the right, and up: quaternions by hand, half angles of 45 degrees about y and x.
HALF = np.sqrt(0.5)
FACES = (
    RigFace("front", (1.0, 0.0, 0.0, 0.0)),
    RigFace("right", (HALF, 0.0, -HALF, 0.0)),
    RigFace("up", (HALF, -HALF, 0.0, 0.0)),
)


def panoramas(number: int, kind: str = "video", faces: tuple[RigFace, ...] = FACES) -> FrameSet:
    """A FrameSet without pictures."""
    frames = tuple(
        Frame(f"{n:06d}_{face.name}.jpg", 64, 64, f"P{n}.jpg", n, focal_px=32.0, group=f"{n:06d}", face=face.name)
        for n in range(number)
        for face in faces
    )
    return FrameSet(directory=Path("nowhere"), capture="made", kind=kind, frames=frames, faces=faces)


def test_faces_of_one_moment_belong_together() -> None:
    frames = panoramas(2)
    single = Frame("000003.jpg", 64, 48, "a.jpg", 9)
    assert moments(replace(frames, frames=(*frames.frames, single))) == [[0, 1, 2], [3, 4, 5], [6]]


def test_the_database_holds_one_rig_with_known_rotations_and_intrinsics(tmp_path: Path) -> None:
    frames = panoramas(4)
    with pycolmap.Database.open(tmp_path / "database.db") as database:
        write_rigs(database, frames, first_free_id=5)
        (rig,) = database.read_all_rigs()
        cameras = {camera.camera_id: camera for camera in database.read_all_cameras()}
        moments_read, images = database.read_all_frames(), database.read_all_images()
        assert known_cameras(images, frames) == {5, 6, 7}
    assert sorted(cameras) == [5, 6, 7]
    for camera in cameras.values():
        assert camera.model_name == "PINHOLE" and camera.has_prior_focal_length
        np.testing.assert_allclose(camera.params, [32, 32, 32, 32])
    assert rig.ref_sensor_id.id == 5
    right, up = rig.sensor_from_rig(cameras[6].sensor_id), rig.sensor_from_rig(cameras[7].sensor_id)
    assert right is not None and up is not None
    # what lies to the right of the front camera is in front of the right one
    np.testing.assert_allclose(right.rotation.matrix() @ [1, 0, 0], [0, 0, 1], atol=1e-12)
    np.testing.assert_array_equal(right.translation, 0)
    np.testing.assert_allclose(up.rotation.matrix() @ [0, -1, 0], [0, 0, 1], atol=1e-12)
    assert [len(list(moment.image_ids)) for moment in moments_read] == [3, 3, 3, 3]


def test_a_rig_whose_front_is_dropped_is_relative_to_its_first_face(tmp_path: Path) -> None:
    frames = panoramas(2, faces=FACES[1:])
    with pycolmap.Database.open(tmp_path / "database.db") as database:
        write_rigs(database, frames, first_free_id=1)
        (rig,) = database.read_all_rigs()
        up_from_right = rig.sensor_from_rig(database.read_camera(2).sensor_id)
    assert up_from_right is not None
    up = up_from_right.rotation.matrix()
    np.testing.assert_allclose(up @ [0, -1, 0], [0, 0, 1], atol=1e-12)  # up is up from there too
    np.testing.assert_allclose(up @ [1, 0, 0], [0, -1, 0], atol=1e-12)  # rear of the front: the top of "up" is back


@pytest.mark.parametrize("change", [{"face": "floor"}, {"focal_px": None}, {"face": "right"}, {"width": 65}])
def test_faces_that_are_no_rig_are_refused(tmp_path: Path, change: dict[str, object]) -> None:
    frames = panoramas(2)
    broken = replace(frames, frames=(replace(frames.frames[0], **change), *frames.frames[1:]))
    with (
        pycolmap.Database.open(tmp_path / "database.db") as database,
        pytest.raises(CamerasError, match="panorama 000000 are no rig"),
    ):
        write_rigs(database, broken, first_free_id=1)


def test_faces_of_one_panorama_are_never_compared() -> None:
    frames = panoramas(4)
    pairs = choose_pairs(frames, Path("no database is needed"), CamerasConfig(matching="exhaustive"))
    assert len(pairs) == len(set(pairs)) == 6 * 9
    assert all(i // 3 != j // 3 and i < j for i, j in pairs)


def test_neighbours_of_a_panorama_are_panoramas() -> None:
    config = CamerasConfig(matching="sequential", sequential_overlap=4, loop_closure=False)
    pairs = choose_pairs(panoramas(6), Path("no database is needed"), config)
    assert {j // 3 - i // 3 for i, j in pairs} == {1, 2}
    assert len(pairs) == (5 + 4) * 9


def test_numbered_panoramas_are_a_sequence() -> None:
    assert choose_method(panoramas(20, kind="photos"), CamerasConfig()) == "sequential"


# Known truth


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> PanoramaSample:
    return make_panoramas(tmp_path_factory.mktemp("panoramas") / "walk", num_panoramas=10, width=1024)


@pytest.fixture(scope="module")
def solved(walk: PanoramaSample, tmp_path_factory: pytest.TempPathFactory) -> tuple[FrameSet, SparseScene]:
    ws = Workspace(tmp_path_factory.mktemp("solved"))
    frames = extract_frames(walk.path, ws, FramesConfig(panorama_drop=("up", "down")))
    return frames, solve_cameras(frames, ws, CamerasConfig(max_features=1024))


def test_solving_recovers_the_poses(walk: PanoramaSample, solved: tuple[FrameSet, SparseScene]) -> None:
    """Measured with six faces: 0.018 degrees and 0.006 % at worst."""
    frames, scene = solved
    assert len(scene.views) == len(frames) == 40
    found = {view.name: view.cam_from_world for view in scene.views}
    fronts = [frame for frame in frames.frames if frame.face == "front"]
    poses = np.array([found[frame.name] for frame in fronts])
    true = walk.rig_from_world[[frame.source_index for frame in fronts]]
    assert relative_rotation_errors_deg(poses, true).max() < 0.1
    assert center_errors_percent(poses, true).max() < 0.1


def test_faces_keep_their_place_and_their_focal_length(solved: tuple[FrameSet, SparseScene]) -> None:
    frames, scene = solved
    pose = {view.name: view.cam_from_world for view in scene.views}
    for camera in scene.cameras:
        assert camera.distortion is None
        assert (camera.fx, camera.fy, camera.cx, camera.cy) == pytest.approx((128, 128, 128, 128))
    for n in range(1, 11):
        front = pose[f"{n:06d}_front.jpg"]
        for face in frames.faces:
            between = pose[f"{n:06d}_{face.name}.jpg"] @ np.linalg.inv(front)
            w, x, y, z = face.cam_from_rig
            expected = pycolmap.Rotation3d(np.array([x, y, z, w])).matrix()
            np.testing.assert_allclose(between[:3, :3], expected, atol=1e-9)
            np.testing.assert_allclose(between[:3, 3], 0, atol=1e-9)


def test_views_of_one_panorama_share_a_group(solved: tuple[FrameSet, SparseScene]) -> None:
    _, scene = solved
    groups: dict[str | None, set[str]] = {}
    for view in scene.views:
        groups.setdefault(view.group, set()).add(view.name[:6])
    assert None not in groups and len(groups) == 10
    assert all(len(names) == 1 for names in groups.values())
    again = SparseScene.load(scene.directory)
    assert [view.group for view in again.views] == [view.group for view in scene.views]
