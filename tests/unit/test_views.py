"""Views hold what the artefacts say, answer the front end's questions, and give way to stills where they cannot be."""

from __future__ import annotations

import gzip
import io
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("anywidget")

from splatlib.artifacts import FrameSet, SparseScene, Splat
from splatlib.config import MaskPrompt
from splatlib.errors import ArtifactError, ConfigError
from splatlib.interactive import Segmenter, view_masks
from splatlib.samples import Sample
from splatlib.widgets.compare import compare_held_out, compare_pictures, compare_splats
from splatlib.widgets.frames import view_frames
from splatlib.widgets.runtime import View, shared_runtime
from splatlib.widgets.scene import matches_between, view_scene
from splatlib.widgets.splat import view_splat
from splatlib.widgets.viewing import start_in_scene, start_outside_scene
from splatlib.workspace import Workspace
from tests.made import made_workspace


@pytest.fixture(scope="module")
def ws(tmp_path_factory: pytest.TempPathFactory, sample_photos: Sample) -> Workspace:
    return made_workspace(tmp_path_factory.mktemp("views"), sample_photos)


@pytest.fixture(scope="module")
def frames(ws: Workspace) -> FrameSet:
    assert ws.frames is not None
    return ws.frames


@pytest.fixture(scope="module")
def scene(ws: Workspace) -> SparseScene:
    assert ws.scene is not None
    return ws.scene


@pytest.fixture(scope="module")
def splat(ws: Workspace) -> Splat:
    splat = ws.splat()
    assert splat is not None
    return splat


def info_of(view: View) -> dict[str, Any]:
    return dict(view.info)  # pyright: ignore[reportCallIssue, reportArgumentType]


def test_all_views_share_one_runtime(frames: FrameSet, splat: Splat) -> None:
    assert view_frames(frames)._runtime is view_splat(splat)._runtime is shared_runtime()


def test_a_view_comes_with_its_picture_and_words(splat: Splat) -> None:
    data, _ = view_splat(splat)._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert Image.open(io.BytesIO(data["image/png"])).size == (640, 368)
    assert data["text/plain"].startswith("Splat: ")


def test_frames_tell_what_was_dropped_and_where(frames: FrameSet) -> None:
    info = info_of(view_frames(frames))
    assert len(info["frames"]) == len(frames)
    dropped = {d["reason"]: d["after"] for d in info["dropped"]}
    before_blurred = [i for i, frame in enumerate(frames.frames) if frame.source_index < 9]
    assert dropped["blurred"] == before_blurred[-1]
    assert sum(info["sizes"]) == len(view_frames(frames).blobs[0])  # pyright: ignore[reportIndexIssue]


def test_a_larger_picture_is_sent_and_a_name_is_no_path(frames: FrameSet) -> None:
    answers = view_frames(frames)._answers["picture"]
    assert Image.open(io.BytesIO(answers(frames.frames[0].name, {}))).size == (480, 360)
    with pytest.raises(ArtifactError, match="there is no frame"):
        answers("../../artifact.json", {})


def test_an_answer_that_fails_reaches_the_view(frames: FrameSet, monkeypatch: pytest.MonkeyPatch) -> None:
    view = view_frames(frames)
    sent: list[Any] = []
    monkeypatch.setattr(view, "send", lambda content, buffers=None: sent.append((content, buffers)))
    for name in ("none.jpg", frames.frames[0].name):
        question = {"ask": "picture", "name": name}
        view._newest["picture", name] = question
        view._reply(("picture", name), question)
    assert "there is no frame" in sent[0][0]["error"]
    assert "error" not in sent[1][0] and len(sent[1][1]) == 1


def test_missing_pictures_are_named(frames: FrameSet, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="missing or damaged"):
        view_frames(replace(frames, directory=tmp_path))


def test_a_click_makes_the_mask_cover_what_it_points_at(frames: FrameSet) -> None:
    name = frames.frames[0].name
    mask = Segmenter(frames)(name, MaskPrompt(points=((120, 200, 1),)))
    assert mask.shape == (360, 480) and set(np.unique(mask)) <= {0, 255}
    assert mask[200, 120] == 255
    assert Segmenter(frames)(name, MaskPrompt(points=((120, 200, 0),)))[200, 120] == 0


def test_prompts_are_checked_when_they_are_set(frames: FrameSet) -> None:
    view = view_masks(frames)
    view.prompts = {"a.jpg": {"points": [[1, 2, 1]]}}
    assert view.prompts == {"a.jpg": {"points": [[1.0, 2.0, 1]], "box": None}}
    with pytest.raises(ConfigError, match=r"the prompt of a\.jpg is none"):
        view.prompts = {"a.jpg": {"box": [5, 5, 1, 1]}}


def test_points_are_packed_as_they_are_read(scene: SparseScene) -> None:
    view = view_scene(scene)
    info = info_of(view)["points"]
    raw = gzip.decompress(view.blobs[0])  # pyright: ignore[reportIndexIssue]
    count = info["count"]
    assert len(raw) == 17 * count and count == len(scene.points_xyz)
    assert np.array_equal(np.frombuffer(raw, "<f4", 3 * count).reshape(-1, 3), scene.points_xyz)
    assert np.array_equal(np.frombuffer(raw, "u1", 3 * count, 12 * count).reshape(-1, 3), scene.points_rgb)
    errors = np.frombuffer(raw, "u1", count, 15 * count) * info["error_step_px"]
    assert np.abs(errors - scene.point_errors_px).max() <= info["error_step_px"]


def test_of_too_many_points_those_that_most_frames_see_are_shown(scene: SparseScene) -> None:
    lengths = np.arange(len(scene.points_xyz), dtype=np.int32)
    info = info_of(view_scene(replace(scene, point_track_lengths=lengths), most=100))
    assert info["points"]["count"] == 100
    assert "100 of" in info["note"]


def test_matches_are_read_from_colmaps_database(tmp_path: Path) -> None:
    path = tmp_path / "database.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE images (image_id INTEGER, name TEXT)")
        connection.execute("CREATE TABLE two_view_geometries (pair_id INTEGER, rows INTEGER)")
        connection.executemany("INSERT INTO images VALUES (?, ?)", [(1, "a.jpg"), (2, "b.jpg"), (3, "c.jpg")])
        pairs = [(1 * 2147483647 + 2, 50), (2 * 2147483647 + 3, 0)]
        connection.executemany("INSERT INTO two_view_geometries VALUES (?, ?)", pairs)
    assert matches_between(path) == {("a.jpg", "b.jpg"): 50}
    path.write_bytes(b"no database at all")
    with pytest.raises(ArtifactError, match="cannot be read"):
        matches_between(path)


def test_views_begin_where_the_scene_is_seen(scene: SparseScene) -> None:
    inside, outside = start_in_scene(scene), start_outside_scene(scene)
    first = scene.views[0]
    assert np.allclose(inside.cam_from_world, first.cam_from_world)
    ahead = first.cam_from_world[:3, :3] @ (inside.target - first.center)
    assert ahead[2] > 0 and np.allclose(ahead[:2], 0, atol=1e-6)
    rotation, shift = outside.cam_from_world[:3, :3], outside.cam_from_world[:3, 3]
    assert np.allclose(rotation @ rotation.T, np.eye(3))
    centers = np.array([view.center for view in scene.views]) @ rotation.T + shift
    tan = np.abs(centers[:, :2] / centers[:, 2:])
    assert (centers[:, 2] > 0).all() and (tan < np.array(outside.half_tan)).all()


def test_other_gaussians_go_into_the_same_view(splat: Splat) -> None:
    view = view_splat(splat)
    gaussians = splat.gaussians()
    view.show(gaussians.select(np.arange(100)))
    assert info_of(view)["packed"]["count"] == 100
    assert len(view.cropped()) == 100


def test_comparisons_hold_their_pairs(splat: Splat) -> None:
    info = info_of(compare_held_out(splat))
    assert [pair["name"] for pair in info["pairs"]] and len(info["sizes"]) == 2 * len(info["pairs"])
    assert "worst" in info["pairs"][0]["facts"]
    picture = np.full((20, 30, 3), 100, np.uint8)
    assert info_of(compare_pictures([picture], [picture]))["pairs"][0]["facts"] == "equal"
    with pytest.raises(ConfigError, match="pairs of one size"):
        compare_pictures([picture], [picture[1:]])
    assert [s["label"] for s in info_of(compare_splats(splat, splat))["splats"]] == ["before", "after"]
    with pytest.raises(ArtifactError, match="no held-out views"):
        compare_held_out(replace(splat, held_out=()))


def test_without_anywidget_the_error_says_what_to_install() -> None:
    code = "import sys; sys.modules['anywidget'] = None; import splatlib as sl\ntry:\n    sl.view_splat\n"
    code += "except sl.SplatlibError as error:\n    print(error)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.startswith("views need anywidget") and "splatlib[notebook]" in printed
