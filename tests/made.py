"""A finished workspace made by hand from the sample's truth: every artefact, no structure from motion, no training."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np

from splatlib.artifacts import (
    DroppedFrame,
    Frame,
    FrameSet,
    HeldOutView,
    SparseScene,
    Splat,
    View,
)
from splatlib.config import CamerasConfig, FramesConfig, Job, TrainConfig
from splatlib.gaussians import SH_C0, Gaussians
from splatlib.samples import Sample
from splatlib.workspace import Workspace


def made_workspace(root: Path, sample: Sample, *, run: str = "main") -> Workspace:
    """A workspace with frames, cameras and a splat of sample photos, and the job that would have made them."""
    ws = Workspace(root)
    ws.save_job(Job(capture=str(sample.path), run=run))
    frames = made_frames(ws, sample)
    scene = made_scene(ws, sample, frames)
    made_splat(ws, sample, scene, run=run)
    return ws


def made_frames(ws: Workspace, sample: Sample) -> FrameSet:
    stage = ws.stage(FrameSet, FramesConfig(), inputs={"capture": "made"})
    flawed = {**dict.fromkeys(sample.blurred, "blurred"), **dict.fromkeys(sample.duplicates, "duplicate")}
    with stage.work() as directory:
        (directory / "images").mkdir()
        frames = []
        for index, name in enumerate(sample.names):
            if index not in flawed:
                shutil.copy(sample.path / name, directory / "images" / name)
                size = (sample.camera.width, sample.camera.height)
                flags = ("exposure_jump",) if index == 4 else ()
                frames.append(Frame(name, *size, name, index, sharpness=0.5 + 0.01 * index, flags=flags))
        dropped = tuple(DroppedFrame(sample.names[i], i, reason, sharpness=0.1) for i, reason in flawed.items())
        artifact = FrameSet(
            directory=directory,
            capture=sample.path.name,
            kind="photos",
            frames=tuple(frames),
            dropped=dropped,
            warnings=("The exposure changes between frames.",),
        )
        return stage.finish(artifact)


def made_scene(ws: Workspace, sample: Sample, frames: FrameSet, *, points_per_view: int = 150) -> SparseScene:
    """The true cameras, and points of the true surfaces with their colours."""
    stage = ws.stage(SparseScene, CamerasConfig(), inputs={"frames": frames.digest})
    rng = np.random.default_rng(0)
    camera = sample.camera
    with stage.work() as directory:
        images = directory / "undistorted" / "images"
        images.mkdir(parents=True)
        views, xyz, rgb = [], [], []
        for frame in frames.frames:
            shutil.copy(frames.image_path(frame), images / frame.name)
            cam_from_world = sample.cam_from_world[frame.source_index]
            views.append(View(frame.name, 0, cam_from_world))
            picture, depth = sample.render(frame.source_index)
            rows, columns = (
                rng.integers(camera.height, size=points_per_view),
                rng.integers(camera.width, size=points_per_view),
            )
            rays = np.stack(
                [(columns + 0.5 - camera.cx) / camera.fx, (rows + 0.5 - camera.cy) / camera.fy, np.ones(len(rows))]
            )
            in_camera = rays * depth[rows, columns]
            xyz.append((in_camera.T - cam_from_world[:3, 3]) @ cam_from_world[:3, :3])
            rgb.append(picture[rows, columns])
        count = points_per_view * len(views)
        scene = SparseScene(
            directory=directory,
            cameras=(camera,),
            views=tuple(views),
            points_xyz=np.concatenate(xyz).astype(np.float32),
            points_rgb=np.concatenate(rgb),
            point_errors_px=np.full(count, 0.5, np.float32),
            point_track_lengths=np.full(count, 4, np.int32),
            num_frames=len(frames),
            mean_reprojection_error_px=0.5,
            mapper="incremental",
        )
        scene.save_arrays()
        return stage.finish(scene)


def made_gaussians(scene: SparseScene, sh_degree: int = 1) -> Gaussians:
    """One small Gaussian a point."""
    count = len(scene.points_xyz)
    rng = np.random.default_rng(1)
    sh = rng.normal(0, 0.05, (count, (sh_degree + 1) ** 2, 3)).astype(np.float32)
    sh[:, 0] = (scene.points_rgb / np.float32(255) - np.float32(0.5)) / np.float32(SH_C0)
    return Gaussians(
        means=scene.points_xyz,
        log_scales=rng.normal(-3.5, 0.4, (count, 3)).astype(np.float32),
        quats=rng.normal(size=(count, 4)).astype(np.float32),
        opacity_logits=rng.normal(1, 1.5, count).astype(np.float32),
        sh=sh,
    )


def made_splat(ws: Workspace, sample: Sample, scene: SparseScene, *, run: str = "main") -> Splat:
    """Renders of held-out views are the true pictures, blurred the more the later they come."""
    stage = ws.stage(Splat, TrainConfig(), inputs={"scene": scene.digest}, run=run)
    with stage.work() as directory:
        gaussians = made_gaussians(scene)
        gaussians.save_ply(directory / "splat.ply")
        (directory / "held_out").mkdir()
        held_out = []
        for number, view in enumerate(scene.views[::8]):
            truth, _ = sample.render(sample.names.index(view.name))
            render = cv2.GaussianBlur(truth, (0, 0), 0.6 + 0.8 * number)
            for kind, picture in (("truth", truth), ("render", render)):
                path = directory / "held_out" / f"{Path(view.name).stem}.{kind}.png"
                cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
            held_out.append(HeldOutView(view.name, cv2.PSNR(truth, render), 0.95 - 0.05 * number))
        lines = []
        for step in range(0, 1201, 20):
            loss = 0.02 + 0.2 * np.exp(-step / 250) + 0.004 * np.sin(step)
            long_side_px = 80 if step < 200 else 160 if step < 600 else 320
            seconds = 0.03 * step
            lines.append(
                {
                    "step": step,
                    "loss": loss,
                    "num_gaussians": 3000 + 10 * step,
                    "long_side_px": long_side_px,
                    "seconds": seconds,
                }
            )
            if step and step % 200 == 0:
                lines.append({"step": step, "psnr_db": 27 - 9 * np.exp(-step / 300), "ssim": 0.9, "seconds": seconds})
        (directory / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        splat = Splat(
            directory=directory,
            run=run,
            backend="numba",
            device="cpu",
            steps=1200,
            num_gaussians=len(gaussians),
            sh_degree=gaussians.sh_degree,
            held_out=tuple(held_out),
            settings=TrainConfig().resolved("cpu").to_dict(),
        )
        return stage.finish(splat)
