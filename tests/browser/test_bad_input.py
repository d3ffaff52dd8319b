"""What cannot be shown as it is: the view says so where the person looks, and shows what it can."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splatlib.samples import Sample
from splatlib.workspace import Workspace
from tests.browser.pages import CANVAS, VIEW, Notebook, drawn, only_here, wait_for_pixels
from tests.made import made_frames

pytestmark = only_here


def test_a_splat_without_gaussians_says_so(show: Any) -> None:
    show("sl.view_splat(gaussians.select(np.zeros(0, int)))").get_by_text("This splat holds no Gaussians").wait_for()


def test_nan_and_infinity_are_left_out_and_counted(show: Any) -> None:
    made = (
        "broken = room(8000)\nbroken.means[:40] = np.nan\nbroken.sh[40:50] = np.nan\nbroken.log_scales[50:70] = np.inf"
    )
    view = show(made + "\nsl.view_splat(broken)")
    view.get_by_text("70 Gaussians hold NaN or infinite numbers and are not shown.").wait_for()
    view.get_by_text("7,930 of 8,000 Gaussians").wait_for()
    assert drawn(view).std() > 20


def test_of_five_million_the_most_visible_are_shown(show: Any) -> None:
    made = "many = room(8000, 0).select(np.arange(5_000_000) % 8000)\nmany.log_scales[:] -= 2"
    view = show(made + "\nsl.view_splat(many)")
    view.get_by_text("Showing the 1,000,000 most visible of 5,000,000 Gaussians").wait_for()
    view.get_by_text("1,000,000 of 5,000,000 Gaussians").wait_for()
    assert drawn(view).std() > 10


def test_damaged_data_are_told_under_the_view_and_the_picture_stays(show: Any) -> None:
    view = show("bad = sl.view_splat(gaussians)\nbad.blobs = [bad.blobs[0][:5000], *bad.blobs[1:]]\nbad")
    view.get_by_role("alert").get_by_text("This view cannot go on").wait_for()
    assert view.locator("img.still").evaluate("img => img.decode().then(() => img.naturalWidth)") > 100


def test_data_that_are_no_splats_are_told(show: Any) -> None:
    made = "bad = sl.view_splat(gaussians)\nbad.info = {**bad.info, 'packed': {**bad.info['packed'], 'count': 9}}"
    show(made + "\nbad").get_by_role("alert").get_by_text("damaged").wait_for()


def test_frames_whose_pictures_went_keep_their_thumbnails(
    notebook: Notebook, show: Any, sample_photos: Sample, tmp_path: Path
) -> None:
    frames = made_frames(Workspace(tmp_path), sample_photos)
    view = show(f"frames = sl.Workspace.open({str(tmp_path)!r}).frames\nsl.view_frames(frames)")
    masks = show("masks = sl.view_masks(frames)\nmasks")
    wait_for_pixels(masks.locator(".wide canvas"), lambda pixels: pixels.std() > 10)
    shutil.rmtree(frames.images_directory)
    masks.locator(".wide").click()
    masks.get_by_role("alert").get_by_text(frames.frames[0].name).wait_for()
    view.scroll_into_view_if_needed()
    view.get_by_role("button", name="One by one").click()
    view.get_by_role("button", name="The next frame").click()
    view.get_by_text("Only the thumbnail is shown").wait_for()
    assert view.locator(".wide img").evaluate("img => img.decode().then(() => img.naturalWidth)") > 100
    # and once they are gone, an artefact says so in words instead of a picture
    told = notebook.cell("frames")
    assert "missing or damaged" in told.inner_text() and told.locator(VIEW).count() == 0
    notebook.forget()


def test_twenty_views_scroll_without_an_error(notebook: Notebook, show: Any) -> None:
    show("small = room(1000)")
    cells = [show("sl.view_splat(small, height_px=300)") for _ in range(20)]
    for at in [*range(0, 20, 3), *range(19, -1, -4)]:
        cells[at].scroll_into_view_if_needed()
        assert drawn(cells[at]).std() > 10
    assert notebook.page.locator(f"{VIEW} .note.error").count() == 0
    assert notebook.page.locator(CANVAS).count() <= 6


def test_the_slider_of_a_comparison_cuts_where_the_pointer_is(notebook: Notebook, show: Any) -> None:
    """Red lies on the left of it, blue on the right."""
    red = "red = np.zeros((90, 160, 3), np.uint8)\nred[..., 0] = 250"
    view = show(f"{red}\nsl.compare_pictures([red], [red[..., ::-1].copy()])")
    canvas, box = view.locator(".wide canvas"), view.locator(".wide").bounding_box()
    mouse, y = notebook.page.mouse, box["y"] + box["height"] / 2
    mouse.move(box["x"] + 0.5 * box["width"], y)
    mouse.down()
    for share in (0.3, 0.8):
        mouse.move(box["x"] + share * box["width"], y, steps=4)
        wait_for_pixels(canvas, lambda now, at=share: cut_of(now) == pytest.approx((at, at), abs=0.01))
    mouse.up()
    view.get_by_role("button", name="Error map").click()
    wait_for_pixels(canvas, lambda now: cut_of(now)[1] == 1)


def cut_of(pixels: Any) -> tuple[float, float]:
    """Where the last red column ends and the first blue one begins, as shares of the width; 0 and 1 without any."""
    row = pixels[pixels.shape[0] // 2].astype(int)
    red, blue = (np.flatnonzero((row[:, k] > 150) & (row[:, 2 - k] < 90)) for k in (0, 2))
    return (red[-1] + 1) / len(row) if len(red) else 0, blue[0] / len(row) if len(blue) else 1
