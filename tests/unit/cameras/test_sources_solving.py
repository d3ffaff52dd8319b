"""A capture of several sources is solved as one scene, each with its own lens; poses that came with a capture."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from splatlib.artifacts import Frame
from splatlib.cameras import solve_cameras
from splatlib.cameras.accuracy import center_errors_percent, relative_rotation_errors_deg
from splatlib.capture import extract_frames
from splatlib.config import CamerasConfig, FramesConfig
from splatlib.errors import CamerasError
from splatlib.samples import Sample
from splatlib.samples.panorama import make_panoramas
from splatlib.workspace import Workspace
from tests.unit.capture.media import write_zip


def test_a_video_and_photos_join_in_one_scene(sample_video: Sample, sample_photos: Sample, tmp_path: Path) -> None:
    """Both show the sample's room, through lenses of their own; too many frames to compare all with all."""
    ws = Workspace(tmp_path / "ws")
    frames = extract_frames([sample_video.path, sample_photos.path], ws, FramesConfig(max_frames=90))
    assert len(frames) > 40
    scene = solve_cameras(frames, ws)
    assert len(scene.views) == len(frames)
    frame_of = {frame.name: frame for frame in frames.frames}
    assert len(scene.cameras) == 2
    for view in scene.views:
        true_camera = _sample_of(frame_of[view.name], sample_video, sample_photos).camera
        solved_camera = scene.camera(view)
        assert solved_camera.fx / solved_camera.width == pytest.approx(true_camera.fx / true_camera.width, rel=0.01)
    true = np.array([_true_pose(frame_of[view.name], sample_video, sample_photos) for view in scene.views])
    solved = np.array([view.cam_from_world for view in scene.views])
    assert np.median(relative_rotation_errors_deg(solved, true)) < 0.2
    assert np.median(center_errors_percent(solved, true)) < 0.5


def test_panoramas_and_photos_join_in_one_scene(sample_photos: Sample, tmp_path: Path) -> None:
    """A rig of faces beside cameras of unknown lens, in the same room."""
    walk = make_panoramas(tmp_path / "walk", num_panoramas=8, width=1024)
    ws = Workspace(tmp_path / "ws")
    frames = extract_frames([sample_photos.path, walk.path], ws)
    scene = solve_cameras(frames, ws)
    assert len(scene.views) == len(frames)
    true_pose = dict(zip(sample_photos.names, sample_photos.cam_from_world, strict=True))
    true_pose |= dict(zip(walk.names, walk.rig_from_world, strict=True))
    # a face that looks ahead has the pose of its rig
    source_of = {frame.name: Path(frame.source).name for frame in frames.frames if frame.face in (None, "front")}
    views = [view for view in scene.views if view.name in source_of]
    solved = np.array([view.cam_from_world for view in views])
    true = np.array([true_pose[source_of[view.name]] for view in views])
    assert np.median(relative_rotation_errors_deg(solved, true)) < 0.1
    assert np.median(center_errors_percent(solved, true)) < 0.1


def _sample_of(frame: Frame, video: Sample, photos: Sample) -> Sample:
    return video if frame.source_group == video.path.name else photos


def _true_pose(frame: Frame, video: Sample, photos: Sample) -> np.ndarray:
    if frame.is_of_video:
        return video.cam_from_world[frame.source_index]
    return photos.cam_from_world[photos.names.index(Path(frame.source).name)]


def test_poses_in_an_uploaded_zip_are_used_where_asked_for(sample_photos: Sample, tmp_path: Path) -> None:
    """As the users of the AWS guidance upload: a zip with ``images/`` and ``transforms.json``."""
    members = {f"job/images/{name}": (sample_photos.path / name).read_bytes() for name in sample_photos.names}
    poses = []
    for name, cam_from_world in zip(sample_photos.names, sample_photos.cam_from_world, strict=True):
        world_from_cam = np.linalg.inv(cam_from_world) @ np.diag([1.0, -1.0, -1.0, 1.0])
        poses.append({"file_path": f"images/{name}", "transform_matrix": world_from_cam.tolist()})
    camera = sample_photos.camera
    lens = {
        "fl_x": camera.fx,
        "fl_y": camera.fy,
        "cx": camera.cx,
        "cy": camera.cy,
        "w": camera.width,
        "h": camera.height,
    }
    members["job/transforms.json"] = json.dumps({**lens, "frames": poses}).encode()
    ws = Workspace(tmp_path / "ws")
    frames = extract_frames(write_zip(tmp_path / "upload.zip", members), ws)
    scene = solve_cameras(frames, ws, CamerasConfig(priors="capture"))
    assert (scene.mapper, len(scene.views), scene.world) == ("priors", len(frames), "priors")
    source_of = {frame.name: Path(frame.source).name for frame in frames.frames}
    true = [sample_photos.cam_from_world[sample_photos.names.index(source_of[view.name])] for view in scene.views]
    np.testing.assert_allclose([view.cam_from_world for view in scene.views], true, atol=1e-6)
    shutil.rmtree(ws.poses_directory)
    with pytest.raises(CamerasError, match="no poses came along"):
        solve_cameras(frames, ws, CamerasConfig(priors="capture"))
