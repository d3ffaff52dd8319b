"""What the browser tests share: pages that are watched, notebooks in JupyterLab, pixels read back."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

# WebGL2 by the processor; without the last one Chromium refuses that since version 137.
FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
VIEW = ".splatlib"
CANVAS = ".viewport > canvas:not(.still)"
HERE = "this environment's JupyterLab"
only_here = pytest.mark.parametrize("lab", [HERE], indirect=True)  # what does not depend on JupyterLab's version
ROOM = "import numpy as np, splatlib as sl\nfrom tests.browser.made import room\ngaussians = room(8000)"
LONG_MS = 30_000
# What JupyterLab says, without a stack, when a kernel ends before it has made the subshell that comms are to run in.
_TO_A_DEAD_KERNEL = "Canceled future for create_subshell_request"


class Watched:
    """A page, with what it asked the network for and what went wrong in it."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.set_default_timeout(LONG_MS)
        page.on("pageerror", self._on_error)
        page.on("console", self._on_console)
        page.on("request", self._on_request)

    def _on_error(self, error: Any) -> None:
        """JupyterLab has errors of its own, for instance of messages to a dead kernel; ours come from a blob."""
        stack = error.stack or ""
        if not stack and _TO_A_DEAD_KERNEL in f"{error}":
            return
        if "/lab/" not in stack or "blob:" in stack:
            self.errors.append(f"{error}\n{stack}")

    def _on_console(self, message: Any) -> None:
        if "WebGL" in message.text and ("too many" in message.text.lower() or "error" in message.type):
            self.errors.append(message.text)

    def _on_request(self, request: Any) -> None:
        if not request.url.startswith(("data:", "blob:", "file:")):
            self.requests.append(request.url)

    def open_file(self, path: Path) -> None:
        self.page.goto(path.as_uri())

    def wait_for_picture(self) -> npt.NDArray[np.uint8]:
        """Pixels of the first view, once it has drawn."""
        return drawn(self.page)


def drawn(place: Any) -> npt.NDArray[np.uint8]:
    """[H, W, 3] of the first view in a page, a cell or a view, once it has drawn."""
    canvas = place.locator(CANVAS).first
    canvas.wait_for(state="visible")
    return canvas_pixels(canvas)


def canvas_pixels(canvas: Any) -> npt.NDArray[np.uint8]:
    """[H, W, 3]; drawing buffers are preserved, so what was drawn can be read."""
    url = canvas.evaluate("canvas => canvas.toDataURL('image/png')")
    return np.asarray(Image.open(io.BytesIO(_decoded(url))).convert("RGB"))


def wait_for_change(canvas: Any, before: npt.NDArray[np.uint8], below_db: float) -> npt.NDArray[np.uint8]:
    """A canvas' pixels, once they differ so much from what they were."""
    return wait_for_pixels(canvas, lambda now: now.shape != before.shape or psnr_db(before, now) < below_db)


def wait_for_pixels(
    canvas: Any, accepted: Callable[[npt.NDArray[np.uint8]], bool], within_s: float = 60
) -> npt.NDArray[np.uint8]:
    """A canvas' pixels, once they are what is wanted: how long a busy machine needs is not what is tested."""
    until = time.monotonic() + within_s
    while not accepted(now := canvas_pixels(canvas)):
        assert time.monotonic() < until, "the picture does not become what it should"
        canvas.page.wait_for_timeout(500)
    return now


def alike(first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8], above_db: float) -> bool:
    """Whether two pictures are of one size and nearly the same."""
    return first.shape == second.shape and psnr_db(first, second) > above_db


def _decoded(url: str) -> bytes:
    import base64

    return base64.b64decode(url.split(",", 1)[1])


def psnr_db(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> float:
    error = float(np.mean((one.astype(np.float64) - other) ** 2))
    return float("inf") if error == 0 else -10 * float(np.log10(error / 255**2))


class Lab:
    """A running JupyterLab.

    Attributes:
        url: where. folder: its notebooks.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder

    def write(self, name: str, *cells: str) -> Path:
        """A notebook of code cells."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata["kernelspec"] = {"name": "splatlib", "display_name": "splatlib", "language": "python"}
        path = self.folder / name
        nbformat.write(notebook, path)
        return path

    def open(self, watched: Watched, name: str) -> None:
        """Open a notebook in a workspace of its own, and wait for its kernel."""
        self.reopen(watched, name)
        watched.page.wait_for_function(_KERNEL_READY)

    def reopen(self, watched: Watched, name: str) -> None:
        """Open a notebook, and wait until its cells are there."""
        watched.page.goto(f"{self.url}/lab/workspaces/{Path(name).stem}/tree/{name}?reset")
        watched.page.wait_for_function("() => window.jupyterapp")
        watched.page.locator(".jp-Notebook .jp-Cell").first.wait_for()

    def run_all(self, watched: Watched) -> None:
        """Run all cells, and wait until the kernel is idle. Fails with the kernel's error if there is one."""
        watched.page.evaluate("() => { void window.jupyterapp.commands.execute('notebook:run-all-cells') }")
        watched.page.wait_for_function(_ALL_DONE, timeout=2 * LONG_MS)
        errors = watched.page.locator(_ERRORS)
        assert errors.count() == 0, errors.first.inner_text()

    def run_first(self, watched: Watched) -> None:
        """Run the first cell, and wait for its end."""
        watched.page.evaluate(_RUN_FIRST)
        watched.page.wait_for_function(_FIRST_DONE, timeout=2 * LONG_MS)

    def save(self, watched: Watched) -> None:
        watched.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")


class Notebook:
    """A notebook open in JupyterLab, to which tests add cells.

    Attributes:
        lab: where. watched: its page. path: its file.
    """

    def __init__(self, lab: Lab, watched: Watched, name: str, *cells: str) -> None:
        self.lab, self.watched = lab, watched
        self.page = watched.page
        self.path = lab.write(name, *cells)
        lab.open(watched, name)
        lab.run_all(watched)

    def show(self, code: str) -> Any:
        """The view that a new last cell shows; fails with the kernel's error if there is one."""
        cell = self.cell(code)
        assert cell.locator(_ERRORS).count() == 0, cell.locator(_ERRORS).first.inner_text()
        cell.scroll_into_view_if_needed()
        return cell

    def cell(self, code: str) -> Any:
        """A new last cell, when it has run."""
        number = self.page.evaluate(_ADD_CELL, code)
        self.page.wait_for_function(_ALL_DONE, timeout=2 * LONG_MS)
        return self.page.locator(f'.jp-Notebook .jp-Cell[data-windowed-list-index="{number}"]')

    def forget(self) -> None:
        """Take the last cell away."""
        self.page.evaluate(_DELETE_LAST)

    def run(self, code: str) -> str:
        """What a new last cell prints, which is taken away again."""
        printed = self.cell(code).locator(".jp-OutputArea-output").inner_text().strip()
        self.forget()
        return printed

    def run_until(self, code: str, is_there: Callable[[Any], bool]) -> Any:
        """The JSON that a cell prints, once it is as wished: what a person sets travels to the kernel by itself."""
        for _ in range(40):
            value = json.loads(self.run(f"import json; print(json.dumps({code}))"))
            if is_there(value):
                return value
            self.page.wait_for_timeout(250)
        raise AssertionError(f"{code} stays {value}")

    def save(self) -> None:
        self.lab.save(self.watched)


_ERRORS = ".jp-OutputArea [data-mime-type='application/vnd.jupyter.error']"
# A command that is given before the session stands is never carried out, and its promise never kept.
_KERNEL_READY = """() => {
  const context = window.jupyterapp.shell.currentWidget?.sessionContext;
  return context?.isReady && context.session?.kernel?.status === "idle";
}"""
_ALL_DONE = """() => {
  const model = window.jupyterapp.shell.currentWidget.content.model;
  const cells = [...model.cells].filter((cell) => cell.type === "code");
  return cells.every((cell) => cell.executionState === undefined
    ? cell.executionCount !== null : cell.executionState === "idle" && cell.executionCount !== null);
}"""
_RUN_FIRST = """() => {
  window.jupyterapp.shell.currentWidget.content.activeCellIndex = 0;
  void window.jupyterapp.commands.execute("notebook:run-cell");
}"""
_FIRST_DONE = """() => {
  const cell = window.jupyterapp.shell.currentWidget.content.model.cells.get(0);
  return cell.executionState === "idle" && cell.executionCount !== null;
}"""
_ADD_CELL = """async (code) => {
  const { commands, shell } = window.jupyterapp;
  const notebook = shell.currentWidget.content;
  notebook.activeCellIndex = notebook.widgets.length - 1;
  await commands.execute("notebook:insert-cell-below");
  notebook.activeCell.model.sharedModel.setSource(code);
  void commands.execute("notebook:run-cell");
  return notebook.activeCellIndex;
}"""
_DELETE_LAST = """async () => {
  const { commands, shell } = window.jupyterapp;
  const notebook = shell.currentWidget.content;
  notebook.deselectAll();
  notebook.activeCellIndex = notebook.widgets.length - 1;
  await commands.execute("notebook:delete-cell");
}"""
