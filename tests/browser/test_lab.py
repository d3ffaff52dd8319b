"""In JupyterLab: views draw, values come back to Python, and without a kernel or trust pictures stay."""

from __future__ import annotations

from tests.browser.pages import Lab, Watched

MADE = "import numpy as np, splatlib as sl\nfrom tests.browser.made import room\ngaussians = room()"


def test_a_splat_is_drawn_as_the_rasteriser_draws_it(lab: Lab, page: Watched) -> None:
    lab.write("splat.ipynb", MADE, "view = sl.view_splat(gaussians)\nview")
    lab.open(page, "splat.ipynb")
    lab.run_all(page)
    shown = page.wait_for_picture()
    assert shown.std() > 20
