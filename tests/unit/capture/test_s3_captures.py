"""Captures that lie in S3, fetched from a local server: once, and only where a stage needs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from splatlib.capture import extract_frames
from splatlib.config import FramesConfig
from splatlib.errors import CaptureUnreadableError, S3AccessError, S3NotFoundError
from splatlib.workspace import Workspace
from tests.s3_server import BUCKET, BadServer
from tests.unit.capture.media import photo_bytes, scenes, write_photos, write_video, write_zip

PHOTOS = photo_bytes(5)


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


def put(client: Any, objects: dict[str, bytes]) -> None:
    for key, body in objects.items():
        client.put_object(Bucket=BUCKET, Key=key, Body=body)


def fetched(front: BadServer) -> list[str]:
    return sorted(key.removeprefix(f"{BUCKET}/") for key, _ in front.fetched)


def test_a_prefix_of_photos_is_fetched_once(bucket: Any, front: BadServer, ws: Workspace, tmp_path: Path) -> None:
    pictures = {f"up/walk/images/{n}.JPG": data for n, data in enumerate(PHOTOS)}
    put(bucket, {**pictures, "up/walk/transforms.json": b"{}", "up/walk/readme.txt": b"x", "up/walker/6.jpg": b"x"})
    frames = extract_frames(f"s3://{BUCKET}/up/walk/", ws)
    assert [frame.source for frame in frames.frames] == [f"images/{n}.JPG" for n in range(5)]
    assert (frames.capture, frames.frames[0].source_group) == ("walk", None)
    assert frames.image_path(frames.frames[2]).read_bytes() == PHOTOS[2]
    assert fetched(front) == [*sorted(pictures), "up/walk/transforms.json"]
    assert (ws.poses_directory / "transforms.json").read_bytes() == b"{}"
    front.fetched.clear()
    assert extract_frames(f"s3://{BUCKET}/up/walk/", ws) == frames
    again = extract_frames(f"s3://{BUCKET}/up/walk/", ws, FramesConfig(max_frames=4))
    assert len(again) == 4 and front.fetched == []


def test_finished_frames_need_no_download_again(bucket: Any, front: BadServer, ws: Workspace) -> None:
    put(bucket, {f"walk/{n}.jpg": data for n, data in enumerate(PHOTOS)})
    frames = extract_frames(f"s3://{BUCKET}/walk", ws)
    for file in sorted(ws.capture_directory.rglob("*"), reverse=True):
        file.unlink() if file.is_file() else file.rmdir()
    front.fetched.clear()
    assert extract_frames(f"s3://{BUCKET}/walk", ws) == frames and front.fetched == []


def test_what_changed_in_the_bucket_is_seen(bucket: Any, front: BadServer, ws: Workspace) -> None:
    put(bucket, {f"walk/{n}.jpg": data for n, data in enumerate(PHOTOS)})
    first = extract_frames(f"s3://{BUCKET}/walk", ws)
    put(bucket, {"walk/9.jpg": photo_bytes(6)[5]})
    bucket.delete_object(Bucket=BUCKET, Key="walk/0.jpg")
    front.fetched.clear()
    second = extract_frames(f"s3://{BUCKET}/walk", ws)
    assert second.digest != first.digest
    assert [frame.source for frame in second.frames] == ["1.jpg", "2.jpg", "3.jpg", "4.jpg", "9.jpg"]
    assert fetched(front) == ["walk/9.jpg"]


def test_zips_and_videos_by_their_keys_beside_a_local_folder(
    bucket: Any, front: BadServer, ws: Workspace, tmp_path: Path
) -> None:
    video = write_video(tmp_path / "clip.mp4", scenes(15))
    packed = write_zip(tmp_path / "up.zip", {f"photos/{n}.JPG": data for n, data in enumerate(PHOTOS)})
    put(bucket, {"in/Clip 1.mp4": video.read_bytes(), "in/up.zip": packed.read_bytes(), "in/other.mp4": b"x"})
    photos = write_photos(tmp_path / "photos", scenes(4, 17))
    frames = extract_frames([f"s3://{BUCKET}/in/Clip 1.mp4", photos, f"s3://{BUCKET}/in/up.zip"], ws)
    groups = list(dict.fromkeys(frame.source_group for frame in frames.frames))
    assert groups == ["Clip 1.mp4", "photos", "up.zip"]
    assert len(frames) == len(extract_frames(video, Workspace(tmp_path / "alone"))) + 4 + 5
    alone = extract_frames(f"s3://{BUCKET}/in/Clip 1.mp4", ws)
    assert {frame.source for frame in alone.frames} == {"Clip 1.mp4"} and alone.kind == "video"


def test_an_interrupted_download_goes_on(
    bucket: Any, front: BadServer, ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("splatlib.s3.copies.NUM_CONNECTIONS", 1)  # one after the other
    put(bucket, {f"walk/{n}.jpg": data for n, data in enumerate(PHOTOS)})
    real, passed = front.pass_on, 0

    def refuse_the_last_two(request: Any) -> None:
        nonlocal passed
        if request.command == "GET" and "list-type" not in request.path:
            passed += 1
            front.answer, front.answers_left = (403, "AccessDenied"), int(passed > 3)
        real(request)

    front.pass_on = refuse_the_last_two  # type: ignore[method-assign]
    try:
        with pytest.raises(S3AccessError):
            extract_frames(f"s3://{BUCKET}/walk", ws)
    finally:
        front.pass_on = real  # type: ignore[method-assign]
    assert ws.frames is None
    front.answers_left = 0
    front.fetched.clear()
    assert len(extract_frames(f"s3://{BUCKET}/walk", ws)) == 5
    assert fetched(front) == ["walk/3.jpg", "walk/4.jpg"]


def test_nothing_there_and_nothing_of_use(bucket: Any, ws: Workspace) -> None:
    with pytest.raises(S3NotFoundError, match="nowhere"):
        extract_frames(f"s3://{BUCKET}/nowhere/", ws)
    put(bucket, {"texts/a.txt": b"x"})
    with pytest.raises(CaptureUnreadableError, match=f"s3://{BUCKET}/texts/ holds no pictures"):
        extract_frames(f"s3://{BUCKET}/texts/", ws)
