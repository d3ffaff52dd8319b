"""Makes the README's pictures of the sample from the project itself: ``python docs/pictures.py``.

A room and an object are made, reconstructed and shown in a real JupyterLab, in a Chromium without a GPU; what is seen
there is photographed. With ``--every DIR`` each view is photographed too: light and dark, in a narrow notebook, and in
the HTML page from disk. Some minutes on two cores; needs ``pip install -e '.[notebook,dev]'`` and Chromium.
"""

from __future__ import annotations

import argparse
import io
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from PIL import Image

import splatlib as sl
from splatlib.notebooks import run_notebook
from splatlib.samples.objects import make_masked_sample
from tests.browser.labserver import running_lab
from tests.browser.pages import FLAGS, VIEW, Lab, Notebook, Watched

IMAGES = Path(__file__).with_name("images")
READY_MS = 120_000
_OPENED = (
    "from pathlib import Path\nimport splatlib as sl\nroot = Path({root!r})\nws = sl.Workspace.open(root / 'room')"
)
CELLS = {
    "frames": "display(ws.frames)",
    "checkup": "sl.check_capture(ws.frames)",
    "scene": "display(ws.scene)",
    "splat": "display(ws.splat())",
    "compare": "sl.compare_held_out(ws.splat())",
    "splats": "sl.compare_splats(ws.splat('short'), ws.splat(), labels=('300 steps', '1,200 steps'))",
    "masks": "display(sl.Workspace.open(root / 'object').masks)",
    "prompts": "pointing = sl.view_masks(sl.Workspace.open(root / 'object').frames)\npointing",
}
_START = (
    "import os\nos.environ['SPLATLIB_PROGRESS'] = 'auto'  # live, as it is without a test's settings\n"
    "config = sl.TrainConfig(preview_every_steps=100, device='cpu')\n"
    "training = sl.start_training(ws.scene, ws, config, run='live-{number}')\n"
    "training.show()"
)
_DARK = "() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})"
_ALONE = """() => {
  const { commands, shell } = window.jupyterapp;
  if (!shell.leftCollapsed) void commands.execute("application:toggle-left-area");
}"""
# In view, and drawn: pictures decoded, canvases of splats and scenes visible.
_DRAWN = """place => {
  const all = (root) =>
    [...root.querySelectorAll("*")].flatMap((el) => [el, ...(el.shadowRoot ? all(el.shadowRoot) : [])]);
  const elements = all(place);
  const canvases = elements.filter((el) => el.matches(".viewport > canvas:not(.still)"));
  const images = elements.filter((el) => el.tagName === "IMG" && el.getClientRects().length);
  return elements.length > 3 && !elements.some((el) => el.matches(".busy")) &&
    canvases.every((el) => el.style.visibility !== "hidden" && el.width > 0) &&
    images.every((el) => el.complete || el.loading === "lazy");
}"""


def make_workspaces(root: Path) -> None:
    """A room, reconstructed, with a second, shorter training; an object with its masks. What is done is reused."""
    for stopped in (root / "room" / "train").glob("live-*"):  # would be reused, and so not seen to train
        shutil.rmtree(stopped)
    room = sl.Workspace(root / "room")
    photos = sl.make_sample(root / "sample", kind="photos", num_frames=40)
    scene = sl.solve_cameras(sl.extract_frames(photos.path, room), room)
    sl.train_splat(scene, room, sl.TrainConfig(device="cpu"))
    sl.train_splat(scene, room, sl.TrainConfig(device="cpu", steps=300), run="short")
    object_ws = sl.Workspace(root / "object")
    object_photos = make_masked_sample(root / "object-sample", subject="object", num_photos=24)
    sl.mask_frames(sl.extract_frames(object_photos.path, object_ws), object_ws, sl.MasksConfig(backend="grabcut"))


def demo(root: Path) -> Image.Image:
    """Held-out photos above their renders: the best, the middle and the worst of them."""
    splat = sl.Workspace.open(root / "room").splat()
    assert splat is not None
    ranked = sorted(splat.held_out, key=lambda view: -view.psnr_db)
    chosen = ranked[0], ranked[len(ranked) // 2], ranked[-1]
    pairs = [[Image.open(path).convert("RGB") for path in splat.held_out_paths(view)] for view in chosen]
    width, height = pairs[0][0].size
    sheet = Image.new("RGB", (3 * width + 12, 2 * height + 6), "white")
    for column, pair in enumerate(pairs):
        for row, picture in enumerate(pair):
            sheet.paste(picture, (column * (width + 6), row * (height + 6)))
    return sheet


def shown(page: Any, index: int) -> Any:
    """The output of the n-th view's cell, drawn."""
    return drawn(page, cell(page, index + 1).locator(".jp-OutputArea").first)


def cell(page: Any, number: int) -> Any:
    """A cell of the notebook, scrolled to: JupyterLab takes cells that are out of sight off the page."""
    page.evaluate("number => window.jupyterapp.shell.currentWidget.content.scrollToItem(number)", number)
    return page.locator(f'.jp-Notebook .jp-Cell[data-windowed-list-index="{number}"]')


def drawn(page: Any, place: Any) -> Any:
    place.scroll_into_view_if_needed(timeout=READY_MS)
    page.wait_for_function(_DRAWN, arg=place.element_handle(), timeout=READY_MS)
    page.wait_for_timeout(1500)  # the last sorting and sharpening of what was drawn
    return place


def point_at_the_object(place: Any) -> None:
    """Two clicks on it and one beside it, then the mask's answer."""
    stage = place.locator(f"{VIEW} .wide")
    box = stage.bounding_box()
    for across, down, button in ((0.5, 0.25, "left"), (0.5, 0.72, "left"), (0.5, 0.95, "right")):
        stage.click(position={"x": box["width"] * across, "y": box["height"] * down}, button=button)
    place.page.wait_for_timeout(200)
    place.get_by_text("no mask yet").wait_for(state="hidden", timeout=READY_MS)


def notebook_pictures(browser: Any, lab: Lab, root: Path, width: int, is_dark: bool) -> dict[str, Image.Image]:
    """Each view as JupyterLab shows it, and a training under way."""
    watched = Watched(browser.new_page(viewport={"width": width, "height": 1000}))
    page, start = watched.page, _START.format(number=f"{width}-{is_dark}")
    name = f"views-{width}-{is_dark}.ipynb"
    notebook = Notebook(lab, watched, name, _OPENED.format(root=str(root)), *CELLS.values(), start)
    page.evaluate(_ALONE)
    if is_dark:
        page.evaluate(_DARK)
    pictures = {}
    live = cell(page, len(CELLS) + 1)
    page.get_by_text(re.compile(r"training, step ([789]\d\d|1,\d\d\d) of")).first.wait_for(timeout=5 * READY_MS)
    pictures["live"] = photographed(live.locator(".jp-OutputArea").first)
    notebook.run("print(training.stop().steps)")
    for index, kind in enumerate(CELLS):
        place = shown(page, index)
        if kind == "splat":
            place.get_by_role("button", name="Crop box").click()
            page.wait_for_timeout(1500)
        if kind == "prompts":
            point_at_the_object(place)
        pictures[kind] = photographed(place)
    if watched.errors:
        raise RuntimeError(f"the page reports errors: {watched.errors}")
    page.close()
    return pictures


def page_pictures(browser: Any, page_path: Path, width: int, scheme: str) -> dict[str, Image.Image]:
    """Each view of the HTML page from disk, without a network."""
    context = browser.new_context(viewport={"width": width, "height": 1000}, offline=True, color_scheme=scheme)
    watched = Watched(context.new_page())
    watched.open_file(page_path)
    pictures = {}
    views = watched.page.locator(VIEW)
    for index in range(views.count()):
        pictures[f"view-{index}"] = photographed(drawn(watched.page, views.nth(index)))
    if watched.errors or watched.requests:
        raise RuntimeError(f"errors {watched.errors}, requests {watched.requests}")
    context.close()
    return pictures


def photographed(place: Any) -> Image.Image:
    return Image.open(io.BytesIO(place.screenshot())).convert("RGB")


def four(pictures: dict[str, Image.Image]) -> Image.Image:
    """The README's sheet of views, two columns."""
    columns = [[pictures["splat"], pictures["compare"]], [pictures["scene"], pictures["prompts"]]]
    width, gap = pictures["splat"].width, 16
    height = max(sum(p.height for p in column) + gap for column in columns)
    sheet = Image.new("RGB", (2 * width + gap, height), "white")
    for index, column in enumerate(columns):
        sheet.paste(column[0], (index * (width + gap), 0))
        sheet.paste(column[1], (index * (width + gap), column[0].height + gap))
    return sheet


def executed_page(root: Path, folder: Path) -> Path:
    """What ``splat notebook run`` leaves of the same cells."""
    cells = [_OPENED.format(root=str(root)), *CELLS.values()]
    source = folder / "views.ipynb"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, source)
    return run_notebook(source, {}, folder / "executed").html


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=Path, help="a folder for pictures of each view, everywhere")
    parser.add_argument("--workspaces", type=Path, help="a folder that keeps what is made, for the next time")
    given = parser.parse_args()
    from playwright.sync_api import sync_playwright

    executable = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        root = given.workspaces or Path(scratch) / "made"
        make_workspaces(root)
        (Path(scratch) / "lab").mkdir()
        with running_lab(Path(scratch) / "lab") as lab:
            browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
            light = notebook_pictures(browser, lab, root.resolve(), 980, is_dark=False)
            demo(root).save(IMAGES / "demo.jpg", quality=88)
            four(light).save(IMAGES / "views.jpg", quality=82)
            light["live"].save(IMAGES / "live.jpg", quality=85)
            if given.every:
                every = {"light": light, "dark": notebook_pictures(browser, lab, root.resolve(), 980, is_dark=True)}
                every["narrow"] = notebook_pictures(browser, lab, root.resolve(), 520, is_dark=False)
                page = executed_page(root.resolve(), Path(scratch))
                every["page-light"] = page_pictures(browser, page, 1000, "light")
                every["page-dark-narrow"] = page_pictures(browser, page, 420, "dark")
                given.every.mkdir(parents=True, exist_ok=True)
                for where, pictures in every.items():
                    for kind, picture in pictures.items():
                        picture.save(given.every / f"{where}-{kind}.png")
            browser.close()


if __name__ == "__main__":
    main()
