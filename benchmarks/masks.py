"""What masks cost, and how far they are from the truth where a capture has an alpha channel.

    python -m benchmarks.masks [--scene cattoy_720 --scene fox_540] [--backend grabcut --backend u2net --backend sam2]
                               [--runs 3] [--wall fox_540] [--set FIELD=VALUE ...]

Frames are made once, outside the clock. Each run is a process of its own that reads them and masks them into an empty
workspace, interpreter and imports inside. The alpha channel, where there is one, is the truth and never an input: the
backend sees the frame's colours only. ``--wall`` puts another capture's pictures behind the object (its frames in turn,
a frame's middle scaled to fill the picture), for the pictures of cattoy_720 are black there, which is easy.
A backend whose weights are not here is not run, and its row says so and why. Medians go to
``benchmarks/results/masks.json``.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.cameras import media_of
from benchmarks.common import CAPTURES, RESULTS, append_row, measure

RESULTS_FILE = RESULTS / "masks.json"


def main() -> None:
    if sys.argv[1:2] in (["extract"], ["mask"], ["compare"]):
        {"extract": extract, "mask": mask, "compare": compare}[sys.argv[1]](*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", action="append", help="folder of a capture; default cattoy_720 and fox_540")
    parser.add_argument("--backend", action="append", help="default grabcut, which needs no weights")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--wall", help="folder of a capture whose pictures stand behind the object")
    parser.add_argument("--captures", type=Path, default=CAPTURES)
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="a field of MasksConfig")
    parser.add_argument("--dry-run", action="store_true", help="print the row, do not append it")
    arguments = parser.parse_args()
    for scene in arguments.scene or ["cattoy_720", "fox_540"]:
        for backend in arguments.backend or ["grabcut"]:
            row = benchmark(scene, backend, arguments)
            print(json.dumps(row if arguments.dry_run else append_row(RESULTS_FILE, row), indent=1))


def benchmark(scene: str, backend: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Mask one capture several times; medians of the costs, quality of the first run (all runs make the same masks)."""
    child = [sys.executable, "-m", "benchmarks.masks"]
    costs: list[dict[str, float]] = []
    row = {"scene": scene, "backend": backend, **({"wall": arguments.wall} if arguments.wall else {})}
    command = "python -m " + shlex.join(["benchmarks.masks", *sys.argv[1:]])
    with tempfile.TemporaryDirectory(prefix="splatlib-masks-") as scratch:
        shared = str(Path(scratch) / "frames")
        wall = [str(media_of(arguments.captures / arguments.wall))] if arguments.wall else []
        measure([*child, "extract", str(media_of(arguments.captures / scene)), shared, *wall])
        for run in range(arguments.runs):
            measured = measure([*child, "mask", shared, str(Path(scratch) / f"run{run}"), backend, *arguments.set])
            if measured.stdout.startswith("not run"):
                return {**row, "not_run": measured.stdout.removeprefix("not run: ").strip(), "command": command}
            costs.append({key: value for key, value in measured._asdict().items() if key != "stdout"})
            print(f"{scene} run {run + 1}: {costs[-1]}", file=sys.stderr)
        # in a process of its own: whatever this one imports would count in the children's peak memory
        compared = measure([*child, "compare", shared, str(Path(scratch) / "run0")])
    return {
        **row,
        **{key: round(statistics.median(cost[key] for cost in costs), 3) for key in costs[0]},
        **json.loads(compared.stdout.splitlines()[-1]),
        "command": command,
    }


def extract(capture: str, workspace: str, wall: str | None = None) -> None:
    from splatlib.capture import extract_frames
    from splatlib.workspace import Workspace

    frames = extract_frames(capture, Workspace(workspace))
    if wall is not None:
        _put_behind(frames, sorted(path for path in Path(wall).iterdir() if path.is_file()))


def _put_behind(frames: Any, walls: list[Path]) -> None:
    """Write the frames anew, with a wall where their alpha is 0. The stored pictures have black there."""
    import cv2
    import numpy as np

    for index, frame in enumerate(frames.frames):
        picture = np.asarray(cv2.imread(str(frames.image_path(frame))), np.float32)
        alpha = np.asarray(cv2.imread(str(frames.alpha_path(frame)), cv2.IMREAD_GRAYSCALE), np.float32)[..., None] / 255
        behind = np.asarray(cv2.imread(str(walls[index % len(walls)])))
        height, width = picture.shape[:2]
        scale = max(height / behind.shape[0], width / behind.shape[1])
        behind = cv2.resize(behind, None, fx=scale, fy=scale)
        top, left = (behind.shape[0] - height) // 2, (behind.shape[1] - width) // 2
        behind = behind[top : top + height, left : left + width]
        # colour is not multiplied by alpha in the frames, but black where alpha is 0: at soft edges this errs to dark
        mixed = picture * alpha + behind * (1 - alpha)
        cv2.imwrite(str(frames.image_path(frame)), mixed.clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 95])


def mask(frames_workspace: str, workspace: str, backend: str, *assignments: str) -> None:
    from splatlib.config import Job
    from splatlib.errors import MissingDependencyError
    from splatlib.masks import mask_frames
    from splatlib.workspace import Workspace

    job = Job(capture="benchmark").with_overrides(
        [f"masks.backend={backend}", *(f"masks.{assignment}" for assignment in assignments)]
    )
    frames = Workspace(frames_workspace).frames
    assert frames is not None and job.masks is not None
    try:
        mask_frames(frames, Workspace(workspace), job.masks)
    except MissingDependencyError as error:
        print(f"not run: {error.what}")


def compare(frames_workspace: str, workspace: str) -> None:
    """What the stage itself says of the masks."""
    from splatlib.workspace import Workspace

    frames, masks = Workspace(frames_workspace).frames, Workspace(workspace).masks
    assert frames is not None and masks is not None
    first = frames.frames[0]
    figures = {
        "frames": len(masks.names),
        "width": first.width,
        "height": first.height,
        "mean_coverage": round(masks.mean_coverage, 4),
        "warnings": list(masks.warnings),
    }
    if masks.mean_iou is not None and masks.min_iou is not None:
        figures |= {"mean_iou": round(masks.mean_iou, 4), "min_iou": round(masks.min_iou, 4)}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
