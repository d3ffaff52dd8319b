"""Poses written in each of the five conventions and both directions, and stated as each other one."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splatlib.artifacts import FrameSet
from splatlib.cameras import accuracy
from splatlib.cameras._pycolmap import colmap_logged
from splatlib.cameras.features import write_features
from splatlib.cameras.priors import priors_of_frames, read_priors
from splatlib.cameras.priors.epipolar import check_convention
from splatlib.cameras.priors.frames import write_lenses
from splatlib.cameras.priors.poses import DIRECTIONS, OPENCV_FROM_AXES, Convention
from splatlib.capture import extract_frames
from splatlib.config import CamerasConfig
from splatlib.errors import CamerasError
from splatlib.workspace import Workspace
from tests.unit.cameras.conftest import Solved

CONVENTIONS = [Convention(*each) for each in product(OPENCV_FROM_AXES, DIRECTIONS)]
Pose = np.ndarray[Any, np.dtype[np.float64]]
# Which conventions are one, by hand: the phones' are OpenGL's.
KIND = {"opencv": "opencv", "opengl": "opengl", "arkit": "opengl", "arcore": "opengl", "ros": "ros"}


def stated_as(poses: dict[str, Pose], lens: dict[str, Any], convention: Convention, path: Path) -> Path:
    """cam_from_world by picture, OpenCV, written in a convention that the file does not tell."""
    opencv_from_axes = np.eye(4)
    opencv_from_axes[:3, :3] = OPENCV_FROM_AXES[convention.axes]
    entries = []
    for name, pose in poses.items():
        axes_from_world = np.linalg.inv(opencv_from_axes) @ pose
        written = np.linalg.inv(axes_from_world) if convention.direction == "camera_to_world" else axes_from_world
        entries.append({"name": name, "matrix": written.tolist()})
    path.write_text(json.dumps({**lens, "poses": entries}))
    return path


def answers(frames: FrameSet, poses: dict[str, Pose], lens: dict[str, Any], work: Path) -> dict[str, int]:
    """What becomes of all 100 combinations; fails at the first wrong answer."""
    database, counts = work / "database.db", {"accepted": 0, "refused": 0}
    written = {true: stated_as(poses, lens, true, work / f"{true.axes}_{true.direction}.json") for true in CONVENTIONS}
    with colmap_logged():
        write_features(database, frames, None, CamerasConfig(max_features=1024))
        config = CamerasConfig(priors_convention="opencv")
        write_lenses(database, priors_of_frames(read_priors(written[CONVENTIONS[0]], config), frames))
        for true, stated in product(CONVENTIONS, CONVENTIONS):
            config = CamerasConfig(priors_convention=stated.axes, priors_direction=stated.direction)  # pyright: ignore[reportArgumentType]
            found = priors_of_frames(read_priors(written[true], config), frames)
            same = (KIND[true.axes], true.direction) == (KIND[stated.axes], stated.direction)
            if same:
                check_convention(frames, found, database, config)
                counts["accepted"] += 1
                continue
            with pytest.raises(CamerasError) as caught:
                check_convention(frames, found, database, config)
            assert f"they fit {KIND[true.axes]}, {true.direction}" in caught.value.what, (true, stated)
            assert "arkit and arcore" in caught.value.what or KIND[true.axes] != "opengl"
            counts["refused"] += 1
    return counts


def test_every_wrong_statement_about_the_sample_is_corrected(solved: Solved, tmp_path: Path) -> None:
    poses = dict(zip(solved.sample.names, solved.sample.cam_from_world, strict=True))
    camera = solved.sample.camera
    lens = {"fx": camera.fx, "fy": camera.fy, "cx": camera.cx, "cy": camera.cy, "w": camera.width, "h": camera.height}
    assert answers(solved.frames, poses, lens, tmp_path) == {"accepted": 22, "refused": 78}


@pytest.mark.captures
@pytest.mark.slow
def test_every_wrong_statement_about_a_real_capture_is_corrected(captures: Path, tmp_path: Path) -> None:
    transforms = captures / "fox_540" / "transforms.json"
    frames = extract_frames(captures / "fox_540" / "images", Workspace(tmp_path / "frames"))
    document = json.loads(transforms.read_text())
    lens = {key: document[key] for key in ("fl_x", "fl_y", "cx", "cy", "w", "h", "k1", "k2", "p1", "p2")}
    assert answers(frames, accuracy.read_transforms(transforms), lens, tmp_path) == {"accepted": 22, "refused": 78}
