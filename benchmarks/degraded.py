"""Captures spoiled on purpose, made from the project's own sample room and its known cameras.

Each is a folder of numbered photos of 640x480, as a phone's messenger leaves them: without EXIF.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from splatlib.artifacts import Camera
from splatlib.samples import camera_path, looking_at
from splatlib.samples.raycast import render_view
from splatlib.samples.scene import build_scene

Picture = npt.NDArray[np.uint8]
_CAMERA = Camera(640, 480, 532.0, 532.0, 320.0, 240.0)  # 62 degrees across
_NUM_FRAMES = 45
_NOISE_LEVELS = 2.0


def make(name: str, directory: Path) -> Path:
    """Write a capture by its name in ``CASES``; returns the folder."""
    directory.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index, picture in enumerate(CASES[name]()):
        noisy = np.clip(picture + rng.normal(0, _NOISE_LEVELS, picture.shape), 0, 255).astype(np.uint8)
        cv2.imwrite(str(directory / f"IMG_{index + 1:04d}.jpg"), noisy[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
    return directory


def _intact() -> Iterator[Picture]:
    for pose in camera_path(_NUM_FRAMES):
        yield _view(pose)


def _gap() -> Iterator[Picture]:
    """90 of the path's 150 degrees are missing in the middle."""
    path = camera_path(100)
    for pose in [*path[:20], *path[80:]]:
        yield _view(pose)


def _blurred() -> Iterator[Picture]:
    """A third of the way, the hand shakes: smeared along 8 % of the picture's width."""
    for index, pose in enumerate(camera_path(_NUM_FRAMES)):
        picture = _view(pose)
        yield smeared(picture, 0.08, 0.7 * index) if 15 <= index < 30 else picture


def _turn_at_the_end() -> Iterator[Picture]:
    """Half the path, then a full turn on the spot."""
    path = camera_path(_NUM_FRAMES)[:22]
    for pose in path:
        yield _view(pose)
    for degrees in np.linspace(0, 360, 30, endpoint=False)[1:]:
        yield _view(_turned(path[-1], degrees))


def _only_turns() -> Iterator[Picture]:
    start = camera_path(_NUM_FRAMES)[10]
    for degrees in np.linspace(0, 180, 30):
        yield _view(_turned(start, degrees))


def _low_texture() -> Iterator[Picture]:
    """All surfaces nearly of one grey: a tenth of the contrast is left."""
    for pose in camera_path(_NUM_FRAMES):
        yield np.asarray(128 + 0.1 * (_view(pose).astype(np.float32) - 128), np.uint8)


def _two_scenes() -> Iterator[Picture]:
    for seed, count in ((0, 28), (7, 17)):
        for pose in camera_path(count):
            yield _view(pose, seed)


def _exposure_jump() -> Iterator[Picture]:
    """Three stops darker from the middle on."""
    for index, pose in enumerate(camera_path(_NUM_FRAMES)):
        picture = _view(pose)
        if index >= _NUM_FRAMES // 2:
            picture = np.asarray(255 * ((picture / 255.0) ** 2.2 / 8) ** (1 / 2.2), np.uint8)
        yield picture


def _too_few() -> Iterator[Picture]:
    """30 degrees from picture to picture."""
    for pose in camera_path(6):
        yield _view(pose)


def _jump_to_a_wall() -> Iterator[Picture]:
    """The path, with a walk along the opposite wall in the middle that shares no view with it."""
    path = camera_path(_NUM_FRAMES)
    for pose in path[:20]:
        yield _view(pose)
    for step in np.linspace(-1.2, 1.2, 12):
        yield _view(looking_at(np.array([step, -1.5, 1.4]), np.array([step, -4.0, 1.3])))
    for pose in path[20:]:
        yield _view(pose)


CASES = {
    "intact": _intact,
    "gap": _gap,
    "blurred": _blurred,
    "turn_at_the_end": _turn_at_the_end,
    "only_turns": _only_turns,
    "low_texture": _low_texture,
    "two_scenes": _two_scenes,
    "exposure_jump": _exposure_jump,
    "too_few": _too_few,
    "jump_to_a_wall": _jump_to_a_wall,
}


@lru_cache(maxsize=2)
def _solids(seed: int):
    return build_scene(seed)


def _view(cam_from_world: npt.NDArray[np.float64], seed: int = 0) -> Picture:
    return render_view(_solids(seed), _CAMERA, cam_from_world)[0]


def _turned(cam_from_world: npt.NDArray[np.float64], degrees: float) -> npt.NDArray[np.float64]:
    """[4, 4] the camera turned to the right about the world's z axis, where it stands."""
    c, s = np.cos(-np.deg2rad(degrees)), np.sin(-np.deg2rad(degrees))
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    center = -cam_from_world[:3, :3].T @ cam_from_world[:3, 3]
    pose = np.eye(4)
    pose[:3, :3] = cam_from_world[:3, :3] @ turn.T
    pose[:3, 3] = -pose[:3, :3] @ center
    return pose


def smeared(picture: Picture, share: float, angle: float) -> Picture:
    reach = max(2, round(share / 2 * picture.shape[1]))
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    step = (round(reach * np.cos(angle)), round(reach * np.sin(angle)))
    cv2.line(kernel, (reach - step[0], reach - step[1]), (reach + step[0], reach + step[1]), 1.0)
    return np.asarray(cv2.filter2D(picture, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT), np.uint8)
