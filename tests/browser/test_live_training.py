"""A training shown live in JupyterLab: its buttons reach it, also while a cell awaits it, and pictures stay."""

from __future__ import annotations

import json

from tests.browser.pages import LONG_MS, VIEW, Notebook, drawn

MADE = """
import os
os.environ["SPLATLIB_PROGRESS"] = "auto"
from pathlib import Path
from tests.unit.train.conftest import make_scene
scene = make_scene(Path("made"))
config = sl.TrainConfig(device="cpu", max_long_side_px=96, steps=100_000, max_gaussians=600, preview_every_steps=50)
training = sl.start_training(scene, sl.Workspace("made/ws"), config)
training.show()
"""


def test_buttons_pause_continue_and_stop_while_a_cell_awaits(notebook: Notebook) -> None:
    live, page = notebook.cell(MADE), notebook.page
    live.get_by_text("training, step").wait_for(timeout=2 * LONG_MS)
    live.locator("img[src^='blob:'], img[src^='data:']").first.wait_for()
    live.get_by_role("button", name="Pause").click()
    live.get_by_role("button", name="Continue").wait_for()
    step = notebook.run("print(training.progress.state, training.progress.step)")
    assert step.startswith("paused ") and notebook.run("print(training.progress.step)") == step.split()[1]
    live.get_by_role("button", name="Turn it").click()
    live.locator(VIEW).scroll_into_view_if_needed()  # what is out of sight is not drawn
    assert drawn(live).std() > 5
    live.get_by_role("button", name="Continue").click()
    live.get_by_role("button", name="Pause").wait_for()
    page.evaluate(
        """() => setTimeout(() => {
          const button = [...document.querySelectorAll("button")].find((b) => b.innerText.includes("Stop and keep"));
          button.click();
        }, 3000)"""
    )
    told = notebook.run(f"splat = await training\nprint(splat.stopped, splat.steps > {step.split()[1]})")
    assert told == "True True"
    live.get_by_text("finished, stopped by hand").wait_for()
    notebook.save()
    shown = json.loads(notebook.path.read_text())["cells"][-1]["outputs"][0]
    assert "image/png" in shown["data"]
    assert "".join(shown["data"]["text/plain"]).startswith("finished, stopped by hand, step ")
    notebook.run("os.environ['SPLATLIB_PROGRESS'] = 'text'; print()")
    notebook.forget()
