"""Still pictures show what the artefact holds, and leave matplotlib's global state alone."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.axes import Axes
from PIL import Image

from splatlib.artifacts import Distortion, ExportBundle, ExportedFile, FrameSet, MaskSet, SparseScene, Splat
from splatlib.config import MasksConfig
from splatlib.errors import ArtifactError
from splatlib.events import read_progress
from splatlib.samples import Sample
from splatlib.widgets import display, stills
from splatlib.widgets.pictures import evenly, png_bytes, sheet, svg_bytes
from splatlib.workspace import Workspace
from tests.made import made_frames, made_workspace


@pytest.fixture(scope="module")
def ws(tmp_path_factory: pytest.TempPathFactory, sample_photos: Sample) -> Workspace:
    return made_workspace(tmp_path_factory.mktemp("stills"), sample_photos)


def frames_of(ws: Workspace) -> FrameSet:
    assert ws.frames is not None
    return ws.frames


def scene_of(ws: Workspace) -> SparseScene:
    assert ws.scene is not None
    return ws.scene


def splat_of(ws: Workspace) -> Splat:
    splat = ws.splat()
    assert splat is not None
    return splat


def shown_picture(artifact: FrameSet | MaskSet | SparseScene | Splat) -> Image.Image:
    bundle = display.mimebundle(artifact)
    assert set(bundle) == {"text/plain", "image/png"}
    return Image.open(io.BytesIO(bundle["image/png"]))


def test_cameras_with_lens_distortion_are_drawn_as_the_pinholes_of_their_focal_length(ws: Workspace) -> None:
    scene = scene_of(ws)
    bent = replace(scene.cameras[0], distortion=Distortion("fisheye", (0.05, -0.01, 0.0, 0.0)))
    shown = shown_picture(replace(scene, cameras=(bent,)))
    assert np.array_equal(np.asarray(shown), np.asarray(shown_picture(scene)))


def test_every_artefact_shows_a_picture_of_notebook_width(ws: Workspace) -> None:
    for artifact in (frames_of(ws), scene_of(ws), splat_of(ws)):
        picture = shown_picture(artifact)
        assert 800 <= picture.width <= 1400
        assert np.asarray(picture.convert("RGB")).std() > 10  # not blank


def test_notebook_display_hook_reaches_the_stills(ws: Workspace) -> None:
    assert frames_of(ws)._repr_mimebundle_()["image/png"].startswith(b"\x89PNG")


def test_pyplot_is_never_loaded(ws: Workspace) -> None:
    loaded_before = "matplotlib.pyplot" in sys.modules
    shown_picture(scene_of(ws))
    assert ("matplotlib.pyplot" in sys.modules) == loaded_before


def test_contact_sheet_says_what_was_dropped(ws: Workspace) -> None:
    assert stills.kept_and_dropped(frames_of(ws)) == "22 of 24 pictures kept; dropped: 1 blurred, 1 duplicate"
    flagged = frames_of(ws).frames[4]
    assert stills.frame_captions(flagged) == ("#4  IMG_1005.jpg", "exposure jump")
    video_frame = replace(flagged, timestamp_s=1.25, flags=())
    assert stills.frame_captions(video_frame) == ("#4  1.25 s", "sharpness 0.54")


def test_contact_sheet_holds_the_frames_pixels(ws: Workspace) -> None:
    picture = np.asarray(stills.contact_sheet(frames_of(ws)).convert("RGB")).astype(float)
    first = frames_of(ws).frames[0]
    with Image.open(frames_of(ws).image_path(first)) as photo:
        expected = np.asarray(photo.convert("RGB").resize((150, 112), Image.Resampling.LANCZOS)).astype(float)
    tile = picture[32 : 32 + 112, :150]
    assert np.abs(tile - expected).mean() < 10


def test_text_carries_figures_and_warnings(ws: Workspace) -> None:
    text = display.describe(frames_of(ws))
    assert "22 frames (480x360)" in text
    assert "warning: The exposure changes between frames." in text
    assert "22 of 22 frames registered" in display.describe(scene_of(ws))
    assert f"{splat_of(ws).psnr_db:.2f} dB" in display.describe(splat_of(ws))


def test_masks_dim_what_they_ignore(tmp_path: Path, sample_photos: Sample) -> None:
    ws = Workspace(tmp_path)
    frames = made_frames(ws, sample_photos)
    stage = ws.stage(MaskSet, MasksConfig(), inputs={})
    name = frames.frames[0].name
    with stage.work() as directory:
        mask = np.zeros((360, 480), np.uint8)
        mask[:, 240:] = 255
        Image.fromarray(mask).save(directory / f"{name}.png")
        masks = stage.finish(MaskSet(directory=directory, backend="alpha", names=(name,), mean_coverage=0.5))
    shown_picture(masks)
    picture = np.asarray(stills.mask_sheet(masks, frames).convert("RGB")).astype(float)[32:257, :300]
    with Image.open(frames.image_path(frames.frames[0])) as photo:
        photo_pixels = np.asarray(photo.convert("RGB").resize((300, 225), Image.Resampling.LANCZOS)).astype(float)
    difference = np.abs(picture - photo_pixels).mean(axis=(0, 2))
    assert difference[160:].mean() < 3
    assert difference[:140].mean() > 25
    alone = np.asarray(stills.mask_sheet(masks, None).convert("L"))[32:257, :300]
    assert (alone[:, 160:] == 255).all()
    assert (alone[:, :140] == 0).all()


def test_camera_plot_keeps_one_scale_and_looks_from_above(ws: Workspace) -> None:
    for stacked in (False, True):
        figure = stills.camera_plot(scene_of(ws), stacked=stacked)
        png_bytes(figure)  # lays out
        px_per_unit = []
        for axes in figure.axes:
            left, right = axes.get_xlim()
            bottom, top = axes.get_ylim()
            box = axes.get_window_extent()
            px_per_unit += [box.width / (right - left), box.height / (top - bottom)]
        assert max(px_per_unit) / min(px_per_unit) < 1.1
    up_in_world = np.array([0, 0, 1])  # the sample's
    assert stills._viewing_axes(scene_of(ws))[2] @ up_in_world > 0.8


def test_camera_plot_is_not_shrunk_by_far_points(ws: Workspace) -> None:
    scene = scene_of(ws)
    points = scene.points_xyz.copy()
    points[::20] *= 1000
    figure = stills.camera_plot(replace(scene, points_xyz=points))
    left, right = figure.axes[0].get_xlim()
    extent = np.linalg.norm(np.ptp([view.center for view in scene.views], axis=0))
    assert right - left < 10 * extent


@pytest.mark.parametrize("count", [1, 2])
def test_camera_plot_of_few_views_and_no_points(ws: Workspace, count: int) -> None:
    scene = scene_of(ws)
    nothing = {name: getattr(scene, name)[:0] for name in SparseScene._arrays}
    assert png_bytes(stills.camera_plot(replace(scene, views=scene.views[:count], **nothing)))


def drawn(axes: Axes) -> npt.NDArray[np.float64]:
    return np.asarray(axes.lines[0].get_ydata(), np.float64)


def test_curves_hold_the_logged_values(ws: Workspace) -> None:
    metrics = read_progress(splat_of(ws).metrics_path)
    assert len(metrics.losses) == 61
    assert sorted(metrics.evaluations) == [200, 400, 600, 800, 1000, 1200]
    loss, psnr, gaussians = stills.training_curves(metrics).axes
    assert loss.get_yscale() == "log"
    np.testing.assert_allclose(drawn(loss), [r["loss"] for r in metrics.losses.values()])
    np.testing.assert_allclose(drawn(psnr), [e["psnr_db"] for e in metrics.evaluations.values()])
    assert drawn(gaussians)[-1] == 15000
    assert [text.get_text() for text in loss.texts] == ["80 px", "160 px", "320 px"]


def test_torn_and_repeated_metric_lines(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = [
        {"step": 0, "loss": 1.0},
        {"step": 20, "loss": 0.5},
        {"step": 20, "loss": 0.4, "psnr_db": 20.0, "ssim": 0.5},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + 'null\n{"loss": 3}\n{"step": 40, "lo')
    metrics = read_progress(path)
    assert {step: r["loss"] for step, r in metrics.losses.items()} == {0: 1.0, 20: 0.4}
    assert list(metrics.evaluations) == [20]
    assert png_bytes(stills.training_curves(metrics))
    nothing = read_progress(tmp_path / "absent.jsonl")
    assert png_bytes(stills.training_curves(nothing))


def test_held_out_views_are_ranked_honestly(ws: Workspace) -> None:
    splat = splat_of(ws)
    ranked = stills.ranked_held_out(splat, most=6)
    assert [rank for _, rank in ranked] == ["worst", "median", "best"]
    decibels = [view.psnr_db for view, _ in ranked]
    assert decibels == sorted(decibels)
    many = replace(splat, held_out=splat.held_out * 5)
    assert [rank for _, rank in stills.ranked_held_out(many, most=4)][::3] == ["worst", "best"]
    assert stills.ranked_held_out(replace(splat, held_out=splat.held_out[:1]), most=4) == [(splat.held_out[0], "")]


def test_a_splat_without_held_out_views_shows_its_curves(ws: Workspace) -> None:
    picture = shown_picture(replace(splat_of(ws), held_out=()))
    assert picture.width > 2 * picture.height


def test_exports_show_a_table_with_names_escaped(tmp_path: Path) -> None:
    file = ExportedFile("ply", "<b>.ply", 1_500_000, "RDF", 12_345, 0.1)
    bundle = display.mimebundle(ExportBundle(directory=tmp_path, files=(file,)))
    assert all(figure in bundle["text/html"] for figure in ("1.50 MB", "12,345", "0.10 dB"))
    assert "&lt;b&gt;.ply" in bundle["text/html"]
    assert "<b>" not in bundle["text/html"]


def test_a_missing_picture_is_named(ws: Workspace, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"IMG_1001\.jpg is missing or damaged"):
        display.mimebundle(replace(frames_of(ws), directory=tmp_path))


@pytest.mark.parametrize(("count", "most"), [(0, 5), (3, 5), (5, 5), (100, 7)])
def test_evenly_keeps_first_and_last(count: int, most: int) -> None:
    indices = evenly(count, most)
    assert len(indices) == len(set(indices)) == min(count, most)
    assert indices == sorted(indices)
    if count:
        assert (indices[0], indices[-1]) == (0, count - 1)


def test_a_sheet_of_nothing_says_so() -> None:
    assert sheet([], columns=3, title="0 masks").width > 0


def test_equal_figures_give_equal_drawings(ws: Workspace) -> None:
    metrics = read_progress(splat_of(ws).metrics_path)
    assert svg_bytes(stills.training_curves(metrics)) == svg_bytes(stills.training_curves(metrics))
