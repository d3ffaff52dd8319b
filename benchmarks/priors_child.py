"""The processes behind ``benchmarks.priors`` that need NumPy; each prints one JSON object as its last line."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from splatlib.cameras._pycolmap import colmap_logged, pycolmap
from splatlib.cameras.features import write_features
from splatlib.cameras.priors import priors_of_frames, read_priors
from splatlib.cameras.priors.epipolar import check_convention
from splatlib.cameras.priors.frames import write_lenses
from splatlib.cameras.priors.poses import DIRECTIONS, OPENCV_FROM_AXES, Convention, inverted
from splatlib.cameras.priors.triangulation import MAX_ERROR_PX, triangulated
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


def perturb(transforms: str, target: str, noise: str) -> None:
    """Turn each pose by so many degrees about a random axis, and move it by as many percent of the path's extent."""
    document: dict[str, Any] = json.loads(Path(transforms).read_text())
    rng = np.random.default_rng(0)
    poses = np.array([frame["transform_matrix"] for frame in document["frames"]], np.float64)
    places = poses[:, :3, 3]
    extent = np.linalg.norm(places[:, None] - places[None], axis=-1).max()
    for frame, pose in zip(document["frames"], poses, strict=True):
        axis, direction = (each / np.linalg.norm(each) for each in rng.normal(size=(2, 3)))
        pose[:3, :3] = pose[:3, :3] @ pycolmap.Rotation3d(np.radians(float(noise)) * axis).matrix()
        pose[:3, 3] += direction * float(noise) / 100 * extent
        frame["transform_matrix"] = pose.tolist()
    Path(target).write_text(json.dumps(document))
    print(json.dumps({"perturbed": len(poses)}))


def same_matches(frames_workspace: str, reference: str, workspace: str) -> None:
    """The reprojection error of solved cameras on matches that are not their own.

    Points are triangulated from the matches of the reference (solved from nothing, verified by RANSAC) with the cameras
    of either one, over the frames that both placed, by the same rules and with the same limit of 4 px. The reference
    was adjusted to these very matches.
    """
    frames = Workspace(frames_workspace).frames
    assert frames is not None
    sparse = [Path(place) / "cameras" / "sparse" / "0" for place in (reference, workspace)]
    placed = [set(read_priors(folder, CamerasConfig()).names) for folder in sparse]
    # a model's images go by the frames' names
    renamed = [replace(f, source=f.name if f.name in placed[0] & placed[1] else "absent") for f in frames.frames]
    frames = replace(frames, kind="photos", frames=tuple(renamed))
    found = priors_of_frames(read_priors(sparse[1], CamerasConfig()), frames)
    database = Path(workspace) / "same_matches.db"
    shutil.copy(Path(reference) / "cameras" / "database.db", database)
    with colmap_logged():
        write_lenses(database, found)
        model = triangulated(found, frames, database, CamerasConfig(), MAX_ERROR_PX)
    figures = {
        "frames": len(found),
        "error_px": round(model.compute_mean_reprojection_error(), 3),
        "points": model.num_points3D(),
        "observations": model.compute_num_observations(),
    }
    print(json.dumps({"same_matches": figures}))


def conventions(media: str, capture: str, scratch: str) -> None:
    """What becomes of all combinations of a true and a stated convention."""
    transforms, work = Path(capture) / "transforms.json", Path(scratch)
    frames = extract_frames(media, Workspace(work / "frames"))
    database, counts = work / "database.db", {"accepted": 0, "refused": 0, "right_one_named": 0, "wrong_answers": 0}
    every = [Convention(*each) for each in product(OPENCV_FROM_AXES, DIRECTIONS)]
    with colmap_logged():
        write_features(database, frames, None, CamerasConfig())
        for true in every:
            stated_as(transforms, true, work / "poses.json")
            for stated in every:
                config = CamerasConfig(priors_convention=stated.axes, priors_direction=stated.direction)  # pyright: ignore[reportArgumentType]
                found = priors_of_frames(read_priors(work / "poses.json", config), frames)
                if true == stated == every[0]:
                    write_lenses(database, found)
                try:
                    check_convention(frames, found, database, config)
                    counts["accepted"] += 1
                    counts["wrong_answers"] += not true.same_as(stated)
                except CamerasError as error:
                    counts["refused"] += 1
                    counts["right_one_named"] += true.axes in error.what and f"{true.direction}" in error.what
                    counts["wrong_answers"] += true.same_as(stated)
    print(json.dumps({"combinations": len(every) ** 2, **counts}))


if __name__ == "__main__":
    commands = {"conventions": conventions, "perturb": perturb, "same_matches": same_matches}
    commands[sys.argv[1]](*sys.argv[2:])
