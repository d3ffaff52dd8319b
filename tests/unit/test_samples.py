"""The made captures: their cameras are the true ones, their flaws are where they are said to be."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image

from splatlib.errors import ArtifactError, WorkspaceError
from splatlib.samples import Sample, make_sample


def video_frames(sample: Sample) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(sample.path))
    frames = []
    while (read := capture.read())[0]:
        frames.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
    return frames


def warped_from(sample: Sample, source: int, target: int, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The target's view made from the source's picture by the true geometry, and where that is not hidden."""
    camera = sample.camera
    _, target_depth = sample.render(target)
    _, source_depth = sample.render(source)
    rows, columns = np.indices(target_depth.shape)
    rays = np.stack(
        [(columns + 0.5 - camera.cx) / camera.fx, (rows + 0.5 - camera.cy) / camera.fy, np.ones(rows.shape)]
    )
    source_from_target = sample.cam_from_world[source] @ np.linalg.inv(sample.cam_from_world[target])
    points = (
        np.einsum("ij,jhw->ihw", source_from_target[:3, :3], rays * target_depth)
        + source_from_target[:3, 3, None, None]
    )
    u = (camera.fx * points[0] / points[2] + camera.cx - 0.5).astype(np.float32)
    v = (camera.fy * points[1] / points[2] + camera.cy - 0.5).astype(np.float32)
    seen_depth = cv2.remap(source_depth, u, v, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    visible = np.abs(seen_depth / points[2] - 1) < 0.02
    return cv2.remap(picture, u, v, cv2.INTER_LINEAR), visible


def test_the_video_holds_what_the_truth_says(sample_video: Sample) -> None:
    frames = video_frames(sample_video)
    assert len(frames) == len(sample_video) == len(sample_video.cam_from_world) == 48
    assert frames[0].shape == (sample_video.camera.height, sample_video.camera.width, 3)
    for index in (0, 20, 47):
        truth, _ = sample_video.render(index)
        assert cv2.PSNR(frames[index], truth) > 28  # MPEG-4 at OpenCV's default rate


@pytest.mark.parametrize(("source", "target"), [(10, 14), (14, 10), (30, 24)])
def test_the_cameras_are_the_true_ones(sample_video: Sample, source: int, target: int) -> None:
    truth, _ = sample_video.render(target)
    picture, _ = sample_video.render(source)
    warped, visible = warped_from(sample_video, source, target, picture)
    error = np.abs(warped.astype(float) - truth)[visible].mean()
    unmoved = np.abs(picture.astype(float) - truth)[visible].mean()
    assert visible.mean() > 0.6
    assert error < 7  # of 255; what is left are highlights and resampling
    assert error < unmoved / 4


def test_a_wrong_camera_would_show(sample_video: Sample) -> None:
    """The warp test has teeth: half a degree off, the pictures no longer agree."""
    picture, _ = sample_video.render(10)
    truth, _ = sample_video.render(14)
    right, visible = warped_from(sample_video, 10, 14, picture)
    turned = sample_video.cam_from_world.copy()
    angle = np.deg2rad(0.5)
    turned[10, :3] = [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]] @ turned[10, :3]
    fields = {name: getattr(sample_video, name) for name in sample_video.__dataclass_fields__}
    wrong, _ = warped_from(Sample(**{**fields, "cam_from_world": turned}), 10, 14, picture)
    error_right = np.abs(right.astype(float) - truth)[visible].mean()
    error_wrong = np.abs(wrong.astype(float) - truth)[visible].mean()
    assert error_wrong > 1.5 * error_right


def test_poses_are_rigid_and_the_camera_moves(sample_video: Sample) -> None:
    rotations = sample_video.cam_from_world[:, :3, :3]
    np.testing.assert_allclose(rotations @ rotations.transpose(0, 2, 1), np.tile(np.eye(3), (48, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(rotations), 1)
    steps = np.linalg.norm(np.diff(sample_video.centers, axis=0), axis=1)
    still = np.flatnonzero(steps < 1e-9) + 1
    assert tuple(still) == sample_video.duplicates
    assert np.ptp(sample_video.centers, axis=0).min() > 0.5  # parallax in every direction


def test_depth_is_finite_and_varied(sample_video: Sample) -> None:
    _, depth = sample_video.render(20)
    assert np.isfinite(depth).all()
    assert depth.min() > 0.5
    assert depth.max() / depth.min() > 2


def test_the_highlight_moves_with_the_eye(sample_video: Sample) -> None:
    """On the glossy ball the picture is not the same from two places; elsewhere it is."""
    picture, _ = sample_video.render(24)
    truth, _ = sample_video.render(30)
    warped, visible = warped_from(sample_video, 24, 30, picture)
    difference = np.where(visible[..., None], np.abs(warped.astype(float) - truth), 0).max(axis=2)
    bright = (np.minimum(warped, truth).max(axis=2) > 0) & (np.maximum(warped, truth).min(axis=2) > 180)
    assert (difference[bright] > 60).sum() > 10


def test_blurred_frames_are_blurred_and_others_are_not(sample_video: Sample) -> None:
    sharpness = [
        cv2.Laplacian(cv2.cvtColor(f, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var() for f in video_frames(sample_video)
    ]
    assert sample_video.blurred == (9, 29)
    for index in sample_video.blurred:
        assert sharpness[index] < 0.3 * min(sharpness[index - 1], sharpness[index + 1])
    sharp = [value for index, value in enumerate(sharpness) if index not in sample_video.blurred]
    assert min(sharp) > 0.3 * max(sharp)


def test_photos_hold_what_the_truth_says(sample_photos: Sample) -> None:
    paths = sorted(sample_photos.path.iterdir())
    assert [path.name for path in paths] == list(sample_photos.names)
    with Image.open(paths[3]) as photo:
        assert photo.size == (sample_photos.camera.width, sample_photos.camera.height)
        exif = photo.getexif().get_ifd(ExifTags.IFD.Exif)
        truth, _ = sample_photos.render(3)
        assert cv2.PSNR(np.array(photo), truth) > 32
    focal_px = float(exif[ExifTags.Base.FocalLength]) * float(exif[ExifTags.Base.FocalPlaneXResolution]) / 10
    assert focal_px == pytest.approx(sample_photos.camera.fx, rel=1e-3)
    repeated = sample_photos.duplicates[0]
    with Image.open(paths[repeated]) as one, Image.open(paths[repeated - 1]) as other:
        assert np.array_equal(np.array(one), np.array(other))


def test_features_abound(sample_photos: Sample) -> None:
    detector = cv2.SIFT.create()
    for index in (0, 8, 16, 23):
        picture, _ = sample_photos.render(index)
        keypoints = detector.detect(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), None)
        assert len(keypoints) > 500
        assert max(k.size for k in keypoints) > 8 * min(k.size for k in keypoints)


def test_the_same_arguments_give_the_same_sample_and_reuse_it(tmp_path: Path) -> None:
    arguments = {"kind": "photos", "num_frames": 3, "width": 64, "height": 48}
    first = make_sample(tmp_path / "one", **arguments)
    second = make_sample(tmp_path / "two", **arguments)
    other = make_sample(tmp_path / "three", **arguments, seed=1)
    name = first.names[1]
    assert (first.path / name).read_bytes() == (second.path / name).read_bytes()
    assert (first.path / name).read_bytes() != (other.path / name).read_bytes()
    (first.path / name).write_bytes(b"touched")
    again = make_sample(tmp_path / "one", **arguments)
    assert (again.path / name).read_bytes() == b"touched"
    changed = make_sample(tmp_path / "one", **{**arguments, "num_frames": 2})
    assert len(list(changed.path.iterdir())) == 2


def test_load_reads_the_truth_back(sample_photos: Sample) -> None:
    loaded = Sample.load(sample_photos.path.parent)
    np.testing.assert_array_equal(loaded.cam_from_world, sample_photos.cam_from_world)
    assert (loaded.camera, loaded.names, loaded.path) == (sample_photos.camera, sample_photos.names, sample_photos.path)


def test_load_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="holds no sample capture"):
        Sample.load(tmp_path)
    sample = make_sample(tmp_path, num_frames=2, width=64, height=48)
    sample.path.unlink()
    with pytest.raises(ArtifactError, match=r"sample\.mp4 is gone"):
        Sample.load(tmp_path)


def test_bad_sizes_and_places_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="even sides"):
        make_sample(tmp_path, width=65, height=48)
    with pytest.raises(ValueError, match="2 frames"):
        make_sample(tmp_path, num_frames=1)
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match="cannot be written"):
        make_sample(tmp_path / "file", num_frames=2, width=64, height=48)
