"""One writer on one scene, in a process of its own. Prints a JSON line: seconds of writing, bytes, Gaussians held.

python -m benchmarks.export_child SCENE.ply OUT FORMAT [FACTOR CONTRIBUTIONS.npy]
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

from splatlib.formats import FORMATS, write_gaussians
from splatlib.formats.quality import Quality
from splatlib.gaussians import Gaussians


def main() -> None:
    source, target, name, *adapted = sys.argv[1:]
    gaussians = Gaussians.load_ply(source)
    quality = Quality().coarser(float(adapted[0])) if adapted else None
    contributions = np.load(adapted[1]) if adapted else None
    started_s = time.perf_counter()
    write_gaussians(gaussians, target, FORMATS[name], quality, contributions)
    seconds = time.perf_counter() - started_s
    print(json.dumps({"seconds": seconds, "bytes": Path(target).stat().st_size}))


if __name__ == "__main__":
    main()
