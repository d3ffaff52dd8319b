"""Distorted lenses on the GPU: where they see things, how far they are drawn, and that training through them works."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch

from splatlib.artifacts import Camera, Distortion, SparseScene, View
from splatlib.config import TrainConfig
from splatlib.gaussians import SH_C0, Gaussians
from splatlib.render import create_renderer
from splatlib.render.lenses import drawn_share
from splatlib.render.protocol import parameters_from_gaussians
from splatlib.train import train_splat
from splatlib.workspace import Workspace
from tests.lens_reference import project
from tests.unit.train.conftest import look_at

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

Draw = Callable[[Gaussians, Camera, npt.NDArray[np.float64]], npt.NDArray[np.uint8]]

_PINHOLE = Camera(width=160, height=120, fx=100.0, fy=102.0, cx=82.0, cy=59.0)
BARREL = replace(
    _PINHOLE, distortion=Distortion("radial_tangential", (-0.2, 0.05, 0.0, 0.0, 0.0, 0.0), (0.008, -0.012))
)
FISHEYE = replace(_PINHOLE, fx=85.0, fy=86.0, distortion=Distortion("fisheye", (0.03, -0.004, 0.0, 0.0)))
LENSES = {"barrel": BARREL, "fisheye": FISHEYE}
NUM_VIEWS = 24


def draw_on_gpu(gaussians: Gaussians, camera: Camera, cam_from_world: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """[H, W, 3] RGB before black."""
    image = rendered(gaussians, camera, cam_from_world).image[0]
    return (image.clamp(0, 1) * 255 + 0.5).to(torch.uint8).permute(1, 2, 0).cpu().numpy()


@torch.no_grad()
def rendered(gaussians: Gaussians, camera: Camera, cam_from_world: npt.NDArray[np.float64]):
    renderer = create_renderer("cuda")
    return renderer.render(
        parameters_from_gaussians(gaussians, renderer.device),
        [camera],
        renderer.place(cam_from_world[None]),
        sh_degree=gaussians.sh_degree,
        background=torch.zeros(3, device=renderer.device),
    )


def gaussians_of(
    means: npt.NDArray[np.float64],
    scales: npt.NDArray[np.float64],
    colors: npt.NDArray[np.float64],
    quats: npt.NDArray[np.float64],
    opacity_logits: npt.NDArray[np.float64],
) -> Gaussians:
    return Gaussians(
        means=means.astype(np.float32),
        log_scales=np.log(scales).astype(np.float32),
        quats=quats.astype(np.float32),
        opacity_logits=opacity_logits.astype(np.float32),
        sh=((colors - 0.5) / SH_C0)[:, None].astype(np.float32),
    )


def upright(means: npt.NDArray[np.float64], scale: float) -> Gaussians:
    """White, round, nearly opaque."""
    n = len(means)
    return gaussians_of(
        means, np.full((n, 3), scale), np.ones((n, 3)), np.tile([1.0, 0, 0, 0], (n, 1)), np.full(n, 6.0)
    )


def lens_scene(directory: Path, camera: Camera, draw: Draw) -> SparseScene:
    """Gaussians that fill the pictures to their edges, where lenses bend most, seen from an arc of cameras."""
    rng = np.random.default_rng(0)
    n = 700
    colors = rng.uniform(0.05, 0.95, (n, 3))
    means = rng.uniform(-1, 1, (n, 3)) * [3.6, 2.6, 1.2]
    truth = gaussians_of(means, rng.uniform(0.08, 0.3, (n, 3)), colors, rng.normal(size=(n, 4)), rng.uniform(1, 5, n))
    images = directory / "distorted" / "images"
    images.mkdir(parents=True)
    views = []
    for index, angle in enumerate(np.linspace(-0.6, 0.6, NUM_VIEWS)):
        center = np.array([3.5 * np.sin(angle), 0.6 * np.cos(5 * angle), -3.5 * np.cos(angle)])
        pose = look_at(center, np.array([0.3 * np.sin(9 * angle), 0.0, 0.0]))
        name = f"{index + 1:06d}.png"
        assert cv2.imwrite(str(images / name), draw(truth, camera, pose)[..., ::-1])
        views.append(View(name, 0, pose))
    shown = rng.permutation(n)[:350]
    return SparseScene(
        directory=directory,
        digest=str(camera),
        cameras=(camera,),
        views=tuple(views),
        points_xyz=(means[shown] + rng.normal(size=(350, 3)) * 0.01).astype(np.float32),
        points_rgb=(colors[shown] * 255).astype(np.uint8),
        point_errors_px=np.full(350, 0.5, np.float32),
        point_track_lengths=np.full(350, 5, np.int32),
        num_frames=NUM_VIEWS,
        mean_reprojection_error_px=0.5,
        mapper="truth",
        images="distorted/images",
    )


def held_out_psnr_db(scene: SparseScene, root: Path, device: str = "cuda") -> float:
    config = TrainConfig(
        device=device,  # pyright: ignore[reportArgumentType]
        steps=600,
        max_gaussians=2500,
        max_long_side_px=160,
        sh_degree=0,
        held_out_every=6,
        preview_every_steps=0,
    )
    psnr_db = train_splat(scene, Workspace(root), config).psnr_db
    assert psnr_db is not None
    return psnr_db


@pytest.mark.parametrize("lens", LENSES)
def test_training_through_the_lens_beats_training_as_if_it_were_a_pinhole(lens: str, tmp_path: Path) -> None:
    scene = lens_scene(tmp_path / "scene", LENSES[lens], draw_on_gpu)
    through_the_lens = held_out_psnr_db(scene, tmp_path / "lens")
    straight = replace(scene, digest="straight", cameras=(replace(LENSES[lens], distortion=None),))
    as_a_pinhole = held_out_psnr_db(straight, tmp_path / "pinhole")
    print(f"{lens}: {through_the_lens:.2f} dB through the lens, {as_a_pinhole:.2f} dB as a pinhole")
    assert through_the_lens > 24
    assert through_the_lens > as_a_pinhole + 2


@pytest.mark.parametrize("lens", LENSES)
def test_a_small_gaussian_appears_where_opencv_projects_it(lens: str) -> None:
    camera = LENSES[lens]
    for x, y in ((0.0, 0.0), (0.55, 0.4), (-0.6, 0.35), (0.5, -0.45), (-0.62, -0.42)):
        point = np.array([[2 * x, 2 * y, 2.0]])
        (expected,) = project(camera, point)
        weights = rendered(upright(point, 0.03), camera, np.eye(4)).alpha[0].double().cpu().numpy()
        rows, columns = np.mgrid[0 : camera.height, 0 : camera.width] + 0.5
        center = np.array([(weights * columns).sum(), (weights * rows).sum()]) / weights.sum()
        np.testing.assert_allclose(center, expected, atol=0.15)


@pytest.mark.parametrize("lens", LENSES)
def test_several_views_at_once_are_the_views_one_by_one(lens: str) -> None:
    camera, renderer = LENSES[lens], create_renderer("cuda")
    other = replace(camera, fx=1.1 * camera.fx)  # each view has a lens of its own
    parameters = parameters_from_gaussians(upright(np.random.default_rng(0).normal(size=(200, 3)), 0.1), "cuda")
    poses = renderer.place(np.array([look_at(np.array([x, 0.2, -3.0]), np.zeros(3)) for x in (-0.5, 0.7)]))
    with torch.no_grad():
        together, first, second = (
            renderer.render(parameters, cameras, p, sh_degree=0, background=poses.new_zeros(3)).image
            for cameras, p in (([camera, other], poses), ([camera], poses[:1]), ([other], poses[1:]))
        )
    torch.testing.assert_close(together, torch.cat([first, second]), atol=2e-3, rtol=0)
    assert (first - second).abs().mean() > 1e-3


@pytest.mark.parametrize(
    "distortion",
    [
        Distortion("radial_tangential", (-0.2, 0.0, 0.0, 0.0, 0.0, 0.0)),
        Distortion("fisheye", (-0.12, 0.0, 0.0, 0.0)),
        Distortion("fisheye", (0.02, 0.01, 0.0, 0.0)),
    ],
    ids=["barrel", "folding fisheye", "fisheye"],
)
def test_the_lens_is_drawn_as_far_as_the_warning_says(distortion: Distortion) -> None:
    """A hemisphere of Gaussians round the camera covers all that it could see."""
    camera = Camera(200, 150, 90.0, 90.0, 100.0, 75.0, distortion)
    slope = np.radians(np.arange(0, 88.0, 0.7))
    turns = [np.linspace(0, 2 * np.pi, max(1, round(500 * np.sin(s))), endpoint=False) for s in slope]
    theta, phi = np.repeat(slope, [len(turn) for turn in turns]), np.concatenate(turns)
    sphere = 3 * np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=-1)
    alpha = rendered(upright(sphere, 0.03), camera, np.eye(4)).alpha[0]
    assert float((alpha > 0.5).float().mean()) == pytest.approx(drawn_share(camera), abs=0.03)
