"""What is said of a capture when its frames are chosen: few, blurred, dark, uneven, turned only."""

from __future__ import annotations

import numpy as np

from splatlib.artifacts import FrameSet
from splatlib.capture import extract_frames
from splatlib.config import FramesConfig
from tests.unit.capture.media import (
    blurred,
    brighter,
    scenes,
    wall,
    write_photos,
    write_video,
)


def warning_about(frames: FrameSet, words: str) -> bool:
    return any(words in warning for warning in frames.warnings)


def test_a_good_capture_has_no_warnings(tmp_path, ws):
    assert extract_frames(write_photos(tmp_path / "photos", scenes(24, 8)), ws).warnings == ()


def test_few_frames(tmp_path, ws):
    assert warning_about(extract_frames(write_photos(tmp_path / "photos", scenes(5)), ws), "Few frames: 5")


def test_a_blurred_capture(tmp_path, ws):
    pictures = [blurred(picture, 5) for picture in scenes(24)]
    frames = extract_frames(write_photos(tmp_path / "photos", pictures), ws)
    assert len(frames) == 24
    assert warning_about(frames, "Most frames are blurred")


def test_exposure_jumps_are_flagged(tmp_path, ws):
    pictures = [picture // 2 + 20 for picture in scenes(20, 6)]
    pictures[6] = brighter(pictures[6], 1.2)
    pictures[12:] = [brighter(picture, -0.9) for picture in pictures[12:]]
    frames = extract_frames(write_photos(tmp_path / "photos", pictures), ws, FramesConfig())
    assert [f.source_index for f in frames.frames if "exposure_jump" in f.flags] == [6, 12]
    for n in (3, 9, 15, 17):
        pictures[n] = brighter(pictures[n], 1.0)
    frames = extract_frames(write_photos(tmp_path / "photos", pictures), ws)
    assert warning_about(frames, "The exposure jumps at")


def test_a_long_fast_video_with_few_frames(tmp_path, ws):
    path = write_video(tmp_path / "fast.mp4", scenes(40, 40))
    frames = extract_frames(path, ws, FramesConfig(max_frames=6))
    assert warning_about(frames, "frames share little with the one before. Raise max_frames")


def test_dark_and_burnt_out_captures(tmp_path, ws):
    dark = extract_frames(write_photos(tmp_path / "dark", [p // 12 for p in scenes(20)]), ws)
    assert warning_about(dark, "very dark")
    burnt = [np.clip(p.astype(int) * 3, 0, 255).astype(np.uint8) for p in scenes(20)]
    assert warning_about(extract_frames(write_photos(tmp_path / "burnt", burnt), ws), "pure white")


def test_a_camera_that_only_turns_is_told_so(tmp_path, ws):
    frames = extract_frames(write_photos(tmp_path / "photos", [wall(8.0 * n) for n in range(24)]), ws)
    assert warning_about(frames, "No parallax found")
    assert warning_about(frames, "turned on the spot")
