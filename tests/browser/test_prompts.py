"""Clicks become prompts in pixels of the frame, and the mask answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from splatlib.config import MasksConfig
from splatlib.samples import Sample
from splatlib.workspace import Workspace
from tests.browser.pages import Notebook, canvas_pixels, wait_for_change, wait_for_pixels
from tests.made import made_frames


@pytest.fixture(scope="module")
def masks(notebook: Notebook, sample_photos: Sample, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The view of the sample's frames, ready to be pointed at, as the variable ``masks``."""
    root = tmp_path_factory.mktemp("prompts")
    made_frames(Workspace(root), sample_photos)
    cell = notebook.show(f"frames = sl.Workspace.open({str(root)!r}).frames\nmasks = sl.view_masks(frames)\nmasks")
    wait_for_pixels(cell.locator(".wide canvas"), lambda pixels: pixels.std() > 10)
    yield cell
    notebook.forget()


def at_pixel(view: Any, x: float, y: float, width: int = 480, height: int = 360) -> tuple[float, float]:
    """Where in the page a pixel of the frame is: the frame lies centred in the stage, as large as fits."""
    box = view.locator(".wide").bounding_box()
    scale = min(box["width"] / width, box["height"] / height)
    left, top = box["x"] + (box["width"] - width * scale) / 2, box["y"] + (box["height"] - height * scale) / 2
    return left + x * scale, top + y * scale


def test_clicks_and_a_box_come_back_in_pixels_of_the_frame(notebook: Notebook, masks: Any) -> None:
    mouse = notebook.page.mouse
    mouse.click(*at_pixel(masks, 120.0, 200.0))
    mouse.click(*at_pixel(masks, 400.0, 30.0), button="right")
    notebook.run_until("masks.prompts", lambda value: [len(prompt["points"]) for prompt in value.values()] == [2])
    assert notebook.page.locator(".lm-Menu:visible").count() == 0  # JupyterLab's own menu would cover the view
    masks.get_by_role("button", name="Box").click()
    mouse.move(*at_pixel(masks, 300.0, 310.0))
    mouse.down()
    mouse.move(*at_pixel(masks, 60.0, 90.0), steps=4)
    mouse.up()
    prompts = notebook.run_until("masks.prompts", lambda value: any(prompt["box"] for prompt in value.values()))
    (given,) = prompts.values()
    assert [point[2] for point in given["points"]] == [1, 0]
    for point, expected in zip(given["points"], [(120, 200), (400, 30)], strict=True):
        assert point[:2] == pytest.approx(expected, abs=0.8)
    assert given["box"] == pytest.approx([60, 90, 300, 310], abs=0.8)
    config = MasksConfig.model_validate({"backend": "grabcut", "prompts": prompts})
    assert len(config.prompts) == 1


def test_the_mask_answers(notebook: Notebook, masks: Any) -> None:
    """On a frame without a mask a click brings one, which tints most of the picture; the dot alone changes little."""
    canvas = masks.locator(".wide canvas")
    first = canvas_pixels(canvas)
    masks.locator(".strip button").nth(5).click()
    masks.get_by_text("6 of 22").wait_for()
    before = wait_for_change(canvas, first, 25)
    masks.get_by_role("button", name="Object", exact=True).click()
    notebook.page.mouse.click(*at_pixel(masks, 120.0, 200.0))
    wait_for_change(canvas, before, 25)
    assert masks.locator(".note.error").count() == 0
    masks.get_by_role("button", name="Forget this frame").click()
    masks.locator(".strip button").first.click()
    masks.get_by_text("1 of 22").wait_for()


def test_undo_takes_back_and_python_can_set(notebook: Notebook, masks: Any) -> None:
    masks.get_by_role("button", name="Forget this frame").click()
    notebook.run_until("masks.prompts", lambda value: value == {})
    name = notebook.run(
        "name = frames.frames[0].name; masks.prompts = {name: {'points': [[10, 20, 1]]}}; print(name)",
    )
    masks.get_by_text("prompts of 1 frame").wait_for()
    masks.get_by_role("button", name="Take the last click back").click()
    notebook.run_until("masks.prompts", lambda value: value == {})
    assert Path(name).suffix == ".jpg"


def test_a_prompt_that_is_none_is_refused_in_python(notebook: Notebook, masks: Any) -> None:
    told = notebook.run(
        "try:\n    masks.prompts = {'a.jpg': {'points': []}}\nexcept sl.SplatlibError as error:\n    print(error.what)",
    )
    assert told == "the prompt of a.jpg is none"
