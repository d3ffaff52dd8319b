"""More pictures than the GPU holds: what streaming them from the host costs a training step.

    python -m benchmarks.gpu_streaming --scene DIR [--photos 1000] [--long-side-px 3840] [--gpu-gib 24] [--steps 600]

The scene's pictures are enlarged and repeated with their cameras: the bytes are those of so many photos, the content is
not, so no quality is reported. The process may use no more GPU memory than ``--gpu-gib``. A second training on as many
of the photos as lie on the GPU, otherwise the same, gives the step to compare with. Rows go to
``results/gpu_streaming.json``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import torch

from benchmarks.common import RESULTS, append_row, commit
from benchmarks.gpu_train import load
from splatlib.artifacts import SparseScene
from splatlib.config import TrainConfig
from splatlib.render import create_renderer
from splatlib.render.protocol import Renderer
from splatlib.train.pictures import StreamedStore
from splatlib.train.stage import create_trainer

RESIDENT_PHOTOS = 24
GIB = 2**30


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--scene", type=Path, required=True)
    arguments.add_argument("--photos", type=int, default=1000)
    arguments.add_argument("--long-side-px", type=int, default=3840)
    arguments.add_argument("--gpu-gib", type=float, default=24.0)
    arguments.add_argument("--steps", type=int, default=600)
    arguments.add_argument("--commit", default=None, help="where the checkout has no git")
    arguments.add_argument("--out", type=Path, default=RESULTS / "gpu_streaming.json")
    options = arguments.parse_args()
    allow_only(options.gpu_gib)
    renderer = create_renderer("cuda")
    config = TrainConfig(preset="balanced", steps=options.steps, max_long_side_px=options.long_side_px)
    with tempfile.TemporaryDirectory() as folder:
        scene = repeated(load(options.scene), Path(folder), options.photos, options.long_side_px)
        streamed = measure(scene, config, renderer)
        resident = measure(replace(scene, views=scene.views[:RESIDENT_PHOTOS]), config, renderer)
    row = {
        "scene": options.scene.name,
        "photos": options.photos,
        "long_side_px": options.long_side_px,
        "gpu_gib": options.gpu_gib,
        "steps": options.steps,
        "streamed": streamed,
        "resident": {"photos": RESIDENT_PHOTOS, **resident},
        "device": torch.cuda.get_device_name(),
        "command": "python -m benchmarks.gpu_streaming",
        "commit": options.commit or commit(),
    }
    print(json.dumps(append_row(options.out, row), indent=1))


def allow_only(gib: float) -> None:
    """Make this GPU a smaller one: for torch's allocator, and for whoever asks how much is free."""
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, gib * GIB / total))
    torch.cuda.mem_get_info = lambda device=None: (  # type: ignore[assignment]
        int(gib * GIB) - torch.cuda.memory_reserved(),
        int(gib * GIB),
    )


def repeated(scene: SparseScene, folder: Path, count: int, long_side_px: int) -> SparseScene:
    """So many views of so large pictures, each a file of its own name."""
    enlarged = folder / "enlarged"
    enlarged.mkdir()
    cameras = []
    for camera in scene.cameras:
        scale = long_side_px / max(camera.width, camera.height)
        cameras.append(camera.scaled_to(round(camera.width * scale), round(camera.height * scale)))

    def enlarge(index: int) -> None:
        view = scene.views[index]
        camera = cameras[view.camera_index]
        picture = cv2.imread(str(scene.image_path(view)))
        assert picture is not None, scene.image_path(view)
        cv2.imwrite(str(enlarged / f"{index:04d}.jpg"), cv2.resize(picture, (camera.width, camera.height)))

    with ThreadPoolExecutor() as executor:
        list(executor.map(enlarge, range(min(count, len(scene.views)))))
    views = []
    for index in range(count):
        source = index % len(scene.views)
        name = f"photo{index:05d}.jpg"
        (folder / name).hardlink_to(enlarged / f"{source:04d}.jpg")
        views.append(replace(scene.views[source], name=name, has_mask=False))
    return replace(scene, directory=folder, images=".", cameras=tuple(cameras), views=tuple(views))


def measure(scene: SparseScene, config: TrainConfig, renderer: Renderer) -> dict[str, Any]:
    """One training; a step's milliseconds are the mean over those at full resolution."""
    started_s = time.perf_counter()
    trainer = create_trainer(scene, scene.views, config.resolved("cuda"), renderer)
    finest = trainer.config.max_long_side_px
    loading_s = time.perf_counter() - started_s
    torch.cuda.reset_peak_memory_stats()
    while not trainer.done and trainer.schedule.long_side_px(trainer.step_index) < finest:
        trainer.step()
    torch.cuda.synchronize()
    first, started_s = trainer.step_index, time.perf_counter()
    while not trainer.done:
        trainer.step()
    torch.cuda.synchronize()
    return {
        "from_host": isinstance(trainer.views.levels[finest].pictures, StreamedStore),
        "loading_seconds": round(loading_s, 1),
        "step_ms": round((time.perf_counter() - started_s) / (trainer.step_index - first) * 1e3, 2),
        "views_a_step": trainer.schedule.views_per_step(first),
        "num_gaussians": trainer.num_gaussians,
        "peak_gpu_gib": round(torch.cuda.max_memory_allocated() / GIB, 2),
    }


if __name__ == "__main__":
    main()
