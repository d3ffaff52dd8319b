"""The whole way on real captures, kept small: does what is particular about each come through to the report?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import pytest

from splatlib.config import Job
from splatlib.pipeline import Reconstruction, reconstruct
from splatlib.workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.captures]

SMALL = {
    "train.steps": 300,
    "train.max_gaussians": 8000,
    "train.max_long_side_px": 160,
    "train.preview_every_steps": 0,
    "frames.max_long_side_px": 480,
}


def run(capture: Path, out: Path, **more: Any) -> tuple[Reconstruction, dict[str, Any]]:
    settings = {**SMALL, **{key.replace("__", "."): value for key, value in more.items()}}
    result = reconstruct(Job(capture=str(capture)).with_overrides(settings), out)
    return result, json.loads(result.report_json.read_text())


def test_phone_photos(captures: Path, tmp_path: Path) -> None:
    result, report = run(captures / "fox_540", tmp_path, frames__max_frames=40)
    assert report["cameras"]["registered"] >= 36
    assert report["train"]["psnr_db"] > 21
    assert result.masks is None


def test_a_hand_held_video(captures: Path, tmp_path: Path) -> None:
    result, report = run(captures / "video_fruits", tmp_path, frames__max_frames=40)
    assert result.frames.kind == "video"
    assert all(frame.timestamp_s is not None for frame in result.frames.frames)
    assert report["cameras"]["registered"] >= 36
    assert report["train"]["psnr_db"] > 20


def test_transparency_masks_every_stage(captures: Path, tmp_path: Path) -> None:
    result, report = run(captures / "cattoy_720", tmp_path, frames__max_long_side_px=720)
    assert result.masks is not None and result.masks.backend == "alpha"
    assert len(result.masks.names) == report["frames"]["kept"]
    assert report["cameras"]["registered"] >= 45
    assert all(view.has_mask for view in result.scene.views)
    assert report["train"]["psnr_db"] > 23
    ws = Workspace.open(tmp_path)
    view = result.scene.views[0]
    mask_path = result.scene.mask_path(view)
    assert mask_path is not None and mask_path.is_relative_to(ws.root)
    mask, picture = cv2.imread(str(mask_path), cv2.IMREAD_GRAYSCALE), cv2.imread(str(result.scene.image_path(view)))
    assert mask is not None and picture is not None and mask.shape == picture.shape[:2]
    assert 0.02 < (mask > 0).mean() < 0.9
