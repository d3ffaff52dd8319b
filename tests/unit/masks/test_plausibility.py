"""Masks that cannot be right are doubted by name; right ones are not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from splatlib.artifacts import Frame, FrameSet
from splatlib.capture import extract_frames
from splatlib.config import MasksConfig
from splatlib.masks import mask_frames
from splatlib.masks.plausibility import Found, doubts, found_in
from splatlib.masks.temporal import sequences
from splatlib.workspace import Workspace
from tests.unit.capture.media import write_photos
from tests.unit.masks.toy import pictures

OBJECT = MasksConfig(backend="grabcut")
PEOPLE = MasksConfig(backend="u2net", u2net_model="human", keep="everything_but")


def frames_of(count: int) -> FrameSet:
    frames = [Frame(f"{n:06d}.jpg", 320, 240, f"IMG_{n}.jpg", n) for n in range(1, count + 1)]
    return FrameSet(directory=Path("nowhere"), capture="made", kind="photos", frames=tuple(frames))


def found(*areas: float, border: float = 0.0) -> dict[str, Found]:
    return {f"{n:06d}.jpg": Found(area, border) for n, area in enumerate(areas, start=1)}


@pytest.mark.parametrize("keep", ["object", "everything_but"])
def test_the_object_s_shares_of_picture_and_border(keep):
    mask = np.zeros((100, 200), np.uint8)
    mask[50:, 50:150] = 255  # stands on the lower border
    shown = mask if keep == "object" else 255 - mask
    shares = found_in(shown, MasksConfig(backend="grabcut", keep=keep))
    assert shares.area == 0.25 and shares.border == pytest.approx(100 / 600)


def test_an_object_that_stands_on_the_border_and_changes_slowly_is_believed():
    assert doubts(frames_of(8), found(0.1, 0.12, 0.15, 0.19, 0.24, 0.3, 0.35, 0.4, border=0.3), OBJECT) == []


def test_an_object_that_fills_the_picture():
    (said,) = doubts(frames_of(4), found(0.8, 0.5, 0.9, 0.6), OBJECT)
    assert "fills more than three quarters of 2 of 4 frames (000001.jpg, 000003.jpg)" in said
    assert "masks.prompts" in said and "u2net or sam2" in said and "leave masks out" in said


def test_what_lies_along_the_border_is_more_likely_the_background():
    (said,) = doubts(frames_of(3), found(0.4, 0.4, 0.4, border=0.8), OBJECT)
    assert "along most of the border of 3 of 3 frames" in said


def test_a_frame_whose_object_is_not_the_size_of_its_neighbours():
    (said,) = doubts(frames_of(9), found(0.2, 0.2, 0.2, 0.2, 0.02, 0.2, 0.2, 0.2, 0.2), OBJECT)
    assert "as in the frames beside 1 of 9 frames (000005.jpg)" in said
    (said,) = doubts(frames_of(9), found(0.2, 0.2, 0.2, 0.2, 0.6, 0.2, 0.2, 0.2, 0.2), OBJECT)
    assert "(000005.jpg)" in said


def test_a_closer_round_of_pictures_is_no_jump():
    assert doubts(frames_of(10), found(*[0.1] * 5, *[0.25] * 5), OBJECT) == []


def test_people_may_come_and_go():
    assert doubts(frames_of(9), found(0, 0, 0, 0.2, 0.01, 0.3, 0, 0.3, 0, border=0.6), PEOPLE) == []
    (said,) = doubts(frames_of(3), found(0, 0.9, 0), PEOPLE)
    assert "fills more than three quarters of 1 of 3 frames (000002.jpg)" in said
    assert "prompts" not in said, "u2net takes none"


def test_many_names_are_cut_short():
    (said,) = doubts(frames_of(9), found(*[0.9] * 9), OBJECT)
    assert "000004.jpg, …" in said and "000005.jpg" not in said


def test_faces_of_panoramas_are_compared_with_the_same_face():
    faces = [replace(frame, face=("front", "back")[n % 2]) for n, frame in enumerate(frames_of(12).frames)]
    frames = replace(frames_of(12), frames=tuple(faces))
    assert sequences(frames.frames) == [[0, 2, 4, 6, 8, 10], [1, 3, 5, 7, 9, 11]]
    assert doubts(frames, found(*[0.3, 0.05] * 6), OBJECT) == []


def test_a_close_up_is_doubted_and_the_toy_is_not(tmp_path):
    shown, _ = pictures(5)
    ws = Workspace(tmp_path / "workspace")
    frames = extract_frames(write_photos(tmp_path / "photos", shown), ws)
    assert mask_frames(frames, ws, OBJECT).warnings == ()
    everywhere = MasksConfig(backend="grabcut", threshold=0.0)  # all of each picture is the object
    doubted = mask_frames(frames, ws, everywhere).warnings
    assert any("fills more than three quarters of 5 of 5 frames (000001.jpg" in warning for warning in doubted)
