"""A mesh lies on the sample's true surfaces in their colours; a film flies near the cameras."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import trimesh
from scipy.spatial import KDTree

from splatlib.artifacts import SparseScene, Splat
from splatlib.crop import in_sphere
from splatlib.errors import ExportError
from splatlib.export.flythrough import fly_path, save_film
from splatlib.export.mesh import save_mesh
from splatlib.export.tsdf import Volume
from splatlib.export.views import Painter
from splatlib.gaussians import SH_C0, Gaussians
from splatlib.samples import Sample

FLIP = np.array([1, -1, -1])


def true_surfaces(sample: Sample, scene: SparseScene) -> Gaussians:
    """Small opaque balls where every fifth view sees the room."""
    xyz, rgb = [], []
    for view in scene.views[::5]:
        picture, depth = sample.render(sample.names.index(view.name))
        camera = scene.camera(view)
        rows, columns = (grid.ravel() for grid in np.mgrid[: camera.height : 3, : camera.width : 3])
        rays = np.stack([(columns + 0.5 - camera.cx) / camera.fx, (rows + 0.5 - camera.cy) / camera.fy, 1 + 0 * rows])
        in_camera = (rays * depth[rows, columns]).T
        xyz.append((in_camera - view.cam_from_world[:3, 3]) @ view.cam_from_world[:3, :3])
        rgb.append(picture[rows, columns] / 255)
    means, colors = np.concatenate(xyz), np.concatenate(rgb)
    arrays = {
        "means": means,
        "log_scales": np.full((len(means), 3), np.log(0.009)),
        "quats": np.tile([1.0, 0, 0, 0], (len(means), 1)),
        "opacity_logits": np.full(len(means), 4.0),
        "sh": ((colors - 0.5) / SH_C0)[:, None],
    }
    return Gaussians(**{name: array.astype(np.float32) for name, array in arrays.items()})


def test_a_mesh_lies_on_the_true_surfaces(
    made: tuple[Splat, SparseScene], sample_photos: Sample, tmp_path: Path
) -> None:
    scene = made[1]
    path = tmp_path / "scene.mesh.glb"
    splat = true_surfaces(sample_photos, scene)
    splat = splat.select(in_sphere(splat.means, [0, 0, 0.4], 1.5))
    count = save_mesh(splat, scene, Painter(), path, voxels=128)
    (mesh,) = trimesh.load_scene(path, process=False).geometry.values()
    assert isinstance(mesh, trimesh.Trimesh) and len(mesh.faces) == count > 3000
    view = scene.views[len(scene.views) // 2]
    picture, depth = sample_photos.render(sample_photos.names.index(view.name))
    camera = scene.camera(view)
    in_camera = (mesh.vertices * FLIP) @ view.cam_from_world[:3, :3].T + view.cam_from_world[:3, 3]
    x, y, z = in_camera.T
    columns, rows = camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy
    seen = (z > 0.1) & (columns >= 0) & (columns < camera.width) & (rows >= 0) & (rows < camera.height)
    truth = depth[rows[seen].astype(int), columns[seen].astype(int)]
    ahead = np.abs(z[seen] - truth)
    in_front = ahead < 0.3  # the others are hidden from this view by what lies in front
    assert in_front.sum() > 2000 and np.median(ahead[in_front]) < 0.04
    nearest = KDTree(splat.means).query(mesh.vertices * FLIP)[0]
    assert np.percentile(nearest, 95) < 0.1 and nearest.max() < 0.25  # nothing hangs in the air
    linear = np.asarray(mesh.visual.vertex_attributes["color"])[:, :3][seen][in_front] / 255  # pyright: ignore
    shown = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    true_colors = picture[rows[seen].astype(int), columns[seen].astype(int)][in_front] / 255
    assert np.abs(shown - true_colors).mean() < 0.15


def test_a_plane_is_fused_where_it_is() -> None:
    volume = Volume.empty(np.array([-0.5, -0.5, 1.5]), np.array([0.5, 0.5, 2.5]), 40)
    camera = replace(_camera(), width=80, height=80, cx=40.0, cy=40.0)
    depth = np.full((80, 80), 2.03, np.float32)
    image = np.full((80, 80, 3), 0.25, np.float32)
    for _ in range(3):
        volume.fuse(depth, image, camera, np.eye(4))
    column = volume.distances[20, 20]
    crossing = np.flatnonzero(np.diff(np.sign(column)))[0]
    place = crossing + column[crossing] / (column[crossing] - column[crossing + 1])
    assert volume.low[2] + place * volume.voxel == pytest.approx(2.03, abs=1e-3)
    assert (volume.weights[20, 20, :24] == 3).all() and volume.weights[20, 20, -1] == 0  # far behind: unknown
    np.testing.assert_allclose(volume.colors[20, 20, crossing], 0.25)


def _camera():
    from tests.unit.formats.made import CAMERA

    return CAMERA


def test_without_a_surface_a_mesh_is_refused(made: tuple[Splat, SparseScene], tmp_path: Path) -> None:
    splat, scene = made
    faint = replace(splat.gaussians(), opacity_logits=np.full(len(splat.gaussians()), -3, np.float32))
    with pytest.raises(ExportError, match="too few opaque"):
        save_mesh(faint, scene, Painter(), tmp_path / "scene.mesh.glb", voxels=32)
    assert not list(tmp_path.iterdir())


def test_a_film_flies_evenly_near_the_cameras(made: tuple[Splat, SparseScene], tmp_path: Path) -> None:
    splat, scene = made
    poses = fly_path(scene, 40)
    np.testing.assert_allclose(
        poses[:, :3, :3] @ poses[:, :3, :3].transpose(0, 2, 1), np.tile(np.eye(3), (40, 1, 1)), atol=1e-9
    )
    centers = -np.einsum("fji,fj->fi", poses[:, :3, :3], poses[:, :3, 3])
    taken = np.array([view.center for view in scene.views])
    nearest = np.linalg.norm(centers[:, None] - taken, axis=2).min(axis=1)
    spacing = np.linalg.norm(np.diff(taken, axis=0), axis=1)
    assert nearest.max() < spacing.max()
    steps = np.linalg.norm(np.diff(centers, axis=0), axis=1)
    assert steps.max() < 4 * np.median(steps)
    save_film(splat.gaussians(), scene, Painter(), tmp_path / "fly.mp4", 0.5, 160)
    film = cv2.VideoCapture(str(tmp_path / "fly.mp4"))
    frames = [film.read()[1] for _ in range(15)]
    assert all(frame is not None and frame.shape == (120, 160, 3) for frame in frames) and not film.read()[0]
    expected = Painter().picture(splat.gaussians(), scene.camera(scene.views[0]).scaled_to(160, 120), poses[0])
    assert np.abs(frames[0][..., ::-1] / 255 - expected).mean() < 0.05


def test_ffmpeg_plays_a_film(made: tuple[Splat, SparseScene], tmp_path: Path) -> None:
    """Every frame decodes without a complaint, in a program that is not OpenCV's build of it."""
    ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="imageio-ffmpeg is not installed")
    splat, scene = made
    save_film(splat.gaussians(), scene, Painter(), tmp_path / "fly.mp4", 0.4, 96)
    argv = [ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", tmp_path / "fly.mp4", "-f", "rawvideo", "-pix_fmt", "rgb24"]
    played = subprocess.run([*argv, "-"], capture_output=True, check=True)
    assert not played.stderr and len(played.stdout) == 12 * 96 * 72 * 3
    frames = np.frombuffer(played.stdout, np.uint8).reshape(12, 72, 96, 3) / 255
    pose = fly_path(scene, 12)[-1]
    expected = Painter().picture(splat.gaussians(), scene.camera(scene.views[0]).scaled_to(96, 72), pose)
    assert np.abs(frames[-1] - expected).mean() < 0.05


def test_photos_without_an_order_are_flown_from_nearest_to_nearest(made: tuple[Splat, SparseScene]) -> None:
    scene = made[1]
    names = np.random.default_rng(0).permutation(len(scene.views))
    shuffled = tuple(replace(view, name=f"{n:03d}") for n, view in zip(names, scene.views, strict=True))
    lengths = []
    for one in (scene, replace(scene, views=shuffled)):
        poses = fly_path(one, 60)
        centers = -np.einsum("fji,fj->fi", poses[:, :3, :3], poses[:, :3, 3])
        lengths.append(np.linalg.norm(np.diff(centers, axis=0), axis=1).sum())
    assert lengths[1] < 2.5 * lengths[0]
    with pytest.raises(ExportError, match="two cameras"):
        fly_path(replace(scene, views=scene.views[:1]), 10)
