"""A small scene whose truth is known: pictures rendered from Gaussians, cameras on an arc."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from splatlib.artifacts import Camera, SparseScene, View
from splatlib.gaussians import SH_C0, Gaussians
from splatlib.render import render_image

NUM_VIEWS = 17
CAMERA = Camera(width=96, height=72, fx=90.0, fy=90.0, cx=48.0, cy=36.0)


def look_at(center: np.ndarray, target: np.ndarray) -> np.ndarray:
    """cam_from_world [4, 4], y down."""
    forward = (target - center) / np.linalg.norm(target - center)
    right = np.cross(forward, [0.0, -1.0, 0.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation, -rotation @ center
    return matrix


def make_scene(directory: Path, with_masks: bool = False) -> SparseScene:
    rng = np.random.default_rng(0)
    n = 400
    colors = rng.uniform(0.05, 0.95, (n, 3))
    truth = Gaussians(
        means=(rng.uniform(-1, 1, (n, 3)) * [1.5, 1.0, 0.7]).astype(np.float32),
        log_scales=np.log(rng.uniform(0.05, 0.2, (n, 3))).astype(np.float32),
        quats=rng.normal(size=(n, 4)).astype(np.float32),
        opacity_logits=rng.uniform(1, 5, n).astype(np.float32),
        sh=((colors - 0.5) / SH_C0)[:, None].astype(np.float32),
    )
    images = directory / "undistorted" / "images"
    images.mkdir(parents=True)
    masks = directory / "undistorted" / "masks"
    masks.mkdir()
    views = []
    for i, angle in enumerate(np.linspace(-0.7, 0.7, NUM_VIEWS)):
        center = np.array([3.5 * np.sin(angle), 0.3 * np.cos(5 * angle), -3.5 * np.cos(angle)])
        pose = look_at(center, np.zeros(3))
        name = f"{i + 1:06d}.png"
        picture = render_image(truth, CAMERA, pose, background=(0, 0, 0))
        if with_masks:
            picture = picture.copy()
            picture[:, :30] = rng.integers(0, 256, (CAMERA.height, 30, 3))  # nonsense that the mask hides
            mask = np.full((CAMERA.height, CAMERA.width), 255, np.uint8)
            mask[:, :30] = 0
            cv2.imwrite(str(masks / f"{name}.png"), mask)
        cv2.imwrite(str(images / name), picture[..., ::-1])
        views.append(View(name, 0, pose, has_mask=with_masks))
    shown = rng.permutation(n)[:200]
    return SparseScene(
        directory=directory,
        digest="made-by-a-test",
        cameras=(CAMERA,),
        views=tuple(views),
        points_xyz=(truth.means[shown] + rng.normal(size=(200, 3)) * 0.01).astype(np.float32),
        points_rgb=(colors[shown] * 255).astype(np.uint8),
        point_errors_px=np.full(200, 0.5, np.float32),
        point_track_lengths=np.full(200, 5, np.int32),
        num_frames=NUM_VIEWS,
        mean_reprojection_error_px=0.5,
        mapper="truth",
    )


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> SparseScene:
    return make_scene(tmp_path_factory.mktemp("scene"))


@pytest.fixture(scope="session")
def masked_scene(tmp_path_factory: pytest.TempPathFactory) -> SparseScene:
    return make_scene(tmp_path_factory.mktemp("masked_scene"), with_masks=True)
