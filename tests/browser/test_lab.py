"""In JupyterLab, of this environment and as in Studio: a splat draws, tools work, and their values come to Python."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from splatlib.render import render_image
from splatlib.widgets.viewing import start_round_gaussians
from tests.browser.made import room
from tests.browser.pages import (
    CANVAS,
    VIEW,
    Notebook,
    alike,
    canvas_pixels,
    drawn,
    only_here,
    psnr_db,
    wait_for_change,
    wait_for_pixels,
)

_HANDLE = "height, lower end: drag"


@pytest.fixture(scope="module")
def shown(notebook: Notebook) -> Iterator[Any]:
    """The view of a splat, as the variable ``view``."""
    cell = notebook.show("view = sl.view_splat(gaussians)\nview")
    drawn(cell)
    yield cell
    notebook.forget()


def test_a_splat_is_drawn_as_the_rasteriser_draws_it(shown: Any) -> None:
    pixels = drawn(shown)
    gaussians = room(8000)
    start = start_round_gaussians(gaussians)
    height, width = pixels.shape[:2]
    expected = render_image(gaussians, start.camera(width, height), start.cam_from_world)
    assert psnr_db(pixels, expected) > 34


def test_the_crop_box_comes_back_to_python(notebook: Notebook, shown: Any) -> None:
    shown.get_by_role("button", name="Crop box").click()
    ends = shown.locator(".panel.crop input[type=range]")
    assert ends.count() == 6
    ends.nth(1).evaluate("s => { s.value = '0'; s.dispatchEvent(new Event('input', { bubbles: true })) }")
    code = "[view.crop, int(view.inside_crop().sum()), len(view.cropped())]"
    crop, inside, kept = notebook.run_until(code, lambda value: 0 < value[1] < 7800)
    assert crop.keys() == {"center", "size", "rotation"}
    assert 0 < inside == kept < 8000
    gaussians = room(8000)
    rotation = np.array(crop["rotation"]).reshape(3, 3)
    offset = (gaussians.means - crop["center"]) @ rotation.T
    assert inside == (np.abs(offset) <= np.array(crop["size"]) / 2).all(axis=1).sum()


def test_a_handle_of_the_crop_box_moves_its_face_under_the_pointer(notebook: Notebook, shown: Any) -> None:
    """The lower end in height is dragged by 60 px: that face moves by what 60 px are at its distance, no other does."""
    before = notebook.run_until("view.crop", bool)
    box, stage = (place.bounding_box() for place in (shown.get_by_title(_HANDLE), shown.locator(".viewport")))
    at = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    notebook.page.mouse.move(*at)
    notebook.page.mouse.down()
    notebook.page.mouse.move(at[0], at[1] - 60, steps=6)
    notebook.page.mouse.up()
    after = notebook.run_until("view.crop", lambda crop: crop["size"][2] < before["size"][2] - 1e-3)
    assert after["size"][:2] == pytest.approx(before["size"][:2]) and after["rotation"] == before["rotation"]

    start = start_round_gaussians(room(8000))
    rotation, shift = start.cam_from_world[:3, :3], start.cam_from_world[:3, 3]
    camera = start.camera(round(stage["width"]), round(stage["height"]))

    def face_px(crop: dict[str, Any]) -> tuple[float, float]:
        low = np.array(crop["center"]) - np.array(crop["rotation"]).reshape(3, 3)[2] * crop["size"][2] / 2
        x, y, depth = rotation @ low + shift
        return stage["x"] + camera.fx * x / depth + camera.cx, stage["y"] + camera.fy * y / depth + camera.cy

    assert face_px(before) == pytest.approx(at, abs=2)
    assert face_px(before)[1] - face_px(after)[1] == pytest.approx(60, abs=8)


def test_python_can_set_the_crop_box(notebook: Notebook, shown: Any) -> None:
    notebook.run("view.crop = {**view.crop, 'size': [0.01, 0.01, 0.01]}; print('set')")
    shown.get_by_role("button", name="Crop box").click()
    wait_for_pixels(shown.locator(CANVAS), lambda pixels: pixels.mean() < 12)
    notebook.run("view.crop = {}; print('clear')")
    wait_for_pixels(shown.locator(CANVAS), lambda pixels: pixels.mean() > 30)


def test_keys_turn_the_view_and_are_not_the_notebooks_commands(notebook: Notebook, shown: Any) -> None:
    before, keyboard = canvas_pixels(shown.locator(CANVAS)), notebook.page.keyboard
    cells = notebook.page.evaluate("() => window.jupyterapp.shell.currentWidget.content.widgets.length")
    shown.locator(".viewport").focus()
    keyboard.down("ArrowLeft")
    wait_for_change(shown.locator(CANVAS), before, 25)
    keyboard.up("ArrowLeft")
    for key in "adde":  # in JupyterLab's command mode: new cells, and one deleted
        keyboard.press(key)
    keyboard.press("r")
    wait_for_pixels(shown.locator(CANVAS), lambda now: alike(before, now, 30))
    assert notebook.page.evaluate("() => window.jupyterapp.shell.currentWidget.content.widgets.length") == cells


def test_a_lost_context_comes_back(shown: Any) -> None:
    before = canvas_pixels(shown.locator(CANVAS))
    shown.locator(CANVAS).evaluate(
        """canvas => {
          canvas.id = "lost";
          canvas.getContext("webgl2").getExtension("WEBGL_lose_context").loseContext();
        }"""
    )
    shown.locator("#lost").wait_for(state="detached")
    drawn(shown)
    wait_for_pixels(shown.locator(CANVAS), lambda now: alike(before, now, 30))


def test_a_view_that_was_out_of_the_page_is_whole_again(shown: Any) -> None:
    """As JupyterLab does with outputs while it lays a notebook out anew."""
    before = canvas_pixels(shown.locator(CANVAS))
    viewport = shown.locator(".viewport")
    viewport.evaluate("el => { el.style.display = 'none' }")
    shown.locator(CANVAS).wait_for(state="detached")
    viewport.evaluate("el => { el.style.display = '' }")
    drawn(shown)
    wait_for_pixels(shown.locator(CANVAS), lambda now: alike(before, now, 30))


def test_a_picture_is_saved_and_comes_to_python(notebook: Notebook, shown: Any, tmp_path: Path) -> None:
    with notebook.page.expect_download() as saved:
        shown.get_by_role("button", name="Save a picture").click()
    saved.value.save_as(tmp_path / "splat.png")
    picture = Image.open(tmp_path / "splat.png")
    expected = canvas_pixels(shown.locator(CANVAS))
    assert saved.value.suggested_filename == "splat.png" and picture.size == expected.shape[1::-1]
    assert psnr_db(np.asarray(picture.convert("RGB")), expected) > 50
    sent = notebook.run_until("[len(view.screenshot), view.screenshot.hex()]", lambda value: value[0] > 0)[1]
    assert Image.open(io.BytesIO(bytes.fromhex(sent))).tobytes() == picture.tobytes()


def test_views_are_dark_where_jupyterlab_is(notebook: Notebook, shown: Any) -> None:
    ink, ground = ("frame => getComputedStyle(frame).color", "frame => getComputedStyle(frame).backgroundColor")
    frame, seen = shown.locator(VIEW), {}
    for theme, scheme in (("JupyterLab Dark", "dark"), ("JupyterLab Light", "light")):
        notebook.page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", theme)
        notebook.page.wait_for_function(
            "([frame, scheme]) => frame.style.colorScheme === scheme", arg=[frame.element_handle(), scheme]
        )
        seen[scheme] = [brightness(frame.evaluate(which)) for which in (ink, ground)]
    assert seen["dark"][0] > 200 and seen["dark"][1] < 60, seen
    assert seen["light"][0] < 100 and seen["light"][1] > 230, seen


def brightness(css: str) -> float:
    """Of ``rgb(r, g, b)`` or ``rgba(…)`` on a ground of its own kind."""
    numbers = [float(number) for number in css[css.index("(") + 1 : -1].replace(",", " ").split()[:3]]
    return sum(numbers) / 3


def test_a_distance_gives_the_scale(notebook: Notebook, show: Any) -> None:
    """Two balls of a known distance: clicks on their middles measure it, up to their sizes."""
    made = "balls = sl.Gaussians(np.array([[-1, 0, 0], [1, 0, 0]], 'f4').repeat(200, 0) + np.random.default_rng(0)"
    made += ".normal(0, 0.02, (400, 3)).astype('f4'), np.full((400, 3), -3, 'f4'), np.ones((400, 4), 'f4'), "
    made += "np.full(400, 3, 'f4'), np.ones((400, 1, 3), 'f4'))"
    cell = show(f"{made}\nmeasuring = sl.view_splat(balls)\nmeasuring")
    pixels, page = drawn(cell), notebook.page
    cell.get_by_role("button", name="Measure a distance").click()
    box = cell.locator(".viewport").bounding_box()
    bright = np.argwhere(pixels.sum(axis=2) > 300)
    sides = (bright[:, 1] < pixels.shape[1] / 2, bright[:, 1] > pixels.shape[1] / 2)
    for side, answer in zip(sides, ("Now the second point", "2.0|1.9"), strict=True):
        y, x = bright[side].mean(axis=0) * [box["height"] / pixels.shape[0], box["width"] / pixels.shape[1]]
        page.mouse.click(box["x"] + x, box["y"] + y)
        page.wait_for_function(
            "([panel, words]) => new RegExp(words).test(panel.textContent)",
            arg=[cell.locator(".panel:not(.crop)").element_handle(), answer],
        )
    length = cell.get_by_role("spinbutton", name="True length")
    length.fill("5")
    length.press("Enter")
    code = "[measuring.measured, measuring.metres_per_unit]"
    measured, scale = notebook.run_until(code, lambda value: value[1] is not None)
    assert measured["distance"] == pytest.approx(2, abs=0.12)
    assert scale == pytest.approx(5 / measured["distance"])


@only_here
def test_python_shows_other_gaussians_where_the_person_stands(notebook: Notebook, shown: Any) -> None:
    before = canvas_pixels(shown.locator(CANVAS))
    notebook.run("view.show(gaussians.select(np.arange(4000))); print('shown')")
    wait_for_change(shown.locator(CANVAS), before, 25)
    shown.get_by_text("4,000 Gaussians").wait_for()
    notebook.run("view.show(gaussians); print('shown')")
    wait_for_pixels(shown.locator(CANVAS), lambda now: alike(before, now, 30))
    assert json.loads(notebook.run("print(len(view.cropped()))")) == 8000
