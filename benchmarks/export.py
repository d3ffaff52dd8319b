"""Size, loss, time and memory of delivered files, beside npm's splat-transform on the same scene in the same run.

    SPLAT_TRANSFORM=... python -m benchmarks.export [--fox WORKSPACE] [--scene fox_small|fox|million] [--runs 3]
        [--max-loss-db 0.15]

``fox`` is trained here on ``shared/benchmarks/fox_colmap`` (CPU, SH degree 3, 100,000 Gaussians: eight minutes on two
cores), or read from a workspace that was. ``million`` is that splat with every Gaussian split into ten and trained on
(three minutes; kept in the workspace): none is like another, and held-out photos look as they do by fox. ``fox_small``
is fox with 15,000 Gaussians.

Losses are held-out PSNR (12 photos at most, 640 px) of the PLY minus that of the file read back. Each writer is a
process of its own. ``seconds`` are those of *writing*: from Gaussians in memory, and a quality that is known, to the
closed file; palettes, sorting and compression are in it. Finding out which quality loses no more than is allowed is
drawing pictures, done once a format (SPZ 4 begins with what SPZ 3 found) in the export stage: ``search_seconds`` and
``search_cpu_seconds``. Of splat-transform ``seconds`` are those of its whole run, reading included; CPU-seconds and
peak memory are each process's, reading included. Medians over the runs.

splat-transform is found on the path or where SPLAT_TRANSFORM says. Its SOG at SH degree 3 wants a GPU; on a CPU it was
not done with ``fox`` after 13 minutes, and is compared on ``fox_small``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS, ROOT, append_row, measure

FOX = ROOT.parent / "shared" / "benchmarks" / "fox_colmap"
FORMATS = ("ply", "compressed_ply", "spz", "spz4", "sog", "splat", "glb")
MAX_LOSS_DB = 0.15
PEER = os.environ.get("SPLAT_TRANSFORM") or shutil.which("splat-transform")

# What needs the renderer runs in children too: the measuring process must stay small.
# argv: fox workspace, scene, folder. Leaves scene.ply, contributions.npy; prints the factor of each adapted format.
PREPARE = """
import json, sys
from pathlib import Path
import numpy as np
import benchmarks.export_scenes as scenes
print(json.dumps(scenes.prepare(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), float(sys.argv[4]))))
"""
# argv: fox workspace, reference PLY, files. Prints the loss of each, dB.
JUDGE = """
import json, sys
from pathlib import Path
import benchmarks.export_scenes as scenes
print(json.dumps(scenes.losses(Path(sys.argv[1]), [Path(p) for p in sys.argv[2:]])))
"""


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--fox", type=Path, help="a workspace of an earlier run; trained there if it holds none")
    arguments.add_argument("--scene", choices=("fox_small", "fox", "million"), action="append")
    arguments.add_argument("--runs", type=int, default=3)
    arguments.add_argument("--max-loss-db", type=float, default=MAX_LOSS_DB, help="that SPZ and SOG may have")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        fox = options.fox or Path(folder) / "fox"
        for scene in options.scene or ("fox_small", "fox", "million"):
            work = Path(folder) / scene
            work.mkdir()
            for row in rows(fox, scene, work, options.runs, options.max_loss_db):
                print(json.dumps(append_row(RESULTS / "export.json", row)), flush=True)


def rows(fox: Path, scene: str, work: Path, runs: int, max_loss_db: float) -> list[dict[str, Any]]:
    prepared = child(PREPARE, fox, scene, work, max_loss_db)
    source, found = work / "scene.ply", []
    for name in FORMATS:
        target = work / f"ours.{name}{prepared['suffixes'][name]}"
        factor = prepared["factors"].get(name)  # none: the format has one quality, or needs its finest
        adapted = [str(factor), str(work / "contributions.npy")] if factor else []
        command = [sys.executable, "-m", "benchmarks.export_child", str(source), str(target), name, *adapted]
        measure(command)  # compiles
        measured = [measure(command) for _ in range(runs)]
        seconds = statistics.median(json.loads(m.stdout.splitlines()[-1])["seconds"] for m in measured)
        found.append((name, "splatlib", target, seconds, measured))
    for name, options in peer_formats(scene):
        target = work / f"theirs.{name}{prepared['suffixes'][name]}"
        times = 1 if name == "sog" else runs
        measured = [measure([str(PEER), "-q", "-w", *options, str(source), str(target)]) for _ in range(times)]
        found.append((name, version_of_peer(), target, statistics.median(m.wall_seconds for m in measured), measured))
    losses = child(JUDGE, fox, source, *(path for _, _, path, *_ in found))
    count = prepared["num_gaussians"]
    return [
        {
            "scene": scene,
            "num_gaussians": count,
            "sh_degree": prepared["sh_degree"],
            "psnr_db": round(prepared["psnr_db"], 3),
            "format": name,
            "writer": writer,
            "bytes": path.stat().st_size,
            "bytes_per_gaussian": round(path.stat().st_size / count, 2),
            "psnr_loss_db": round(loss["psnr_loss_db"], 3),
            "max_psnr_loss_db": max_loss_db,
            "num_held": loss["num_gaussians"],
            "seconds": round(seconds, 2),
            "cpu_seconds": round(statistics.median(m.cpu_seconds for m in measured), 2),
            "peak_rss_mib": round(max(m.peak_rss_mib for m in measured)),
            **(prepared["searches"].get(name, {}) if writer == "splatlib" else {}),
        }
        for (name, writer, path, seconds, measured), loss in zip(found, losses, strict=True)
    ]


def peer_formats(scene: str) -> list[tuple[str, list[str]]]:
    if not PEER:
        return []
    formats = [("spz", ["--spz-version", "3"]), ("spz4", []), ("compressed_ply", [])]
    return [*formats, ("sog", ["-g", "cpu"])] if scene == "fox_small" else formats


def child(code: str, *arguments: object) -> Any:
    return json.loads(measure([sys.executable, "-c", code, *map(str, arguments)]).stdout.splitlines()[-1])


def version_of_peer() -> str:
    told = subprocess.run([str(PEER), "--version"], capture_output=True, text=True, check=True)
    return " ".join((told.stdout or told.stderr).split()[:2])


if __name__ == "__main__":
    main()
