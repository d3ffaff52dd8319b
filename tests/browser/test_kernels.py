"""A kernel that goes, and notebooks that are opened without one: pictures stay, and views say what they cannot do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from splatlib.samples import Sample
from splatlib.workspace import Workspace
from tests.browser.pages import CANVAS, ROOM, VIEW, Lab, Notebook, Watched, alike, canvas_pixels, drawn, wait_for_pixels
from tests.made import made_frames

GONE = "The kernel of this view is gone"
_KILL = """() => {
  const { kernel } = window.jupyterapp.shell.currentWidget.sessionContext.session;
  void kernel.requestExecute({ code: "import os, signal; os.kill(os.getpid(), signal.SIGKILL)" });
}"""
_IDLE = "() => window.jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status === 'idle'"


@pytest.fixture(scope="module")
def mortal(
    lab: Lab, chromium: Any, sample_photos: Sample, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Notebook]:
    """A notebook with a splat and with frames, whose kernel will die."""
    root = tmp_path_factory.mktemp("mortal")
    made_frames(Workspace(root), sample_photos)
    context = chromium.new_context(viewport={"width": 1300, "height": 1500})
    cells = (ROOM, "view = sl.view_splat(gaussians, height_px=400)\nview")
    frames = f"frames = sl.view_frames(sl.Workspace.open({str(root)!r}).frames, height_px=300)\nframes"
    notebook = Notebook(lab, Watched(context.new_page()), "mortal.ipynb", *cells, frames)
    drawn(notebook.page)
    yield notebook
    context.close()
    assert notebook.watched.errors == []


def states(path: Path) -> dict[str, Any]:
    """What a notebook holds of its widgets, by model id."""
    widgets = nbformat.read(path, as_version=4).metadata["widgets"]
    return widgets["application/vnd.jupyter.widget-state+json"]["state"]


def test_a_saved_notebook_holds_the_runtime_once(mortal: Notebook) -> None:
    mortal.save()
    ours = [state["state"] for state in states(mortal.path).values() if state["model_module"] == "anywidget"]
    assert sum("digest" in state for state in ours) == 1
    assert sorted(state["kind"] for state in ours if "kind" in state) == ["frames", "splat"]


def test_when_the_kernel_dies_views_say_so_and_stay(mortal: Notebook) -> None:
    """They still turn, what is set can be copied instead, and a frame is shown as it came."""
    page, splat, frames = mortal.page, mortal.page.locator(VIEW).nth(0), mortal.page.locator(VIEW).nth(1)
    before = canvas_pixels(splat.locator(CANVAS))
    page.evaluate(_KILL)
    for view in (splat, frames):
        view.get_by_text(GONE).wait_for()
    page.locator(".jp-Dialog").get_by_role("button", name="Ok").click()
    page.wait_for_function(_IDLE)
    assert alike(before, drawn(splat), 40)
    splat.locator(".viewport").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("r")
    wait_for_pixels(splat.locator(CANVAS), lambda now: alike(before, now, 30))
    splat.get_by_role("button", name="Crop box").click()
    assert json.loads(splat.locator(".panel.crop code").inner_text()).keys() == {"center", "size", "rotation"}
    splat.get_by_role("button", name="Crop box").click()
    frames.get_by_role("button", name="One by one").click()
    frames.get_by_role("button", name="The next frame").click()
    frames.get_by_text("2 of 22").wait_for()
    assert frames.locator(".wide img").evaluate("img => img.decode().then(() => img.naturalWidth)") > 100
    assert page.locator(f"{VIEW} .note.error").count() == 0


def test_a_restart_leaves_pictures_in_the_page_and_in_the_file(mortal: Notebook) -> None:
    """JupyterLab itself saves only widgets with a kernel: a save after a restart would lose every view."""
    before = states(mortal.path).keys()
    mortal.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.restartKernel()")
    mortal.page.wait_for_function(_IDLE)
    drawn(mortal.page)
    mortal.save()
    assert states(mortal.path).keys() == before


def test_without_a_kernel_a_saved_notebook_shows_its_views(mortal: Notebook) -> None:
    """Opened again and again, saved each time."""
    for _ in range(2):
        mortal.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
        mortal.lab.reopen(mortal.watched, "mortal.ipynb")
        assert drawn(mortal.page).std() > 20
        mortal.page.locator(VIEW).nth(1).locator(".sheet img").first.wait_for()
        assert mortal.page.get_by_text(GONE).count() == 0
        mortal.save()


@pytest.fixture(scope="module")
def executed() -> Any:
    """As papermill leaves it: executed, with its views' state, and trusted by nobody."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in (ROOM, "sl.view_splat(gaussians)")]
    )
    notebook.metadata["kernelspec"] = {"name": "splatlib", "display_name": "splatlib", "language": "python"}
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    return notebook


def test_an_untrusted_notebook_shows_the_picture(lab: Lab, executed: Any, page: Watched) -> None:
    nbformat.write(executed, lab.folder / "batch.ipynb")
    lab.reopen(page, "batch.ipynb")
    picture = page.page.locator(".jp-OutputArea img")
    picture.wait_for()
    assert picture.evaluate("img => img.decode().then(() => img.naturalWidth)") == 640
    assert page.page.locator(VIEW).count() == 0
