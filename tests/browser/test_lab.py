"""In JupyterLab: views draw, values come back to Python, and without a kernel or trust pictures stay."""

from __future__ import annotations

from typing import Any

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from splatlib.render import render_image
from splatlib.widgets.viewing import start_round_gaussians
from tests.browser.made import room
from tests.browser.pages import VIEW, Lab, Watched, alike, psnr_db, wait_for_change, wait_for_pixels

ROOM = "import numpy as np, splatlib as sl\nfrom tests.browser.made import room\ngaussians = room(8000)"
CANVAS = f"{VIEW} .viewport canvas:not(.still)"
WORKSPACE = "import splatlib as sl\nws = sl.Workspace.open({path!r})"


@pytest.fixture(scope="module")
def splat_page(lab: Lab, chromium: Any) -> Any:
    """A splat's view, run in JupyterLab."""
    context = chromium.new_context(viewport={"width": 1300, "height": 950})
    watched = Watched(context.new_page())
    lab.write("splat.ipynb", ROOM, "view = sl.view_splat(gaussians)\nview")
    lab.open(watched, "splat.ipynb")
    lab.run_all(watched)
    watched.wait_for_picture()
    yield watched
    context.close()
    assert watched.errors == []


def test_a_splat_is_drawn_as_the_rasteriser_draws_it(splat_page: Watched) -> None:
    shown = splat_page.pixels()
    gaussians = room(8000)
    start = start_round_gaussians(gaussians)
    height, width = shown.shape[:2]
    expected = render_image(gaussians, start.camera(width, height), start.cam_from_world)
    assert psnr_db(shown, expected) > 34


def test_the_crop_box_comes_back_to_python(lab: Lab, splat_page: Watched) -> None:
    splat_page.page.get_by_role("button", name="Crop box").click()
    ends = splat_page.page.locator(f"{VIEW} .panel.crop input[type=range]")
    assert ends.count() == 6
    ends.nth(1).evaluate("s => { s.value = '0'; s.dispatchEvent(new Event('input', { bubbles: true })) }")
    code = "[view.crop, int(view.inside_crop().sum()), len(view.cropped())]"
    crop, inside, kept = lab.run_until(splat_page, code, lambda value: 0 < value[1] < 7800)
    assert crop.keys() == {"center", "size", "rotation"}
    assert 0 < inside == kept < 8000
    gaussians = room(8000)
    rotation = np.array(crop["rotation"]).reshape(3, 3)
    offset = (gaussians.means - crop["center"]) @ rotation.T
    assert inside == (np.abs(offset) <= np.array(crop["size"]) / 2).all(axis=1).sum()


def test_python_can_set_the_crop_box(lab: Lab, splat_page: Watched) -> None:
    lab.run(splat_page, "view.crop = {**view.crop, 'size': [0.01, 0.01, 0.01]}; print('set')")
    splat_page.page.get_by_role("button", name="Crop box").click()
    wait_for_pixels(splat_page.page.locator(CANVAS).first, lambda shown: shown.mean() < 12)
    lab.run(splat_page, "view.crop = {}; print('clear')")


def test_keys_turn_the_view(splat_page: Watched) -> None:
    before = splat_page.pixels()
    viewport = splat_page.page.locator(f"{VIEW} .viewport").first
    viewport.focus()
    splat_page.page.keyboard.down("ArrowLeft")
    splat_page.page.wait_for_timeout(700)
    splat_page.page.keyboard.up("ArrowLeft")
    wait_for_change(splat_page.page.locator(CANVAS).first, before, 25)
    splat_page.page.keyboard.press("r")
    wait_for_pixels(splat_page.page.locator(CANVAS).first, lambda now: alike(before, now, 30))


def test_a_lost_context_comes_back(splat_page: Watched) -> None:
    before = splat_page.pixels()
    splat_page.page.locator(f"{VIEW} .viewport canvas:not(.still)").first.evaluate(
        "canvas => canvas.getContext('webgl2').getExtension('WEBGL_lose_context').loseContext()"
    )
    splat_page.page.wait_for_timeout(1000)
    splat_page.wait_for_picture()
    wait_for_pixels(splat_page.page.locator(CANVAS).first, lambda now: alike(before, now, 30))


def test_a_view_that_was_out_of_the_page_is_whole_again(splat_page: Watched) -> None:
    """As JupyterLab does with outputs while it lays a notebook out anew."""
    before = splat_page.pixels()
    viewport = splat_page.page.locator(f"{VIEW} .viewport").first
    viewport.evaluate("el => { el.style.display = 'none' }")
    splat_page.page.wait_for_timeout(1200)
    viewport.evaluate("el => { el.style.display = '' }")
    splat_page.wait_for_picture()
    wait_for_pixels(splat_page.page.locator(CANVAS).first, lambda now: alike(before, now, 30))


def test_a_saved_notebook_shows_its_views_without_a_kernel(lab: Lab, splat_page: Watched) -> None:
    """And holds the runtime once, however many views there are."""
    lab.save(splat_page)
    saved = nbformat.read(lab.folder / "splat.ipynb", as_version=4)
    states = saved.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    runtimes = [s for s in states.values() if "digest" in s["state"] and s["model_module"] == "anywidget"]
    assert len(runtimes) == 1
    splat_page.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    lab.reopen(splat_page, "splat.ipynb")
    assert splat_page.wait_for_picture().std() > 20


def test_a_distance_gives_the_scale(lab: Lab, page: Watched) -> None:
    """Two balls of a known distance: clicks on their middles measure it, up to their sizes."""
    made = "balls = sl.Gaussians(np.array([[-1, 0, 0], [1, 0, 0]], 'f4').repeat(200, 0) + np.random.default_rng(0)"
    made += ".normal(0, 0.02, (400, 3)).astype('f4'), np.full((400, 3), -3, 'f4'), np.ones((400, 4), 'f4'), "
    made += "np.full(400, 3, 'f4'), np.ones((400, 1, 3), 'f4'))"
    lab.write("balls.ipynb", ROOM, f"{made}\nview = sl.view_splat(balls)\nview")
    lab.open(page, "balls.ipynb")
    lab.run_all(page)
    shown = page.wait_for_picture()
    page.page.get_by_role("button", name="Measure a distance").click()
    box = page.page.locator(f"{VIEW} .viewport").bounding_box()
    bright = np.argwhere(shown.sum(axis=2) > 300)
    for side in (bright[:, 1] < shown.shape[1] / 2, bright[:, 1] > shown.shape[1] / 2):
        y, x = bright[side].mean(axis=0) * [box["height"] / shown.shape[0], box["width"] / shown.shape[1]]
        page.page.mouse.click(box["x"] + x, box["y"] + y)
        page.page.wait_for_timeout(600)
    length = page.page.get_by_role("spinbutton", name="True length")
    length.fill("5")
    length.press("Enter")
    measured, scale = lab.run_until(page, "[view.measured, view.metres_per_unit]", lambda value: value[1] is not None)
    assert measured["distance"] == pytest.approx(2, abs=0.12)
    assert scale == pytest.approx(5 / measured["distance"])


def test_an_untrusted_notebook_shows_the_picture(lab: Lab, page: Watched) -> None:
    """As papermill leaves it: executed, with its views' state, and trusted by nobody."""
    path = lab.write("batch.ipynb", ROOM, "sl.view_splat(gaussians)")
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    nbformat.write(notebook, path)
    lab.open(page, "batch.ipynb")
    picture = page.page.locator(".jp-OutputArea img")
    picture.wait_for()
    assert picture.evaluate("img => img.decode().then(() => img.naturalWidth)") == 640
    assert page.page.locator(VIEW).count() == 0


def test_twenty_views_scroll_without_an_error(lab: Lab, page: Watched) -> None:
    lab.write("twenty.ipynb", ROOM.replace("8000", "1000"), *["sl.view_splat(gaussians, height_px=300)"] * 20)
    lab.open(page, "twenty.ipynb")
    lab.run_all(page)
    for at in [*range(1, 21, 2), *range(20, 0, -3)]:
        page.page.evaluate("at => window.jupyterapp.shell.currentWidget.content.scrollToItem(at)", at)
        page.page.wait_for_timeout(250)
    assert page.page.locator(f"{VIEW} .note.error").count() == 0
    assert page.page.locator(f"{VIEW} .viewport > canvas:not(.still)").count() <= 6
    assert page.wait_for_picture().std() > 10


def test_a_splat_without_gaussians_says_so(lab: Lab, page: Watched) -> None:
    lab.write("none.ipynb", ROOM, "sl.view_splat(gaussians.select(np.zeros(0, int)))")
    lab.open(page, "none.ipynb")
    lab.run_all(page)
    page.page.get_by_text("This splat holds no Gaussians").wait_for()
