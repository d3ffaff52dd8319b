"""The exported HTML file, from disk and without any network: the viewer draws the delivered splat."""

from __future__ import annotations

from pathlib import Path

from splatlib.config import ExportConfig
from splatlib.export import export_splat
from splatlib.export.upright import moved_scene
from splatlib.formats import read_gaussians
from splatlib.render import render_image
from splatlib.samples import Sample
from splatlib.similarity import Similarity
from splatlib.widgets.viewing import start_in_scene
from tests.browser.pages import VIEW, Watched, canvas_pixels, psnr_db
from tests.made import made_workspace


def test_the_exported_page_shows_the_delivered_splat(
    sample_photos: Sample, tmp_path: Path, offline_page: Watched
) -> None:
    ws = made_workspace(tmp_path / "ws", sample_photos)
    splat, scene = ws.splat(), ws.scene
    assert splat is not None and scene is not None
    bundle = export_splat(splat, ws, ExportConfig(formats=("html", "ply")))
    page = bundle.path("html").rename(tmp_path / "alone.html")  # nothing beside it is needed
    offline_page.open_file(page)
    canvas = offline_page.page.locator(f"{VIEW} .viewport > canvas:not(.still)").first
    canvas.wait_for(state="visible")
    shown = canvas_pixels(canvas)
    start = start_in_scene(moved_scene(scene, Similarity.from_matrix(bundle.delivered_from_world)))
    camera = start.camera(shown.shape[1], shown.shape[0])
    assert psnr_db(shown, render_image(read_gaussians(bundle.path("ply")), camera, start.cam_from_world)) > 34
