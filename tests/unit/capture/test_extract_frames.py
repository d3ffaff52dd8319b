"""The stage, on captures made on the spot and on real ones."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from splatlib.artifacts import FrameSet
from splatlib.capture import extract_frames
from splatlib.capture.listing import natural_key
from splatlib.config import FramesConfig
from splatlib.errors import ConfigError, WorkspaceFullError
from splatlib.samples import Sample
from splatlib.workspace import Workspace
from tests.unit.capture.media import (
    HEIGHT,
    WIDTH,
    blurred,
    photo_bytes,
    scene,
    scenes,
    turned_by_90,
    write_photos,
    write_video,
    write_zip,
)

HARD_NAMES = ["my photos & $HOME; rm -rf x", "Fotos für Łódź 东京 🙂", "50% 'off' \"now\" (1)", "#tag [a] {b} ~ !"]


def pixels(frames: FrameSet, index: int) -> np.ndarray:
    return np.asarray(Image.open(frames.image_path(frames.frames[index]))).astype(float)


def reasons(frames: FrameSet) -> dict[int, str]:
    return {dropped.source_index: dropped.reason for dropped in frames.dropped}


# Photos


def test_a_folder_of_photos(tmp_path, ws):
    folder = write_photos(tmp_path / "photos", scenes(12))
    frames = extract_frames(folder, ws)
    assert (frames.kind, frames.capture, len(frames)) == ("photos", "photos", 12)
    assert [f.source for f in frames.frames] == [f"IMG_{n}.jpg" for n in range(1, 13)]
    assert [f.name for f in frames.frames] == [f"{n:06d}.jpg" for n in range(1, 13)]
    assert [f.source_index for f in frames.frames] == list(range(12))
    for index, frame in enumerate(frames.frames):
        assert frames.image_path(frame).read_bytes() == (folder / frame.source).read_bytes()
        assert (frame.width, frame.height) == (WIDTH, HEIGHT)
        assert frame.timestamp_s is None
        assert frame.sharpness is not None
        assert frame.sharpness > 0.3
        assert np.abs(pixels(frames, index) - scene(12.0 * index)).mean() < 5
    assert FrameSet.load(frames.directory) == frames


def test_photos_in_sub_folders_with_mixed_suffixes(tmp_path, ws):
    names = ["b/2.JPG", "b/10.Jpeg", "a/x.PNG", "a/y.webp", "top.HEIC"]
    folder = write_photos(tmp_path / "photos", scenes(5), names)
    write_photos(folder, scenes(3, 50), [".hidden.jpg", "__MACOSX/2.jpg", ".cache/thumb.jpg"])
    (folder / "a" / "notes.txt").write_text("x")
    frames = extract_frames(folder, ws)
    assert [f.source for f in frames.frames] == ["a/x.PNG", "a/y.webp", "b/2.JPG", "b/10.Jpeg", "top.HEIC"]


def test_of_a_data_set_only_its_images_are_taken(tmp_path, ws):
    folder = tmp_path / "dataset"
    write_photos(folder / "images", scenes(5))
    write_photos(folder / "images_2", scenes(5, 8))
    write_photos(folder / "masks", scenes(5, 9))
    (folder / "transforms.json").write_text("{}")
    frames = extract_frames(folder, ws)
    assert [f.source for f in frames.frames] == [f"images/IMG_{n}.jpg" for n in range(1, 6)]
    assert any("those in images_2, masks were left out" in warning for warning in frames.warnings)


def test_natural_order():
    names = ["IMG_10.jpg", "img_2.jpg", "IMG_1.jpg", "b/1.jpg", "B/03.jpg", "a 12/1.jpg", "a 2/1.jpg"]
    expected = ["a 2/1.jpg", "a 12/1.jpg", "b/1.jpg", "B/03.jpg", "IMG_1.jpg", "img_2.jpg", "IMG_10.jpg"]
    assert sorted(names, key=natural_key) == expected


def test_a_zip_of_photos(tmp_path, ws):
    photos = photo_bytes(6)
    members = {f"Holiday 2024/IMG_{n + 8}.{'JPG' if n % 2 else 'jpeg'}": data for n, data in enumerate(photos)}
    members |= {"__MACOSX/Holiday 2024/._IMG_8.jpeg": b"junk", "Holiday 2024/": b"", "Holiday 2024/.DS_Store": b"x"}
    frames = extract_frames(write_zip(tmp_path / "Holiday.ZIP", members), ws)
    assert (frames.kind, frames.capture) == ("photos", "Holiday.ZIP")
    assert [Path(f.source).stem for f in frames.frames] == [f"IMG_{n}" for n in range(8, 14)]
    assert frames.image_path(frames.frames[3]).read_bytes() == photos[3]


@pytest.mark.parametrize("name", HARD_NAMES)
def test_hard_names_of_folders_zips_and_videos(tmp_path, ws, name):
    folder = write_photos(tmp_path / name, scenes(4), [f"{name} {n}.jpg" for n in (1, 2, 3, 10)])
    frames = extract_frames(folder, ws)
    assert [f.source for f in frames.frames] == [f"{name} {n}.jpg" for n in (1, 2, 3, 10)]
    packed = write_zip(tmp_path / f"{name}.zip", {f"{name}/{n}.jpg": d for n, d in enumerate(photo_bytes(4))})
    assert len(extract_frames(packed, ws)) == 4
    video = write_video(tmp_path / "plain.mp4", scenes(4)).rename(tmp_path / f"{name}.mp4")
    assert [f.source for f in extract_frames(video, ws).frames] == [f"{name}.mp4"] * 4


def test_duplicates_and_blur_are_dropped_in_a_capture_of_photos(tmp_path, ws):
    pictures = scenes(14)
    pictures[5] = blurred(pictures[5], 5)
    pictures.insert(9, pictures[8].copy())
    folder = write_photos(tmp_path / "photos", pictures)
    (folder / "IMG_3 copy.jpg").write_bytes((folder / "IMG_3.jpg").read_bytes())
    frames = extract_frames(folder, ws)
    dropped = {d.source: d.reason for d in frames.dropped}
    assert dropped.pop("IMG_6.jpg") == "blurred"
    assert dropped.pop("IMG_10.jpg", None) or dropped.pop("IMG_9.jpg") == "duplicate"
    assert dropped.popitem() in (("IMG_3 copy.jpg", "duplicate"), ("IMG_3.jpg", "duplicate"))
    assert not dropped
    assert len(frames) == 13
    everything = extract_frames(folder, ws, FramesConfig(drop_blurred=False, drop_duplicates=False))
    assert len(everything) == 16
    assert [f.source for f in everything.frames if "blurred" in f.flags] == ["IMG_6.jpg"]


def test_more_photos_than_wanted_are_thinned_evenly_to_the_sharpest(tmp_path, ws):
    # every third one is sharp
    pictures = [picture if n % 3 == 1 else blurred(picture, 1.0) for n, picture in enumerate(scenes(24, 8))]
    frames = extract_frames(write_photos(tmp_path / "photos", pictures), ws, FramesConfig(max_frames=8))
    assert [f.source_index for f in frames.frames] == [1, 4, 7, 10, 13, 16, 19, 22]
    assert set(reasons(frames).values()) == {"surplus"}
    assert sorted(p.name for p in frames.images_directory.iterdir()) == [f"{n:06d}.jpg" for n in range(1, 9)]


def test_alpha_of_photos(tmp_path, ws):
    cut = []
    for picture in scenes(6):
        alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
        alpha[40:200, 60:260] = 255
        cut.append(np.dstack([picture, alpha]))
    folder = write_photos(tmp_path / "photos", [*cut, scene(99)], [f"{n}.png" for n in range(7)])
    frames = extract_frames(folder, ws, FramesConfig(max_long_side_px=160))
    assert [f.has_alpha for f in frames.frames] == [True] * 6 + [False]
    alpha = np.asarray(Image.open(frames.alpha_path(frames.frames[0])))
    assert alpha.shape == (120, 160)
    assert (alpha[60, 80], alpha[2, 2]) == (255, 0)
    assert pixels(frames, 0)[:15].max() < 12


def test_exif_follows_its_picture_through_rotation_and_scaling(tmp_path, ws):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    camera: dict[int, Any] = {
        ExifTags.Base.FocalLengthIn35mmFilm: 27,
        ExifTags.Base.DateTimeOriginal: "2024:01:02 03:04:05",
    }
    exif.get_ifd(ExifTags.IFD.Exif).update(camera)
    place: dict[int, Any] = {ExifTags.GPS.GPSLatitudeRef: "N", ExifTags.GPS.GPSLatitude: (48.0, 7.5, 0.0)}
    place |= {ExifTags.GPS.GPSLongitudeRef: "E", ExifTags.GPS.GPSLongitude: (11.0, 30.0, 0.0)}
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(place)
    folder = write_photos(tmp_path / "photos", scenes(5), exif=exif)
    frames = extract_frames(folder, ws, FramesConfig(max_long_side_px=160))
    frame = frames.frames[0]
    assert (frame.width, frame.height) == (120, 160)
    assert frame.focal_px == pytest.approx(27 / 36 * 160)
    assert frame.gps == pytest.approx((48.125, 11.5, None))
    assert frame.captured_at == "2024-01-02T03:04:05"
    assert FrameSet.load(frames.directory) == frames


def test_small_and_empty_pictures_are_left_out(tmp_path, ws):
    clear = np.dstack([scene(50), np.zeros((HEIGHT, WIDTH), np.uint8)])
    pictures = [*scenes(5), scene(70)[:40, :40], clear]
    folder = write_photos(tmp_path / "photos", pictures, [f"{n}.png" for n in range(7)])
    frames = extract_frames(folder, ws)
    assert reasons(frames) == {5: "too small", 6: "empty"}


def test_a_workspace_inside_the_capture_is_no_part_of_it(tmp_path):
    folder = write_photos(tmp_path / "photos", scenes(5))
    ws = Workspace(folder / "out")
    first = extract_frames(folder, ws)
    assert len(first) == 5
    assert extract_frames(folder, ws).digest == first.digest


# Videos


def test_a_video(tmp_path, ws):
    path = write_video(tmp_path / "walk.mp4", scenes(30))
    frames = extract_frames(path, ws)
    assert (frames.kind, frames.capture) == ("video", "walk.mp4")
    assert 20 <= len(frames) <= 30
    indices = [f.source_index for f in frames.frames]
    assert indices == sorted(set(indices))
    for frame in frames.frames:
        assert frame.timestamp_s == pytest.approx(frame.source_index / 30, abs=1e-3)
    middle = len(frames) // 2
    assert np.abs(pixels(frames, middle) - scene(12.0 * indices[middle])).mean() < 20
    assert len(frames) + len(frames.dropped) == 30


def test_rotation_metadata_turns_the_frames(tmp_path, ws):
    path = write_video(tmp_path / "phone.mov", scenes(10))
    path.write_bytes(turned_by_90(path.read_bytes()))
    frames = extract_frames(path, ws)
    frame = frames.frames[0]
    assert (frame.width, frame.height) == (HEIGHT, WIDTH)
    assert np.abs(pixels(frames, 0) - np.rot90(scene(0), -1)).mean() < 20


def test_the_sharpest_of_each_window_is_kept(tmp_path, ws):
    pictures = [picture if n % 4 == 2 else blurred(picture, 2.5) for n, picture in enumerate(scenes(48, 6))]
    path = write_video(tmp_path / "shaky.mp4", pictures)
    frames = extract_frames(path, ws, FramesConfig(max_frames=12))
    assert [f.source_index for f in frames.frames] == list(range(2, 48, 4))


def test_a_standing_camera_gives_few_frames(tmp_path, ws):
    # moves, stands for two seconds, moves on
    steps = [*range(0, 200, 10), *[200] * 60, *range(200, 400, 10)]
    path = write_video(tmp_path / "pause.mp4", [scene(step) for step in steps])
    frames = extract_frames(path, ws)
    standing = [f for f in frames.frames if 21 <= f.source_index < 79]
    assert len(standing) <= 1
    assert len(frames) > 25
    assert "duplicate" in reasons(frames).values()


def test_a_slow_video_does_not_fill_max_frames_with_copies(tmp_path, ws):
    path = write_video(tmp_path / "slow.mp4", [scene(0.5 * n) for n in range(120)])
    slow = extract_frames(path, ws)
    assert 5 <= len(slow) <= 30
    every = extract_frames(path, ws, FramesConfig(drop_duplicates=False))
    assert len(every) == 120


def test_max_frames_bounds_and_spreads(tmp_path, ws):
    path = write_video(tmp_path / "walk.mp4", scenes(60, 10))
    frames = extract_frames(path, ws, FramesConfig(max_frames=7))
    assert len(frames) == 7
    gaps = np.diff([f.source_index for f in frames.frames])
    assert gaps.max() <= 2 * 60 / 7


def test_start_and_end(tmp_path, ws):
    path = write_video(tmp_path / "walk.mp4", scenes(60, 10))
    frames = extract_frames(path, ws, FramesConfig(start_s=0.5, end_s=1.2))
    times = [f.timestamp_s or 0.0 for f in frames.frames]
    assert min(times) >= 0.5
    assert max(times) <= 1.2
    assert len(frames) > 12
    with pytest.raises(ConfigError, match="end_s must be greater than start_s"):
        FramesConfig(start_s=2, end_s=1)


def test_frames_of_a_video_are_scaled_down(tmp_path, ws):
    frames = extract_frames(write_video(tmp_path / "a.mp4", scenes(8)), ws, FramesConfig(max_long_side_px=100))
    assert {(f.width, f.height) for f in frames.frames} == {(100, 75)}
    assert pixels(frames, 0).shape == (75, 100, 3)


def test_a_folder_that_holds_one_video(tmp_path, ws):
    (tmp_path / "clip").mkdir()
    write_video(tmp_path / "clip" / "walk.MP4".lower(), scenes(10))
    (tmp_path / "clip" / "LICENSE.txt").write_text("x")
    assert extract_frames(tmp_path / "clip", ws).capture == "walk.mp4"


# The stage


def test_the_same_capture_and_config_are_not_done_again(tmp_path, ws):
    folder = write_photos(tmp_path / "photos", scenes(5))
    first = extract_frames(folder, ws)
    stamp = first.image_path(first.frames[0]).stat().st_mtime_ns
    again = extract_frames(folder, ws)
    assert again == first
    assert again.image_path(again.frames[0]).stat().st_mtime_ns == stamp
    write_photos(folder, [scene(77)], ["IMG_9.jpg"])
    assert len(extract_frames(folder, ws)) == 6
    assert len(extract_frames(folder, ws, FramesConfig(max_frames=3))) == 3


def test_an_interrupted_stage_starts_over(tmp_path, ws, monkeypatch):
    path = write_video(tmp_path / "walk.mp4", scenes(20))
    from splatlib.capture import from_video

    encode, calls = from_video.encode_jpeg, []

    def interrupted(picture, quality):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return encode(picture, quality)

    monkeypatch.setattr(from_video, "encode_jpeg", interrupted)
    with pytest.raises(KeyboardInterrupt):
        extract_frames(path, ws)
    assert ws.frames is None
    frames = extract_frames(path, ws)
    straight = extract_frames(path, Workspace(tmp_path / "other"))
    assert frames.frames == straight.frames
    for frame in frames.frames:
        assert frames.image_path(frame).read_bytes() == straight.image_path(frame).read_bytes()


def test_planning_a_job_loads_neither_opencv_nor_pillow():
    code = (
        "import sys, splatlib.capture, splatlib.masks; print([m for m in ('cv2', 'PIL', 'torch') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_full_disk(tmp_path, ws, monkeypatch):
    folder = write_photos(tmp_path / "photos", scenes(4))

    def full(path, data):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(WorkspaceFullError, match="is full"):
        extract_frames(folder, ws)


# The project's own sample, and real captures


def test_the_sample_video_loses_its_blurred_and_repeated_frames(sample_video: Sample, ws):
    frames = extract_frames(sample_video.path, ws)
    gone = reasons(frames)
    assert {index for index, reason in gone.items() if reason == "blurred"} == set(sample_video.blurred)
    for index in sample_video.duplicates:
        assert {index, index - 1} & set(gone)
    assert len(frames) >= 0.8 * len(sample_video)
    assert frames.warnings == ()


def test_the_sample_photos_lose_their_blurred_and_repeated_ones(sample_photos: Sample, ws):
    frames = extract_frames(sample_photos.path, ws)
    gone = reasons(frames)
    assert {index for index, reason in gone.items() if reason == "blurred"} == set(sample_photos.blurred)
    assert sum(reason == "duplicate" for reason in gone.values()) == len(sample_photos.duplicates)
    assert len(frames) == len(sample_photos) - 2
    focal_px = frames.frames[0].focal_px
    assert focal_px is not None
    assert focal_px == pytest.approx(sample_photos.camera.fx, rel=0.02)


@pytest.mark.captures
def test_fox(captures: Path, ws):
    frames = extract_frames(captures / "fox_540", ws)
    assert len(frames) == 67
    assert frames.dropped == ()
    assert frames.warnings == ()
    assert frames.frames[0].source == "images/0001.jpg"
    source = captures / "fox_540" / "images" / "0001.jpg"
    assert frames.image_path(frames.frames[0]).read_bytes() == source.read_bytes()


@pytest.mark.captures
def test_buddha_is_grey_and_becomes_rgb(captures: Path, ws):
    frames = extract_frames(captures / "buddha_gray_1368" / "images", ws, FramesConfig(max_frames=16))
    assert len(frames) == 16
    assert frames.warnings == (
        "Few frames: 16. 40 to 150 are usual; surfaces seen from fewer than three of them stay open.",
    )
    assert pixels(frames, 0).shape == (770, 1368, 3)


@pytest.mark.captures
def test_cattoy_has_alpha_and_natural_order(captures: Path, ws):
    frames = extract_frames(captures / "cattoy_720", ws, FramesConfig(max_long_side_px=360))
    assert len(frames) == 78
    assert all(frame.has_alpha for frame in frames.frames)
    assert [f.source for f in frames.frames[:3]] == ["images/2.png", "images/5.png", "images/6.png"]


@pytest.mark.captures
def test_fruits(captures: Path, ws):
    frames = extract_frames(captures / "video_fruits", ws)
    assert (frames.kind, frames.capture) == ("video", "video_fruits.mp4")
    assert 50 <= len(frames) <= 110
    assert frames.warnings == ()
    times = [f.timestamp_s or 0.0 for f in frames.frames]
    assert max(np.diff(times)) < 1.0
    assert times[-1] > 13
