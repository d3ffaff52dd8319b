"""The HTML of an executed notebook, from disk and without any network: its views are live."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from splatlib.config import MasksConfig
from splatlib.masks import mask_frames
from splatlib.render import render_image
from splatlib.samples import Sample
from splatlib.widgets.offline import write_offline_html
from splatlib.widgets.viewing import start_in_scene
from splatlib.workspace import Workspace
from tests.browser.pages import VIEW, Watched, alike, canvas_pixels, psnr_db, wait_for_change, wait_for_pixels
from tests.made import made_workspace

CELLS = (
    "import splatlib as sl\nws = sl.Workspace.open({path!r})\nws.frames",
    "ws.masks",
    "ws.scene",
    "ws.splat()",
    "sl.compare_held_out(ws.splat())",
    "sl.compare_splats(ws.splat(), ws.splat())",
)


@pytest.fixture(scope="module")
def made(sample_photos: Sample, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    ws = made_workspace(tmp_path_factory.mktemp("saved"), sample_photos)
    assert ws.frames is not None
    mask_frames(ws.frames, ws, MasksConfig(backend="grabcut", temporal=False))
    return ws


@pytest.fixture(scope="module")
def saved(made: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Executed as papermill does it, then written as one file; artefacts show themselves."""
    pytest.importorskip("anywidget")
    cells = [nbformat.v4.new_code_cell(cell.format(path=str(made.root))) for cell in CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    return write_offline_html(notebook, tmp_path_factory.mktemp("page") / "run.html")


@pytest.fixture
def opened(saved: Path, offline_page: Watched) -> Iterator[Watched]:
    offline_page.open_file(saved)
    offline_page.page.locator(VIEW).nth(5).wait_for()
    yield offline_page
    assert offline_page.page.locator(f"{VIEW} .note.error").count() == 0


def view(opened: Watched, index: int) -> Any:
    shown = opened.page.locator(VIEW).nth(index)
    shown.scroll_into_view_if_needed()
    return shown


def drawn(shown: Any) -> Any:
    canvas = shown.locator(".viewport > canvas:not(.still)").first
    canvas.wait_for(state="visible")
    return canvas_pixels(canvas)


def test_the_splat_is_the_one_that_was_trained(opened: Watched, made: Workspace) -> None:
    shown = drawn(view(opened, 3))
    splat, scene = made.splat(), made.scene
    assert splat is not None and scene is not None
    start = start_in_scene(scene)
    camera = start.camera(shown.shape[1], shown.shape[0])
    assert psnr_db(shown, render_image(splat.gaussians(), camera, start.cam_from_world)) > 34


def test_cameras_can_be_stood_in(opened: Watched, made: Workspace) -> None:
    shown = view(opened, 3)
    before = drawn(shown)
    assert made.scene is not None
    shown.get_by_role("combobox", name="Stand where a picture was taken").select_option(made.scene.views[9].name)
    scene, last = made.scene, made.scene.views[9]
    canvas = shown.locator(".viewport > canvas:not(.still)").first
    start, splat = start_in_scene(scene), made.splat()
    assert splat is not None
    camera = start.camera(before.shape[1], before.shape[0])
    # at the flight's end, in full resolution
    expected = render_image(splat.gaussians(), camera, last.cam_from_world)
    wait_for_pixels(canvas, lambda now: alike(expected, now, 34))


def test_points_and_frusta_are_drawn(opened: Watched) -> None:
    shown = view(opened, 2)
    before = drawn(shown)
    assert before.std() > 8
    shown.get_by_role("button", name="Error", exact=True).click()
    wait_for_change(shown.locator(".viewport > canvas:not(.still)").first, before, 45)


def test_frames_are_shown_one_by_one(opened: Watched) -> None:
    shown = view(opened, 0)
    assert shown.locator(".sheet img").count() == 22
    shown.get_by_role("button", name="One by one").click()
    shown.get_by_role("button", name="The next frame").click()
    shown.get_by_text("2 of 22").wait_for()
    assert shown.locator(".gone").count() == 2


def test_prompts_can_be_taken_without_a_kernel_and_copied(opened: Watched) -> None:
    shown = view(opened, 1)
    shown.locator(".wide").click()
    assert 'prompts={"IMG_' in shown.locator(".bar.bottom code").inner_text()


def test_photo_and_render_lie_under_a_slider(opened: Watched) -> None:
    shown = view(opened, 4)
    canvas = shown.locator(".wide canvas")
    before = wait_for_pixels(canvas, lambda pixels: pixels.std() > 10)
    shown.locator(".wipe").focus()
    for _ in range(8):
        opened.page.keyboard.press("ArrowLeft")
    wait_for_change(canvas, before, 45)
    shown.get_by_role("button", name="Error map").click()
    wait_for_change(canvas, before, 25)


def test_two_splats_share_a_camera(opened: Watched) -> None:
    shown = view(opened, 5)
    drawn(shown)
    canvases = shown.locator(".viewport > canvas:not(.still)")
    canvases.nth(1).wait_for(state="visible")
    first = canvas_pixels(canvases.nth(0))
    box = shown.locator(".viewport").nth(0).bounding_box()
    opened.page.mouse.move(box["x"] + 80, box["y"] + 80)
    opened.page.mouse.down()
    opened.page.mouse.move(box["x"] + 180, box["y"] + 100, steps=5)
    opened.page.mouse.up()
    wait_for_change(canvases.nth(1), first, 30)
    # fewer pixels are drawn while something moves
    wait_for_pixels(canvases.nth(0), lambda left: left.shape == first.shape and psnr_db(first, left) < 30)
    wait_for_pixels(canvases.nth(1), lambda right: alike(canvas_pixels(canvases.nth(0)), right, 40))


def test_without_webgl_the_picture_stays_and_the_view_says_why(saved: Path, chromium: Any) -> None:
    context = chromium.new_context(offline=True)
    page = context.new_page()
    page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    page.goto(saved.as_uri())
    shown = page.locator(VIEW).nth(3)
    shown.scroll_into_view_if_needed()
    shown.get_by_text("This browser has no WebGL2").wait_for()
    assert shown.locator("img.still").evaluate("img => img.decode().then(() => img.naturalWidth)") > 100
    context.close()


def test_without_javascript_there_are_pictures(saved: Path, chromium: Any) -> None:
    context = chromium.new_context(offline=True, java_script_enabled=False)
    page = context.new_page()
    page.goto(saved.as_uri())
    assert page.locator("[data-splatlib-model] img").count() == len(CELLS)
    context.close()
