"""The processes that ``benchmarks.capture_check`` measures; each prints one JSON object as its last line."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

from splatlib.config import CamerasConfig
from splatlib.workspace import Workspace


def make(case: str, directory: str) -> None:
    from benchmarks.degraded import make

    make(case, Path(directory))
    print("{}")


def spoil(capture: str, how: str, directory: str) -> None:
    """A real capture made worse: every third picture only, or the middle third smeared."""
    import cv2
    import numpy as np

    from benchmarks.degraded import smeared

    pictures = sorted(path for path in Path(capture).iterdir() if path.is_file())
    Path(directory).mkdir(parents=True)
    for index, path in enumerate(pictures):
        target = Path(directory) / path.name
        if how == "every_third":
            if index % 3 == 0:
                shutil.copy(path, target)
        elif len(pictures) // 3 <= index < 2 * len(pictures) // 3:
            picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
            assert picture is not None
            cv2.imwrite(str(target), smeared(np.asarray(picture, np.uint8), 0.08, 0.7 * index))
        else:
            shutil.copy(path, target)
    print("{}")


def extract(capture: str, workspace: str, masked: str) -> None:
    from splatlib.capture import extract_frames
    from splatlib.masks import mask_frames

    ws = Workspace(workspace)
    frames = extract_frames(capture, ws)
    if masked == "masked":
        mask_frames(frames, ws)
    print(json.dumps({"frames": len(frames)}))


def check(workspace: str) -> None:
    from splatlib.check import check_capture

    ws = Workspace(workspace)
    assert ws.frames is not None
    with tempfile.TemporaryDirectory(prefix="splatlib-check-") as fresh:  # never the result of earlier code
        check = check_capture(ws.frames, Workspace(fresh), ws.masks)
    print(
        json.dumps(
            {
                "verdict": check.verdict,
                "outlook": {frame.name: frame.outlook for frame in check.frames},
                "findings": [f"{finding.severity}: {finding.title}" for finding in check.findings],
            }
        )
    )


def solve(workspace: str) -> None:
    from splatlib.cameras import solve_cameras
    from splatlib.errors import TooFewRegisteredError

    ws = Workspace(workspace)
    assert ws.frames is not None
    try:
        scene = solve_cameras(ws.frames, ws, CamerasConfig(allow_partial=True), ws.masks)
        names, seconds = [view.name for view in scene.views], round(scene.seconds, 1)
    except TooFewRegisteredError:  # not one found its place
        names, seconds = [], None
    print(json.dumps({"registered": names, "seconds": seconds}))


if __name__ == "__main__":
    {"make": make, "spoil": spoil, "extract": extract, "check": check, "solve": solve}[sys.argv[1]](*sys.argv[2:])
