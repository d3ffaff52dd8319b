"""A splat as one HTML file with the viewer inside: it works from disk, without network, Jupyter or anywidget."""

from __future__ import annotations

import base64
import html
import json
import re
from pathlib import Path

from PIL import Image

from splatlib.artifacts import SparseScene
from splatlib.gaussians import Gaussians
from splatlib.widgets.bundle import STATIC
from splatlib.widgets.packing import MOST_GAUSSIANS, pack
from splatlib.widgets.pictures import jpeg_bytes
from splatlib.widgets.surroundings import cameras_data, start_box
from splatlib.widgets.viewing import start_in_scene, start_round_gaussians, still_of

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>html,body{{margin:0;height:100%;background:#111;color:#ddd;font:14px system-ui,sans-serif}}
main{{padding:8px}}img{{max-width:100%}}</style></head>
<body><main><div data-splatlib-model="splat"><img alt="{title}" src="data:image/jpeg;base64,{still}"></div>
<noscript>The viewer needs JavaScript; this is a still picture.</noscript></main>
<script type="application/json" id="splatlib-widgets">{state}</script>
<script type="module">{runtime}</script>
</body></html>
"""


def write_splat_page(
    gaussians: Gaussians,
    path: Path,
    *,
    scene: SparseScene | None = None,
    title: str = "Splat",
    background: tuple[float, float, float] = (0.0, 0.0, 0.0),
    most: int = MOST_GAUSSIANS,
    height_px: int = 800,
) -> str:
    """Write the page; what was left out, in words, or "".

    Args:
        scene: cameras to stand in. background: RGB in 0…1. most: Gaussians shown; of more, the most visible.

    Raises OSError.
    """
    start = start_in_scene(scene) if scene is not None and scene.views else start_round_gaussians(gaussians)
    packed = pack(gaussians, most=most)
    still = jpeg_bytes(Image.fromarray(still_of(gaussians, start, background)), 75)
    info = {
        "packed": dict(packed.info),
        **start.to_data(),
        "background": list(background),
        "title": title,
        "total": packed.total,
        "note": packed.note,
        "cameras": cameras_data(scene) if scene is not None else [],
        "box": start_box(gaussians, start),
        "units": "m" if scene is not None and scene.metres_per_unit == 1 else "units",
    }
    state = {"kind": "splat", "info": info, "blobs": [None, None], "height_px": height_px}
    buffers = [
        {"path": ["blobs", index], "encoding": "base64", "data": base64.b64encode(blob).decode()}
        for index, blob in enumerate((packed.data, still))
    ]
    # "<" is escaped so that no text of the state can end the script
    text = json.dumps({"models": {"splat": {"state": state, "buffers": buffers}}}, separators=(",", ":"))
    code = (STATIC / "runtime.js").read_text(encoding="utf-8")
    path.write_text(
        _PAGE.format(
            title=html.escape(title),
            still=base64.b64encode(still).decode(),
            state=text.replace("<", "\\u003c"),
            runtime=re.sub(r"</(script)", r"<\\/\1", code, flags=re.IGNORECASE),
        ),
        encoding="utf-8",
    )
    return packed.note
