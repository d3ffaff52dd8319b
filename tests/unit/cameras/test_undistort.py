from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from splatlib.artifacts import MaskSet
from splatlib.cameras._pycolmap import pycolmap
from splatlib.cameras.undistort import take_as_they_are, undistort
from tests.unit.cameras.made_frames import frame_set

# Barrel distortion bends the picture's edges inwards: without a crop there would be black corners.
LENSES = {
    "barrel": ("OPENCV", [300.0, 305.0, 158.0, 123.0, -0.12, 0.03, 0.002, -0.001]),
    "pincushion": ("SIMPLE_RADIAL", [300.0, 161.0, 119.0, 0.08]),
}


def model_of(camera: pycolmap.Camera, points_xyz: np.ndarray, name: str) -> pycolmap.Reconstruction:
    """One view from the origin along z of points that it sees."""
    model = pycolmap.Reconstruction()
    model.add_camera_with_trivial_rig(camera)
    keypoints = np.asarray(camera.img_from_cam(points_xyz))
    image = pycolmap.Image(name=name, keypoints=keypoints, camera_id=camera.camera_id, image_id=1)
    model.add_image_with_trivial_frame(image, pycolmap.Rigid3d())
    for index, xyz in enumerate(points_xyz):
        track = pycolmap.Track([pycolmap.TrackElement(1, index)])
        model.add_point3D(xyz, track, np.zeros(3, np.uint8))
    return model


@pytest.mark.parametrize("lens", LENSES)
def test_points_of_the_world_land_where_the_pinhole_camera_says(tmp_path: Path, lens: str) -> None:
    """A picture with bright blobs at the distorted projections of known points: after undistortion each blob must
    lie at the point's pinhole projection, in the picture and in COLMAP's own model."""
    model_name, params = LENSES[lens]
    camera = pycolmap.Camera(camera_id=1, model=model_name, width=320, height=240, params=params)
    u, v = np.meshgrid(np.linspace(-0.35, 0.35, 5), np.linspace(-0.25, 0.25, 4))
    points = np.stack([u.ravel(), v.ravel(), np.ones(u.size)], axis=-1) * 2.0
    distorted = np.asarray(camera.img_from_cam(points))
    rows, columns = np.mgrid[0:240, 0:320] + 0.5
    picture = sum(np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 2.0**2)) for x, y in distorted)
    frames = frame_set(tmp_path / "frames", [(np.asarray(picture) * 220).clip(0, 255).astype(np.uint8)])

    pinhole = undistort(model_of(camera, points, "000001.png"), frames, None, tmp_path / "undistorted")

    (target,) = pinhole.cameras.values()
    written = cv2.imread(str(tmp_path / "undistorted" / "images" / "000001.png"), cv2.IMREAD_GRAYSCALE)
    assert written is not None and written.shape == (target.height, target.width)
    expected = points[:, :2] / points[:, 2:] * (target.focal_length_x, target.focal_length_y)
    expected += (target.principal_point_x, target.principal_point_y)
    for x, y in expected:
        left, top = int(x) - 6, int(y) - 6
        patch = written[top : top + 13, left : left + 13].astype(float)
        rows, columns = np.mgrid[0:13, 0:13] + 0.5
        center = np.array([(patch * columns).sum(), (patch * rows).sum()]) / patch.sum() + (left, top)
        np.testing.assert_allclose(center, (x, y), atol=0.1)
    read_back = pycolmap.Reconstruction(tmp_path / "undistorted" / "sparse")
    assert read_back.cameras[1].model_name == "PINHOLE"
    kept = np.array([point.xy for point in read_back.images[1].points2D])
    np.testing.assert_allclose(kept, expected, atol=1e-3)
    read_back.update_point_3d_errors()
    assert read_back.compute_mean_reprojection_error() < 1e-3


@pytest.mark.parametrize("lens", LENSES)
def test_there_is_no_black_border_and_masks_stay_black_and_white(tmp_path: Path, lens: str) -> None:
    model_name, params = LENSES[lens]
    camera = pycolmap.Camera(camera_id=1, model=model_name, width=320, height=240, params=params)
    white = np.full((240, 320, 3), 255, np.uint8)
    frames = frame_set(tmp_path / "frames", [white])
    mask = np.zeros((240, 320), np.uint8)
    mask[:, 160:] = 255
    (tmp_path / "masks").mkdir()
    cv2.imwrite(str(tmp_path / "masks" / "000001.png.png"), mask)
    masks = MaskSet(directory=tmp_path / "masks", backend="folder", names=("000001.png",), mean_coverage=0.5)
    model = model_of(camera, np.array([[0.0, 0.0, 1.0]]), "000001.png")
    undistort(model, frames, masks, tmp_path / "undistorted")
    picture = cv2.imread(str(tmp_path / "undistorted" / "images" / "000001.png"))
    written = cv2.imread(str(tmp_path / "undistorted" / "masks" / "000001.png.png"), cv2.IMREAD_UNCHANGED)
    assert picture is not None and picture.min() == 255
    assert written is not None and written.shape == picture.shape[:2]
    assert set(np.unique(written)) == {0, 255}
    assert 0.4 < (written == 255).mean() < 0.6


def test_pictures_of_a_pinhole_lens_are_not_compressed_again(tmp_path: Path) -> None:
    camera = pycolmap.Camera(camera_id=1, model="SIMPLE_PINHOLE", width=320, height=240, params=[300, 160, 120])
    frames = frame_set(tmp_path / "frames", [np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)])
    model = model_of(camera, np.array([[0.1, 0.0, 1.0]]), "000001.png")
    pinhole = undistort(model, frames, None, tmp_path / "undistorted")
    assert pinhole.cameras[1].model_name == "PINHOLE"
    before = (frames.images_directory / "000001.png").read_bytes()
    assert (tmp_path / "undistorted" / "images" / "000001.png").read_bytes() == before


def test_pictures_and_masks_as_they_were_taken_are_the_same_bytes(tmp_path: Path) -> None:
    camera = pycolmap.Camera(camera_id=1, model="OPENCV", width=320, height=240, params=LENSES["barrel"][1])
    noise = np.random.default_rng(0).integers(0, 256, (2, 240, 320, 3), np.uint8)
    frames = frame_set(tmp_path / "frames", list(noise))
    (tmp_path / "masks").mkdir()
    cv2.imwrite(str(tmp_path / "masks" / "000001.png.png"), noise[0, ..., 0])
    masks = MaskSet(directory=tmp_path / "masks", backend="folder", names=("000001.png",), mean_coverage=0.5)
    model = model_of(camera, np.array([[0.1, 0.0, 1.0]]), "000001.png")
    target = tmp_path / "distorted"
    take_as_they_are(model, frames, masks, target)
    assert (target / "images" / "000001.png").read_bytes() == frames.image_path(frames.frames[0]).read_bytes()
    assert (target / "masks" / "000001.png.png").read_bytes() == (tmp_path / "masks" / "000001.png.png").read_bytes()
    # the second frame was not registered
    assert [path.name for path in (target / "images").iterdir()] == ["000001.png"]


def test_what_a_fisheye_sees_beside_itself_is_not_in_the_pinhole_model(tmp_path: Path) -> None:
    """A lens of more than 180 degrees: a keypoint at 95 degrees has no place in any pinhole picture."""
    camera = pycolmap.Camera(
        camera_id=1,
        model="OPENCV_FISHEYE",
        width=320,
        height=240,
        params=[90.0, 90.0, 160.0, 120.0, 0.0, 0.0, 0.0, 0.0],
    )
    points = np.array([[0.3, 0.2, 1.0], [-0.4, 0.1, 1.0], [0.9, 0.0, 1.0]])
    model = model_of(camera, points, "000001.png")
    model.images[1].points2D[2].xy = (160 + 90 * np.radians(95), 120.0)
    frames = frame_set(tmp_path / "frames", [np.full((240, 320, 3), 200, np.uint8)])
    pinhole = undistort(model, frames, None, tmp_path / "undistorted")
    target, keypoints = pinhole.cameras[1], pinhole.images[1].points2D
    assert target.model_name == "PINHOLE"
    expected = points[:2, :2] * (target.focal_length_x, target.focal_length_y)
    expected += (target.principal_point_x, target.principal_point_y)
    np.testing.assert_allclose([keypoints[0].xy, keypoints[1].xy], expected, atol=1e-3)
    assert np.isfinite(keypoints[2].xy).all() and not keypoints[2].has_point3D()
    written = cv2.imread(str(tmp_path / "undistorted" / "images" / "000001.png"))
    assert written is not None and written.min() > 195  # no pixel from outside the picture
