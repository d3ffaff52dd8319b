"""A Jupyter server that knows nothing of widgets, a kernel of this environment: once set up, views draw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat

from tests.browser.pages import Lab, Watched
from tests.studio_home import TOKEN, Home, bare_lab

CELL = "import splatlib as sl\nfrom tests.browser.made import room\nsl.view_splat(room(2000))"


def test_views_draw_once_the_server_is_set_up(chromium: Any, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    home = Home(tmp_path / "home")
    set_up = home.splat("studio", "setup")
    assert set_up.returncode == 0, set_up.stderr
    with bare_lab(home, tmp_path / "server", "--expose-app-in-browser") as url:
        home.splat("studio", "setup")  # again, now that it can be seen what this server lacks
        lab = Lab(url.rstrip("/"), home.path)
        notebook = nbformat.read(lab.write("other.ipynb", CELL), as_version=4)
        notebook.metadata["kernelspec"] = {"name": "splatlib", "display_name": "splatlib", "language": "python"}
        nbformat.write(notebook, home.path / "other.ipynb")
        context = chromium.new_context(viewport={"width": 1200, "height": 900})
        page = Watched(context.new_page())
        page.page.goto(f"{url}lab?token={TOKEN}")
        lab.open(page, "other.ipynb")
        lab.run_all(page)
        assert page.wait_for_picture().std() > 10
        context.close()
        assert page.errors == []
