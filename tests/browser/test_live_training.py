"""A training shown live in JupyterLab: its buttons reach it, also while a cell awaits it, and pictures stay."""

from __future__ import annotations

import json

from tests.browser.pages import LONG_MS, Lab, Watched

MADE = """
import os
os.environ["SPLATLIB_PROGRESS"] = "auto"
from pathlib import Path
import splatlib as sl
from tests.unit.train.conftest import make_scene
scene = make_scene(Path("made"))
config = sl.TrainConfig(device="cpu", max_long_side_px=96, steps=100_000, max_gaussians=600, preview_every_steps=50)
"""
SHOWN = 'training = sl.start_training(scene, sl.Workspace("made/ws"), config)\ntraining.show()'


def test_buttons_pause_continue_and_stop_while_a_cell_awaits(lab: Lab, page: Watched) -> None:
    notebook = lab.write("live.ipynb", MADE, SHOWN)
    lab.open(page, "live.ipynb")
    lab.run_all(page)
    words = page.page.get_by_text("training, step")
    words.wait_for(timeout=2 * LONG_MS)
    page.page.locator("img[src^='blob:'], img[src^='data:']").first.wait_for()
    page.page.get_by_role("button", name="Pause").click()
    page.page.get_by_role("button", name="Continue").wait_for()
    step = lab.run(page, "print(training.progress.state, training.progress.step)")
    assert step.startswith("paused ") and lab.run(page, "print(training.progress.step)") == step.split()[1]
    page.page.get_by_role("button", name="Turn it").click()
    assert page.wait_for_picture().std() > 5
    page.page.get_by_role("button", name="Continue").click()
    page.page.get_by_role("button", name="Pause").wait_for()
    page.page.evaluate(
        """() => setTimeout(() => {
          const button = [...document.querySelectorAll("button")].find((b) => b.innerText.includes("Stop and keep"));
          button.click();
        }, 3000)"""
    )
    told = lab.run(page, f"splat = await training\nprint(splat.stopped, splat.steps > {step.split()[1]})")
    assert told == "True True"
    page.page.get_by_text("finished, stopped by hand").wait_for()
    lab.save(page)
    (shown,) = json.loads(notebook.read_text())["cells"][1]["outputs"]
    assert "image/png" in shown["data"]
    assert "".join(shown["data"]["text/plain"]).startswith("finished, stopped by hand, step ")
