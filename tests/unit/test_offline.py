"""An executed notebook becomes one HTML file with its views' state and runtime, and nothing to fetch."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbconvert")

from splatlib.errors import ArtifactError  # noqa: E402
from splatlib.widgets.bundle import runtime_code  # noqa: E402
from splatlib.widgets.formulae import with_formulae, without_formulae  # noqa: E402
from splatlib.widgets.offline import offline_html, write_offline_html  # noqa: E402

PIXEL = base64.b64encode(b"not really a PNG").decode()


def view_output(model_id: str) -> Any:
    data = {
        "application/vnd.jupyter.widget-view+json": {"model_id": model_id, "version_major": 2, "version_minor": 0},
        "image/png": PIXEL,
        "text/plain": "Splat <b>",
    }
    return nbformat.v4.new_output("display_data", data=data)


def executed() -> Any:
    """A notebook as papermill leaves it: a view of ours, its runtime, and a widget of somebody else's."""
    anywidget = {"model_module": "anywidget", "model_module_version": "~0.11", "model_name": "AnyModel"}
    code = {"path": ["code"], "encoding": "base64", "data": base64.b64encode(runtime_code()).decode()}
    blob = {"path": ["blobs", 0], "encoding": "base64", "data": "AAAA"}
    ours = {"_anywidget_id": "splatlib.widgets.splat.SplatView", "_esm": "loader", "_runtime": "IPY_MODEL_r"}
    state = {
        "r": {
            **anywidget,
            "state": {"_anywidget_id": "splatlib.widgets.runtime.Runtime", "digest": "d", "code": None},
            "buffers": [code],
        },
        "v": {
            **anywidget,
            "state": {**ours, "kind": "splat", "info": {"title": "</script>"}, "blobs": [None]},
            "buffers": [blob],
        },
        "other": {"model_module": "@jupyter-widgets/controls", "model_name": "IntSliderModel", "state": {"value": 3}},
    }
    cells = [
        nbformat.v4.new_markdown_cell("# Energy $E = mc^2$\n\n`$not$` and\n\n$$\\frac{1}{2}$$"),
        nbformat.v4.new_code_cell("view", outputs=[view_output("v"), view_output("other")]),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": state}}
    return notebook


def state_in(page: str) -> Any:
    match = re.search(r'<script type="application/json" id="splatlib-widgets">(.*?)</script>', page, re.DOTALL)
    assert match
    return json.loads(match[1])


def test_the_page_holds_our_models_once_and_loads_nothing() -> None:
    page = offline_html(executed(), title="Run")
    models = state_in(page)["models"]
    assert models.keys() == {"v"}
    assert models["v"]["state"]["info"]["title"] == "</script>"
    assert "_esm" not in models["v"]["state"]
    assert models["v"]["buffers"][0]["data"] == "AAAA"
    runtime = re.findall(r'<script type="module">(.*?)</script>', page, re.DOTALL)
    assert [text.strip() for text in runtime] == [gzip.decompress(runtime_code()).decode().strip()]
    assert '<div data-splatlib-model="v">' in page
    fetched = re.findall(r'<(?:script|link|img|iframe)[^>]*(?:src|href)="(?!data:)([^"]*)"', page)
    assert fetched == []
    assert not re.search(r"(import\s*\(?|url\(|@import\s*)['\"]?https?:", page)


def test_a_widget_of_others_and_a_view_without_state_are_still_pictures() -> None:
    page = offline_html(executed())
    assert page.count("<div data-splatlib-model=") == 1
    assert page.count(f"data:image/png;base64,{PIXEL}") == 2


def test_a_notebook_without_views_carries_no_runtime() -> None:
    page = offline_html(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")]))
    assert "<script" not in page


def test_the_callers_notebook_is_left_as_it_was() -> None:
    notebook = executed()
    before = json.dumps(notebook)
    offline_html(notebook)
    assert json.dumps(notebook) == before


def test_formulae_become_mathml_and_code_stays_code() -> None:
    page = offline_html(executed())
    assert page.count("<math") == 2
    assert "<mfrac>" in page and "<msup>" in page
    assert "$not$" in page
    assert 'id="Energy"' in page


def test_a_formula_that_cannot_be_read_stays_as_it_was_written() -> None:
    found: list[str] = []
    text = without_formulae("it costs 5$, $x_a_b$ and $x_1$", found)
    assert with_formulae(text, found).startswith("it costs 5$, <code>x_a_b</code> and <math")


def test_it_is_written_from_a_file_under_its_name(tmp_path: Path) -> None:
    source = tmp_path / "reconstruct.ipynb"
    nbformat.write(executed(), source)
    path = write_offline_html(source, tmp_path / "run.html", theme="dark")
    page = path.read_text()
    assert "<title>reconstruct</title>" in page
    assert 'data-jp-theme-light="false"' in page


def test_what_is_no_notebook_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "broken.ipynb"
    path.write_text("{")
    with pytest.raises(ArtifactError, match=r"broken\.ipynb cannot be read as a notebook"):
        offline_html(path)
