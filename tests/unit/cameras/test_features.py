from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from splatlib.artifacts import MaskSet
from splatlib.cameras._pycolmap import pycolmap
from splatlib.cameras.features import camera_groups, write_features
from splatlib.config import CamerasConfig
from splatlib.errors import CamerasError
from splatlib.matching.descriptors import root_sift
from tests.unit.cameras.made_frames import frame_set, named_frames, noise, of_sources, with_focal_px


def keypoints_of(database_path: Path, image_id: int) -> np.ndarray:
    with pycolmap.Database.open(database_path) as database:
        return np.asarray(database.read_keypoints(image_id))


def test_frames_share_a_camera_by_size_and_focal_length(tmp_path: Path) -> None:
    pictures = [noise(240, 180, 0), noise(240, 180, 1), noise(180, 240, 2), noise(240, 180, 3)]
    frames = with_focal_px(frame_set(tmp_path / "frames", pictures), [300.2, 299.8, 300.0, None])
    assert [len(group) for group in camera_groups(frames).values()] == [2, 1, 1]
    write_features(tmp_path / "database.db", frames, None, CamerasConfig(camera_model="RADIAL"))
    with pycolmap.Database.open(tmp_path / "database.db") as database:
        cameras = {camera.camera_id: camera for camera in database.read_all_cameras()}
        used = [image.camera_id for image in sorted(database.read_all_images(), key=lambda image: image.image_id)]
    assert used == [1, 1, 2, 3]
    assert [cameras[i].has_prior_focal_length for i in (1, 2, 3)] == [True, True, False]
    assert [cameras[i].focal_length for i in (1, 2, 3)] == [300, 300, 1.2 * 240]
    assert (cameras[2].width, cameras[2].height, cameras[2].model_name) == (180, 240, "RADIAL")


def test_sources_never_share_a_camera(tmp_path: Path) -> None:
    """Two phones with pictures of one size have two lenses."""
    frames = of_sources(frame_set(tmp_path / "frames", [noise(240, 180, n) for n in range(4)]), ["a", "a", "b", "b"])
    write_features(tmp_path / "database.db", frames, None, CamerasConfig())
    with pycolmap.Database.open(tmp_path / "database.db") as database:
        images = sorted(database.read_all_images(), key=lambda image: image.image_id)
        assert [image.camera_id for image in images] == [1, 1, 2, 2]


def test_at_most_max_features_and_those_the_largest(tmp_path: Path) -> None:
    frames = frame_set(tmp_path / "frames", [noise(480, 360, 0)] * 3)
    write_features(tmp_path / "all.db", frames, None, CamerasConfig(max_features=32_768))
    write_features(tmp_path / "some.db", frames, None, CamerasConfig(max_features=256))
    every, some = keypoints_of(tmp_path / "all.db", 1), keypoints_of(tmp_path / "some.db", 1)
    assert len(every) > len(some) == 256
    assert some[:, 2].min() >= np.sort(every[:, 2])[::-1][255]


@pytest.mark.parametrize("config", [CamerasConfig(), CamerasConfig(upsample_features=True)])
def test_a_blob_is_found_where_it_is(tmp_path: Path, config: CamerasConfig) -> None:
    """Pixel centres are at half integers: a blob that is symmetric about pixel (120, 90) lies at (120.5, 90.5)."""
    v, u = np.mgrid[0:181, 0:241]
    blob = 40 + 180 * np.exp(-((u - 120) ** 2 + (v - 90) ** 2) / (2 * 5.0**2))
    frames = frame_set(tmp_path / "frames", [blob.astype(np.uint8)] * 3)
    write_features(tmp_path / "database.db", frames, None, config)
    x, y, scale, _ = keypoints_of(tmp_path / "database.db", 1)[0]
    assert (x, y) == pytest.approx((120.5, 90.5), abs=0.1)
    assert scale == pytest.approx(5.0, rel=0.25)


@pytest.mark.parametrize(("amplitude", "threshold"), [(1.0, 0.0133), (0.06, 0.004)])
def test_faint_corners_count_only_where_there_are_few_others(
    tmp_path: Path, amplitude: float, threshold: float
) -> None:
    """One look for both: what OpenCV finds with the one threshold or the other."""
    picture = (128 + amplitude * (noise(480, 360, 0).astype(float) - 128)).round().astype(np.uint8)
    frames = frame_set(tmp_path / "frames", [picture] * 2)
    write_features(tmp_path / "database.db", frames, None, CamerasConfig(upsample_features=True, max_features=32_768))
    grey = np.asarray(cv2.imread(str(frames.image_path(frames.frames[0])), cv2.IMREAD_GRAYSCALE))
    detector = cv2.SIFT.create(contrastThreshold=threshold, edgeThreshold=10.0, enable_precise_upscale=True)
    expected = np.array([point.pt for point in detector.detect(grey, None)]) + 0.5
    found = keypoints_of(tmp_path / "database.db", 1)[:, :2]
    assert len(found) == len(expected) > 100
    np.testing.assert_allclose(np.sort(found, axis=0), np.sort(expected, axis=0), atol=1e-3)


def test_no_feature_lies_where_the_mask_is_black(tmp_path: Path) -> None:
    frames = frame_set(tmp_path / "frames", [noise(480, 360, seed) for seed in range(3)])
    mask = np.zeros((360, 480), np.uint8)
    mask[:, 240:] = 255
    (tmp_path / "masks").mkdir()
    cv2.imwrite(str(tmp_path / "masks" / "000001.png.png"), mask)
    masks = MaskSet(directory=tmp_path / "masks", backend="folder", names=("000001.png",), mean_coverage=0.5)
    write_features(tmp_path / "database.db", frames, masks, CamerasConfig())
    masked, whole = keypoints_of(tmp_path / "database.db", 1), keypoints_of(tmp_path / "database.db", 2)
    assert len(masked) > 50 and masked[:, 0].min() > 238
    assert whole[:, 0].min() < 100  # a frame without a mask counts whole


def test_what_a_mask_hides_has_no_part_in_the_features_beside_it(tmp_path: Path) -> None:
    """The same wall behind three passers-by: features beside them are the same; those of a cut-out are left alone."""
    wall, mask = noise(480, 360, 0), np.full((360, 480), 255, np.uint8)
    mask[80:280, 200:300] = 0
    pictures = [wall.copy() for _ in range(3)]
    for seed, picture in enumerate(pictures):
        picture[mask == 0] = noise(480, 360, 10 + seed)[mask == 0]
    frames = frame_set(tmp_path / "frames", pictures)
    names = tuple(frame.name for frame in frames.frames)
    (tmp_path / "masks").mkdir()
    for name in names:
        cv2.imwrite(str(tmp_path / "masks" / f"{name}.png"), mask)
    masks = MaskSet(directory=tmp_path / "masks", backend="folder", names=names, mean_coverage=0.9)
    write_features(tmp_path / "ignore.db", frames, masks, CamerasConfig())
    write_features(tmp_path / "cut.db", frames, replace(masks, outside="transparent"), CamerasConfig())

    def without_a_twin(database: str) -> float:
        """Share of the first picture's features that the second has not within half a pixel."""
        one, other = (keypoints_of(tmp_path / database, image_id)[:, :2] for image_id in (1, 2))
        return float((np.linalg.norm(one[:, None] - other[None], axis=2).min(axis=1) > 0.5).mean())

    assert len(keypoints_of(tmp_path / "ignore.db", 1)) > 300
    assert without_a_twin("ignore.db") < 0.005 < without_a_twin("cut.db")


def test_of_a_small_object_the_features_of_its_outline_count_too(tmp_path: Path) -> None:
    """Where a mask leaves little, that little is kept."""
    mask = np.zeros((360, 480), np.uint8)
    mask[120:240, 180:300] = 255
    frames = frame_set(tmp_path / "frames", [noise(480, 360, 0)] * 3)
    (tmp_path / "masks").mkdir()
    cv2.imwrite(str(tmp_path / "masks" / "000001.png.png"), mask)
    masks = MaskSet(directory=tmp_path / "masks", backend="folder", names=("000001.png",), mean_coverage=0.08)
    counts = []
    for outside in ("ignore", "transparent"):
        write_features(tmp_path / f"{outside}.db", frames, replace(masks, outside=outside), CamerasConfig())
        counts.append(len(keypoints_of(tmp_path / f"{outside}.db", 1)))
    assert 20 < counts[0] == counts[1] < 250


def test_a_dim_picture_is_looked_at_again(tmp_path: Path) -> None:
    """Contrast so low that the usual threshold finds little; a tenth of a picture's contrast must still give most."""
    bright = noise(480, 360, 0)
    dim = (100 + bright.astype(float) * 0.05).astype(np.uint8)
    frames = frame_set(tmp_path / "frames", [bright, dim, np.zeros_like(bright)])
    write_features(tmp_path / "database.db", frames, None, CamerasConfig())
    assert len(keypoints_of(tmp_path / "database.db", 2)) > 300
    assert keypoints_of(tmp_path / "database.db", 3).shape[0] == 0


def test_root_sift_has_the_same_length_for_every_descriptor() -> None:
    raw = np.random.default_rng(0).uniform(0, 200, (10, 128)).astype(np.float32)
    lengths = np.linalg.norm(root_sift(raw).astype(float), axis=1)
    np.testing.assert_allclose(lengths, 512, rtol=0.01)


def test_a_picture_that_is_gone_or_of_another_size_is_named(tmp_path: Path) -> None:
    frames = frame_set(tmp_path / "frames", [noise(240, 180, seed) for seed in range(3)])
    (frames.images_directory / "000002.png").unlink()
    with pytest.raises(CamerasError, match=r"000002\.png cannot be read"):
        write_features(tmp_path / "gone.db", frames, None, CamerasConfig())
    other = named_frames(["a", "b", "c"])
    lying = replace(frames, frames=tuple(replace(f, name="000001.png") for f in other.frames[:1]))
    with pytest.raises(CamerasError, match=r"is 240x180, its frame 64x48"):
        write_features(tmp_path / "size.db", lying, None, CamerasConfig())
