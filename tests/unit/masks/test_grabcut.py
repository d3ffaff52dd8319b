"""GrabCut against pictures whose masks are known, and what it does with prompts and with nothing to find."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from splatlib.artifacts import MaskSet
from splatlib.capture import extract_frames
from splatlib.config import MaskPrompt, MasksConfig
from splatlib.errors import ConfigError, MasksError
from splatlib.masks import mask_frames
from splatlib.masks.edges import upsampled
from splatlib.masks.temporal import steadied
from splatlib.widgets.display import describe
from splatlib.workspace import Workspace
from tests.unit.capture.media import write_photos
from tests.unit.masks.toy import capture, iou, pictures

GRABCUT = MasksConfig(backend="grabcut")


def read(masks: MaskSet) -> list[np.ndarray]:
    return [np.asarray(cv2.imread(str(masks.mask_path(name)), cv2.IMREAD_GRAYSCALE)) for name in masks.names]


@pytest.mark.parametrize("temporal", [True, False])
def test_the_object_is_found(tmp_path, temporal):
    frames, ws, truths = capture(tmp_path)
    masks = mask_frames(frames, ws, MasksConfig(backend="grabcut", temporal=temporal))
    assert masks.backend == "grabcut" and masks.warnings == () and len(masks.names) == 4
    for mask, truth in zip(read(masks), truths, strict=True):
        assert mask.shape == truth.shape and set(np.unique(mask)) == {0, 255}
        assert iou(mask, truth) > 0.95


def test_it_is_what_auto_means_without_alpha_and_it_repeats_itself(tmp_path):
    frames, ws, _ = capture(tmp_path)
    first, again = mask_frames(frames, ws), mask_frames(frames, Workspace(tmp_path / "other"), GRABCUT)
    assert first.backend == "grabcut"
    assert all(np.array_equal(a, b) for a, b in zip(read(first), read(again), strict=True))


def test_everything_but_the_object(tmp_path):
    frames, ws, truths = capture(tmp_path)
    masks = read(mask_frames(frames, ws, MasksConfig(backend="grabcut", keep="everything_but", grow_px=6)))
    for mask, truth in zip(masks, truths, strict=True):
        assert not (mask[truth] > 0).any(), "grow_px moves the outline of what is left out, outwards"
        assert iou(mask, ~truth) > 0.85


def test_a_box_says_which_of_two_objects(tmp_path):
    shown, _ = pictures(3)
    for picture in shown:
        cv2.rectangle(picture, (230, 150), (300, 220), (240, 220, 40), cv2.FILLED)
    truth = np.zeros(shown[0].shape[:2], bool)
    truth[150:221, 230:301] = True
    ws = Workspace(tmp_path / "workspace")
    frames = extract_frames(write_photos(tmp_path / "photos", shown), ws)
    prompts = {frame.name: MaskPrompt(box=(222, 142, 308, 228)) for frame in frames.frames}
    for mask in read(mask_frames(frames, ws, MasksConfig(backend="grabcut", prompts=prompts))):
        assert iou(mask, truth) > 0.9


def test_clicks_say_which_of_two_objects(tmp_path):
    shown, discs = pictures(3)
    for picture in shown:
        cv2.rectangle(picture, (230, 20), (300, 90), (240, 220, 40), cv2.FILLED)
    square = np.zeros(shown[0].shape[:2], bool)
    square[20:91, 230:301] = True
    ws = Workspace(tmp_path / "workspace")
    frames = extract_frames(write_photos(tmp_path / "photos", shown), ws)
    prompt = MaskPrompt(points=((140, 120, 0), (265, 55, 1)))
    config = MasksConfig(backend="grabcut", prompts={frame.name: prompt for frame in frames.frames})
    for mask, disc in zip(read(mask_frames(frames, ws, config)), discs, strict=True):
        assert (mask[square] > 0).mean() > 0.9
        assert (mask[disc & ~square] > 0).mean() < 0.1


def test_pictures_of_one_colour_do_not_crash_it(tmp_path):
    ws = Workspace(tmp_path / "workspace")
    shown = [np.full((120, 160, 3), 90 + 40 * n, np.uint8) for n in range(3)]
    frames = extract_frames(write_photos(tmp_path / "photos", shown), ws)
    for mask in read(mask_frames(frames, ws, GRABCUT)):
        assert mask.shape == (120, 160) and set(np.unique(mask)) <= {0, 255}


def test_a_missing_frame_is_named(tmp_path):
    frames, ws, _ = capture(tmp_path, 3)
    frames.image_path(frames.frames[1]).unlink()
    with pytest.raises(MasksError, match=r"the frame 000002\.jpg cannot be read"):
        mask_frames(frames, ws, GRABCUT)
    assert ws.masks is None


def test_an_alpha_channel_that_is_not_used_is_compared_with(tmp_path):
    shown, truths = pictures(4)
    cut = [np.dstack([picture, truth.astype(np.uint8) * 255]) for picture, truth in zip(shown, truths, strict=True)]
    ws = Workspace(tmp_path / "workspace")
    frames = extract_frames(write_photos(tmp_path / "photos", cut, [f"{n}.png" for n in range(4)]), ws)
    masks = mask_frames(frames, ws, GRABCUT)
    expected = [iou(mask, truth) for mask, truth in zip(read(masks), truths, strict=True)]
    assert masks.mean_iou == pytest.approx(np.mean(expected), abs=1e-3) and masks.mean_iou > 0.9
    assert masks.min_iou == pytest.approx(min(expected), abs=1e-3)
    assert f"IoU with the alpha channel {masks.mean_iou:.3f}" in describe(masks)
    assert MaskSet.load(masks.directory) == masks
    assert mask_frames(frames, ws).mean_iou is None, "the alpha channel itself is the truth"
    left_out = mask_frames(frames, ws, MasksConfig(backend="grabcut", keep="everything_but"))
    assert left_out.mean_iou is None, "what is left out need not be what the alpha channel shows"


def test_masks_of_older_workspaces_have_no_comparison(tmp_path):
    old = {"backend": "grabcut", "names": ["000001.jpg"], "mean_coverage": 0.5, "warnings": [], "outside": "ignore"}
    masks = MaskSet.from_data(old, directory=tmp_path)
    assert masks.mean_iou is None and "IoU" not in describe(masks)


@pytest.mark.parametrize(
    "name, prompt, words",
    [
        ("000001.jpg", MaskPrompt(points=((10, 241, 1),)), r"\(10, 241\) is not within 320x240"),
        ("000001.jpg", MaskPrompt(points=((-1, 10, 0),)), r"lies outside the picture"),
        ("000001.jpg", MaskPrompt(box=(10, 10, 400, 100)), r"\(400, 100\) is not within 320x240"),
        ("IMG_1.jpg", MaskPrompt(points=((10, 10, 1),)), r"a prompt for IMG_1\.jpg, but no such frame"),
    ],
)
def test_bad_prompts_are_refused_before_any_work(tmp_path: Path, name, prompt, words):
    frames, ws, _ = capture(tmp_path, 3)
    with pytest.raises(MasksError, match=words):
        mask_frames(frames, ws, MasksConfig(backend="grabcut", prompts={name: prompt}))
    assert not (ws.root / "masks").exists()


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"backend": "grabcut", "prompts": {"a": {}}}, "points or a box"),
        ({"backend": "grabcut", "prompts": {"a": {"box": [5, 5, 5, 9]}}}, "x0 < x1"),
        ({"backend": "grabcut", "prompts": {"a": {"points": [[1, 2, 3]]}}}, "prompts"),
        ({"backend": "grabcut", "prompts": {"a": {"points": [[1, "NaN", 1]]}}}, "finite"),
        ({"backend": "u2net", "prompts": {"a": {"box": [1, 2, 3, 4]}}}, "prompts are for the backends"),
    ],
)
def test_prompts_that_say_nothing_sensible(fields, words):
    with pytest.raises(ConfigError, match=words):
        MasksConfig.from_dict(fields)


def test_neighbours_outvote_a_frame_that_disagrees():
    shown, truths = pictures(3)
    maps = [truth.astype(np.float32) for truth in truths]
    broken = maps[1].copy()
    broken[100:130, 120:150] = 0
    steady = steadied(shown, [maps[0], broken, maps[2]])
    assert steady[1][100:130, 120:150].mean() > 0.5
    assert iou(steady[1] > 0.5, truths[1]) > iou(broken, truths[1])


def test_neighbours_that_show_something_else_have_no_vote():
    shown, truths = pictures(1)
    other = np.random.default_rng(0).integers(0, 255, shown[0].shape, np.uint8)
    mask = truths[0].astype(np.float32)
    steady = steadied([other, shown[0], other[:100]], [1 - mask, mask, mask[:100]])
    assert np.abs(steady[1] - mask).mean() < 0.05


def test_a_face_of_a_panorama_is_steadied_by_the_same_face_only():
    """Both faces look the same here, so that their masks, which differ, would vote if they were asked."""
    shown, truths = pictures(1)
    mask = truths[0].astype(np.float32)
    faces = [mask, 1 - mask] * 3
    assert np.abs(steadied(shown * 6, faces)[2] - mask).mean() > 0.3
    apart = steadied(shown * 6, faces, follow=[[0, 2, 4], [1, 3, 5]])
    assert all(np.abs(one - face).max() < 0.01 for one, face in zip(apart, faces, strict=True))


def test_edges_follow_the_full_picture():
    shown, truths = pictures(1)
    large, truth = cv2.resize(shown[0], (960, 720)), cv2.resize(truths[0].astype(np.uint8), (960, 720)) > 0
    small = cv2.resize(shown[0], (160, 120), interpolation=cv2.INTER_AREA)
    ragged = cv2.resize(truths[0].astype(np.float32), (160, 120), interpolation=cv2.INTER_AREA).round()
    plain = cv2.resize(ragged, (960, 720)) > 0.5
    guided = upsampled(ragged.astype(np.float32), np.asarray(small, np.uint8), np.asarray(large, np.uint8)) > 127
    assert iou(guided, truth) > 0.98 and iou(guided, truth) > iou(plain, truth) - 0.002
