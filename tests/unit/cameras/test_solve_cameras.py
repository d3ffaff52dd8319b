"""The whole stage, on the sample capture and on captures that cannot work."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from splatlib.artifacts import FrameSet, MaskSet, SparseScene
from splatlib.cameras import load_colmap, solve_cameras
from splatlib.cameras._pycolmap import pycolmap
from splatlib.cameras.accuracy import center_errors_percent, read_transforms, relative_rotation_errors_deg
from splatlib.cameras.undistort import undistort
from splatlib.capture import extract_frames
from splatlib.config import CamerasConfig
from splatlib.errors import CamerasError, TooFewRegisteredError
from splatlib.workspace import Workspace
from tests.lens_reference import project
from tests.unit.cameras.conftest import FisheyeCapture, Solved
from tests.unit.cameras.made_frames import frame_set, noise


def test_the_sample_is_solved_as_it_was_made(solved: Solved) -> None:
    scene = solved.scene
    assert len(scene.views) == scene.num_frames == len(solved.frames)
    estimated, true = solved.poses(scene)
    assert np.median(relative_rotation_errors_deg(estimated, true)) < 0.25
    assert np.median(center_errors_percent(estimated, true)) < 0.15
    camera = scene.cameras[0]
    assert camera.fx == pytest.approx(solved.sample.camera.fx, rel=0.01)
    assert camera.fy == pytest.approx(solved.sample.camera.fy, rel=0.01)
    assert scene.mean_reprojection_error_px < 0.5
    assert scene.mapper == "incremental" and scene.warnings == ()


def test_its_points_are_seen_at_the_colour_they_have(solved: Solved) -> None:
    """Projecting the points with the undistorted cameras into the undistorted pictures must hit their colours:
    a slip in pixel centres, axes, order of views or of colour channels would show here."""
    scene = solved.scene
    assert len(scene.points_xyz) > 800
    differences = []
    for view in scene.views[::5]:
        picture = cv2.imread(str(scene.image_path(view)))
        assert picture is not None
        camera = scene.camera(view)
        assert picture.shape[:2] == (camera.height, camera.width)
        in_camera = scene.points_xyz @ view.cam_from_world[:3, :3].T + view.cam_from_world[:3, 3]
        x = in_camera[:, 0] / in_camera[:, 2] * camera.fx + camera.cx
        y = in_camera[:, 1] / in_camera[:, 2] * camera.fy + camera.cy
        inside = (in_camera[:, 2] > 0) & (x >= 0) & (x < camera.width) & (y >= 0) & (y < camera.height)
        seen = picture[y[inside].astype(int), x[inside].astype(int), ::-1].astype(float)
        differences.append(np.abs(seen - scene.points_rgb[inside]).mean(axis=1))
    # Points hidden behind others and edges differ; most must not.
    assert np.median(np.concatenate(differences)) < 16


def test_what_lies_on_disk(solved: Solved) -> None:
    scene, directory = solved.scene, solved.scene.directory
    assert (directory / "database.db").is_file()
    assert {path.name for path in directory.iterdir()} == {
        "artifact.json",
        "database.db",
        "scene.npz",
        "sparse",
        "undistorted",
    }
    assert [view.name for view in scene.views] == sorted(view.name for view in scene.views)
    assert all(scene.image_path(view).is_file() for view in scene.views)
    loaded = solved.ws.scene
    assert loaded is not None
    np.testing.assert_array_equal(loaded.points_xyz, scene.points_xyz)
    np.testing.assert_array_equal(loaded.views[3].cam_from_world, scene.views[3].cam_from_world)
    assert loaded.cameras == scene.cameras


def test_the_same_again_is_reused_and_another_config_is_not(
    solved: Solved, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = (solved.scene.directory / "artifact.json").stat().st_mtime_ns
    with caplog.at_level("INFO", logger="splatlib"):
        solve_cameras(solved.frames, solved.ws)
    assert "cameras: unchanged, reused" in caplog.text
    assert (solved.scene.directory / "artifact.json").stat().st_mtime_ns == before


def test_colmap_reads_the_undistorted_model_as_a_scene_of_its_own(solved: Solved) -> None:
    undistorted = solved.scene.directory / "undistorted"
    loaded = load_colmap(undistorted / "sparse", undistorted / "images")
    assert loaded.cameras == solved.scene.cameras
    assert [view.name for view in loaded.views] == [view.name for view in solved.scene.views]
    for ours, theirs in zip(solved.scene.views, loaded.views, strict=True):
        np.testing.assert_allclose(ours.cam_from_world, theirs.cam_from_world, atol=1e-12)
    np.testing.assert_array_equal(loaded.points_xyz, solved.scene.points_xyz)
    assert loaded.image_path(loaded.views[0]).is_file()
    # Reprojecting the moved keypoints gives the same error, up to the change of scale at the edges.
    assert loaded.mean_reprojection_error_px == pytest.approx(solved.scene.mean_reprojection_error_px, rel=0.05)


def test_load_colmap_refuses_what_training_cannot_use(solved: Solved, tmp_path: Path) -> None:
    directory = solved.scene.directory
    with pytest.raises(CamerasError, match=r"pictures of the COLMAP model are not in"):
        load_colmap(directory / "undistorted" / "sparse", tmp_path)
    with pytest.raises(CamerasError, match=r"its camera in the COLMAP model is"):
        load_colmap(directory / "undistorted" / "sparse", solved.frames.images_directory)
    with pytest.raises(CamerasError, match="failed inside COLMAP"):
        load_colmap(tmp_path, tmp_path)
    with pytest.raises(CamerasError, match="not a folder"):
        load_colmap(tmp_path / "nothing", tmp_path)


def test_load_colmap_refuses_a_lens_that_training_does_not_know(solved: Solved, tmp_path: Path) -> None:
    model = pycolmap.Reconstruction(solved.scene.directory / "undistorted" / "sparse")
    for camera in model.cameras.values():
        camera.model, camera.params = pycolmap.CameraModelId.FOV, [*camera.params, 0.4]
    model.write(tmp_path)
    with pytest.raises(CamerasError, match="of COLMAP's model FOV"):
        load_colmap(tmp_path, solved.scene.images_directory)


def test_load_colmap_keeps_the_distortion_of_the_model_as_it_was_solved(solved: Solved) -> None:
    model = pycolmap.Reconstruction(solved.scene.directory / "sparse" / "0")
    scene = load_colmap(solved.scene.directory / "sparse" / "0", solved.frames.images_directory)
    assert len(scene.cameras) == 1 and scene.image_path(scene.views[0]).is_file()
    (theirs,), ours = model.cameras.values(), scene.cameras[0]
    assert ours.distortion is not None and ours.distortion.model == "radial_tangential"
    assert [ours.fx, ours.fy, ours.cx, ours.cy] == list(theirs.params[:4])
    assert [*ours.distortion.radial[:2], *ours.distortion.tangential] == list(theirs.params[4:])
    assert reprojection_error_px(model, scene) == pytest.approx(model.compute_mean_reprojection_error(), rel=1e-3)


def test_a_fisheye_capture_is_solved_and_its_pictures_are_taken_as_they_are(
    fisheye: FisheyeCapture, workspace: Workspace
) -> None:
    scene = solve_cameras(fisheye.frames, workspace, CamerasConfig(camera_model="OPENCV_FISHEYE", undistort=False))
    assert len(scene.views) == len(fisheye.frames) and scene.warnings == ()
    estimated = np.array([view.cam_from_world for view in scene.views])
    assert np.median(relative_rotation_errors_deg(estimated, fisheye.cam_from_world)) < 0.15
    assert np.median(center_errors_percent(estimated, fisheye.cam_from_world)) < 0.15
    (camera,) = scene.cameras
    assert camera.distortion is not None and camera.distortion.model == "fisheye"
    # The lens as a whole, not each of its coefficients, which make up for one another.
    u, v = np.meshgrid(np.linspace(-0.8, 0.8, 9), np.linspace(-0.6, 0.6, 7))
    directions = np.stack([u.ravel(), v.ravel(), np.ones(u.size)], axis=-1)
    np.testing.assert_allclose(project(camera, directions), project(fisheye.camera, directions), atol=1.5)
    model = pycolmap.Reconstruction(scene.directory / "sparse" / "0")
    assert reprojection_error_px(model, scene) == pytest.approx(scene.mean_reprojection_error_px, rel=1e-3)

    assert scene.images_directory == scene.directory / "distorted" / "images"
    assert not (scene.directory / "undistorted").exists()
    for view, frame in zip(scene.views, fisheye.frames.frames, strict=True):
        assert scene.image_path(view).read_bytes() == fisheye.frames.image_path(frame).read_bytes()
    loaded = workspace.scene
    assert loaded is not None and loaded.cameras == scene.cameras and hash(loaded.cameras[0]) == hash(camera)

    # The same capture, undistorted, sees the same world through a pinhole.
    pinhole = undistort(model, fisheye.frames, None, scene.directory / "undistorted")
    assert {camera.model_name for camera in pinhole.cameras.values()} == {"PINHOLE"}
    pinhole.update_point_3d_errors()
    assert pinhole.compute_mean_reprojection_error() < 2 * scene.mean_reprojection_error_px


def reprojection_error_px(model: pycolmap.Reconstruction, scene: SparseScene) -> float:
    """Mean over the points of the mean distance of COLMAP's keypoints from where our cameras see the points."""
    image_named = {model.images[image_id].name: model.images[image_id] for image_id in model.reg_image_ids()}
    errors: dict[int, list[float]] = {}
    for view in scene.views:
        seen = [point for point in image_named[view.name].points2D if point.has_point3D()]
        xyz = np.array([model.points3D[point.point3D_id].xyz for point in seen])
        in_camera = xyz @ view.cam_from_world[:3, :3].T + view.cam_from_world[:3, 3]
        off = np.linalg.norm(project(scene.camera(view), in_camera) - [point.xy for point in seen], axis=1)
        for point, error in zip(seen, off, strict=True):
            errors.setdefault(point.point3D_id, []).append(float(error))
    return float(np.mean([np.mean(of_point) for of_point in errors.values()]))


def test_the_global_mapper_and_sequential_pairs_solve_it_too(solved: Solved, workspace: Workspace) -> None:
    config = CamerasConfig(mapper="global", matching="sequential", camera_model="SIMPLE_RADIAL")
    scene = solve_cameras(solved.frames, workspace, config)
    assert (scene.mapper, len(scene.views)) == ("global", len(solved.frames))
    estimated, true = solved.poses(scene)
    assert np.median(relative_rotation_errors_deg(estimated, true)) < 0.25
    assert np.median(center_errors_percent(estimated, true)) < 0.2


def test_masks_are_respected_and_undistorted(solved: Solved, workspace: Workspace, tmp_path: Path) -> None:
    """The upper part of every picture is masked: no point may come from there."""
    (tmp_path / "masks").mkdir()
    mask = np.full((360, 480), 255, np.uint8)
    mask[:120] = 0
    for frame in solved.frames.frames[1:]:
        cv2.imwrite(str(tmp_path / "masks" / f"{frame.name}.png"), mask)
    names = tuple(frame.name for frame in solved.frames.frames[1:])
    masks = MaskSet(directory=tmp_path / "masks", digest="m", backend="folder", names=names, mean_coverage=2 / 3)
    scene = solve_cameras(solved.frames, workspace, masks=masks)
    assert len(scene.views) >= 0.9 * len(solved.frames)
    assert [view.has_mask for view in scene.views][:2] == [False, True]
    view = scene.views[1]
    path = scene.mask_path(view)
    assert path is not None
    undistorted = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    camera = scene.camera(view)
    assert undistorted is not None and undistorted.shape == (camera.height, camera.width)
    assert undistorted[:110].max() == 0 and undistorted[130:].min() == 255
    # and the stage is done again for other masks
    inputs = json.loads((scene.directory / "artifact.json").read_text())["inputs"]
    assert inputs == {"frames": solved.frames.digest, "masks": "m"}


def test_mixed_sizes_get_cameras_of_their_own(solved: Solved, workspace: Workspace, tmp_path: Path) -> None:
    """Every third photo at three quarters of the size, as from a second phone."""
    pictures = []
    for index, frame in enumerate(solved.frames.frames):
        picture = cv2.imread(str(solved.frames.image_path(frame)))
        assert picture is not None
        smaller = cv2.resize(picture, (360, 270), interpolation=cv2.INTER_AREA)
        pictures.append(np.asarray(smaller if index % 3 == 1 else picture, np.uint8))
    scene = solve_cameras(frame_set(tmp_path / "frames", pictures), workspace)
    assert len(scene.cameras) == 2 and len(scene.views) == len(pictures)
    wide, narrow = sorted(scene.cameras, key=lambda camera: -camera.width)
    assert narrow.fx / wide.fx == pytest.approx(0.75, rel=0.03)


def unrelated(tmp_path: Path, count: int = 12) -> FrameSet:
    return frame_set(tmp_path / "frames", [noise(320, 240, seed) for seed in range(count)])


def test_frames_that_share_nothing_are_an_error_that_says_what_to_try(tmp_path: Path, workspace: Workspace) -> None:
    frames = unrelated(tmp_path)
    for config in (CamerasConfig(), CamerasConfig(allow_partial=True)):
        with pytest.raises(TooFewRegisteredError) as caught:
            solve_cameras(frames, workspace, config)
        message = str(caught.value)
        assert "only 0 of 12 frames found their place (at least 50% must)" in message
        assert "overlap" in message and "cameras.upsample_features=true" in message
    assert workspace.scene is None


def test_too_few_frames_registered(solved: Solved, workspace: Workspace, tmp_path: Path) -> None:
    """Nine good frames among eleven of other places: an error, unless partial results are allowed."""
    good = [np.asarray(cv2.imread(str(solved.frames.image_path(f))), np.uint8) for f in solved.frames.frames[:9]]
    frames = frame_set(tmp_path / "frames", [*good, *(noise(480, 360, seed) for seed in range(11))])
    with pytest.raises(TooFewRegisteredError, match=r"only [89] of 20 frames") as caught:
        solve_cameras(frames, workspace)
    assert "--allow-partial" in caught.value.hint
    scene = solve_cameras(frames, workspace, CamerasConfig(allow_partial=True))
    assert 8 <= len(scene.views) <= 9 and scene.num_frames == 20
    assert any("frames could not be placed: " in warning and "…" in warning for warning in scene.warnings)
    lenient = solve_cameras(frames, workspace, CamerasConfig(min_registered=0.4))
    assert len(lenient.views) == len(scene.views)


def test_identical_frames_have_no_parallax(tmp_path: Path, workspace: Workspace) -> None:
    frames = frame_set(tmp_path / "frames", [noise(320, 240, 0)] * 6)
    with pytest.raises(TooFewRegisteredError, match="of 6 frames"):
        solve_cameras(frames, workspace)


def test_black_frames_are_told_politely(tmp_path: Path, workspace: Workspace) -> None:
    frames = frame_set(tmp_path / "frames", [np.zeros((240, 320, 3), np.uint8)] * 5)
    with pytest.raises(TooFewRegisteredError, match="only 0 of 5"):
        solve_cameras(frames, workspace)


def test_two_frames_are_too_few(tmp_path: Path, workspace: Workspace) -> None:
    with pytest.raises(CamerasError, match="2 frames are too few"):
        solve_cameras(unrelated(tmp_path, 2), workspace)


def test_colmap_talks_to_the_log_and_not_to_the_terminal(solved: Solved, tmp_path: Path) -> None:
    """In a process of its own, since it is about what reaches file descriptor 2. It also writes a PNG afterwards:
    with cv2 and pycolmap imported in the wrong order that aborts the process."""
    code = (
        "import sys, splatlib as sl, numpy as np\n"
        "frames = sl.Workspace(sys.argv[1]).frames\n"
        "scene = sl.solve_cameras(frames, sl.Workspace(sys.argv[2]))\n"
        "import cv2\n"
        "assert cv2.imwrite(sys.argv[2] + '/written.png', np.zeros((600, 600, 3), np.uint8))\n"
        "print(len(scene.views))\n"
    )
    argv = [sys.executable, "-c", code, str(solved.ws.root), str(tmp_path / "out")]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(len(solved.frames))]
    assert not [line for line in done.stderr.splitlines() if ".cc:" in line]
    assert "features: 100%" in done.stderr and "cameras: 100%" in done.stderr
    log = (tmp_path / "out" / "logs" / "cameras.log").read_text()
    assert "incremental_pipeline.cc" in log


def test_importing_cameras_loads_opencv_before_pycolmap() -> None:
    code = (
        "import sys, splatlib.cameras, numpy as np\n"
        "order = [name for name in sys.modules if name in ('cv2', 'pycolmap')]\n"
        "assert order == ['cv2', 'pycolmap'], order\n"
        "import cv2\n"
        "assert cv2.imencode('.png', np.zeros((600, 600, 3), np.uint8))[0]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_the_fatal_import_order_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import pycolmap\nimport splatlib.cameras"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "pycolmap was imported before OpenCV" in done.stderr


@pytest.mark.captures
@pytest.mark.slow
def test_fox_is_solved_whole_and_close_to_its_published_cameras(captures: Path, workspace: Workspace) -> None:
    frames = extract_frames(captures / "fox_540" / "images", workspace)
    scene: SparseScene = solve_cameras(frames, workspace)
    assert (len(scene.views), scene.num_frames) == (67, 67)
    truth = read_transforms(captures / "fox_540" / "transforms.json")
    source_of = {frame.name: Path(frame.source).name for frame in frames.frames}
    estimated = np.array([view.cam_from_world for view in scene.views])
    true = np.array([truth[source_of[view.name]] for view in scene.views])
    assert np.median(relative_rotation_errors_deg(estimated, true)) <= 0.25
    assert np.median(center_errors_percent(estimated, true)) <= 0.1
    assert len(scene.points_xyz) >= 6000


@pytest.mark.captures
def test_the_frozen_benchmark_model_is_loaded(captures: Path) -> None:
    folder = captures.parent / "benchmarks" / "fox_colmap"
    if not folder.is_dir():
        pytest.skip("the frozen COLMAP model of fox is not here")
    scene = load_colmap(folder / "sparse" / "0", folder / "images")
    assert len(scene.views) == 67 and len(scene.points_xyz) == 14424
    assert replace(scene.cameras[0], fx=0, fy=0, cx=0, cy=0).width == 530
    assert scene.image_path(scene.views[0]).is_file()
