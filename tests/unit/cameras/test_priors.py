"""Reading poses: formats, conventions, and bad input."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splatlib.artifacts import FrameSet
from splatlib.cameras._pycolmap import pycolmap
from splatlib.cameras.priors import priors_of_frames, read_priors
from splatlib.cameras.priors.poses import DIRECTIONS, OPENCV_FROM_AXES, Convention, inverted
from splatlib.config import CamerasConfig
from splatlib.errors import CamerasError
from tests.unit.cameras.made_frames import named_frames

NAMES = ("images/a.jpg", "images/b.jpg", "images/c.jpg")


def rigid(seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    rng = np.random.default_rng(seed)
    pose = np.eye(4)
    pose[:3, :3] = pycolmap.Rotation3d(rng.normal(size=3)).matrix()
    pose[:3, 3] = rng.normal(size=3)
    return pose


def transforms(path: Path, frames: list[dict[str, Any]] | None = None, **shared: Any) -> Path:
    """A transforms.json with three frames; ``frames`` are merged into them."""
    made = [{"file_path": name, "transform_matrix": rigid(index).tolist()} for index, name in enumerate(NAMES)]
    for entry, more in zip(made, frames or [], strict=False):
        entry.update(more)
    path.write_text(json.dumps({"frames": made, **shared}))
    return path


def poses(path: Path, entries: list[dict[str, Any]], **shared: Any) -> Path:
    path.write_text(json.dumps({"poses": entries, **shared}))
    return path


def photos(*sources: str) -> FrameSet:
    frames = named_frames(list(sources or ("a.jpg", "b.jpg", "c.jpg")))
    return replace(frames, frames=tuple(replace(frame, width=320, height=240) for frame in frames.frames))


@pytest.mark.parametrize("axes", OPENCV_FROM_AXES)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_point_ahead_to_the_right_is_so_in_every_convention(axes: str, direction: str, tmp_path: Path) -> None:
    """Written out by hand: where "2 ahead, 1 right, 0.5 down" is in each convention's own axes."""
    ahead_right_down = {
        "opencv": (1.0, 0.5, 2.0),
        "opengl": (1.0, -0.5, -2.0),
        "arkit": (1.0, -0.5, -2.0),
        "arcore": (1.0, -0.5, -2.0),
        "ros": (2.0, -1.0, -0.5),
    }
    world_from_axes = rigid(7)
    point = world_from_axes @ (*ahead_right_down[axes], 1.0)
    written = world_from_axes if direction == "camera_to_world" else inverted(world_from_axes)
    path = poses(tmp_path / "poses.json", [{"name": "a.jpg", "matrix": written.tolist()}])
    config = CamerasConfig(priors_convention=axes, priors_direction=direction)  # pyright: ignore[reportArgumentType]
    found = read_priors(path, config)
    np.testing.assert_allclose(found.cam_from_world()[0] @ point, (1.0, 0.5, 2.0, 1.0), atol=1e-9)


def test_the_phones_conventions_are_opengls_and_no_other() -> None:
    opengl = Convention("opengl", "camera_to_world")
    assert all(opengl.same_as(Convention(axes, "camera_to_world")) for axes in ("arkit", "arcore", "opengl"))
    assert not any(opengl.same_as(Convention(axes, "camera_to_world")) for axes in ("opencv", "ros"))
    assert not opengl.same_as(Convention("opengl", "world_to_camera"))


def test_a_transforms_json_is_opengl_camera_to_world(tmp_path: Path) -> None:
    found = read_priors(transforms(tmp_path / "transforms.json"), CamerasConfig())
    expected = np.linalg.inv(rigid(1) @ np.diag([1.0, -1.0, -1.0, 1.0]))
    np.testing.assert_allclose(found.cam_from_world()[1], expected, atol=1e-9)
    assert found.lenses == (None, None, None)
    assert read_priors(tmp_path, CamerasConfig()).digest == found.digest


def test_intrinsics_are_scaled_to_the_frames(tmp_path: Path) -> None:
    """Shared ones for pictures of twice the size of the frames (320x240)."""
    path = transforms(tmp_path / "t.json", fl_x=600, fl_y=620, cx=330, cy=250, w=640, h=480, k1=0.1, p2=0.01)
    found = priors_of_frames(read_priors(path, CamerasConfig()), photos())
    (camera,) = found.cameras
    assert camera.model_name == "OPENCV" and (camera.width, camera.height) == (320, 240)
    np.testing.assert_allclose(camera.params, (300, 310, 165, 125, 0.1, 0, 0, 0.01))


def test_intrinsics_of_each_picture_and_lens_models(tmp_path: Path) -> None:
    each = [{"fl_x": 600}, {"fl_x": 600.000001, "fl_y": 600}, {"fl_x": 700, "depth_file_path": "depth/c.png"}]
    found = priors_of_frames(
        read_priors(transforms(tmp_path / "t.json", each, w=640, h=480), CamerasConfig()), photos()
    )
    assert found.camera_ids == (1, 1, 2)
    assert [camera.model_name for camera in found.cameras] == ["PINHOLE", "PINHOLE"]
    wide = transforms(tmp_path / "w.json", fl_x=200, w=640, h=480, k1=0.1, k4=0.02, camera_model="OPENCV_FISHEYE")
    (camera,) = priors_of_frames(read_priors(wide, CamerasConfig()), photos()).cameras
    assert camera.model_name == "OPENCV_FISHEYE" and camera.params[7] == 0.02
    angle = transforms(tmp_path / "a.json", camera_angle_x=np.pi / 2)
    (camera,) = priors_of_frames(read_priors(angle, CamerasConfig()), photos()).cameras
    assert camera.focal_length_x == pytest.approx(160)


@pytest.mark.parametrize(
    ("lens", "message"),
    [
        ({"fl_x": 600, "w": 480, "h": 640}, "are for another picture"),
        ({"fl_x": 600}, "no size of the pictures"),
        ({"fl_x": "wide", "w": 640, "h": 480}, "fl_x in t.json is not a number"),
        ({"fl_x": float("nan"), "w": 640, "h": 480}, "fl_x in t.json is nan"),
        ({"fl_x": -1, "w": 640, "h": 480}, "not above 0"),
        ({"fl_x": 600, "w": 640, "h": 480, "k4": 0.1}, "fourth radial coefficient"),
        ({"camera_model": "EQUIRECTANGULAR"}, "camera_model EQUIRECTANGULAR"),
    ],
)
def test_intrinsics_that_cannot_be(lens: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = transforms(tmp_path / "t.json", **lens)
    with pytest.raises(CamerasError, match=message):
        priors_of_frames(read_priors(path, CamerasConfig()), photos())


def test_names_are_matched_whatever_slashes_folders_and_suffixes(tmp_path: Path) -> None:
    """Polycam on Windows, instant-ngp without suffixes; c.jpg is listed and missing, d.jpg has no pose."""
    each = [{"file_path": ".\\images\\b.png"}, {"file_path": "./images/a"}]
    found = priors_of_frames(
        read_priors(transforms(tmp_path / "t.json", each), CamerasConfig()), photos("a.jpg", "b.jpg", "d.jpg")
    )
    assert (found.frames, found.rows) == ((0, 1), (1, 0))
    assert any("1 of 3 poses" in note for note in found.notes)
    assert any("1 of 3 frames have no pose" in note and "d.jpg" in note for note in found.notes)


def test_folders_tell_pictures_of_one_name_apart(tmp_path: Path) -> None:
    each = [{"file_path": "x/left/1.jpg"}, {"file_path": "x/right/1.jpg"}, {"file_path": "2.jpg"}]
    priors = read_priors(transforms(tmp_path / "t.json", each), CamerasConfig())
    assert priors_of_frames(priors, photos("right/1.jpg", "left/1.jpg")).rows == (1, 0)
    with pytest.raises(CamerasError, match=r"2 poses in .* could be that of 1.jpg"):
        priors_of_frames(priors, photos("1.jpg"))
    with pytest.raises(CamerasError, match=r"2.jpg could be that of two frames"):
        priors_of_frames(priors, photos("right/2.jpg", "left/2.jpg"))


def test_frames_of_a_video_go_by_their_own_names(tmp_path: Path) -> None:
    frames = named_frames(["clip.mp4"] * 3, "video")
    each = [{"file_path": f"frames/{frame.name}"} for frame in reversed(frames.frames)]
    found = priors_of_frames(read_priors(transforms(tmp_path / "t.json", each), CamerasConfig()), frames)
    assert found.rows == (2, 1, 0)


def test_no_pose_that_belongs_to_a_frame(tmp_path: Path) -> None:
    priors = read_priors(transforms(tmp_path / "t.json"), CamerasConfig())
    with pytest.raises(CamerasError, match="none of the 3 poses") as caught:
        priors_of_frames(priors, photos("IMG_1.jpg"))
    assert "images/a.jpg" in caught.value.why and "IMG_1.jpg" in caught.value.why


def test_more_poses_than_pictures_and_fewer(tmp_path: Path) -> None:
    priors = read_priors(transforms(tmp_path / "t.json"), CamerasConfig())
    more = priors_of_frames(priors, photos("b.jpg", "c.jpg"))
    assert more.rows == (1, 2) and any("1 of 3 poses" in note and "not used" in note for note in more.notes)
    fewer = priors_of_frames(priors, photos("a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"))
    assert fewer.frames == (0, 1, 2) and any("2 of 5 frames have no pose" in note for note in fewer.notes)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_poses_that_are_all_at_one_place(direction: str, tmp_path: Path) -> None:
    """Translations of zero, or of one tripod far from the origin: nothing can be triangulated."""
    entries = []
    for index, name in enumerate(("a.jpg", "b.jpg", "c.jpg")):
        world_from_cam = rigid(index)
        world_from_cam[:3, 3] = (1000.0, -2.0, 3.0)
        pose = world_from_cam if direction == "camera_to_world" else inverted(world_from_cam)
        entries.append({"name": name, "matrix": pose.tolist()})
    path = poses(tmp_path / "p.json", entries, convention="opencv", direction=direction)
    with pytest.raises(CamerasError, match=r"all 3 poses in .* are at one place") as caught:
        priors_of_frames(read_priors(path, CamerasConfig()), photos())
    assert "translations" in caught.value.hint


def mirrored() -> Any:
    return (rigid(0) @ np.diag([1.0, 1.0, -1.0, 1.0])).tolist()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"file_path": "images\\b.jpg"}, "names are there more than once"),
        ({"file_path": ""}, "empty name"),
        ({"file_path": None}, "pose 1 in t.json has no file_path"),
        ({"transform_matrix": mirrored()}, "determinant -1: it mirrors"),
        ({"transform_matrix": np.full((4, 4), np.nan).tolist()}, "NaN or infinity"),
        ({"transform_matrix": (rigid(0).T).tolist()}, "transpose the matrices"),
        ({"transform_matrix": np.diag([2.0, 2.0, 2.0, 1.0]).tolist()}, "scale"),
        ({"transform_matrix": [[1, 0], [0, 1]]}, r"shape \(2, 2\)"),
        ({"transform_matrix": [[1, 0], [0, "x"]]}, "not made of numbers"),
    ],
)
def test_poses_that_cannot_be(entry: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(CamerasError) as caught:
        read_priors(transforms(tmp_path / "t.json", [entry]), CamerasConfig())
    assert caught.match(message)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.json", "{", "not valid JSON"),
        ("t.json", "{}", "holds no poses"),
        ("t.json", '{"frames": []}', "holds no poses"),
        ("t.json", '{"poses": [{"name": "a", "matrix": []}]}', "shape"),
        ("t.json", '{"poses": [{"name": "a", "translation": [0, 0, 0]}]}', "has no matrix"),
        ("t.csv", "name,qw\n", "holds no poses"),
        ("t.csv", "name,qw\na,1\n", "lacks columns"),
        ("t.txt", "", "of no kind"),
    ],
)
def test_files_that_are_no_priors(name: str, content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(CamerasError, match=message):
        read_priors(tmp_path / name, CamerasConfig(priors_convention="opencv"))


def test_places_without_priors(tmp_path: Path) -> None:
    with pytest.raises(CamerasError, match="no pose priors at"):
        read_priors(tmp_path / "absent.json", CamerasConfig())
    with pytest.raises(CamerasError, match="holds no pose priors"):
        read_priors(tmp_path, CamerasConfig())


def test_plain_poses_must_say_their_convention(tmp_path: Path) -> None:
    entries = [{"name": "a.jpg", "matrix": np.eye(4).tolist()}]
    with pytest.raises(CamerasError, match="does not say whose camera axes") as caught:
        read_priors(poses(tmp_path / "p.json", entries), CamerasConfig())
    assert "cameras.priors_convention" in caught.value.hint
    with pytest.raises(CamerasError, match="no convention 'unity'"):
        read_priors(poses(tmp_path / "p.json", entries, convention="unity"), CamerasConfig())
    said = poses(tmp_path / "p.json", entries, convention="ros", direction="world_to_camera")
    assert read_priors(said, CamerasConfig()).convention == Convention("ros", "world_to_camera")


def test_quaternions_in_both_orders_and_of_any_length(tmp_path: Path) -> None:
    pose = rigid(3)
    xyzw = pycolmap.Rotation3d(pose[:3, :3]).quat
    entry = {"name": "a.jpg", "quaternion": (2 * np.roll(xyzw, 1)).tolist(), "translation": pose[:3, 3].tolist()}
    found = read_priors(poses(tmp_path / "p.json", [entry], convention="opencv"), CamerasConfig())
    np.testing.assert_allclose(found.matrices[0], pose, atol=1e-9)
    assert "normalised" in found.notes[0]
    other = {**entry, "quaternion": list(xyzw)}
    path = poses(tmp_path / "q.json", [other], convention="opencv", quaternion_order="xyzw")
    np.testing.assert_allclose(read_priors(path, CamerasConfig()).matrices[0], pose, atol=1e-9)
    wrong = read_priors(poses(tmp_path / "r.json", [other], convention="opencv"), CamerasConfig())
    assert wrong.swapped_matrices is not None
    np.testing.assert_allclose(wrong.swapped_matrices[0], pose, atol=1e-9)
    lost = {**entry, "quaternion": [float("nan"), 0, 0, 0]}
    with pytest.raises(CamerasError, match="NaN or infinity"):
        read_priors(poses(tmp_path / "n.json", [lost], convention="opencv"), CamerasConfig())
    zeros = {**entry, "quaternion": [0, 0, 0, 0]}
    with pytest.raises(CamerasError, match="all zeros"):
        read_priors(poses(tmp_path / "z.json", [zeros], convention="opencv"), CamerasConfig())


def test_csv_of_quaternions_or_matrices(tmp_path: Path) -> None:
    pose = rigid(5)
    x, y, z, w = pycolmap.Rotation3d(pose[:3, :3]).quat
    tx, ty, tz = pose[:3, 3]
    (tmp_path / "q.csv").write_text(f"name, tx, ty, tz, qx, qy, qz, qw\na.jpg, {tx}, {ty}, {tz}, {x}, {y}, {z}, {w}\n")
    header = ",".join(f"m{row}{column}" for row in range(3) for column in range(4))
    numbers = ",".join(map(str, pose[:3].ravel()))
    (tmp_path / "m.csv").write_text(f"name,{header},fx,width,height\na.jpg,{numbers},600,640,480\n")
    config = CamerasConfig(priors_convention="opencv")
    for name in ("q.csv", "m.csv"):
        np.testing.assert_allclose(read_priors(tmp_path / name, config).matrices[0], pose, atol=1e-9)
    lens = read_priors(tmp_path / "m.csv", config).lenses[0]
    assert lens is not None and lens.params == (600, 600, 320, 240)


@pytest.mark.parametrize("binary", [True, False])
def test_colmap_models_are_matched_by_name(binary: bool, tmp_path: Path) -> None:
    model = pycolmap.Reconstruction()
    camera = pycolmap.Camera(camera_id=1, model="PINHOLE", width=640, height=480, params=[600, 600, 320, 240])
    model.add_camera_with_trivial_rig(camera)
    for image_id, name in ((1, "c.jpg"), (2, "a.jpg"), (3, "b.jpg")):
        image = pycolmap.Image(name=name, keypoints=np.zeros((0, 2)), camera_id=1, image_id=image_id)
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(rigid(image_id)[:3]))
    (folder := tmp_path / "sparse" / "0").mkdir(parents=True)
    (model.write_binary if binary else model.write_text)(folder)
    found = priors_of_frames(read_priors(tmp_path, CamerasConfig()), photos())
    for pose, image_id in zip(found.cam_from_world, (2, 3, 1), strict=True):
        np.testing.assert_allclose(pose, rigid(image_id), atol=1e-9)
    np.testing.assert_allclose(found.cameras[0].params, (300, 300, 160, 120))
    with pytest.raises(CamerasError, match="is known: opencv"):
        read_priors(tmp_path, CamerasConfig(priors_convention="opengl"))
