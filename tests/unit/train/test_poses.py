"""Pose refinement: the geometry of a correction, the motion that no picture fixes, and cameras that come back."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from splatlib.artifacts import Camera, Distortion, SparseScene
from splatlib.config import ResolvedTrainConfig, TrainConfig
from splatlib.errors import ConfigError
from splatlib.gaussians import SH_C0, Gaussians
from splatlib.render.cpu.renderer import CpuRenderer
from splatlib.render.protocol import ParameterDict, Rendering, parameters_from_gaussians
from splatlib.train import poses as poses_module
from splatlib.train import train_splat
from splatlib.train.dataset import ViewPyramid
from splatlib.train.loop import Trainer
from splatlib.train.poses import PoseRefinement, check_lenses, common_motions, rotations
from splatlib.train.schedule import Schedule, fast
from splatlib.train.view_table import RateSchedule
from splatlib.workspace import Workspace
from tests.unit.render import reference
from tests.unit.train.conftest import look_at

SMALL = Camera(width=32, height=24, fx=30.0, fy=30.0, cx=16.0, cy=12.0)
NUM_VIEWS = 6


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As the stage does: on pictures this small, torch's threads only wait for one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def cameras_on_an_arc() -> np.ndarray:
    """[V, 4, 4]."""
    angles = np.linspace(-0.7, 0.7, NUM_VIEWS)
    centers = np.stack([3.5 * np.sin(angles), 0.8 * np.cos(5 * angles), -3.5 * np.cos(angles)], axis=1)
    return np.stack([look_at(center, np.zeros(3)) for center in centers])


def moved(cam_from_world: np.ndarray, world_from_world: np.ndarray) -> np.ndarray:
    return cam_from_world @ np.linalg.inv(world_from_world)


def test_rotations_are_those_of_scipy() -> None:
    vectors = np.random.default_rng(0).normal(size=(20, 3)) * np.logspace(-5, 0.3, 20)[:, None]
    matrices = rotations(torch.from_numpy(vectors)).numpy()
    np.testing.assert_allclose(matrices, Rotation.from_rotvec(vectors).as_matrix(), atol=1e-9)


def test_rotations_are_differentiable_at_zero() -> None:
    vector = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    rows = [torch.autograd.grad(entry, vector, retain_graph=True)[0][0] for entry in rotations(vector).flatten()]
    jacobian = torch.stack(rows).reshape(3, 3, 3)
    generators = [
        [[0, 0, 0], [0, 0, -1], [0, 1, 0]],
        [[0, 0, 1], [0, 0, 0], [-1, 0, 0]],
        [[0, -1, 0], [1, 0, 0], [0, 0, 0]],
    ]
    torch.testing.assert_close(
        jacobian, torch.tensor(generators, dtype=torch.float64).permute(1, 2, 0), atol=1e-5, rtol=0
    )


def test_a_correction_turns_about_the_centre_and_moves_the_centre() -> None:
    solved = torch.from_numpy(cameras_on_an_arc())
    refinement = PoseRefinement(solved, 2.0, 100)
    torch.testing.assert_close(refinement.apply([0, 3], solved[[0, 3]]), solved[[0, 3]])
    with torch.no_grad():
        refinement.table.values[3] = torch.tensor([0.1, -0.2, 0.05, 0.01, 0.02, 0.03])
    pose = refinement.apply([3], solved[3:4])[0].detach().numpy()
    before = cameras_on_an_arc()[3]
    center = -before[:3, :3].T @ before[:3, 3]
    np.testing.assert_allclose(-pose[:3, :3].T @ pose[:3, 3], center + 2.0 * np.array([0.01, 0.02, 0.03]), atol=1e-6)
    turned = Rotation.from_rotvec([0.1, -0.2, 0.05]).as_matrix() @ before[:3, :3].T
    np.testing.assert_allclose(pose[:3, :3].T, turned, atol=1e-6)
    np.testing.assert_array_equal(pose[3], [0, 0, 0, 1])


def corrections_between(solved: np.ndarray, refined: np.ndarray) -> np.ndarray:
    """[V, 6] that lead from poses to others, extent 1."""
    turn = Rotation.from_matrix(refined[:, :3, :3].transpose(0, 2, 1) @ solved[:, :3, :3]).as_rotvec()
    centers = [-np.einsum("vji,vj->vi", poses[:, :3, :3], poses[:, :3, 3]) for poses in (solved, refined)]
    return np.concatenate([turn, centers[1] - centers[0]], axis=1)


def test_moving_all_cameras_together_is_no_correction() -> None:
    """A small similarity of the whole world lies in the space that is projected out; seven directions, no more."""
    solved = cameras_on_an_arc()
    similarity = np.eye(4)
    similarity[:3, :3] = 1.001 * Rotation.from_rotvec([1e-3, -2e-3, 1e-3]).as_matrix()
    similarity[:3, 3] = [2e-3, 1e-3, -1e-3]
    refined = moved(solved, similarity)
    scale = np.linalg.det(refined[:, :3, :3]) ** (1 / 3)
    refined[:, :3] /= scale[:, None, None]  # a pose has no scale: its centre alone has moved
    corrections = corrections_between(solved, refined).ravel()
    centers = -np.einsum("vji,vj->vi", solved[:, :3, :3], solved[:, :3, 3])
    common = common_motions(centers)
    assert common.shape == (6 * NUM_VIEWS, 7)
    np.testing.assert_allclose(common.T @ common, np.eye(7), atol=1e-12)
    left = corrections - common @ (common.T @ corrections)
    assert np.linalg.norm(left) < 0.01 * np.linalg.norm(corrections)


def test_cameras_on_one_spot_have_six_common_motions() -> None:
    assert common_motions(np.ones((5, 3))).shape == (30, 6)


def test_optimising_never_moves_all_cameras_together() -> None:
    solved = torch.from_numpy(cameras_on_an_arc())
    refinement = PoseRefinement(solved, 1.0, 20)
    for step in range(20):
        refinement.forget_gradients()
        refinement.apply([step % NUM_VIEWS], solved[step % NUM_VIEWS][None])[:, :3].square().sum().backward()
        refinement.optimize(step)
    values = refinement.table.values.detach()
    assert values.abs().max() > 1e-6
    assert values[:, 3:].mean(dim=0).abs().max() < 1e-8
    assert (
        torch.from_numpy(common_motions(refinement._centers.numpy())).float().T @ values.view(-1)
    ).abs().max() < 1e-7


def blobs(count: int = 12) -> Gaussians:
    rng = np.random.default_rng(3)
    return Gaussians(
        means=(rng.uniform(-1, 1, (count, 3)) * [1.2, 0.8, 0.7]).astype(np.float32),
        log_scales=np.log(rng.uniform(0.1, 0.3, (count, 3))).astype(np.float32),
        quats=rng.normal(size=(count, 4)).astype(np.float32),
        opacity_logits=rng.uniform(1, 4, count).astype(np.float32),
        sh=((rng.uniform(0.1, 0.9, (count, 1, 3)) - 0.5) / SH_C0).astype(np.float32),
    )


class ReferenceRenderer(CpuRenderer):
    """Draws with the plain torch rasteriser of the rendering tests, which has a gradient by the pose."""

    def render(
        self,
        parameters: ParameterDict,
        cameras: Sequence[Camera],
        cam_from_world: Tensor,
        *,
        sh_degree: int,
        background: Tensor,
        with_depth: bool = False,
        with_probe: bool = False,
    ) -> Rendering:
        doubles = {name: tensor.double() for name, tensor in parameters.items()}
        views = [
            reference.render(doubles, camera, pose, sh_degree, background.double())
            for camera, pose in zip(cameras, cam_from_world, strict=True)
        ]
        image, alpha = (torch.stack([view[i] for view in views]).float().contiguous() for i in (0, 1))
        # Densification wants these; nothing is densified here.
        means2d = torch.zeros(len(cameras), len(parameters["means"]), 2, requires_grad=True)
        means2d.grad = torch.zeros_like(means2d)
        return Rendering(image, alpha, None, means2d, torch.ones_like(means2d, dtype=torch.int32))


def test_disturbed_cameras_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the gradient of the photometric loss alone, the Gaussians being known."""
    monkeypatch.setattr(poses_module, "RATE", RateSchedule(2e-3, final=0.05))
    renderer, parameters = ReferenceRenderer(1), parameters_from_gaussians(blobs(), "cpu")
    truth = torch.from_numpy(cameras_on_an_arc())
    solved, steps = disturbed(truth), 20 * NUM_VIEWS

    def draw(pose: Tensor) -> Tensor:
        with_black = {"sh_degree": 0, "background": torch.zeros(3)}
        return renderer.render(parameters, [SMALL], pose, **with_black).image

    photos = [(draw(pose[None]) * 255 + 0.5).to(torch.uint8) for pose in truth]
    refinement = PoseRefinement(solved, 1.0, steps)
    for step in range(steps):
        view = step % NUM_VIEWS
        refinement.forget_gradients()
        image = draw(refinement.apply([view], solved[view : view + 1]))
        renderer.photometric_loss(image, photos[view], None, 0.2).backward()
        refinement.optimize(step)
    refined = refinement.apply(range(NUM_VIEWS), solved).detach()

    def mean_shift_px(poses: Tensor) -> float:
        """How far the Gaussians' centres land from where they should."""
        return float((centers_px(poses) - centers_px(truth)).norm(dim=-1).mean())

    assert mean_shift_px(solved) > 0.4
    assert mean_shift_px(refined) < 0.3 * mean_shift_px(solved)


def disturbed(poses: Tensor) -> Tensor:
    """Poses [V, 4, 4] with random errors, none of them common to all cameras."""
    errors = PoseRefinement(poses, 1.0, 1)
    random = np.random.default_rng(0).normal(size=(len(poses), 6)) * ([0.015] * 3 + [0.05] * 3)
    common = errors._common.double().numpy()
    with torch.no_grad():
        errors.table.values.view(-1).copy_(torch.from_numpy(random.ravel() - common @ (common.T @ random.ravel())))
        return errors.apply(range(len(poses)), poses)


def centers_px(poses: Tensor) -> Tensor:
    """[V, N, 2] where the blobs' centres project to."""
    means = torch.from_numpy(blobs().means).double()
    in_camera = means @ poses[:, :3, :3].transpose(1, 2) + poses[:, None, :3, 3]
    return SMALL.fx * in_camera[..., :2] / in_camera[..., 2:]


# In a training


def trainer_with_refinement(scene: SparseScene, config: ResolvedTrainConfig) -> Trainer:
    """A GPU's config on the reference renderer: refinement itself is the same torch code on both."""
    renderer = ReferenceRenderer(1)
    schedule = Schedule(config, 1.0, fast(config.steps))
    return Trainer(
        config, schedule, renderer, ViewPyramid(scene, scene.views[:5], schedule.long_sides_px, renderer), blobs()
    )


def settings_of(values: Mapping[str, object]) -> ResolvedTrainConfig:
    return TrainConfig(**{"refine_poses": True, "max_long_side_px": 32, "max_gaussians": 100, "steps": 12,
                          "sh_degree": 0, **values}).resolved("cuda")  # fmt: skip


def test_a_training_refines_its_poses_and_resumes_exactly(scene: SparseScene) -> None:
    config = settings_of({"appearance": "affine", "robust": True})
    whole = trainer_with_refinement(scene, config)
    file = io.BytesIO()
    while not whole.done:
        if whole.step_index == 5:
            torch.save(whole.state(), file)
        whole.step()
    assert whole.corrections.poses is not None
    values = whole.corrections.poses.table.values.detach()
    assert values.shape == (5, 6) and values.abs().max() > 0

    file.seek(0)
    resumed = trainer_with_refinement(scene, config)
    resumed.restore(torch.load(file, weights_only=True))
    while not resumed.done:
        resumed.step()
    assert_same(resumed.state(), whole.state())


def assert_same(one: object, other: object) -> None:
    if isinstance(one, dict) and isinstance(other, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, Tensor) and isinstance(other, Tensor):
        assert torch.equal(one, other)
    else:
        assert one == other


def test_held_out_views_keep_their_poses(scene: SparseScene) -> None:
    trainer = trainer_with_refinement(scene, settings_of({}))
    view = trainer.views.levels[32].batch([2])
    assert trainer.corrections.placed(view).cam_from_world.requires_grad
    drawn = trainer.render(view).image.detach()
    assert trainer.corrections.poses is not None
    with torch.no_grad():
        trainer.corrections.poses.table.values.add_(0.1)
    assert torch.equal(trainer.render(view).image, drawn)  # as evaluation renders


def test_without_corrections_nothing_happens(scene: SparseScene) -> None:
    corrections = trainer_with_refinement(scene, settings_of({"refine_poses": False})).corrections
    view = trainer_with_refinement(scene, settings_of({})).views.levels[32].batch([2])
    image = torch.zeros(1, 3, 24, 32)
    placed = corrections.placed(view)
    applied, counted = corrections.applied(view, image, 5)
    assert placed is view and applied is image and counted is view
    assert corrections.regularization(view) == 0.0
    assert corrections.state() == {}


# Refused


def test_the_cpu_has_no_gradient_by_the_pose(scene: SparseScene, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="refine_poses needs a GPU"):
        TrainConfig(device="cpu", refine_poses=True)
    with pytest.raises(ConfigError, match="refine_poses needs a GPU"):
        TrainConfig(refine_poses=True).resolved("cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="device auto is a GPU here")
def test_device_auto_without_a_gpu_is_refused_before_any_work(scene: SparseScene, tmp_path: Path) -> None:
    ws = Workspace(tmp_path)
    with pytest.raises(ConfigError, match="refine_poses needs a GPU"):
        train_splat(scene, ws, TrainConfig(refine_poses=True))
    assert not list(tmp_path.rglob("started.json"))


def test_a_distorted_lens_is_refused() -> None:
    lens = Distortion("fisheye", (0.1, 0.0, 0.0, 0.0))
    check_lenses([SMALL])
    with pytest.raises(ConfigError, match="distorted lenses"):
        check_lenses([SMALL, Camera(32, 24, 30.0, 30.0, 16.0, 12.0, lens)])


# On a GPU


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_cuda_renderer_has_the_reference_gradient_by_the_correction() -> None:
    from splatlib.render.cuda.renderer import CudaRenderer

    gradients = []
    for renderer in (ReferenceRenderer(1), CudaRenderer()):
        parameters = parameters_from_gaussians(blobs(), renderer.device)
        solved = renderer.place(cameras_on_an_arc())
        refinement = PoseRefinement(solved, 2.0, 100)
        black = torch.zeros(3, device=renderer.device)
        image = renderer.render(
            parameters, [SMALL], refinement.apply([2], solved[2:3]), sh_degree=0, background=black
        ).image
        (image * torch.linspace(0, 1, SMALL.width, device=renderer.device)).mean().backward()
        assert refinement.table.values.grad is not None
        gradients.append(refinement.table.values.grad.cpu())
    torch.testing.assert_close(gradients[1], gradients[0], rtol=0.02, atol=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("appearance", ["affine", "bilateral"])
def test_no_correction_waits_for_the_gpu(appearance: str, scene: SparseScene) -> None:
    from splatlib.render.cuda.renderer import CudaRenderer
    from splatlib.train.corrections import Corrections

    renderer = CudaRenderer()
    config = settings_of({"appearance": appearance, "robust": True})
    views = ViewPyramid(scene, scene.views[:5], [32], renderer)
    corrections = Corrections(config, views, 1.0, renderer.device)
    image = torch.rand(2, 3, 24, 32, device=renderer.device)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for step in range(4):
            view = corrections.placed(views.levels[32].batch([step, step + 1][:2]))
            corrected, view = corrections.applied(view, image, step)
            loss = corrected.square().mean() + view.cam_from_world.square().mean() + corrections.regularization(view)
            (loss if view.mask is None else loss * view.mask.mean()).backward()
            corrections.optimize(step)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert corrections.poses is not None and corrections.poses.table.values.abs().max() > 0
