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

from splatlib.artifacts import Camera, SparseScene, View
from splatlib.errors import TrainingError
from splatlib.progress import bar
from splatlib.render.lenses import drawn_pixels
from splatlib.render.protocol import Renderer
from splatlib.threads import available_cpus
from splatlib.train.checks import require_sound_cameras
from splatlib.train.pictures import PictureStore, create_store

# A pixel that is partly outside the mask would teach a mixture: it counts neither as inside nor as outside.
WHOLE, EMPTY = 250, 5
# Of a pixel that counts as neither: what no renderer draws says nothing about the scene.
_NEITHER = 128


@dataclass(frozen=True)
class ViewBatch:
    """C views of one size, drawn together.

    Attributes:
        indices: which views of the level.
        target: [C, 3, H, W] uint8 RGB on the training device.
        mask: [C, H, W] float32, 0 = ignore, or None if every pixel of all counts.
        empty: [C, H, W] bool, where the mask is black: nothing is there if masks mean transparency. None as mask.
        cam_from_world: [C, 4, 4] as the renderer placed it.
    """

    indices: tuple[int, ...]
    names: tuple[str, ...]
    cameras: tuple[Camera, ...]
    cam_from_world: Tensor
    target: Tensor
    mask: Tensor | None
    empty: Tensor | None = None


class Level:
    """All views at one resolution."""

    def __init__(
        self, names: Sequence[str], cameras: Sequence[Camera], cam_from_world: Tensor, pictures: PictureStore
    ) -> None:
        self.names, self.cameras, self.cam_from_world = tuple(names), tuple(cameras), cam_from_world
        self.pictures = pictures

    def __len__(self) -> int:
        return len(self.names)

    def batch(self, indices: Sequence[int]) -> ViewBatch:
        """Views of one size and lens model."""
        target, gray = self.pictures.get(indices)
        mask = None if gray is None else (gray >= WHOLE).to(torch.float32)
        empty = None if gray is None else gray <= EMPTY
        if len(indices) == 1:
            poses = self.cam_from_world[indices[0] : indices[0] + 1]
        else:
            poses = torch.stack([self.cam_from_world[i] for i in indices])
        names, cameras = tuple(self.names[i] for i in indices), tuple(self.cameras[i] for i in indices)
        return ViewBatch(tuple(indices), names, cameras, poses, target, mask, empty)

    def prefetch(self, indices: Sequence[int]) -> None:
        """Say which views come next, so that they are on their way."""
        self.pictures.prefetch(indices)


def split_held_out(views: Sequence[View], every: int) -> tuple[list[View], list[View]]:
    """Views to train on and views to measure with: every n-th moment by name, the first included; 0 holds out none.

    A moment is one view, or all views that a rig took at once (``View.group``): the faces of a panorama share a centre.
    """
    ordered = sorted(views, key=lambda view: view.name)
    moments = list(dict.fromkeys(view.group or view.name for view in ordered))
    measured = set(moments[::every]) if every else set()
    held_out = [view for view in ordered if (view.group or view.name) in measured]
    return [view for view in ordered if (view.group or view.name) not in measured], held_out


class ViewPyramid:
    """Views at several resolutions.

    Each level is scaled down from the next finer one by averaging, so that a coarse picture is what a coarse
    camera would see.

    Raises:
        TrainingError: a camera or pose makes no sense, the pictures fit into no memory, or a picture or mask cannot be
            read or has another size than its camera. A picture that was exchanged for another of the same size is not
            noticed: a scene keeps no digest of each picture.
    """

    def __init__(
        self, scene: SparseScene, views: Sequence[View], long_sides_px: Sequence[int], renderer: Renderer
    ) -> None:
        require_sound_cameras(scene, views)
        descending = sorted(set(long_sides_px), reverse=True)
        self.levels: dict[int, Level] = {}
        poses = renderer.place(np.array([view.cam_from_world for view in views]).reshape(-1, 4, 4))
        stores, drawn = {}, {}
        for px in descending:
            cameras = [camera_at(scene.camera(view), px) for view in views]
            drawn[px] = {camera: drawn_pixels(camera) for camera in set(cameras)}
            sizes = [(camera.width, camera.height) for camera in cameras]
            masked = [
                view.has_mask or drawn[px][camera] is not None for view, camera in zip(views, cameras, strict=True)
            ]
            stores[px] = create_store(sizes, masked, renderer.device)
            self.levels[px] = Level([view.name for view in views], cameras, poses, stores[px])

        def load(index: int) -> None:
            for px, picture, mask in scaled_pictures(scene, views[index], descending):
                stores[px].put(index, picture, _where_drawn(mask, drawn[px][self.levels[px].cameras[index]]))

        with ThreadPoolExecutor(available_cpus()) as executor, bar(len(views), "pictures", "img") as progress:
            for _ in executor.map(load, range(len(views))):
                progress.update()

    def __len__(self) -> int:
        return len(next(iter(self.levels.values())))

    @property
    def cameras(self) -> tuple[Camera, ...]:
        """Of every view, at the finest level."""
        return self.levels[max(self.levels)].cameras


def scaled_pictures(
    scene: SparseScene, view: View, long_sides_px: Sequence[int]
) -> list[tuple[int, np.ndarray, np.ndarray | None]]:
    """(long side, picture [H, W, 3] uint8 RGB, mask [H, W] uint8 or None), from the finest to the coarsest."""
    camera, mask_path = scene.camera(view), scene.mask_path(view)
    image = cv2.cvtColor(_read(scene.image_path(view), cv2.IMREAD_COLOR, camera), cv2.COLOR_BGR2RGB)
    mask = _read(mask_path, cv2.IMREAD_GRAYSCALE, camera) if mask_path else None
    levels = []
    for px in long_sides_px:
        at = camera_at(camera, px)
        size = (at.width, at.height)
        if (image.shape[1], image.shape[0]) != size:
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            mask = None if mask is None else cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
        levels.append((px, image, mask))
    return levels


def _where_drawn(mask: np.ndarray | None, drawn: np.ndarray | None) -> np.ndarray | None:
    """The mask [H, W] with the pixels that no renderer draws left out."""
    if drawn is None:
        return mask
    return np.where(drawn, 255 if mask is None else mask, _NEITHER).astype(np.uint8)


def _read(path: Path, flags: int, camera: Camera) -> np.ndarray:
    """A picture or mask of the camera's size. Raises TrainingError."""
    picture = cv2.imread(str(path), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    if picture is None:
        raise TrainingError(
            f"cannot read {path}",
            why="the file is damaged or no picture" if path.is_file() else "the file is gone",
            hint="solve the cameras again, or put the file back",
        )
    height, width = picture.shape[:2]
    if (width, height) != (camera.width, camera.height):
        raise TrainingError(
            f"{path} is {width}x{height}, its camera {camera.width}x{camera.height}",
            why="the file was changed after its camera was solved",
            hint="solve the cameras again, or put the file back",
        )
    return np.asarray(picture)


def camera_at(camera: Camera, long_side_px: int) -> Camera:
    """The camera of a picture scaled so that its long side has at most so many pixels."""
    scale = min(1.0, long_side_px / max(camera.width, camera.height))
    return camera.scaled_to(max(1, round(camera.width * scale)), max(1, round(camera.height * scale)))
