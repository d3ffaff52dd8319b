"""What the notebook's views cost: seconds until a splat is on screen, bytes in a saved notebook, twenty views at once.

    python -m benchmarks.widgets            # all; about two minutes on two cores
    python -m benchmarks.widgets --runs 5

In a real JupyterLab and a Chromium that draws by the processor, as in a Studio space without a GPU. A splat counts as
on screen when pixels read back from its canvas differ from one another; the clock starts when the kernel is idle.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS, append_row
from splatlib.widgets.bundle import runtime_code
from tests.browser.labserver import running_lab
from tests.browser.pages import FLAGS, Lab, Watched

_SETUP = (
    "import splatlib as sl\nfrom tests.browser.made import room\ngaussians = room({count}, {degree})\nsl.view_splat"
)
# Looks every 20 ms whether the last cell is done and whether a canvas shows something; both by the page's clock.
_WATCH = """() => new Promise((done) => {
  const cells = window.jupyterapp.shell.currentWidget.content.model;
  const started = performance.now();
  let ended, probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const isShown = (canvas) => {
    if (canvas.style.visibility === "hidden") return false;
    probe.drawImage(canvas, 0, 0, 32, 32);
    const pixels = probe.getImageData(0, 0, 32, 32).data;
    let [low, high] = [255, 0];
    for (let i = 0; i < pixels.length; i += 4) [low, high] = [Math.min(low, pixels[i]), Math.max(high, pixels[i])];
    return high - low > 40;
  };
  const look = () => {
    const now = performance.now(), last = cells.cells.get(cells.cells.length - 1);
    if (ended === undefined && last.executionState === "idle" && last.executionCount !== null) ended = now;
    const hosts = [...document.querySelectorAll(".jp-OutputArea *")].filter((el) => el.shadowRoot);
    const canvases = hosts.flatMap((el) => [...el.shadowRoot.querySelectorAll(".viewport > canvas:not(.still)")]);
    if (ended !== undefined && canvases.some(isShown)) done((performance.now() - ended) / 1000);
    else if (now - started > 60000) done(null);
    else setTimeout(look, 20);
  };
  look();
})"""
_LAST = """() => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  notebook.activeCellIndex = notebook.widgets.length - 1;
  void window.jupyterapp.commands.execute("notebook:run-cell");
}"""


def seconds_to_pixels(browser: Any, lab: Lab, count: int, degree: int, run: int) -> float:
    """From the end of the cell to the first picture; 0 where the picture was there before the kernel said idle."""
    name = f"speed-{count}-{run}.ipynb"
    lab.write(name, _SETUP.format(count=count, degree=degree), "sl.view_splat(gaussians)")
    watched = Watched(browser.new_page(viewport={"width": 1200, "height": 900}))
    lab.open(watched, name)
    lab.run_first(watched)
    watched.page.evaluate(_LAST)
    seconds = watched.page.evaluate(_WATCH)
    watched.page.close()
    if seconds is None or watched.errors:
        raise RuntimeError(f"{count} Gaussians did not appear: {watched.errors}")
    return float(seconds)


def notebook_growth(browser: Any, lab: Lab) -> float:
    """MB that a view of 100 000 Gaussians and two other views add to a notebook saved by hand, pictures included."""
    sizes = []
    for name, cells in (("empty.ipynb", ["1"]), ("views.ipynb", _TWO_VIEWS_AND_A_SPLAT)):
        path = lab.write(name, *cells)
        watched = Watched(browser.new_page(viewport={"width": 1200, "height": 900}))
        lab.open(watched, name)
        lab.run_all(watched)
        time.sleep(2)
        lab.save(watched)
        watched.page.close()
        sizes.append(path.stat().st_size)
    return (sizes[1] - sizes[0]) / 1e6


_TWO_VIEWS_AND_A_SPLAT = [
    "import numpy as np, splatlib as sl\nfrom tests.browser.made import room",
    "sl.view_splat(room(100_000, 3))",
    "picture = np.random.default_rng(0).integers(0, 255, (54, 96, 3), dtype=np.uint8).repeat(10, 0).repeat(10, 1)\n"
    "sl.compare_pictures([picture], [255 - picture])",
    "sl.compare_splats(room(2000, 0), room(2000, 0, seed=1))",
]


def twenty_views(browser: Any, lab: Lab) -> int:
    """Errors while twenty views of 20 000 Gaussians are scrolled through, twice."""
    lab.write("twenty.ipynb", _SETUP.format(count=20_000, degree=1), *["sl.view_splat(gaussians)"] * 20)
    watched = Watched(browser.new_page(viewport={"width": 1200, "height": 900}))
    lab.open(watched, "twenty.ipynb")
    lab.run_all(watched)
    for _ in range(2):
        for at in [*range(1, 21), *range(20, 0, -1)]:
            watched.page.evaluate(
                "at => { const n = window.jupyterapp.shell.currentWidget.content; n.scrollToItem(at) }", at
            )
            time.sleep(0.15)
    notes = watched.page.locator(".splatlib .note.error").count()
    watched.page.close()
    return len(watched.errors) + notes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    from playwright.sync_api import sync_playwright

    executable = shutil.which("chromium") or shutil.which("google-chrome")
    with (
        tempfile.TemporaryDirectory() as folder,
        running_lab(Path(folder)) as lab,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        row: dict[str, Any] = {"bundle_gzipped_bytes": len(runtime_code()), "runs": runs}
        for count in (100_000, 500_000):
            seconds = [seconds_to_pixels(browser, lab, count, 3, run) for run in range(runs)]
            print(f"{count:,} Gaussians, SH degree 3: {', '.join(f'{s:.2f}' for s in seconds)} s", flush=True)
            row[f"seconds_to_pixels_{count}"] = round(statistics.median(seconds), 2)
            row[f"slowest_seconds_to_pixels_{count}"] = round(max(seconds), 2)
        row["notebook_growth_mb"] = round(notebook_growth(browser, lab), 2)
        row["errors_with_twenty_views"] = twenty_views(browser, lab)
        row["chromium"] = browser.version
        browser.close()
    print(append_row(RESULTS / "widgets.json", row))


if __name__ == "__main__":
    main()
