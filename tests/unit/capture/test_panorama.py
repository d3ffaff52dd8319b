"""Faces of panoramas: where they look, what they show, and which captures are taken for panoramas."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from splatlib.artifacts import Camera, FrameSet
from splatlib.capture import extract_frames
from splatlib.capture.look import shrink
from splatlib.capture.panorama import FaceRenderer, cam_from_rig, face_size, faces_of, panoramas_within
from splatlib.capture.panorama_detect import edges_meet, photo_says_panorama, video_says_panorama
from splatlib.capture.photos import keep_faces
from splatlib.config import FramesConfig, panorama_face_names
from splatlib.errors import CaptureUnusableError, ConfigError
from splatlib.samples import camera_path
from splatlib.samples.panorama import PanoramaSample, make_panoramas
from splatlib.samples.raycast import render_panorama, render_view
from splatlib.samples.scene import build_scene
from splatlib.workspace import Workspace
from tests.unit.capture.media import blurred, scenes, write_photos

NUM_PANORAMAS = 5


@pytest.fixture(scope="module")
def panoramas(tmp_path_factory: pytest.TempPathFactory) -> PanoramaSample:
    return make_panoramas(tmp_path_factory.mktemp("panoramas") / "walk", num_panoramas=NUM_PANORAMAS, width=512)


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


def pictures_of(sample: PanoramaSample) -> list[np.ndarray]:
    return [np.asarray(Image.open(sample.path / name)) for name in sample.names]


def rewritten(sample: PanoramaSample, folder: Path, names: list[str] | None = None) -> Path:
    """The panoramas without metadata."""
    return write_photos(folder, pictures_of(sample), names)


def psnr_db(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((one.astype(float) - other) ** 2)))


# Geometry


@pytest.mark.parametrize(
    ("face", "x", "y", "z"),
    [
        ("front", 0, 0, 1),
        ("right", 1, 0, 0),
        ("back", 0, 0, -1),
        ("left", -1, 0, 0),
        ("up", 0, -1, 0),
        ("down", 0, 1, 0),
    ],
)
def test_faces_look_where_their_names_say(face: str, x: float, y: float, z: float) -> None:
    """In the rig's axes: x right, y down, z to the middle of the panorama."""
    optical_axis_rig = cam_from_rig(face, 4).T @ [0, 0, 1]
    np.testing.assert_allclose(optical_axis_rig, [x, y, z], atol=1e-12)


@pytest.mark.parametrize("ring", [3, 4, 5, 8, 12])
def test_the_quaternions_are_the_rotations(ring: int) -> None:
    for face in faces_of(FramesConfig(panorama_ring=ring, panorama_hfov_deg=120)):
        w, x, y, z = face.cam_from_rig
        vector = np.array([0.3, -0.5, 0.8])
        axis = np.array([x, y, z])
        turned = vector + 2 * np.cross(axis, np.cross(axis, vector) + w * vector)
        np.testing.assert_allclose(turned, cam_from_rig(face.name, ring) @ vector, atol=1e-12)


@pytest.mark.parametrize(("ring", "hfov_deg"), [(4, 90.0), (5, 100.0)])
def test_a_face_is_what_a_pinhole_sees_there(ring: int, hfov_deg: float) -> None:
    """Measured: 37.5 dB and more with 90 degrees, at the edges of solids worst; a face turned the wrong way has 10."""
    solids, rig_from_world = build_scene(), camera_path(12)[3]
    panorama, _ = render_panorama(solids, 1024, rig_from_world)
    renderer = FaceRenderer(FramesConfig(panorama_ring=ring, panorama_hfov_deg=hfov_deg))
    size = renderer.size_for(1024)
    camera = Camera(size.side_px, size.side_px, size.focal_px, size.focal_px, size.side_px / 2, size.side_px / 2)
    assert np.degrees(2 * np.arctan(size.side_px / 2 / size.focal_px)) == pytest.approx(hfov_deg)
    for face, picture in zip(renderer.faces, renderer.render(panorama), strict=True):
        pose = np.eye(4)
        pose[:3, :3] = cam_from_rig(face.name, ring)
        truth, _ = render_view(solids, camera, pose @ rig_from_world)
        assert psnr_db(picture, truth) > 32, face.name


def test_the_seam_and_the_poles_do_not_show() -> None:
    """A smooth sphere stays smooth in every face: no step at the panorama's edges."""
    height, width = 128, 256
    v, u = np.mgrid[0:height, 0:width] + 0.5
    longitude, latitude = (u / width - 0.5) * 2 * np.pi, (0.5 - v / height) * np.pi
    rays = np.stack([np.cos(latitude) * np.sin(longitude), -np.sin(latitude), np.cos(latitude) * np.cos(longitude)])
    panorama = np.round(127.5 + 120 * rays).astype(np.uint8).transpose(1, 2, 0)
    for face in FaceRenderer(FramesConfig()).render(np.ascontiguousarray(panorama)):
        smooth = face.astype(int)
        assert np.abs(np.diff(smooth, axis=0)).max() <= 6
        assert np.abs(np.diff(smooth, axis=1)).max() <= 6


def test_a_face_has_the_panoramas_resolution_up_to_the_limit() -> None:
    size = face_size(4096, 90, 1600)
    assert (size.side_px, size.source_width_px) == (1024, 4096)
    assert size.focal_px == pytest.approx(512)
    small = face_size(8192, 90, 512)
    assert (small.side_px, small.source_width_px) == (512, 2048)  # averaged down first


def test_small_faces_of_a_fine_panorama_do_not_flicker() -> None:
    fine = np.random.default_rng(0).integers(0, 256, (512, 1024, 1), np.uint8).repeat(3, axis=2)
    face = FaceRenderer(FramesConfig(max_long_side_px=64)).render(fine)[0]
    assert face.shape == (64, 64, 3)
    assert face.std() < 0.4 * fine.std()


def test_masks_stay_black_and_white() -> None:
    mask = np.where(np.arange(512)[None] < 256, 0, 255).astype(np.uint8).repeat(256, axis=0)
    for face in FaceRenderer(FramesConfig()).render(mask):
        assert set(np.unique(face)) <= {0, 255}


# Settings


def test_faces_can_be_dropped() -> None:
    config = FramesConfig(panorama_drop=("down", "back"))
    assert [face.name for face in faces_of(config)] == ["front", "right", "left", "up"]
    assert panoramas_within(FramesConfig(max_frames=60)) == 10
    assert panorama_face_names(5)[:2] == ("ring0", "ring1")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"panorama_drop": ["floor"]}, "floor"),
        ({"panorama_drop": ["front", "right", "back", "left", "up", "down"]}, "no face"),
        ({"panorama_ring": 3}, "close the ring"),
        ({"panorama_hfov_deg": 80}, "close the ring"),
        ({"projection": "fisheye"}, "projection"),
    ],
)
def test_settings_that_make_no_sense_are_refused(fields: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        FramesConfig.from_dict(fields)


# The stage


def test_photos_with_metadata_become_faces(panoramas: PanoramaSample, ws: Workspace) -> None:
    frames = extract_frames(panoramas.path, ws, FramesConfig(panorama_drop=("down",)))
    assert len(frames) == 5 * NUM_PANORAMAS
    assert [f.name for f in frames.frames[:6]] == [
        "000001_front.jpg",
        "000001_right.jpg",
        "000001_back.jpg",
        "000001_left.jpg",
        "000001_up.jpg",
        "000002_front.jpg",
    ]
    first = frames.frames[0]
    assert (first.group, first.face, first.source, first.width, first.height) == (
        "000001",
        "front",
        "PANO_0001.jpg",
        128,
        128,
    )
    assert first.focal_px == pytest.approx(64)
    assert {f.group for f in frames.frames} == {f"{n:06d}" for n in range(1, NUM_PANORAMAS + 1)}
    for frame in frames.frames:
        assert Image.open(frames.image_path(frame)).size == (frame.width, frame.height)
    loaded = FrameSet.load(frames.directory)
    assert loaded.faces == frames.faces and loaded.frames == frames.frames


def test_a_face_is_cut_from_its_own_panorama(panoramas: PanoramaSample, ws: Workspace) -> None:
    frames = extract_frames(panoramas.path, ws)
    source, renderer = pictures_of(panoramas), FaceRenderer(FramesConfig())
    names = [face.name for face in renderer.faces]
    for frame in frames.frames:
        expected = renderer.render(source[frame.source_index])[names.index(str(frame.face))]
        assert psnr_db(np.asarray(Image.open(frames.image_path(frame))), expected) > 35, frame.name


def test_panoramas_without_metadata_are_told_by_their_edges(panoramas: PanoramaSample, ws: Workspace, tmp_path) -> None:
    frames = extract_frames(rewritten(panoramas, tmp_path / "bare"), ws)
    assert len(frames) == 6 * NUM_PANORAMAS
    assert any("projection=perspective" in warning for warning in frames.warnings)


def test_told_to_be_perspective_they_stay_whole(panoramas: PanoramaSample, ws: Workspace) -> None:
    frames = extract_frames(panoramas.path, ws, FramesConfig(projection="perspective"))
    assert len(frames) == NUM_PANORAMAS and frames.faces == ()
    assert all(frame.group is None and frame.width == 512 for frame in frames.frames)


def test_ordinary_pictures_of_two_to_one_are_no_panoramas(ws: Workspace, tmp_path: Path) -> None:
    wide = [picture[:160] for picture in scenes(6)]
    frames = extract_frames(write_photos(tmp_path / "wide", wide), ws)
    assert len(frames) == 6 and frames.faces == ()


def test_a_plain_backdrop_tells_nothing() -> None:
    plain = np.full((128, 256), 255, np.uint8)
    plain[40:90, 100:160] = np.random.default_rng(0).integers(0, 256, (50, 60))
    assert not edges_meet(plain)
    panorama, _ = render_panorama(build_scene(), 256, camera_path(12)[0])
    assert edges_meet(shrink(np.ascontiguousarray(panorama[..., 1]), 256))


def test_a_panorama_that_is_not_two_to_one_is_refused(ws: Workspace, tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos", scenes(4))
    with pytest.raises(CaptureUnusableError, match=r"IMG_1\.jpg is 320x240") as refused:
        extract_frames(folder, ws, FramesConfig(projection="equirectangular"))
    assert "frames.projection says" in refused.value.why
    assert len(extract_frames(folder, ws)) == 4  # nothing was lost, nothing is left behind


def test_metadata_on_a_part_of_the_sphere_is_refused(panoramas: PanoramaSample, ws: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "cropped"
    folder.mkdir()
    for name in panoramas.names:
        whole = Image.open(panoramas.path / name)
        whole.crop((0, 40, 512, 216)).save(folder / name, xmp=whole.info["xmp"])
    with pytest.raises(CaptureUnusableError, match="512x176") as refused:
        extract_frames(folder, ws)
    assert "metadata" in refused.value.why and "perspective" in refused.value.hint


def test_a_blurred_panorama_goes_with_all_its_faces(ws: Workspace, tmp_path: Path) -> None:
    sample = make_panoramas(tmp_path / "sharp", num_panoramas=7, width=512)
    pictures = pictures_of(sample)
    pictures[3] = blurred(pictures[3], 6)
    folder = write_photos(tmp_path / "photos", pictures)
    frames = extract_frames(folder, ws, FramesConfig(projection="equirectangular"))
    assert [d.source for d in frames.dropped] == ["IMG_4.jpg"] and frames.dropped[0].reason == "blurred"
    assert len(frames) == 36
    assert len(list(frames.images_directory.iterdir())) == 36
    assert {f.source_index for f in frames.frames} == {0, 1, 2, 4, 5, 6}


def test_max_frames_counts_faces(panoramas: PanoramaSample, ws: Workspace) -> None:
    frames = extract_frames(panoramas.path, ws, FramesConfig(max_frames=24))
    assert len(frames) == 24
    assert len({frame.group for frame in frames.frames}) == 4


def test_transparency_goes_the_way_of_the_faces(panoramas: PanoramaSample, ws: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "transparent"
    folder.mkdir()
    for index, picture in enumerate(pictures_of(panoramas)):
        alpha = np.full(picture.shape[:2], 255, np.uint8)
        alpha[200:] = 0  # the operator below
        Image.fromarray(np.dstack([picture, alpha])).save(folder / f"{index}.png")
    frames = extract_frames(folder, ws, FramesConfig(projection="equirectangular"))
    down, front = frames.frames[5], frames.frames[0]
    assert (down.face, front.face) == ("down", "front")
    below = np.asarray(Image.open(frames.alpha_path(down)))
    assert below.shape == (128, 128) and (below[40:88, 40:88] == 0).all()
    assert (np.asarray(Image.open(frames.alpha_path(front)))[:64] == 255).all()


def test_a_photo_among_panoramas_stays_a_photo(panoramas: PanoramaSample, ws: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    for name in panoramas.names:
        (folder / name).write_bytes((panoramas.path / name).read_bytes())
    write_photos(folder, scenes(1), ["zz.jpg"])
    frames = extract_frames(folder, ws, FramesConfig(panorama_drop=("up", "down")))
    assert len(frames) == 4 * NUM_PANORAMAS + 1
    assert (frames.frames[-1].name, frames.frames[-1].group) == (f"{NUM_PANORAMAS + 1:06d}.jpg", None)


def test_metadata_is_read_in_both_spellings() -> None:
    assert photo_says_panorama({"xmp": b'<x GPano:ProjectionType="equirectangular"/>'})
    assert photo_says_panorama({"xmp": b"<GPano:ProjectionType>equirectangular</GPano:ProjectionType>"})
    assert not photo_says_panorama({"xmp": b'<x GPano:ProjectionType="cylindrical"/>'})
    assert not photo_says_panorama({})


def test_an_upright_turn_is_applied_before_the_faces(panoramas: PanoramaSample) -> None:
    """EXIF may turn a panorama too; the faces are those of the upright picture."""
    picture, exif, file = Image.open(panoramas.path / panoramas.names[0]), Image.Exif(), io.BytesIO()
    exif[0x0112] = 3
    picture.transpose(Image.Transpose.ROTATE_180).save(file, "JPEG", quality=98, exif=exif)
    renderer = FaceRenderer(FramesConfig())
    faces = keep_faces(file.getvalue(), "turned", renderer, 98)
    front = np.asarray(Image.open(io.BytesIO(faces[0].jpeg)))
    assert psnr_db(front, renderer.render(np.asarray(picture))[0]) > 30


# Video


def write_video(path: Path, pictures: list[np.ndarray], each: int = 3) -> Path:
    import cv2

    height, width = pictures[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10.0, (width, height))
    assert writer.isOpened()
    for picture in pictures:
        for _ in range(each):
            writer.write(np.ascontiguousarray(picture[..., ::-1]))
    writer.release()
    return path


def test_a_video_of_panoramas(panoramas: PanoramaSample, ws: Workspace, tmp_path: Path) -> None:
    path = write_video(tmp_path / "walk.mp4", pictures_of(panoramas))
    frames = extract_frames(path, ws)
    assert frames.kind == "video"
    assert len(frames) == 6 * NUM_PANORAMAS and len(frames.faces) == 6
    assert [f.face for f in frames.frames[:6]] == list(panorama_face_names(4))
    assert [f.group for f in frames.frames[::6]] == [f"{n:06d}" for n in range(1, NUM_PANORAMAS + 1)]
    assert sorted(p.name for p in frames.images_directory.iterdir()) == sorted(f.name for f in frames.frames)
    assert any("projection=perspective" in warning for warning in frames.warnings)
    expected = FaceRenderer(FramesConfig()).render(pictures_of(panoramas)[2])[1]
    shown = np.asarray(Image.open(frames.images_directory / "000003_right.jpg"))
    assert psnr_db(shown, expected) > 24


def test_a_video_told_to_be_panoramas_but_not_two_to_one_is_refused(ws: Workspace, tmp_path: Path) -> None:
    path = write_video(tmp_path / "plain.mp4", scenes(5))
    with pytest.raises(CaptureUnusableError, match=r"plain\.mp4 is 320x240"):
        extract_frames(path, ws, FramesConfig(projection="equirectangular"))


def test_spherical_boxes_in_a_video_are_found(panoramas: PanoramaSample, tmp_path: Path) -> None:
    path = write_video(tmp_path / "walk.mp4", pictures_of(panoramas))
    assert not video_says_panorama(path)
    data = path.read_bytes()
    at = data.rfind(b"moov")
    length = int.from_bytes(data[at - 4 : at], "big")
    box = (16).to_bytes(4, "big") + b"sv3d" + (8).to_bytes(4, "big") + b"equi"
    end = at - 4 + length
    path.write_bytes(data[: at - 4] + (length + 16).to_bytes(4, "big") + data[at:end] + box + data[end:])
    assert video_says_panorama(path)
