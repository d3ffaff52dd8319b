"""An executed notebook as one HTML file that asks the network for nothing."""

from __future__ import annotations

from pathlib import Path

from splatlib.files import write_atomically

# nbconvert's page loads these from content-delivery networks.
_WITHOUT_NETWORK = """
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block jupyter_widgets -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
"""
# Widgets need a runtime of their own: without one their pictures are shown.
_SHOWN_FIRST = ("text/html", "text/markdown", "image/svg+xml", "image/png", "image/jpeg", "text/plain")


def write_page(notebook: Path) -> Path:
    """Write ``<name>.html`` beside an executed notebook, pictures inside."""
    from jinja2 import DictLoader
    from nbconvert import HTMLExporter
    from traitlets.config import Config

    exporter = HTMLExporter(
        extra_loaders=[DictLoader({"without_network.html.j2": _WITHOUT_NETWORK})],
        template_file="without_network.html.j2",
        embed_images=True,
        config=Config({"NbConvertBase": {"display_data_priority": list(_SHOWN_FIRST)}}),
    )
    body, _ = exporter.from_filename(str(notebook))
    page = notebook.with_suffix(".html")
    write_atomically(page, body)
    return page
