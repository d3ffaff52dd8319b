"""Bad captures: each fails early, with its own error class and words that say what is wrong and what to try."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from splatlib.capture import extract_frames
from splatlib.config import FramesConfig
from splatlib.errors import (
    CaptureError,
    CaptureNotFoundError,
    CaptureUnreadableError,
    CaptureUnsafeError,
    CaptureUnusableError,
)
from splatlib.workspace import Workspace
from tests.unit.capture.media import (
    boxes,
    index_first,
    link_member,
    photo_bytes,
    scene,
    scenes,
    write_photos,
    write_video,
    write_zip,
)


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


def refusal(kind: type[CaptureError], capture: Path | str, ws: Workspace, **config) -> str:
    """The message of the error that a capture meets; nothing may look finished afterwards."""
    with pytest.raises(CaptureError) as caught:
        extract_frames(capture, ws, FramesConfig(**config))
    assert type(caught.value) is kind
    assert caught.value.hint
    assert ws.frames is None
    return str(caught.value)


# Files that are not there, or not media


def test_missing_file(tmp_path, ws):
    message = refusal(CaptureNotFoundError, tmp_path / "videos" / "bench.mov", ws)
    assert "there is no capture at" in message
    assert "bench.mov" in message
    assert str(tmp_path) in message


@pytest.mark.parametrize("path", ["", "  "])
def test_empty_path(path, ws):
    assert "path is empty" in refusal(CaptureNotFoundError, path, ws)


def test_text_file_named_mp4(tmp_path, ws):
    (tmp_path / "notes.mp4").write_text("Dear diary,\n" * 100)
    message = refusal(CaptureUnreadableError, tmp_path / "notes.mp4", ws)
    assert "notes.mp4 is named like a video but is not" in message
    assert "it holds text" in message


def test_a_playlist_is_text_not_a_list_of_addresses_to_open(tmp_path, ws):
    (tmp_path / "live.mp4").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/secret.ts\n")
    assert "it holds text" in refusal(CaptureUnreadableError, tmp_path / "live.mp4", ws)


def test_empty_file(tmp_path, ws):
    (tmp_path / "bench.mov").touch()
    assert "it has 0 bytes" in refusal(CaptureUnreadableError, tmp_path / "bench.mov", ws)


def test_other_binary_file(tmp_path, ws):
    (tmp_path / "model.bin").write_bytes(bytes(range(256)) * 8)
    assert "model.bin is not a video or a zip" in refusal(CaptureUnreadableError, tmp_path / "model.bin", ws)


def test_one_picture(tmp_path, ws):
    write_photos(tmp_path / "photos", scenes(1))
    message = refusal(CaptureUnusableError, tmp_path / "photos" / "IMG_1.jpg", ws)
    assert "IMG_1.jpg is one picture" in message
    assert f"pass the folder that holds them: {tmp_path / 'photos'}" in message


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a user whom permissions bind")
def test_file_without_permission(tmp_path, ws):
    path = write_video(tmp_path / "secret.mp4", scenes(5))
    path.chmod(0)
    assert "Permission denied" in refusal(CaptureUnreadableError, path, ws)


# Videos


def test_truncated_video(tmp_path, ws):
    path = write_video(tmp_path / "bench.mp4", scenes(20))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    message = refusal(CaptureUnreadableError, path, ws)
    assert "bench.mp4 cannot be opened as a video" in message
    assert "the file is cut off: it has" in message


def test_video_cut_exactly_before_its_index(tmp_path, ws):
    path = write_video(tmp_path / "bench.mp4", scenes(20))
    path.write_bytes(b"".join(box for name, box in boxes(path.read_bytes()) if name != b"moov"))
    assert "its index (the moov box" in refusal(CaptureUnreadableError, path, ws)


def test_truncated_video_with_its_index_first_gives_what_can_be_read(tmp_path, ws):
    path = write_video(tmp_path / "bench.mp4", scenes(40))
    whole = index_first(path.read_bytes())
    path.write_bytes(whole[: int(0.6 * len(whole))])
    frames = extract_frames(path, ws)
    assert 10 < len(frames) < 30
    (warning,) = [w for w in frames.warnings if "could be read" in w]
    assert "of the video's 40 frames could be read: the file is cut off" in warning


def test_truncated_video_of_which_nothing_is_left(tmp_path, ws):
    path = write_video(tmp_path / "bench.mp4", scenes(10))
    whole = dict(boxes(index_first(path.read_bytes())))
    path.write_bytes(whole[b"ftyp"] + whole[b"moov"] + whole[b"mdat"][:12])
    message = refusal(CaptureUnreadableError, path, ws)
    assert "holds no frames that can be decoded" in message
    assert "cut off" in message


def test_zero_frame_video(tmp_path, ws):
    path = write_video(tmp_path / "empty.mp4", [])
    message = refusal(CaptureUnreadableError, path, ws)
    assert "it holds no frames: the recording ended before the first one" in message


def test_nothing_between_start_and_end(tmp_path, ws):
    path = write_video(tmp_path / "bench.mp4", scenes(15))
    message = refusal(CaptureUnusableError, path, ws, start_s=10)
    assert "no frames between start_s=10" in message
    assert "it is 0.5 s long" in message


def test_identical_frames_show_no_parallax(tmp_path, ws):
    path = write_video(tmp_path / "still.mp4", [scene(0)] * 30)
    for drop_duplicates in (True, False):
        message = refusal(CaptureUnusableError, path, ws, drop_duplicates=drop_duplicates)
        assert "still.mp4 shows no parallax" in message
        assert "walk around the scene" in message


def test_noise_is_no_parallax(tmp_path, ws):
    random = np.random.default_rng(0)
    noisy = [np.clip(scene(0) + random.normal(0, 6, (240, 320, 3)), 0, 255).astype(np.uint8) for _ in range(20)]
    assert "no parallax" in refusal(CaptureUnusableError, write_photos(tmp_path / "tripod", noisy), ws)


def test_two_frames(tmp_path, ws):
    message = refusal(CaptureUnusableError, write_video(tmp_path / "short.mp4", scenes(2)), ws)
    assert "short.mp4 has 2 usable pictures; 3 are needed" in message


# Folders


def test_folder_without_pictures(tmp_path, ws):
    folder = tmp_path / "photos"
    folder.mkdir()
    assert "it is empty" in refusal(CaptureUnreadableError, folder, ws)
    for name in ("a.DNG", "b.dng", "readme.txt"):
        (folder / name).write_bytes(b"x")
    message = refusal(CaptureUnreadableError, folder, ws)
    assert "holds no pictures" in message
    assert "2 .dng, 1 .txt" in message


def test_two_photos(tmp_path, ws):
    message = refusal(CaptureUnusableError, write_photos(tmp_path / "photos", scenes(2)), ws)
    assert "photos has 2 usable pictures" in message


def test_copies_of_one_photo(tmp_path, ws):
    message = refusal(CaptureUnusableError, write_photos(tmp_path / "photos", [scene(0)] * 6), ws)
    assert "of 6 pictures looked at, 1 differ" in message


def test_one_corrupt_jpeg_among_good_ones(tmp_path, ws):
    folder = write_photos(tmp_path / "photos", scenes(8))
    whole = (folder / "IMG_3.jpg").read_bytes()
    (folder / "IMG_3.jpg").write_bytes(whole[: len(whole) // 2])
    frames = extract_frames(folder, ws)
    assert [frame.source for frame in frames.frames] == [f"IMG_{n}.jpg" for n in (1, 2, 4, 5, 6, 7, 8)]
    assert [frame.name for frame in frames.frames] == [f"{n:06d}.jpg" for n in range(1, 8)]
    (dropped,) = frames.dropped
    assert (dropped.source, dropped.source_index, dropped.reason) == ("IMG_3.jpg", 2, "unreadable")
    (warning,) = [w for w in frames.warnings if "could not be read" in w]
    assert "1 picture could not be read and was left out: IMG_3.jpg (" in warning
    assert "truncated" in warning


def test_only_corrupt_pictures(tmp_path, ws):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.png").write_text("no picture")
    message = refusal(CaptureUnusableError, folder, ws)
    assert "no usable pictures" in message
    assert "4 pictures could not be read" in message


# Zips


@pytest.mark.parametrize("name", ["../escape.jpg", "photos/../../escape.jpg", "..\\escape.jpg"])
def test_zip_that_escapes(tmp_path, ws, name):
    members = {f"{n}.jpg": data for n, data in enumerate(photo_bytes(4))} | {name: b"x"}
    message = refusal(CaptureUnsafeError, write_zip(tmp_path / "photos.zip", members), ws)
    assert "leads out of the archive" in message
    assert "escape.jpg" in message
    assert not list(tmp_path.rglob("escape.jpg"))


@pytest.mark.parametrize("name", ["/etc/escape.jpg", "C:\\escape.jpg", "\\\\server\\escape.jpg"])
def test_zip_with_absolute_paths(tmp_path, ws, name):
    members = {f"{n}.jpg": data for n, data in enumerate(photo_bytes(4))} | {name: b"x"}
    message = refusal(CaptureUnsafeError, write_zip(tmp_path / "photos.zip", members), ws)
    assert "has an absolute path" in message


def test_zip_with_a_link(tmp_path, ws):
    path = write_zip(tmp_path / "photos.zip", {f"{n}.jpg": data for n, data in enumerate(photo_bytes(4))})
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(*link_member("passwords.jpg", "/etc/passwd"))
    assert "'passwords.jpg' is a link" in refusal(CaptureUnsafeError, path, ws)


def test_zip_bomb(tmp_path, ws):
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file, file.open("big.bmp", "w") as member:
        for _ in range(80):
            member.write(bytes(2**20))
    message = refusal(CaptureUnsafeError, path, ws)
    assert "looks like a zip bomb" in message
    assert "to 80 MiB" in message


def test_zip_with_one_huge_member(tmp_path, ws, monkeypatch):
    monkeypatch.setattr("splatlib.capture.archive.MAX_MEMBER_BYTES", 500)
    path = write_zip(tmp_path / "photos.zip", {"a.jpg": bytes(400), "b.jpg": bytes(600)})
    assert "its member 'b.jpg' unpacks to" in refusal(CaptureUnsafeError, path, ws)


def test_encrypted_zip(tmp_path, ws):
    path = write_zip(tmp_path / "photos.zip", {f"{n}.jpg": data for n, data in enumerate(photo_bytes(4))})
    data = bytearray(path.read_bytes())
    for signature, flags_at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = -1
        while (at := data.find(signature, at + 1)) >= 0:
            data[at + flags_at] |= 1
    path.write_bytes(data)
    message = refusal(CaptureUnreadableError, path, ws)
    assert "photos.zip is encrypted" in message
    assert "unpack it and pass the folder" in message


def test_zip_cut_off(tmp_path, ws):
    path = write_zip(tmp_path / "photos.zip", {f"{n}.jpg": data for n, data in enumerate(photo_bytes(4))})
    path.write_bytes(path.read_bytes()[:-100])
    assert "cannot be read as a zip" in refusal(CaptureUnreadableError, path, ws)


def test_zip_without_pictures(tmp_path, ws):
    path = write_zip(tmp_path / "clips.zip", {"a.txt": b"x", "__MACOSX/._b.jpg": b"x"})
    message = refusal(CaptureUnreadableError, path, ws)
    assert "holds no pictures" in message
    assert "1 .txt" in message


def test_zip_with_text_named_like_a_video(tmp_path, ws):
    path = write_zip(tmp_path / "clips.zip", {"a.mp4": b"Dear diary"})
    assert "a.mp4 is named like a video but is not" in refusal(CaptureUnreadableError, path, ws)


def test_zip_with_one_damaged_member(tmp_path, ws):
    photos = photo_bytes(6)
    path = write_zip(tmp_path / "photos.zip", {f"{n}.jpg": data for n, data in enumerate(photos)})
    data = bytearray(path.read_bytes())
    at = data.find(photos[2]) + len(photos[2]) // 2
    data[at : at + 20] = bytes(20)
    path.write_bytes(data)
    frames = extract_frames(path, ws)
    assert [d.source for d in frames.dropped] == ["2.jpg"]
    assert any("Bad CRC-32" in warning for warning in frames.warnings)


def test_a_failed_run_leaves_a_workspace_that_works(tmp_path, ws):
    folder = write_photos(tmp_path / "photos", scenes(2))
    refusal(CaptureUnusableError, folder, ws)
    write_photos(folder, scenes(6))
    assert len(extract_frames(folder, ws)) == 6


def test_a_picture_that_claims_to_be_huge_is_left_out(tmp_path, ws):
    folder = write_photos(tmp_path / "photos", scenes(5))
    file = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(file, "PNG")
    (folder / "bomb.png").write_bytes(file.getvalue())
    frames = extract_frames(folder, ws)
    assert len(frames) == 5
    assert any("decompression bomb" in warning for warning in frames.warnings)
