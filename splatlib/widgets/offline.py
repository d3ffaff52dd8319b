"""An executed notebook as one HTML file that works from disk: its views are live, and nothing is fetched.

nbconvert renders markdown, code and outputs. What its templates load from CDNs (require.js, MathJax, Mermaid, Jupyter's
widget manager) is left out; instead the page carries the widgets' runtime, the state of their models, and a host of
its own (``js/src/saved.ts``). Formulae become MathML, which browsers draw themselves.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splatlib.errors import ArtifactError, MissingDependencyError
from splatlib.files import write_atomically
from splatlib.widgets.bundle import runtime_code
from splatlib.widgets.formulae import with_formulae, without_formulae

if TYPE_CHECKING:
    from nbformat import NotebookNode

_VIEW = "application/vnd.jupyter.widget-view+json"
_STATE = "application/vnd.jupyter.widget-state+json"
_TEMPLATE = """{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block jupyter_widgets -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
"""


def write_offline_html(
    notebook: str | Path | NotebookNode, path: str | Path, *, title: str = "", theme: str = "light"
) -> Path:
    """Write an executed notebook as one HTML file with live views.

    Args:
        notebook: a path, or the notebook itself; its metadata hold the widgets' state, as papermill leaves it.
        path: of the HTML file.
        title: of the page; the notebook's file name unless given.
        theme: ``light`` or ``dark``.

    Returns:
        The path written.

    Raises:
        ArtifactError: the notebook cannot be read, or the file not be written.
        MissingDependencyError: nbconvert is not installed.
    """
    path = Path(path)
    page = offline_html(notebook, title=title or _stem(notebook) or path.stem, theme=theme)
    try:
        write_atomically(path, page)
    except OSError as error:
        raise ArtifactError(f"{path} cannot be written", why=str(error)) from error
    return path


def offline_html(notebook: str | Path | NotebookNode, *, title: str = "", theme: str = "light") -> str:
    """The page of ``write_offline_html`` as text."""
    try:
        from jinja2 import DictLoader
        from nbconvert import HTMLExporter
    except ImportError as error:
        raise MissingDependencyError(
            "nbconvert is not installed", why=str(error), hint='pip install "splatlib[notebook]"'
        ) from error
    node = _read(notebook)
    models = _models(node)
    formulae: list[str] = []
    node = _with_places(node, models, formulae)
    node.metadata["title"] = title or "Notebook"
    exporter = HTMLExporter(
        template_file="splatlib_offline.html.j2",
        extra_loaders=[DictLoader({"splatlib_offline.html.j2": _TEMPLATE})],
        theme=theme,
        embed_images=True,
    )
    page, _ = exporter.from_notebook_node(node)
    body, end = with_formulae(page, formulae).rsplit("</body>", 1)
    return f"{body}{''.join(_scripts(models))}</body>{end}"


def _stem(notebook: str | Path | NotebookNode) -> str:
    return Path(notebook).stem if isinstance(notebook, str | Path) else ""


def _read(notebook: str | Path | NotebookNode) -> Any:
    import nbformat

    if not isinstance(notebook, str | Path):
        return nbformat.from_dict(json.loads(json.dumps(notebook)))  # a copy: the caller's stays as it is
    try:
        return nbformat.read(notebook, as_version=4)
    except (OSError, ValueError, nbformat.ValidationError) as error:
        raise ArtifactError(f"{notebook} cannot be read as a notebook", why=str(error)) from error


def _models(node: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """State and buffers of our own models, by id; others' front ends are not in the page."""
    states = node.get("metadata", {}).get("widgets", {}).get(_STATE, {}).get("state", {})
    return {
        model_id: {"state": _small(saved["state"]), "buffers": saved.get("buffers", [])}
        for model_id, saved in states.items()
        if str(saved.get("state", {}).get("_anywidget_id", "")).startswith("splatlib.")
    }


def _small(state: Mapping[str, Any]) -> dict[str, Any]:
    """Without what only Jupyter's manager needs."""
    return {key: value for key, value in state.items() if key == "_runtime" or not key.startswith("_")}


def _with_places(node: NotebookNode, models: Mapping[str, Any], formulae: list[str]) -> NotebookNode:
    """Views become places in the page, with the still picture in them until the runtime starts."""
    for cell in node.cells:
        if cell.cell_type == "markdown":
            cell.source = without_formulae(cell.source, formulae)
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            view = data.pop(_VIEW, None)
            if view and view.get("model_id") in models:
                data["text/html"] = _place(view["model_id"], data)
            data.pop("application/javascript", None)
    node.metadata.pop("widgets", None)
    return node


def _place(model_id: str, data: Mapping[str, Any]) -> str:
    still, text = data.get("image/png"), html.escape(str(data.get("text/plain", "")))
    inside = f"<pre>{text}</pre>"
    if still:
        inside = f'<img style="max-width:100%" alt="{text}" src="data:image/png;base64,{"".join(str(still).split())}">'
    return f'<div data-splatlib-model="{html.escape(model_id)}">{inside}</div>'


def _scripts(models: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    """The state, then the runtime: the newest of those the notebook holds, as it was when the views were made."""
    code = {key: _code_of(saved) for key, saved in models.items()}
    views = {key: saved for key, saved in models.items() if code[key] is None}
    if not views:
        return
    # "<" is escaped so that no text of the state can end the script
    state = json.dumps({"models": views}, separators=(",", ":")).replace("<", "\\u003c")
    yield f'<script type="application/json" id="splatlib-widgets">{state}</script>\n'
    runtimes = [text for text in code.values() if text is not None]
    if not runtimes:
        runtimes = [gzip.decompress(runtime_code()).decode("utf-8")]
    runtime = re.sub(r"</(script)", r"<\\/\1", runtimes[-1], flags=re.IGNORECASE)
    yield f'<script type="module">{runtime}</script>\n'


def _code_of(saved: Mapping[str, Any]) -> str | None:
    """The bundle in a runtime's buffers; None of a view."""
    if "digest" not in saved["state"]:
        return None
    for buffer in saved["buffers"]:
        if buffer["path"] == ["code"]:
            return gzip.decompress(base64.b64decode(buffer["data"])).decode("utf-8")
    return None
