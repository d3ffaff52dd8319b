"""The pictures a training looks at: decoded once, scaled to every resolution of the schedule, kept as uint8."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from splatlib.artifacts import PinholeCamera, SparseScene, View
from splatlib.errors import TrainingError
from splatlib.progress import bar
from splatlib.render.cpu.threads import available_cpus


@dataclass(frozen=True)
class TrainingView:
    """A view at one resolution.

    Attributes:
        target: [3, H, W] uint8 RGB on the training device.
        mask: [H, W] float32, 0 = ignore, or None.
        cam_from_world: [4, 4] float64 on the CPU.
    """

    name: str
    camera: PinholeCamera
    cam_from_world: Tensor
    target: Tensor
    mask: Tensor | None


def split_held_out(views: Sequence[View], every: int) -> tuple[list[View], list[View]]:
    """Views to train on and views to measure with: every n-th by name, the first included; 0 holds out none."""
    ordered = sorted(views, key=lambda view: view.name)
    held_out = ordered[::every] if every else []
    names = {view.name for view in held_out}
    return [view for view in ordered if view.name not in names], held_out


class ViewPyramid:
    """Views at several resolutions.

    Each level is scaled down from the next finer one by averaging, so that a coarse picture is what a coarse
    camera would see. Raises TrainingError if a picture or mask cannot be read.
    """

    def __init__(
        self, scene: SparseScene, views: Sequence[View], long_sides_px: Sequence[int], device: torch.device
    ) -> None:
        self.levels: dict[int, list[TrainingView]] = {px: [] for px in long_sides_px}
        self._scene, self._device = scene, device
        descending = sorted(self.levels, reverse=True)
        with ThreadPoolExecutor(available_cpus()) as executor, bar(len(views), "pictures", "img") as progress:
            for per_level in executor.map(lambda view: self._load(view, descending), views):
                for px, level in zip(descending, per_level, strict=True):
                    self.levels[px].append(level)
                progress.update()

    def __len__(self) -> int:
        return len(next(iter(self.levels.values())))

    def _load(self, view: View, long_sides_px: Sequence[int]) -> list[TrainingView]:
        image = cv2.cvtColor(_read(self._scene.image_path(view), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        mask_path = self._scene.mask_path(view)
        mask = _read(mask_path, cv2.IMREAD_GRAYSCALE) if mask_path else None
        levels = []
        for px in long_sides_px:
            camera = camera_at(self._scene.camera(view), px)
            size = (camera.width, camera.height)
            if (image.shape[1], image.shape[0]) != size:
                image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
                mask = None if mask is None else cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
            target = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).to(self._device)
            # A pixel that is partly outside the mask would teach a mixture: only whole pixels count.
            whole = None if mask is None else torch.from_numpy((mask >= 250).astype(np.float32)).to(self._device)
            levels.append(TrainingView(view.name, camera, torch.from_numpy(view.cam_from_world), target, whole))
        return levels


def _read(path: Path, flags: int) -> cv2.typing.MatLike:
    picture = cv2.imread(str(path), flags)
    if picture is None:
        raise TrainingError(f"cannot read {path}", hint="solve the cameras again: its pictures or masks are gone")
    return picture


def camera_at(camera: PinholeCamera, long_side_px: int) -> PinholeCamera:
    """The camera of a picture scaled so that its long side has at most so many pixels."""
    scale = min(1.0, long_side_px / max(camera.width, camera.height))
    return camera.scaled_to(max(1, round(camera.width * scale)), max(1, round(camera.height * scale)))
