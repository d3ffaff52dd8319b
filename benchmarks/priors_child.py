"""The process behind ``benchmarks.priors --conventions``; prints one JSON object as its last line."""

from __future__ import annotations

import json
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from splatlib.cameras._pycolmap import colmap_logged
from splatlib.cameras.features import write_features
from splatlib.cameras.priors import priors_of_frames, read_priors
from splatlib.cameras.priors.epipolar import check_convention
from splatlib.cameras.priors.frames import write_lenses
from splatlib.cameras.priors.poses import DIRECTIONS, OPENCV_FROM_AXES, Convention, inverted
from splatlib.capture import extract_frames
from splatlib.config import CamerasConfig
from splatlib.errors import CamerasError
from splatlib.workspace import Workspace


def stated_as(transforms: Path, convention: Convention, target: Path) -> None:
    """The poses of a transforms.json (OpenGL, camera to world) written in a convention."""
    document: dict[str, Any] = json.loads(transforms.read_text())
    opencv_from_axes = np.eye(4)
    opencv_from_axes[:3, :3] = OPENCV_FROM_AXES[convention.axes]
    opencv_from_opengl = np.diag([1.0, -1.0, -1.0, 1.0])
    for frame in document["frames"]:
        world_from_opencv = np.array(frame["transform_matrix"]) @ opencv_from_opengl
        world_from_axes = world_from_opencv @ opencv_from_axes
        pose = world_from_axes if convention.direction == "camera_to_world" else inverted(world_from_axes)
        frame["transform_matrix"] = pose.tolist()
    target.write_text(json.dumps(document))


def main(media: str, capture: str, scratch: str) -> None:
    transforms, work = Path(capture) / "transforms.json", Path(scratch)
    frames = extract_frames(media, Workspace(work / "frames"))
    database, counts = work / "database.db", {"accepted": 0, "refused": 0, "right_one_named": 0, "wrong_answers": 0}
    conventions = [Convention(*each) for each in product(OPENCV_FROM_AXES, DIRECTIONS)]
    with colmap_logged():
        write_features(database, frames, None, CamerasConfig())
        for true in conventions:
            stated_as(transforms, true, work / "poses.json")
            for stated in conventions:
                config = CamerasConfig(priors_convention=stated.axes, priors_direction=stated.direction)  # pyright: ignore[reportArgumentType]
                found = priors_of_frames(read_priors(work / "poses.json", config), frames)
                if true == stated == conventions[0]:
                    write_lenses(database, found)
                try:
                    check_convention(frames, found, database, config)
                    counts["accepted"] += 1
                    counts["wrong_answers"] += not true.same_as(stated)
                except CamerasError as error:
                    counts["refused"] += 1
                    counts["right_one_named"] += true.axes in error.what and f"{true.direction}" in error.what
                    counts["wrong_answers"] += true.same_as(stated)
    print(json.dumps({"combinations": len(conventions) ** 2, **counts}))


if __name__ == "__main__":
    main(*sys.argv[1:])
