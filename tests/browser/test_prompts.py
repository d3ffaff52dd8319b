"""Clicks become prompts in pixels of the frame, and the mask answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from splatlib.config import MasksConfig
from splatlib.samples import Sample
from splatlib.workspace import Workspace
from tests.browser.pages import VIEW, Lab, Watched, canvas_pixels, wait_for_change
from tests.made import made_frames


@pytest.fixture(scope="module")
def masks_page(lab: Lab, chromium: Any, sample_photos: Sample, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Frames of the sample, ready to be pointed at."""
    root = tmp_path_factory.mktemp("prompts")
    made_frames(Workspace(root), sample_photos)
    context = chromium.new_context(viewport={"width": 1300, "height": 950})
    watched = Watched(context.new_page())
    lab.write(
        "masks.ipynb",
        f"import splatlib as sl\nframes = sl.Workspace.open({str(root)!r}).frames",
        "view = sl.view_masks(frames)\nview",
    )
    lab.open(watched, "masks.ipynb")
    lab.run_all(watched)
    watched.page.locator(f"{VIEW} .wide canvas").wait_for()
    watched.page.wait_for_timeout(1000)
    yield watched
    context.close()
    assert watched.errors == []


def at_pixel(watched: Watched, x: float, y: float, width: int = 480, height: int = 360) -> tuple[float, float]:
    """Where in the page a pixel of the frame is: the frame lies centred in the stage, as large as fits."""
    box = watched.page.locator(f"{VIEW} .wide").bounding_box()
    scale = min(box["width"] / width, box["height"] / height)
    left, top = box["x"] + (box["width"] - width * scale) / 2, box["y"] + (box["height"] - height * scale) / 2
    return left + x * scale, top + y * scale


def prompts(lab: Lab, watched: Watched) -> dict[str, Any]:
    watched.page.wait_for_timeout(700)
    return json.loads(lab.run(watched, "import json; print(json.dumps(view.prompts))"))


def test_clicks_and_a_box_come_back_in_pixels_of_the_frame(lab: Lab, masks_page: Watched) -> None:
    mouse = masks_page.page.mouse
    mouse.click(*at_pixel(masks_page, 120.0, 200.0))
    mouse.click(*at_pixel(masks_page, 400.0, 30.0), button="right")
    masks_page.page.get_by_role("button", name="Box").click()
    mouse.move(*at_pixel(masks_page, 300.0, 310.0))
    mouse.down()
    mouse.move(*at_pixel(masks_page, 60.0, 90.0), steps=4)
    mouse.up()
    has_box = "any(prompt['box'] for prompt in view.prompts.values())"
    lab.run_until(masks_page, has_box, bool)
    (given,) = prompts(lab, masks_page).values()
    assert [point[2] for point in given["points"]] == [1, 0]
    for point, expected in zip(given["points"], [(120, 200), (400, 30)], strict=True):
        assert point[:2] == pytest.approx(expected, abs=0.8)
    assert given["box"] == pytest.approx([60, 90, 300, 310], abs=0.8)
    config = MasksConfig.model_validate({"backend": "grabcut", "prompts": prompts(lab, masks_page)})
    assert len(config.prompts) == 1


def test_the_mask_answers(masks_page: Watched) -> None:
    """On a frame without a mask a click brings one, which tints most of the picture; the dot alone changes little."""
    canvas = masks_page.page.locator(f"{VIEW} .wide canvas")
    masks_page.page.locator(f"{VIEW} .strip button").nth(5).click()
    masks_page.page.get_by_text("6 of 22").wait_for()
    masks_page.page.wait_for_timeout(1500)
    before = canvas_pixels(canvas)
    masks_page.page.get_by_role("button", name="Object", exact=True).click()
    masks_page.page.mouse.click(*at_pixel(masks_page, 120.0, 200.0))
    wait_for_change(canvas, before, 25)
    assert masks_page.page.locator(f"{VIEW} .note.error").count() == 0
    masks_page.page.get_by_role("button", name="Forget this frame").click()
    masks_page.page.locator(f"{VIEW} .strip button").first.click()
    masks_page.page.get_by_text("1 of 22").wait_for()


def test_undo_takes_back_and_python_can_set(lab: Lab, masks_page: Watched) -> None:
    masks_page.page.get_by_role("button", name="Forget this frame").click()
    lab.run_until(masks_page, "view.prompts", lambda value: value == {})
    name = lab.run(
        masks_page,
        "name = frames.frames[0].name; view.prompts = {name: {'points': [[10, 20, 1]]}}; print(name)",
    )
    masks_page.page.get_by_text("prompts of 1 frame").wait_for()
    masks_page.page.get_by_role("button", name="Take the last click back").click()
    lab.run_until(masks_page, "view.prompts", lambda value: value == {})
    assert Path(name).suffix == ".jpg"


def test_a_prompt_that_is_none_is_refused_in_python(lab: Lab, masks_page: Watched) -> None:
    told = lab.run(
        masks_page,
        "try:\n    view.prompts = {'a.jpg': {'points': []}}\nexcept sl.SplatlibError as error:\n    print(error.what)",
    )
    assert told == "the prompt of a.jpg is none"
