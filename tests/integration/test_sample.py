"""The whole way from the sample capture to a report, through the command line, with real stages."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from splatlib.artifacts import SparseScene
from splatlib.render import render_image
from splatlib.samples import Sample
from splatlib.widgets.packing import pack, unpack
from splatlib.workspace import Workspace
from tests.browser.pages import psnr_db

pytestmark = pytest.mark.slow

# On the CPU, where a training ends with the same bits however often it is interrupted.
SETTINGS = [
    "train.device=cpu",
    "train.steps=400",
    "train.max_gaussians=8000",
    "train.max_long_side_px=192",
    "train.checkpoint_every_s=0.2",
]
OPTIONS = [part for setting in SETTINGS for part in ("--set", setting)]
KILLED_RUN = Path(__file__).with_name("killed_run.py")


def splat(*arguments: str | Path, killed_at: str | None = None) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own; with killed_at, one that dies there."""
    start = [KILLED_RUN, killed_at] if killed_at else ["-m", "splatlib"]
    # One thread: with several, COLMAP may begin with another pair, and the world is turned as that pair lies.
    own = {"SPLATLIB_PROGRESS": "text", "SPLATLIB_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    environment = {**os.environ, **own}
    command = [sys.executable, *start, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def figures(metrics: str) -> list[dict[str, float]]:
    """The lines with figures; events tell how often a training was begun."""
    return [record for record in map(json.loads, metrics.splitlines()) if "event" not in record]


def content(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def finished(sample_video: Sample, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, str]:
    """A workspace that was made in one go, and what the command printed."""
    out = tmp_path_factory.mktemp("finished") / "out"
    done = splat("run", sample_video.path, "--out", out, *OPTIONS)
    assert done.returncode == 0, done.stderr
    return Workspace.open(out), done.stdout


def test_every_frame_gets_a_camera_and_held_out_views_look_right(
    finished: tuple[Workspace, str], sample_video: Sample
) -> None:
    ws, printed = finished
    report = json.loads(ws.report_json_path.read_text())
    kept = report["frames"]["kept"]
    dropped = len(sample_video.blurred) + len(sample_video.duplicates)
    assert len(sample_video) - 2 * dropped <= kept <= len(sample_video) - dropped
    assert report["cameras"]["registered"] == report["cameras"]["total"] == kept
    assert report["cameras"]["mean_reprojection_error_px"] < 1
    assert report["train"]["psnr_db"] > 23 and report["train"]["ssim"] > 0.7
    assert f"report: {ws.report_html_path}" in printed and f"{report['train']['psnr_db']:.2f} dB" in printed


def test_what_a_view_is_sent_loses_hardly_anything(finished: tuple[Workspace, str]) -> None:
    ws, _ = finished
    splat, scene = ws.splat(), ws.scene
    assert splat is not None and scene is not None
    whole = splat.gaussians()
    sent = unpack(pack(whole))
    losses_db = []
    for held_out in splat.held_out:
        photo = np.asarray(Image.open(splat.held_out_paths(held_out)[0]).convert("RGB"))
        view = next(view for view in scene.views if view.name == held_out.name)
        camera = scene.camera(view).scaled_to(photo.shape[1], photo.shape[0])
        before, after = (render_image(gaussians, camera, view.cam_from_world) for gaussians in (whole, sent))
        losses_db.append(psnr_db(photo, before) - psnr_db(photo, after))
    assert np.mean(losses_db) < 0.1


def test_the_report_needs_no_network(finished: tuple[Workspace, str]) -> None:
    page = finished[0].report_html_path.read_text()
    addresses = re.findall(r"""(?:src|href)\s*=\s*["']?([^"'\s>]+)|url\(([^)]+)\)""", page)
    assert addresses and all(address.startswith(("data:", "#")) for pair in addresses for address in pair if address)


def test_the_second_time_everything_is_reused(finished: tuple[Workspace, str], sample_video: Sample) -> None:
    ws, _ = finished
    before = {path: path.stat().st_mtime_ns for path in ws.root.rglob("artifact.json")}
    again = splat("run", sample_video.path, "--out", ws.root, *OPTIONS)
    assert again.returncode == 0
    for stage in ("frames", "cameras", "train", "export"):
        assert again.stderr.count(f"{stage}: unchanged, reused\n") == 1
    assert {path: path.stat().st_mtime_ns for path in ws.root.rglob("artifact.json")} == before


def test_show_lists_what_was_made(finished: tuple[Workspace, str]) -> None:
    lines = splat("show", finished[0].root).stdout.splitlines()
    states = {line.split()[0]: line.split()[1] for line in lines}
    assert [states[stage] for stage in ("frames", "cameras", "train/main", "export")] == ["done"] * 4


def test_killed_anywhere_and_resumed_it_ends_with_the_same_result(
    finished: tuple[Workspace, str], sample_video: Sample, tmp_path: Path
) -> None:
    out, straight = tmp_path / "out", tmp_path / "straight"
    assert was_killed(splat("run", sample_video.path, "--out", out, *OPTIONS, killed_at="in:frames"))
    for point in ("after:frames", "in:cameras", "after:cameras"):
        assert was_killed(splat("resume", out, killed_at=point)), point
    assert_alike_cameras(finished[0], Workspace.open(out))

    # From the very same cameras, once in one go and once with every kind of death
    shutil.copytree(out, straight)
    assert splat("resume", straight).returncode == 0
    for point in ("in:train", "step:150", "step:151", "step:390", "after:train", "in:export", "after:export"):
        assert was_killed(splat("resume", out, killed_at=point)), point
    done = splat("resume", out)
    assert done.returncode == 0 and "train: unchanged, reused" in done.stderr
    assert_same_results(Workspace.open(straight), Workspace.open(out))


def test_interrupted_training_resumes_with_the_same_result(
    finished: tuple[Workspace, str], sample_video: Sample, tmp_path: Path
) -> None:
    """Ctrl-C, at a moment that nobody chose."""
    out = tmp_path / "out"
    shutil.copytree(finished[0].root, out)
    for leftover in ("train", "export"):
        shutil.rmtree(out / leftover)
    environment = {**os.environ, "SPLATLIB_PROGRESS": "text"}
    process = subprocess.Popen(
        [sys.executable, "-m", "splatlib", "resume", out], stderr=subprocess.PIPE, text=True, env=environment
    )
    metrics = out / "train" / "main" / "metrics.jsonl"
    while process.poll() is None and not (metrics.exists() and '"step": 100,' in metrics.read_text()):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 130
    assert messages.splitlines()[-1] == f"interrupted; go on with: splat resume {out}"
    resumed = splat("resume", out)
    assert resumed.returncode == 0 and "resumed at step" in resumed.stderr
    assert_same_results(finished[0], Workspace.open(out))


def test_two_trainings_share_the_cameras(finished: tuple[Workspace, str], sample_video: Sample) -> None:
    ws, _ = finished
    second = splat("run", sample_video.path, "--out", ws.root, *OPTIONS, "--set", "train.steps=60", "--run", "second")
    assert second.returncode == 0 and "cameras: unchanged, reused" in second.stderr
    assert ws.runs() == ["main", "second"]
    # the other tests compare with the first run
    assert splat("run", sample_video.path, "--out", ws.root, *OPTIONS).returncode == 0


def test_a_disk_that_fills_up_while_it_works(sample_video: Sample, tmp_path: Path) -> None:
    """A real, small file system; then the disk grows and the same command goes on."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", tmp_path], check=False)
    if mounted.returncode != 0:
        pytest.skip("no right to mount")
    try:
        full = splat("run", sample_video.path, "--out", tmp_path / "out", *OPTIONS)
        assert full.returncode == 1 and "Traceback" not in full.stderr
        assert "is full" in full.stderr and "free some space" in full.stderr
        subprocess.run(["mount", "-o", "remount,size=200m", tmp_path], check=True)
        again = splat("resume", tmp_path / "out")
        assert again.returncode == 0, again.stderr
    finally:
        subprocess.run(["umount", "--lazy", tmp_path], check=True)


def was_killed(process: subprocess.CompletedProcess[str]) -> bool:
    return process.returncode == -signal.SIGKILL


def assert_alike_cameras(one: Workspace, other: Workspace) -> None:
    """The same but for rounding: COLMAP's threads add up in any order."""
    first, second = one.find(SparseScene), other.find(SparseScene)
    assert first is not None and second is not None
    assert [view.name for view in first.views] == [view.name for view in second.views]
    for view, same in zip(first.views, second.views, strict=True):
        np.testing.assert_allclose(view.cam_from_world, same.cam_from_world, atol=1e-3)


def assert_same_results(one: Workspace, other: Workspace) -> None:
    """From the same cameras, to the last bit."""
    for name in ("train/main/splat.ply", "export/scene.ply", "export/scene.spz"):
        assert content(one.root / name) == content(other.root / name), f"{name} differs"
    reports = [json.loads(ws.report_json_path.read_text()) for ws in (one, other)]
    for report in reports:
        del report["seconds"]
    assert reports[0] == reports[1]
    steps = [
        [line["step"] for line in figures((ws.root / "train/main/metrics.jsonl").read_text())] for ws in (one, other)
    ]
    assert steps[0] == steps[1], "metrics.jsonl tells another story"
