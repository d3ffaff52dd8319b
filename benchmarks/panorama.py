"""What rendering panoramas to faces costs: decoding, choosing, remapping and JPEG encoding.

    python -m benchmarks.panorama [--number 100] [--width 4096] [--ring 4] [--runs 3]

The panoramas are synthetic: a detailed texture, turned a little further from one to the next. Making them is outside
the clock. Each run is a process of its own that extracts the frames into an empty workspace, with interpreter and
imports inside. Medians go to ``benchmarks/results/panorama.json``.
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

from benchmarks.common import RESULTS, append_row, measure

RESULTS_FILE = RESULTS / "panorama.json"

_EXTRACT = """
import json, sys
from splatlib import FramesConfig, Workspace, extract_frames
capture, workspace, ring, most = sys.argv[1:]
config = FramesConfig(projection="equirectangular", panorama_ring=int(ring), max_frames=int(most))
frames = extract_frames(capture, Workspace(workspace), config)
panoramas = len({frame.group for frame in frames.frames})
print(json.dumps({"panoramas": panoramas, "pictures": len(frames), "face_px": frames.frames[0].width}))
"""

_MAKE = """
import sys
from pathlib import Path
import cv2, numpy as np
from PIL import Image
folder, number, width = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
folder.mkdir()
rng = np.random.default_rng(0)
coarse, fine = (rng.integers(0, 256, (width // 2 // px, width // px, 3), np.uint8) for px in (32, 4))
size = (width, width // 2)
texture = [cv2.resize(grid, size, interpolation=cv2.INTER_CUBIC) for grid in (coarse, fine)]
picture = cv2.addWeighted(texture[0], 0.7, texture[1], 0.3, 0)
for index in range(number):
    shifted = np.roll(picture, index * width // number, axis=1)
    Image.fromarray(shifted).save(folder / f"PANO_{index + 1:04d}.jpg", quality=92)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=100)
    parser.add_argument("--width", type=int, default=4096)
    parser.add_argument("--ring", type=int, default=4, help="faces round the horizon; two more look up and down")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--dry-run", action="store_true", help="print the row, do not append it")
    arguments = parser.parse_args()
    row = benchmark(arguments)
    print(json.dumps(row if arguments.dry_run else append_row(RESULTS_FILE, row), indent=1))


def benchmark(arguments: argparse.Namespace) -> dict[str, Any]:
    """Extract the same panoramas several times; medians of the costs."""
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="splatlib-panorama-") as scratch:
        capture = Path(scratch) / "panoramas"
        measure([sys.executable, "-c", _MAKE, str(capture), str(arguments.number), str(arguments.width)])
        mib = sum(file.stat().st_size for file in capture.iterdir()) / 2**20
        for run in range(arguments.runs):
            most = str(arguments.number * (arguments.ring + 2))
            workspace = str(Path(scratch) / f"run{run}")
            argv = [sys.executable, "-c", _EXTRACT, str(capture), workspace, str(arguments.ring), most]
            measured = measure(argv)
            figures = json.loads(measured.stdout.splitlines()[-1])
            costs = measured._asdict()
            del costs["stdout"]
            runs.append({**costs, **figures})
            print(f"run {run + 1}: {runs[-1]}", file=sys.stderr)
    return {
        "width": arguments.width,
        "capture_mib": round(mib, 1),
        **{key: round(statistics.median(run[key] for run in runs), 3) for key in runs[0]},
        "command": "python -m " + shlex.join(["benchmarks.panorama", *sys.argv[1:]]),
    }


if __name__ == "__main__":
    main()
