"""What apps export: the sample's true cameras written in each format, read back, and solved with."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splatlib.artifacts import Camera, FrameSet
from splatlib.cameras import solve_cameras
from splatlib.cameras._pycolmap import pycolmap
from splatlib.cameras.priors import priors_of_frames, read_priors
from splatlib.cameras.priors.poses import Convention
from splatlib.config import CamerasConfig
from splatlib.errors import CamerasError
from splatlib.samples import Sample
from splatlib.workspace import Workspace
from tests.unit.cameras.conftest import Solved

# From OpenCV's camera axes to those of OpenGL, ARKit and ARCore, and back.
FLIP = np.diag([1.0, -1.0, -1.0, 1.0])
Poses = np.ndarray[Any, np.dtype[np.float64]]


def elements(pose: Poses) -> dict[str, float]:
    return {f"t_{row}{column}": pose[row, column] for row in range(3) for column in range(4)}


def seven(pose: Poses) -> list[float]:
    """Quaternion xyzw, translation."""
    return [*pycolmap.Rotation3d(pose[:3, :3]).quat, *pose[:3, 3]]


def lens(camera: Camera) -> dict[str, float]:
    return {"fx": camera.fx, "fy": camera.fy, "cx": camera.cx, "cy": camera.cy}


def write_polycam(folder: Path, world_from_cam: Poses, camera: Camera, cameras: str = "cameras") -> Path:
    (target := folder / "keyframes" / cameras).mkdir(parents=True)
    for number, pose in enumerate(world_from_cam @ FLIP):
        data = {**elements(pose), **lens(camera), "width": camera.width, "height": camera.height, "blur_score": 30.0}
        (target / f"{number:06d}.json").write_text(json.dumps({**data, "timestamp": number, "neighbors": []}))
    return folder


def record3d_metadata(world_from_cam: Poses, camera: Camera) -> dict[str, Any]:
    matrix = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
    poses = [seven(pose) for pose in world_from_cam @ FLIP]
    sizes = {"w": camera.width, "h": camera.height, "dw": 192, "dh": 256}
    return {**sizes, "K": matrix.T.ravel().tolist(), "fps": 60, "initPose": [0, 0, 0, 1, 0, 0, 0], "poses": poses}


def write_r3d(folder: Path, world_from_cam: Poses, camera: Camera) -> Path:
    with zipfile.ZipFile(path := folder / "shelf.r3d", "w") as archive:
        archive.writestr("metadata", json.dumps(record3d_metadata(world_from_cam, camera)))
        archive.writestr("rgbd/0.conf", b"")
    return path


def write_record3d_folder(folder: Path, world_from_cam: Poses, camera: Camera) -> Path:
    data = record3d_metadata(world_from_cam, camera)
    data["perFrameIntrinsicCoeffs"] = [[*lens(camera).values()] for _ in world_from_cam]
    data["K"] = [1, 0, 0, 0, 1, 0, 1, 1, 1]  # each frame's own go first
    (folder / "metadata").write_text(json.dumps(data))
    return folder


def write_stray(folder: Path, world_from_cam: Poses, camera: Camera) -> Path:
    lines = ["timestamp, frame, x, y, z, qx, qy, qz, qw"]
    for number, pose in enumerate(world_from_cam):
        x, y, z, w, *place = seven(pose)
        lines.append(", ".join(map(repr, map(float, (number / 60, *place, x, y, z, w)))))
        lines[-1] = lines[-1].replace(", ", f", {number:06d}, ", 1)
    (folder / "odometry.csv").write_text("\n".join(lines) + "\n")
    matrix = f"{camera.fx}, 0.0, {camera.cx}\n0.0, {camera.fy}, {camera.cy}\n0.0, 0.0, 1.0\n"
    (folder / "camera_matrix.csv").write_text(matrix)
    return folder


def write_scanner_app(folder: Path, world_from_cam: Poses, camera: Camera) -> Path:
    matrix = [camera.fx, 0, camera.cx, 0, camera.fy, camera.cy, 0, 0, 1]
    for number, pose in enumerate(world_from_cam @ FLIP):
        data = {"cameraPoseARFrame": pose.ravel().tolist(), "intrinsics": matrix, "frame_index": number}
        (folder / f"frame_{number:05d}.json").write_text(json.dumps(data))
    (folder / "info.json").write_text("{}")
    return folder


def write_transforms(folder: Path, world_from_cam: Poses, camera: Camera) -> Path:
    """As nerfstudio: its own world, intrinsics of each picture, depth maps named, the path of another machine."""
    frames = [
        {
            "file_path": f"C:\\captures\\shelf\\images\\frame_{number:05d}.png",
            "depth_file_path": f"depth/{number}.png",
            "transform_matrix": pose.tolist(),
            "fl_x": camera.fx,
            "fl_y": camera.fy,
            "cx": camera.cx,
            "cy": camera.cy,
        }
        for number, pose in enumerate(world_from_cam @ FLIP)
    ]
    shared = {"w": camera.width, "h": camera.height, "camera_model": "OPENCV", "ply_file_path": "sparse_pc.ply"}
    applied = [[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0]]
    document = {**shared, "applied_transform": applied, "frames": frames}
    (path := folder / "transforms.json").write_text(json.dumps(document))
    return path


@dataclass(frozen=True)
class Format:
    """How a format is written, what it calls a picture, and its convention."""

    write: Callable[[Path, Poses, Camera], Path]
    name: str
    axes: str
    has_quaternions: bool = False


FORMATS = {
    "polycam": Format(write_polycam, "{:06d}.jpg", "arkit"),
    "record3d zip": Format(write_r3d, "rgbd/{}.jpg", "opengl", True),
    "record3d folder": Format(write_record3d_folder, "rgbd/{}.jpg", "opengl", True),
    "stray scanner": Format(write_stray, "{:06d}.jpg", "opencv", True),
    "3d scanner app": Format(write_scanner_app, "frame_{:05d}.jpg", "arkit"),
    "nerfstudio": Format(write_transforms, "frame_{:05d}.jpg", "opengl"),
}


def named(solved: Solved, name: str) -> FrameSet:
    """The sample's frames as the app would have called them."""
    number_of = {source: number for number, source in enumerate(solved.sample.names)}
    frames = [replace(frame, source=name.format(number_of[frame.source])) for frame in solved.frames.frames]
    return replace(solved.frames, frames=tuple(frames))


def world_from_cam(sample: Sample) -> Poses:
    return np.linalg.inv(sample.cam_from_world)


def true_poses(solved: Solved) -> Poses:
    rows = [solved.sample.names.index(frame.source) for frame in solved.frames.frames]
    return solved.sample.cam_from_world[rows]


@pytest.mark.parametrize("kind", FORMATS)
def test_what_an_app_wrote_is_read_back(kind: str, solved: Solved, tmp_path: Path) -> None:
    form = FORMATS[kind]
    path = form.write(tmp_path, world_from_cam(solved.sample), solved.sample.camera)
    priors = read_priors(path, CamerasConfig())
    assert priors.convention == Convention(form.axes, "camera_to_world") and not priors.notes
    found = priors_of_frames(priors, named(solved, form.name))
    assert len(found) == len(solved.frames)
    np.testing.assert_allclose(found.cam_from_world, true_poses(solved), atol=1e-6)
    (camera,) = found.cameras
    own = solved.sample.camera
    assert (camera.width, camera.height) == (own.width, own.height)
    measured = (camera.focal_length_x, camera.focal_length_y, camera.principal_point_x, camera.principal_point_y)
    assert measured == pytest.approx((own.fx, own.fy, own.cx, own.cy), rel=1e-6)


@pytest.mark.parametrize("kind", FORMATS)
def test_an_apps_poses_are_solved_with(kind: str, solved: Solved, workspace: Workspace, tmp_path: Path) -> None:
    form, frames = FORMATS[kind], named(solved, FORMATS[kind].name)
    path = str(form.write(tmp_path, world_from_cam(solved.sample), solved.sample.camera))
    scene = solve_cameras(frames, workspace, CamerasConfig(priors=path))
    assert scene.mapper == "priors" and len(scene.views) == len(frames) and len(scene.points_xyz) >= 300
    pose_of = {view.name: view.cam_from_world for view in scene.views}
    solved_poses = np.array([pose_of[frame.name] for frame in frames.frames])
    np.testing.assert_allclose(solved_poses, true_poses(solved), atol=1e-6)
    wrong = CamerasConfig(priors=path, priors_convention="ros")
    with pytest.raises(CamerasError, match=f"fit {'opencv' if form.axes == 'opencv' else 'opengl'}, camera_to_world"):
        solve_cameras(frames, workspace, wrong)


@pytest.mark.parametrize("kind", ["record3d zip", "stray scanner"])
def test_frames_of_a_video_go_by_their_number_in_it(kind: str, solved: Solved, tmp_path: Path) -> None:
    form = FORMATS[kind]
    path = form.write(tmp_path, world_from_cam(solved.sample), solved.sample.camera)
    every_third = [
        replace(frame, source="rgb.mp4", source_index=3 * index) for index, frame in enumerate(solved.frames.frames[:6])
    ]
    frames = replace(solved.frames, kind="video", frames=tuple(every_third))
    found = priors_of_frames(read_priors(path, CamerasConfig()), frames)
    np.testing.assert_allclose(found.cam_from_world, solved.sample.cam_from_world[:18:3], atol=1e-6)


def test_polycams_corrected_cameras_go_before_the_others(solved: Solved, tmp_path: Path) -> None:
    true, camera = world_from_cam(solved.sample), solved.sample.camera
    write_polycam(tmp_path, true @ FLIP, camera)
    write_polycam(tmp_path, true, camera, "corrected_cameras")
    for path in (tmp_path, tmp_path / "keyframes"):
        priors = read_priors(path, CamerasConfig())
        assert priors.names[0] == "corrected_images/000000"
        np.testing.assert_allclose(priors.cam_from_world(), solved.sample.cam_from_world, atol=1e-9)
    raw = read_priors(tmp_path / "keyframes" / "cameras", CamerasConfig())
    assert raw.names[0] == "images/000000"
    np.testing.assert_allclose(raw.cam_from_world(), FLIP @ solved.sample.cam_from_world, atol=1e-9)


def test_stray_scanners_video_is_larger_than_twice_its_principal_point(tmp_path: Path) -> None:
    camera = Camera(width=1920, height=1440, fx=1440.0, fy=1440.0, cx=957.5, cy=725.25)
    priors = read_priors(write_stray(tmp_path, np.tile(np.eye(4), (3, 1, 1)), camera), CamerasConfig())
    told = priors.lenses[0]
    assert told is not None and (told.width, told.height) == (1920, 1440)
    assert told.params == (1440.0, 1440.0, 957.5, 725.25)


def test_absolute_paths_missing_pictures_and_poses_left_over(solved: Solved, tmp_path: Path) -> None:
    """24 poses; of the pictures two are gone, and one was never tracked."""
    path = write_transforms(tmp_path, world_from_cam(solved.sample), solved.sample.camera)
    document = json.loads(path.read_text())
    for number, frame in enumerate(document["frames"]):
        frame["file_path"] = f"/home/somebody/captures/images/frame_{number:05d}.png"
    path.write_text(json.dumps(document))
    frames = named(solved, "frame_{:05d}.jpg")
    kept = (replace(frames.frames[0], source="frame_99999.jpg"), *frames.frames[3:])
    found = priors_of_frames(read_priors(path, CamerasConfig()), replace(frames, frames=kept))
    assert found.frames == tuple(range(1, len(kept)))
    np.testing.assert_allclose(found.cam_from_world, true_poses(solved)[3:], atol=1e-6)
    unused = len(solved.sample.names) - len(found)
    assert any(f"{unused} of 24 poses" in note for note in found.notes)
    assert any("have no pose" in note and "frame_99999.jpg" in note for note in found.notes)


def test_a_fisheye_of_nerfstudio(solved: Solved, tmp_path: Path) -> None:
    path = write_transforms(tmp_path, world_from_cam(solved.sample), solved.sample.camera)
    document = json.loads(path.read_text()) | {"camera_model": "OPENCV_FISHEYE", "k1": 0.02, "k2": -0.01}
    path.write_text(json.dumps(document))
    (camera,) = priors_of_frames(read_priors(path, CamerasConfig()), named(solved, "frame_{:05d}.jpg")).cameras
    assert camera.model_name == "OPENCV_FISHEYE"
    np.testing.assert_allclose(camera.params[4:], (0.02, -0.01, 0, 0))


def broken_polycam(folder: Path) -> Path:
    (folder / "keyframes" / "cameras").mkdir(parents=True)
    (folder / "keyframes" / "cameras" / "1.json").write_text(json.dumps({"t_00": 1.0, "fx": 500}))
    return folder


def broken_r3d(folder: Path) -> Path:
    (path := folder / "shelf.r3d").write_bytes(b"no zip")
    return path


def empty_r3d(folder: Path) -> Path:
    with zipfile.ZipFile(path := folder / "shelf.r3d", "w") as archive:
        archive.writestr("rgbd/0.jpg", b"")
    return path


def short_record3d(folder: Path) -> Path:
    (folder / "metadata").write_text(json.dumps({"K": [1] * 9, "poses": [[0, 0, 0, 1, 0, 0]]}))
    return folder


def record3d_without_matrix(folder: Path) -> Path:
    (folder / "metadata").write_text(json.dumps({"K": [1, 2], "poses": [[0, 0, 0, 1, 0, 0, 0]]}))
    return folder


def lost_stray(folder: Path) -> Path:
    (folder / "odometry.csv").write_text("timestamp, frame, x, y, z, qx, qy, qz, qw\n0, 0, nan, 0, 0, 0, 0, 0, 1\n")
    return folder


def headless_stray(folder: Path) -> Path:
    (folder / "odometry.csv").write_text("0, 0, 0, 0, 0, 0, 1\n1, 0, 0, 0, 0, 0, 1\n")
    return folder


def broken_scanner_app(folder: Path) -> Path:
    (folder / "frame_00000.json").write_text(json.dumps({"cameraPoseARFrame": list(range(16))}))
    return folder


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (broken_polycam, "pose of images/1 in 1.json has no t_01"),
        (broken_r3d, "cannot be read as a Record3D recording"),
        (empty_r3d, "there is no metadata in it"),
        (short_record3d, "seven numbers a frame"),
        (record3d_without_matrix, "K in metadata is no matrix"),
        (lost_stray, "NaN or infinity"),
        (headless_stray, "timestamp|columns frame"),
        (broken_scanner_app, "frame_00000 .* cannot be used"),
    ],
)
def test_exports_that_cannot_be(write: Callable[[Path], Path], message: str, tmp_path: Path) -> None:
    with pytest.raises(CamerasError) as caught:
        read_priors(write(tmp_path), CamerasConfig())
    assert caught.match(message)
