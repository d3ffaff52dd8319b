"""The processes that ``benchmarks.cameras`` measures; each prints one JSON object as its last line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from splatlib.artifacts import FrameSet, SparseScene
from splatlib.config import CamerasConfig, Job
from splatlib.workspace import Workspace


def extract(capture: str, frames_workspace: str) -> None:
    from splatlib.capture import extract_frames
    from splatlib.masks import mask_frames

    ws = Workspace(frames_workspace)
    frames = extract_frames(capture, ws)
    if any(frame.has_alpha for frame in frames.frames):
        mask_frames(frames, ws)


def solve(frames_workspace: str, workspace: str, *assignments: str) -> None:
    from splatlib.cameras import solve_cameras

    frames = _frames(frames_workspace)
    job = Job(capture="benchmark").with_overrides([f"cameras.{assignment}" for assignment in assignments])
    config: CamerasConfig = job.cameras
    masks = Workspace(frames_workspace).masks
    scene = solve_cameras(frames, Workspace(workspace), config, masks=masks)
    print(
        json.dumps(
            {
                "px": max(max(frame.width, frame.height) for frame in frames.frames),
                "registered": len(scene.views),
                "total": scene.num_frames,
                "points": len(scene.points_xyz),
                "observations": int(scene.point_track_lengths.sum()),
                "mean_reprojection_error_px": round(scene.mean_reprojection_error_px, 3),
                "mapper": scene.mapper,
            }
        )
    )


def compare(workspace: str, frames_workspace: str, transforms: str) -> None:
    import numpy as np

    from splatlib.cameras import accuracy

    scene = Workspace(workspace).find(SparseScene)
    if scene is None:
        raise SystemExit(f"{workspace} holds no solved cameras")
    truth = accuracy.read_transforms(Path(transforms))
    source_of = {frame.name: Path(frame.source).name for frame in _frames(frames_workspace).frames}
    views = [view for view in scene.views if source_of[view.name] in truth]
    solved = np.array([view.cam_from_world for view in views])
    true = np.array([truth[source_of[view.name]] for view in views])
    rotation = float(np.median(accuracy.relative_rotation_errors_deg(solved, true)))
    center = float(np.median(accuracy.center_errors_percent(solved, true)))
    print(json.dumps({"relative_rotation_error_deg": round(rotation, 4), "center_error_percent": round(center, 4)}))


def _frames(workspace: str) -> FrameSet:
    frames = Workspace(workspace).frames
    if frames is None:
        raise SystemExit(f"{workspace} holds no frames")
    return frames


if __name__ == "__main__":
    {"extract": extract, "solve": solve, "compare": compare}[sys.argv[1]](*sys.argv[2:])
