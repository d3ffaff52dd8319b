"""Captures of several sources: videos, folders and zips in one, each a camera of its own."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from splatlib.artifacts import FrameSet
from splatlib.capture import extract_frames
from splatlib.capture.archive import Archive
from splatlib.capture.listing import media_among
from splatlib.capture.poses import pose_names
from splatlib.capture.shares import Appetite, share_of_first
from splatlib.config import FramesConfig
from splatlib.errors import CaptureError, CaptureNotFoundError, CaptureUnreadableError, CaptureUnusableError
from splatlib.files import digest_of_path
from splatlib.samples.panorama import make_panoramas
from splatlib.workspace import Workspace
from tests.unit.capture.media import photo_bytes, scene, scenes, write_photos, write_video, write_zip


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def clips(tmp_path: Path) -> list[Path]:
    """Two videos, a folder of photos and a zip of photos."""
    return [
        write_video(tmp_path / "a.mp4", scenes(20)),
        write_photos(tmp_path / "photos", scenes(5, 17)),
        write_video(tmp_path / "b.mov", [scene(300 + 12 * n) for n in range(10)]),
        write_zip(tmp_path / "more.zip", {f"IMG_{n}.jpg": data for n, data in enumerate(photo_bytes(4, 23))}),
    ]


def groups(frames: FrameSet) -> list[str | None]:
    """In the frames' order, each once as long as it lasts."""
    found: list[str | None] = []
    for frame in frames.frames:
        if not found or found[-1] != frame.source_group:
            found.append(frame.source_group)
    return found


def test_sources_of_any_mix_become_one_capture(clips: list[Path], ws: Workspace) -> None:
    frames = extract_frames(clips, ws)
    assert groups(frames) == ["a.mp4", "photos", "b.mov", "more.zip"]
    assert [frame.name for frame in frames.frames] == [f"{n:06d}.jpg" for n in range(1, len(frames) + 1)]
    assert sorted(path.name for path in frames.images_directory.iterdir()) == [f.name for f in frames.frames]
    assert (frames.kind, frames.capture) == ("mixed", "a.mp4, photos, b.mov and 1 more")
    assert [f.source for f in frames.frames if f.source_group == "photos"] == [
        f"photos/IMG_{n}.jpg" for n in range(1, 6)
    ]
    assert all(f.is_of_video == (f.source_group in ("a.mp4", "b.mov")) for f in frames.frames)
    assert FrameSet.load(frames.directory) == frames
    assert extract_frames([str(clip) for clip in clips], ws) == frames  # unchanged, reused


def test_a_source_alone_is_the_capture_that_it_always_was(clips: list[Path], ws: Workspace) -> None:
    """Digest and names of a single source stay, so that finished workspaces are reused."""
    video, _, _, packed = clips
    frames = extract_frames([video], ws)
    assert frames == extract_frames(video, ws)
    assert {f.source_group for f in frames.frames} == {None} and frames.frames[0].source == "a.mp4"
    for clip in (video, packed):
        extract_frames(clip, ws)
        inputs = json.loads((ws.root / "frames" / "artifact.json").read_text())["inputs"]
        assert inputs == {"capture": digest_of_path(clip)}


def test_the_order_of_the_sources_counts(clips: list[Path], ws: Workspace) -> None:
    first = extract_frames(clips[:2], ws)
    second = extract_frames(clips[1::-1], ws)
    assert (groups(first), groups(second)) == (["a.mp4", "photos"], ["photos", "a.mp4"])
    assert first.digest != second.digest


def test_a_folder_of_videos_and_photos(tmp_path: Path, ws: Workspace) -> None:
    folder = write_photos(tmp_path / "walk", scenes(4))
    (folder / "deep").mkdir()
    write_video(folder / "deep" / "a.mp4", scenes(12))
    write_video(folder / "b.mp4", [scene(200 + 12 * n) for n in range(12)])
    (folder / "types.ts").write_text("export type A = string;\n" * 40)
    frames = extract_frames(folder, ws)
    assert groups(frames) == ["walk", "b.mp4", "deep/a.mp4"]
    assert frames.capture == "walk"
    assert any("types.ts is named like a video but is not" in warning for warning in frames.warnings)


def test_live_photos_are_photos(tmp_path: Path, ws: Workspace) -> None:
    folder = write_photos(tmp_path / "walk", scenes(4))
    write_video(folder / "img_1.mp4", scenes(12))
    frames = extract_frames(folder, ws)
    assert groups(frames) == [None] and len(frames) == 4
    assert any("Live Photos" in warning for warning in frames.warnings)


def test_a_zip_of_videos(tmp_path: Path, ws: Workspace) -> None:
    videos = [write_video(tmp_path / f"{name}.mp4", scenes(12, step)) for name, step in (("a", 12), ("b", 20))]
    members = {f"upload/{v.name}": v.read_bytes() for v in videos} | {"__MACOSX/upload/._a.mp4": b"x"}
    frames = extract_frames(write_zip(tmp_path / "clips.zip", members), ws)
    assert groups(frames) == ["upload/a.mp4", "upload/b.mp4"] and frames.kind == "video"
    one = extract_frames(write_zip(tmp_path / "one.zip", {"deep/Clip.MP4": videos[0].read_bytes()}), ws)
    assert {f.source_group for f in one.frames} == {None} and len(one) == len(extract_frames(videos[0], ws))


def test_photos_of_an_upload_are_found_wherever_they_lie(tmp_path: Path, ws: Workspace) -> None:
    """Capital suffix first, a folder in a folder, a Mac's junk, and masks beside the images that must not be taken."""
    photos = photo_bytes(5)
    members = {f"job/images/{n}.JPG": data for n, data in enumerate(photos)}
    members |= {f"job/masks/{n}.png": data for n, data in enumerate(photos)}
    members |= {"__MACOSX/job/images/._0.JPG": b"x", "job/transforms.json": b"{}"}
    frames = extract_frames(write_zip(tmp_path / "upload.zip", members), ws)
    assert [f.source for f in frames.frames] == [f"job/images/{n}.JPG" for n in range(5)]
    assert (ws.poses_directory / "transforms.json").read_bytes() == b"{}"


def test_equal_names_in_two_sources(tmp_path: Path, ws: Workspace) -> None:
    one, two = (write_photos(tmp_path / day / "photos", scenes(4, step)) for day, step in (("mon", 12), ("tue", 19)))
    frames = extract_frames([one, two], ws)
    assert groups(frames) == ["mon/photos", "tue/photos"]
    assert len({frame.source for frame in frames.frames}) == len(frames) == 8


def test_alpha_of_the_second_source_lies_at_its_frames(tmp_path: Path, ws: Workspace) -> None:
    opaque = write_photos(tmp_path / "opaque", scenes(3))
    (tmp_path / "clear").mkdir()
    for number, picture in enumerate(scenes(3, 17)):
        image = Image.fromarray(picture)
        image.putalpha(Image.new("L", image.size, 140 + 20 * number))
        image.save(tmp_path / "clear" / f"{number}.png")
    frames = extract_frames([opaque, tmp_path / "clear"], ws)
    assert [frame.has_alpha for frame in frames.frames] == [False] * 3 + [True] * 3
    levels = [Image.open(frames.alpha_path(frame)).getpixel((9, 9)) for frame in frames.frames[3:]]
    assert levels == [140, 160, 180]


def test_start_and_end_hold_for_each_video(tmp_path: Path, ws: Workspace) -> None:
    videos = [write_video(tmp_path / f"{n}.mp4", scenes(60, 6), fps=30) for n in ("a", "b")]
    write_photos(tmp_path / "photos", scenes(4))
    frames = extract_frames([*videos[:1], tmp_path / "photos"], ws, FramesConfig(start_s=0.5, end_s=1.0))
    times = [f.timestamp_s for f in frames.frames if f.timestamp_s is not None]
    assert min(times) >= 0.45 and max(times) <= 1.01
    short = write_video(tmp_path / "short.mp4", scenes(20), fps=30)
    with pytest.raises(CaptureUnusableError, match=r"short\.mp4 has no frames(.|\n)*0\.7 s long"):
        extract_frames([videos[0], short], ws, FramesConfig(start_s=1.5))


def test_max_frames_is_shared_by_length(tmp_path: Path, ws: Workspace) -> None:
    long, short = (write_video(tmp_path / f"{n}.mp4", scenes(n, 9), fps=10) for n in (60, 20))
    frames = extract_frames([long, short], ws, FramesConfig(max_frames=40))
    counts = [sum(f.source_group == name for f in frames.frames) for name in ("60.mp4", "20.mp4")]
    assert counts[0] == pytest.approx(30, abs=2) and counts[1] == pytest.approx(10, abs=2)
    assert len(frames) <= 40


def test_what_a_standing_camera_leaves_goes_to_the_next(tmp_path: Path, ws: Workspace) -> None:
    still = write_video(tmp_path / "still.mp4", [scene(0)] * 40, fps=10)
    moving = write_video(tmp_path / "moving.mp4", scenes(40, 9), fps=10)
    frames = extract_frames([still, moving], ws, FramesConfig(max_frames=30))
    counts = [sum(f.source_group == name for f in frames.frames) for name in ("still.mp4", "moving.mp4")]
    assert counts[0] == 1 and counts[1] > 20


def test_shares_fill_up_to_what_each_can_give() -> None:
    shares = [share_of_first(300, [Appetite(w, m) for w, m in order]) for order in _turns([(40, 300), (30, 30)])]
    assert shares == [270, 30]
    assert [share_of_first(300, [Appetite(w, 1e9) for w in order]) for order in ((100, 200), (200, 100))] == [100, 200]
    assert share_of_first(10, [Appetite(1, 500), *[Appetite(1000, 5000)] * 3]) == 1
    assert share_of_first(4, [Appetite(1e6, 1e6), *[Appetite(1, 5)] * 3]) == 1


def _turns(items: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    return [items[i:] + items[:i] for i in range(len(items))]


def test_a_step_between_sources_is_no_exposure_jump(tmp_path: Path, ws: Workspace) -> None:
    dark = write_photos(tmp_path / "dark", [(p * 0.4).astype(p.dtype) for p in scenes(5)])
    bright = write_photos(tmp_path / "bright", scenes(5, 17))
    frames = extract_frames([dark, bright], ws)
    assert not any("exposure_jump" in frame.flags for frame in frames.frames)


def test_panoramas_beside_ordinary_photos(tmp_path: Path, ws: Workspace) -> None:
    walk = make_panoramas(tmp_path / "walk", num_panoramas=3, width=512).path
    ordinary = write_photos(tmp_path / "photos", scenes(4))
    frames = extract_frames([ordinary, walk], ws, FramesConfig(max_frames=40))
    assert {frame.group is None for frame in frames.frames if frame.source_group == "photos"} == {True}
    faces = [frame for frame in frames.frames if frame.group is not None]
    assert faces and {frame.source_group for frame in faces} == {"walk"}
    moments = sorted({int(frame.name[:6]) for frame in frames.frames})
    assert moments == list(range(1, len(moments) + 1))
    assert all(later - earlier == 1 for earlier, later in pairwise(moments))


def test_a_source_that_gives_nothing_is_named(tmp_path: Path, ws: Workspace) -> None:
    (tmp_path / "clear").mkdir()
    for number in range(3):
        Image.new("RGBA", (320, 240), (9, 9, 9, 0)).save(tmp_path / "clear" / f"{number}.png")
    frames = extract_frames([write_photos(tmp_path / "opaque", scenes(3)), tmp_path / "clear"], ws)
    assert "clear gave no frame; of its pictures, 3 were empty." in frames.warnings


# What is refused


def refusal(kind: type[CaptureError], capture: list, ws: Workspace, **config: Any) -> str:
    with pytest.raises(CaptureError) as caught:
        extract_frames(capture, ws, FramesConfig(**config))
    assert type(caught.value) is kind and caught.value.hint
    assert ws.frames is None
    return str(caught.value)


def test_an_empty_list(ws: Workspace) -> None:
    assert "list of sources is empty" in refusal(CaptureNotFoundError, [], ws)


def test_a_source_that_is_missing_is_named(clips: list[Path], ws: Workspace) -> None:
    assert "absent.mov" in refusal(CaptureNotFoundError, [clips[0], "absent.mov"], ws)


def test_the_same_source_twice(clips: list[Path], ws: Workspace, tmp_path: Path) -> None:
    spelled = tmp_path / "photos" / ".." / "a.mp4"
    assert "named more than once" in refusal(CaptureUnusableError, [clips[0], spelled], ws)
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(clips[0].read_bytes())
    assert "hold the same" in refusal(CaptureUnusableError, [clips[0], copy], ws)


def test_a_folder_and_a_video_in_it(tmp_path: Path, ws: Workspace) -> None:
    folder = write_photos(tmp_path / "walk", scenes(4))
    video = write_video(folder / "a.mp4", scenes(12))
    assert "in two sources" in refusal(CaptureUnusableError, [folder, video], ws)


def test_more_sources_than_frames(clips: list[Path], ws: Workspace) -> None:
    assert "4 sources cannot share frames.max_frames=3" in refusal(CaptureUnusableError, clips, ws, max_frames=3)


def test_one_bad_video_among_the_sources_is_named(clips: list[Path], ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_text("Dear diary\n" * 99)
    assert "bad.mp4" in refusal(CaptureUnreadableError, [clips[0], tmp_path / "bad.mp4"], ws)


# What is where


def test_data_sets_within_a_folder_and_videos_beside_their_images() -> None:
    found = media_among(["x/images/1.jpg", "x/images/2.jpg", "x/depth/1.png", "x/render.mp4", "x/images/a.mp4"])
    assert found.pictures == ("x/images/1.jpg", "x/images/2.jpg") and found.videos == ("x/images/a.mp4",)
    assert len(found.notes) == 2
    assert media_among(["a/1.jpg", "b/2.jpg", "c.mp4"]).videos == ("c.mp4",)


def test_poses_are_found_in_whatever_folder_they_were_packed() -> None:
    assert pose_names(["job/images/1.jpg", "job/transforms.json"]) == {"transforms.json": "job/transforms.json"}
    model = ["up/sparse/0/cameras.txt", "up/sparse/0/images.txt", "up/sparse/0/points3D.txt", "up/sparse/0/project.ini"]
    assert pose_names(model) == {
        f"sparse/0/{name}.txt": f"up/sparse/0/{name}.txt" for name in ("cameras", "images", "points3D")
    }
    assert pose_names(["__MACOSX/transforms.json", "sparse/0/images.bin", "a/transforms.txt"]) == {}


def test_poses_leave_with_the_capture_that_brought_them(tmp_path: Path, ws: Workspace) -> None:
    folder = write_photos(tmp_path / "with" / "images", scenes(4)).parent
    (folder / "transforms.json").write_text("{}")
    extract_frames(folder, ws)
    assert (ws.poses_directory / "transforms.json").read_text() == "{}"
    (folder / "transforms.json").write_text('{"frames": []}')
    extract_frames(folder, ws)  # the frames are reused, the poses are not
    assert (ws.poses_directory / "transforms.json").read_text() == '{"frames": []}'
    extract_frames(write_photos(tmp_path / "without", scenes(4, 17)), ws)
    assert not ws.poses_directory.exists()


def test_a_member_lands_where_we_say(tmp_path: Path) -> None:
    archive = Archive(write_zip(tmp_path / "a.zip", {"deep/transforms.json": b"{}"}))
    archive.unpack("deep/transforms.json", tmp_path / "out" / "poses.json")
    assert [path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*")] == ["poses.json"]
