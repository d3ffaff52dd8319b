"""Cameras in JupyterLab: a click on one stands in it, and Python knows which."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from splatlib.samples import Sample
from splatlib.widgets.viewing import start_outside_scene
from tests.browser.pages import CANVAS, Notebook, canvas_pixels, drawn, only_here, wait_for_change
from tests.made import made_workspace


@only_here
def test_a_click_on_a_camera_stands_in_it(
    notebook: Notebook, show: Any, sample_photos: Sample, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The nearest one, since others cannot hide it."""
    ws = made_workspace(tmp_path_factory.mktemp("scene"), sample_photos)
    scene = ws.scene
    assert scene is not None
    view = show(f"cameras = sl.view_scene(sl.Workspace.open({str(ws.root)!r}).scene)\ncameras")
    drawn(view)
    start, box = start_outside_scene(scene), view.locator(".viewport").bounding_box()
    camera = start.camera(round(box["width"]), round(box["height"]))
    centers = np.array([shown.center for shown in scene.views])
    x, y, depth = start.cam_from_world[:3, :3] @ centers.T + start.cam_from_world[:3, 3:]
    nearest = int(np.argmin(depth))
    across, down = camera.fx * x[nearest] / depth[nearest], camera.fy * y[nearest] / depth[nearest]
    at = box["x"] + across + camera.cx, box["y"] + down + camera.cy
    name, size = scene.views[nearest].name, f"{scene.cameras[0].width} × {scene.cameras[0].height} px"
    notebook.page.mouse.move(*at)
    view.locator(".bar.bottom").get_by_text(f"{name} · {size}").wait_for()
    before = canvas_pixels(view.locator(CANVAS))
    notebook.page.mouse.click(*at)
    assert notebook.run_until("cameras.selected", bool) == name
    assert view.get_by_role("combobox", name="Stand where a picture was taken").input_value() == name
    wait_for_change(view.locator(CANVAS), before, 25)
