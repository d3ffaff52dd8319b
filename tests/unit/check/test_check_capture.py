"""The check on the sample's pictures: intact, cut in two, masked, panoramas; what it leaves behind and how it shows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from splatlib.artifacts import CaptureCheck, FrameSet, MaskSet
from splatlib.check import check_capture
from splatlib.check.features import look_at_frames
from splatlib.errors import ArtifactError
from splatlib.report import write_check_report
from splatlib.samples import Sample, camera_path, looking_at
from splatlib.samples.raycast import render_view
from splatlib.samples.scene import build_scene
from splatlib.workspace import Workspace
from tests.unit.cameras.made_frames import frame_set, named_frames, noise


@pytest.fixture(scope="module")
def views(sample_photos: Sample) -> list[np.ndarray]:
    """Twelve pictures along the sample's path."""
    solids = build_scene(sample_photos.seed)
    return [render_view(solids, sample_photos.camera, pose)[0][..., ::-1] for pose in camera_path(16)[:12]]


@pytest.fixture(scope="module")
def checked(views: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> CaptureCheck:
    """Twelve pictures of the room, then five of another place."""
    ws = Workspace(tmp_path_factory.mktemp("checked"))
    elsewhere = [np.roll(noise(480, 360, seed=5), 12 * step, axis=1) for step in range(5)]
    return check_capture(frame_set(ws.directory(FrameSet), [*views, *elsewhere]), ws)


def test_what_belongs_together_places_and_the_rest_does_not(checked: CaptureCheck) -> None:
    assert checked.with_outlook("places") == list(range(12))
    assert checked.with_outlook("lost") == [12, 13, 14, 15, 16]
    assert not any(link.one < 12 <= link.other for link in checked.links)
    assert checked.verdict == "weak" and checked.in_order and checked.closes is False
    first = checked.findings[0]
    assert first.severity == "reshoot" and "5 frames, IMG_0013.jpg to IMG_0017.jpg" in first.title


def test_it_is_kept_and_reused(checked: CaptureCheck, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("splatlib.check.stage.look_at_frames", lambda *_: pytest.fail("worked again"))
    ws = Workspace(checked.directory.parent)
    frames = frame_set_of(ws, checked)
    again = check_capture(frames)
    assert again == ws.check == checked


def frame_set_of(ws: Workspace, checked: CaptureCheck) -> FrameSet:
    """The frames that were checked; made by hand, they left no record."""
    directory = ws.directory(FrameSet)
    return replace(named_frames(["x.jpg"] * len(checked)), directory=directory, digest=str(directory))


def test_a_turn_on_the_spot_is_bad(sample_photos: Sample, tmp_path: Path) -> None:
    solids = build_scene(sample_photos.seed)
    center = sample_photos.centers[0]
    targets = [center + np.array([np.cos(a), np.sin(a), -0.2]) for a in np.linspace(0, np.pi / 2, 10)]
    turned = [render_view(solids, sample_photos.camera, looking_at(center, t))[0][..., ::-1] for t in targets]
    check = check_capture(frame_set(tmp_path / "frames", turned))
    assert check.verdict == "bad" and not check.with_outlook("places")
    assert check.findings[0].title == "The camera only turned on the spot."


def test_features_lie_where_the_mask_says(views: Sequence[np.ndarray], tmp_path: Path) -> None:
    frames = frame_set(tmp_path / "frames", views[:2])
    mask = np.zeros(views[0].shape[:2], np.uint8)
    mask[:, 240:] = 255
    (tmp_path / "masks").mkdir()
    name = frames.frames[0].name
    assert cv2.imwrite(str(tmp_path / "masks" / f"{name}.png"), mask)
    masks = MaskSet(directory=tmp_path / "masks", backend="folder", names=(name,), mean_coverage=0.5)
    masked, whole = look_at_frames(frames, masks)
    assert masked.positions[:, 0].min() > 199 and whole.positions[:, 0].min() < 50  # of 400


def test_a_brighter_frame_is_measured_in_stops(views: Sequence[np.ndarray], tmp_path: Path) -> None:
    one_stop = 0.5 ** (1 / 2.2)
    darker = [np.asarray(view * one_stop, np.uint8) for view in views[6:]]
    check = check_capture(frame_set(tmp_path / "frames", [*views[:6], *darker]))
    exposures = [frame.exposure_ev for frame in check.frames if frame.exposure_ev is not None]
    assert len(exposures) == 12
    assert np.mean(exposures[:6]) - np.mean(exposures[6:]) == pytest.approx(1.0, abs=0.1)


def test_frames_of_several_sources_are_told_apart(views: Sequence[np.ndarray], tmp_path: Path) -> None:
    """Each phone begins to count at one, each video at 0.0 s."""
    ws = Workspace(tmp_path)
    frames = frame_set(ws.directory(FrameSet), views[:4])
    sources = [
        ("hall", "hall/IMG_1.jpg", None),
        ("yard", "yard/IMG_1.jpg", None),
        ("a.mov", "a.mov", 0.0),
        ("b.mov", "b.mov", 0.0),
    ]
    several = [
        replace(frame, source_group=group, source=source, timestamp_s=time_s)
        for frame, (group, source, time_s) in zip(frames.frames, sources, strict=True)
    ]
    check = check_capture(replace(frames, frames=tuple(several)), ws)
    assert [frame.label for frame in check.frames] == [
        "hall/IMG_1.jpg",
        "yard/IMG_1.jpg",
        "a.mov: 0.0 s",
        "b.mov: 0.0 s",
    ]
    assert [frame.short_label for frame in check.frames[:2]] == ["IMG_1.jpg", "IMG_1.jpg"]


def test_a_missing_picture_is_named(views: Sequence[np.ndarray], tmp_path: Path) -> None:
    frames = frame_set(tmp_path / "frames", views[:3])
    frames.image_path(frames.frames[1]).unlink()
    with pytest.raises(ArtifactError, match="000002"):
        check_capture(frames)


def test_it_shows_itself_in_words_and_pictures(checked: CaptureCheck) -> None:
    bundle = checked._repr_mimebundle_()
    assert bundle["text/plain"].startswith("CaptureCheck: weak; of 17 frames 12 should find their place")
    assert "reshoot: 5 frames" in bundle["text/plain"]
    assert bundle["text/html"].count("data:image/png") == 2


def test_the_page_stands_alone(checked: CaptureCheck, tmp_path: Path) -> None:
    path = write_check_report(checked, tmp_path / "page.html")
    text = path.read_text(encoding="utf-8")
    assert "will not connect with the rest" in text and "IMG_0013.jpg" in text
    addresses = re.findall(r'(?:src|srcset|href)="([^"]*)"', text)
    assert addresses and all(address.startswith("data:image/") for address in addresses)
    assert "<script" not in text
    assert write_check_report(checked) == checked.directory.parent / "check.html"
