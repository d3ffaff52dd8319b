"""Other trainers: all the way through the adapters with a stand-in whose result is known, and all that can go wrong."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splatlib.artifacts import Distortion, SparseScene, Splat
from splatlib.config import TrainConfig
from splatlib.environments.found import python_of
from splatlib.errors import (
    ArtifactError,
    ConfigError,
    DeviceError,
    MissingDependencyError,
    NoGpuError,
    TrainingError,
)
from splatlib.events import Control, read_progress
from splatlib.gaussians import Gaussians
from splatlib.train import train_splat
from splatlib.train.dataset import split_held_out
from splatlib.train.external.protocol import Command
from splatlib.train.external.runner import Runner
from splatlib.train.stage import train_attempt
from splatlib.workspace import Workspace
from tests.unit.train.conftest import make_scene

FAKE = Path(__file__).with_name("fake_trainer.py")
GAUSSIAN_BACKENDS = ("splatfacto", "splatfacto-big", "splatfacto-mcmc", "splatfacto-w-light", "3dgut", "3dgrt")


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Gaussians that the scene's pictures were drawn from: what a perfect trainer would find."""
    rng = np.random.default_rng(0)
    count = 400
    colors = rng.uniform(0.05, 0.95, (count, 3))
    sh = np.zeros((count, 4, 3), np.float32)
    gaussians = Gaussians(
        means=(rng.uniform(-1, 1, (count, 3)) * [1.5, 1.0, 0.7]).astype(np.float32),
        log_scales=np.log(rng.uniform(0.05, 0.2, (count, 3))).astype(np.float32),
        quats=rng.normal(size=(count, 4)).astype(np.float32),
        opacity_logits=rng.uniform(1, 5, count).astype(np.float32),
        sh=sh,
    )
    sh[:, 0] = (colors - 0.5) / 0.28209479177387814
    path = tmp_path_factory.mktemp("truth") / "truth.ply"
    gaussians.save_ply(path)
    return path


@pytest.fixture
def calls(tmp_path: Path, truth: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All environments are the stand-in; what they were asked is written to this file."""
    python = python_of(tmp_path / "environment")
    python.parent.mkdir(parents=True)
    # It draws with splatlib, which a real one does not have.
    places = os.pathsep.join([str(FAKE.parents[3]), os.environ.get("PYTHONPATH", "")])
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{places}" exec "{sys.executable}" "{FAKE}" "{truth}" "$@"\n')
    python.chmod(0o755)
    for name in ("NERFSTUDIO", "SPLATFACTO_W", "3DGRUT"):
        monkeypatch.setenv(f"SPLATLIB_ENVIRONMENT_{name}", str(tmp_path / "environment"))
    monkeypatch.setenv("FAKE_TRAINER_CALLS", str(tmp_path / "calls"))
    monkeypatch.delenv("FAKE_TRAINER", raising=False)
    return tmp_path / "calls"


def asked(calls: Path) -> list[list[str]]:
    return [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []


def pairs(words: list[str]) -> dict[str, str]:
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def option(words: list[str], name: str) -> str:
    return words[words.index(name) + 1]


@pytest.mark.parametrize("backend", GAUSSIAN_BACKENDS)
def test_a_perfect_trainer_is_measured_as_perfect_in_our_frame(
    backend: str, scene: SparseScene, calls: Path, truth: Path, tmp_path: Path
) -> None:
    ws = Workspace(tmp_path / "ws")
    splat = train_splat(scene, ws, TrainConfig(backend=backend, steps=300), run="other")  # pyright: ignore[reportArgumentType]
    _, held_out = split_held_out(scene.views, 8)
    assert [view.name for view in splat.held_out] == [view.name for view in held_out]
    # 8-bit pictures of the same Gaussians: only rounding is left
    assert min(view.psnr_db for view in splat.held_out) > 45
    back, expected = splat.gaussians(), Gaussians.load_ply(truth)
    np.testing.assert_allclose(back.means, expected.means, atol=1e-5)
    np.testing.assert_allclose(back.log_scales, expected.log_scales, atol=1e-5)
    np.testing.assert_allclose(np.abs((back.quats * expected.quats).sum(1)), (expected.quats**2).sum(1), rtol=1e-5)
    np.testing.assert_allclose(back.sh, expected.sh, atol=1e-6)
    assert (splat.backend, splat.steps, splat.num_gaussians, splat.device) == (backend, 300, 400, "cuda")
    assert splat.trainer.endswith("1.2.3")
    if backend == "3dgrt":
        assert splat.held_out_by_splatlib == () and "fall off faster" in splat.warnings[0]
    else:
        assert splat.psnr_by_splatlib_db is not None and splat.psnr_by_splatlib_db > 45
    stem = splat.directory / "held_out" / Path(held_out[0].name).stem
    assert stem.with_name(stem.name + ".truth.png").exists() and stem.with_name(stem.name + ".render.png").exists()
    assert ws.splat("other") == splat, "it is read back as it was"
    before = len(asked(calls))
    assert train_splat(scene, ws, TrainConfig(backend=backend, steps=300), run="other") == splat  # pyright: ignore[reportArgumentType]
    assert len(asked(calls)) == before, "reused, nothing was started"


def test_modules_given_to_this_python_are_not_the_trainers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gsplat on this process's path would stand before the one that the trainer pins."""
    script, given = tmp_path / "launcher.py", tmp_path / "given"
    script.write_text(
        "import json, sys\nprint('@splatlib ' + json.dumps({'step': 1, 'given': sys.argv[2] in sys.path}))\n"
    )
    monkeypatch.setattr("splatlib.train.external.protocol.LAUNCHER", script)
    monkeypatch.setenv("PYTHONPATH", str(given))
    told: list[Mapping[str, Any]] = []
    Runner(Path(sys.executable), tmp_path / "log", told.append).run(Command("asking", "entry", [str(given)]))
    assert told == [{"step": 1, "given": False}]


def test_programs_of_its_environment_are_found_before_others(tmp_path: Path) -> None:
    """torch compiles with whatever is called ninja; the environment that pins it is not activated."""
    script, bin_directory = tmp_path / "launcher.py", tmp_path / "environment" / "bin"
    bin_directory.mkdir(parents=True)
    (bin_directory / "python").symlink_to(sys.executable)
    (bin_directory / "ninja").write_text("#!/bin/sh\n")
    (bin_directory / "ninja").chmod(0o755)
    script.write_text(
        "import json, shutil\nprint('@splatlib ' + json.dumps({'step': 1, 'ninja': shutil.which('ninja')}))\n"
    )
    told: list[Mapping[str, Any]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("splatlib.train.external.protocol.LAUNCHER", script)
        Runner(bin_directory / "python", tmp_path / "log", told.append).run(Command("asking", "entry", []))
    assert told == [{"step": 1, "ninja": str(bin_directory / "ninja")}]


def test_what_it_tells_is_told_on_and_its_words_are_in_a_log(scene: SparseScene, calls: Path, tmp_path: Path) -> None:
    ws = Workspace(tmp_path / "ws")
    splat = train_splat(scene, ws, TrainConfig(backend="splatfacto", steps=300))
    progress = read_progress(splat.metrics_path)
    assert (progress.state, progress.steps, sorted(progress.losses)) == ("finished", 300, [1, 101, 201])
    assert progress.num_gaussians == 501 and progress.losses[101]["seconds"] >= 0
    log = (ws.logs_directory / "train.main.splatfacto.log").read_text()
    assert "Setting up the scene" in log and "nerfstudio-train splatfacto" in log


def test_settings_become_options(scene: SparseScene, calls: Path, tmp_path: Path) -> None:
    config = TrainConfig(
        backend="splatfacto-mcmc",
        max_long_side_px=64,
        sh_degree=2,
        ssim_weight=0.1,
        background="white",
        appearance="bilateral",
        max_gaussians=12_345,
        seed=7,
    )
    splat = train_splat(scene, Workspace(tmp_path / "ws"), config)
    train = asked(calls)[0]
    assert train[:2] == ["nerfstudio-train", "splatfacto-mcmc"]
    expected = {
        "--max-num-iterations": "30000",
        "--pipeline.model.sh-degree": "2",
        "--pipeline.model.ssim-lambda": "0.1",
        "--pipeline.model.background-color": "white",
        "--pipeline.model.use-bilateral-grid": "True",
        "--pipeline.model.use-scale-regularization": "True",
        "--pipeline.model.max-gs-num": "12345",
        "--machine.seed": "7",
    }
    assert {name: option(train, name) for name in expected} == expected
    assert "--pipeline.model.stop-split-at" not in train, "its own schedule, with its own number of steps"
    data = json.loads((splat.directory / "trainer" / "data" / "transforms.json").read_text())
    assert {max(frame["w"], frame["h"]) for frame in data["frames"]} == {64}
    assert splat.settings["max_long_side_px"] == 64


def test_settings_of_3dgrut(scene: SparseScene, calls: Path, tmp_path: Path) -> None:
    config = TrainConfig(backend="3dgut", steps=3000, max_gaussians=1000, ssim_weight=0.3, sh_degree=1)
    train_splat(scene, Workspace(tmp_path / "it's here"), config)
    overrides = pairs(asked(calls)[0][4:])
    assert asked(calls)[0][2:4] == ["--config-name", "apps/colmap_3dgut_mcmc"]
    assert overrides["strategy.add.max_n_gaussians"] == "1000" and overrides["loss.lambda_l1"] == "0.7"
    assert overrides["strategy.relocate.end_iteration"] == "2500" and overrides["n_iterations"] == "3000"
    assert overrides["path"].endswith(r"it\'s here/train/main/trainer/data'")
    assert overrides["checkpoint.iterations"] == "[3000]"


@pytest.mark.parametrize(
    ("backend", "settings", "named"),
    [
        ("splatfacto", {"robust": True}, "train.robust"),
        ("splatfacto", {"max_gaussians": 1000}, "train.max_gaussians"),
        ("splatfacto", {"strategy": "mcmc"}, "train.strategy"),
        ("splatfacto", {"appearance": "affine"}, "affine"),
        ("splatfacto-w-light", {"background": "white"}, "train.background"),
        ("splatfacto-w-light", {"sh_degree": 0}, "SH degrees"),
        ("3dgut", {"refine_poses": True, "antialiased": True}, "train.antialiased, train.refine_poses"),
        ("3dgut", {"background": "random"}, "black or white"),
        ("nerfacto", {"sh_degree": 2}, "train.sh_degree"),
    ],
)
def test_settings_that_a_trainer_lacks_are_refused_before_any_work(
    backend: str, settings: dict[str, object], named: str, scene: SparseScene, calls: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=named):
        train_splat(scene, Workspace(tmp_path / "ws"), TrainConfig.from_dict({"backend": backend, **settings}))
    assert not asked(calls) and not (tmp_path / "ws" / "train").exists()


def test_what_cannot_run_here_is_told_before_any_work(
    scene: SparseScene, calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws = Workspace(tmp_path / "ws")
    with pytest.raises(DeviceError, match="GPU only"):
        train_splat(scene, ws, TrainConfig(backend="splatfacto", device="cpu"))
    monkeypatch.setenv("FAKE_TRAINER", "no-gpu")
    with pytest.raises(NoGpuError, match="finds none"):
        train_splat(scene, ws, TrainConfig(backend="splatfacto"))
    monkeypatch.setenv("SPLATLIB_ENVIRONMENTS", str(tmp_path / "none"))
    monkeypatch.delenv("SPLATLIB_ENVIRONMENT_NERFSTUDIO")
    with pytest.raises(MissingDependencyError, match="is missing") as caught:
        train_splat(scene, ws, TrainConfig(backend="splatfacto"))
    assert caught.value.hint == "splat backend install nerfstudio"
    assert not asked(calls) and not (tmp_path / "ws" / "train").exists()


@pytest.mark.parametrize("backend", ["splatfacto", "splatfacto-w-light"])
def test_distorted_pictures_are_refused_by_trainers_of_pinholes(
    backend: str, scene: SparseScene, calls: Path, tmp_path: Path
) -> None:
    lens = Distortion("radial_tangential", (0.05, 0.0, 0.0, 0.0, 0.0, 0.0))
    bent = dataclasses.replace(scene, cameras=tuple(dataclasses.replace(c, distortion=lens) for c in scene.cameras))
    with pytest.raises(ConfigError, match="pinhole cameras only") as caught:
        train_splat(bent, Workspace(tmp_path / "ws"), TrainConfig(backend=backend))  # pyright: ignore[reportArgumentType]
    assert "cameras.undistort=true" in caught.value.hint and not asked(calls)


@pytest.mark.parametrize(
    ("mode", "error", "words"),
    [
        ("out-of-memory", TrainingError, "too little memory"),
        ("killed", TrainingError, r"splatfacto was killed \(SIGKILL\)"),
        ("fails", TrainingError, "splatfacto failed with status 3"),
        ("no-module", MissingDependencyError, "not complete"),
        ("no-output", TrainingError, "ended without a result"),
        ("one-render-missing", TrainingError, "did not draw"),
    ],
)
def test_what_goes_wrong_is_told_with_the_last_lines(
    mode: str,
    error: type[Exception],
    words: str,
    scene: SparseScene,
    calls: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ws = Workspace(tmp_path / "ws")
    monkeypatch.setenv("FAKE_TRAINER", mode)
    with pytest.raises(error, match=words) as caught:
        train_splat(scene, ws, TrainConfig(backend="splatfacto", steps=300))
    last_words = {"killed": "the last words", "fails": "Data directory does not exist", "no-module": "open3d"}
    assert last_words.get(mode, "") in str(caught.value)
    assert ws.splat() is None
    assert read_progress(tmp_path / "ws" / "train" / "main" / "metrics.jsonl").state == "failed"
    monkeypatch.delenv("FAKE_TRAINER")
    assert train_splat(scene, ws, TrainConfig(backend="splatfacto", steps=300)).psnr_db is not None


def test_3dgrut_without_a_result_says_so(
    scene: SparseScene, calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_TRAINER", "no-output")
    with pytest.raises(TrainingError, match="3dgut ended without a result"):
        train_splat(scene, Workspace(tmp_path / "ws"), TrainConfig(backend="3dgut", steps=300))


def test_3dgrut_that_ended_before_its_last_picture_draws_them_again(
    scene: SparseScene, calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It exports, saves a checkpoint, and only then draws its test views."""
    ws = Workspace(tmp_path / "ws")
    monkeypatch.setenv("FAKE_TRAINER", "no-evaluation")
    with pytest.raises(TrainingError, match="failed with status"):
        train_splat(scene, ws, TrainConfig(backend="3dgut", steps=300))
    output = tmp_path / "ws/train/main/trainer/output"
    assert (output / "splat.ply").is_file()
    checkpoint = output / "splatlib/data-2711_141500/ours_300/ckpt_300.pt"
    checkpoint.write_bytes(b"checkpoint")
    monkeypatch.delenv("FAKE_TRAINER")
    assert train_splat(scene, ws, TrainConfig(backend="3dgut", steps=300)).psnr_db is not None
    assert pairs(asked(calls)[-1][4:])["resume"] == f"'{checkpoint}'"


def test_what_ended_before_a_crash_is_not_trained_again(scene: SparseScene, calls: Path, tmp_path: Path) -> None:
    """The machine went away while the held-out views were drawn."""
    ws = Workspace(tmp_path / "ws")
    os.environ["FAKE_TRAINER"] = "one-render-missing"
    try:
        with pytest.raises(TrainingError):
            train_splat(scene, ws, TrainConfig(backend="splatfacto", steps=300))
    finally:
        del os.environ["FAKE_TRAINER"]
    train_splat(scene, ws, TrainConfig(backend="splatfacto", steps=300))
    assert [call[0] for call in asked(calls)].count("nerfstudio-train") == 1


def test_an_interrupted_training_goes_on_from_its_checkpoint(scene: SparseScene, calls: Path, tmp_path: Path) -> None:
    ws = Workspace(tmp_path / "ws")
    os.environ["FAKE_TRAINER"] = "fails"
    try:
        with pytest.raises(TrainingError):
            train_splat(scene, ws, TrainConfig(backend="splatfacto", steps=300))
    finally:
        del os.environ["FAKE_TRAINER"]
    models = tmp_path / "ws/train/main/trainer/output/splatlib/splatfacto/run/nerfstudio_models"
    models.mkdir(parents=True)
    (models / "step-000000200.ckpt").write_bytes(b"checkpoint")
    train_splat(scene, ws, TrainConfig(backend="splatfacto", steps=300))
    again = [call for call in asked(calls) if call[0] == "nerfstudio-train"][-1]
    assert option(again, "--load-dir") == str(models)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] not in ("Z", "X")
    except FileNotFoundError:
        return False


def wait_for(condition, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


CHILD = """
import sys
from splatlib.cameras.existing import load_colmap
from splatlib.config import TrainConfig
from splatlib.train import train_splat
from splatlib.workspace import Workspace
scene = load_colmap(sys.argv[1] + "/sparse/0", sys.argv[1] + "/images")
train_splat(scene, Workspace(sys.argv[2]), TrainConfig(backend="splatfacto", steps=300))
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes as Linux shows them")
def test_an_interrupt_ends_the_trainer_too(
    scene: SparseScene, calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from splatlib.scene_formats import write_colmap

    write_colmap(scene, tmp_path / "colmap")
    monkeypatch.setenv("FAKE_TRAINER", "hangs")
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path / "colmap"), str(tmp_path / "ws")], stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    pid = int((tmp_path / "pid").read_text())
    assert is_alive(pid)
    child.send_signal(signal.SIGINT)
    _, complaint = child.communicate(timeout=60)
    assert "KeyboardInterrupt" in complaint
    wait_for(lambda: not is_alive(pid), 10)
    assert read_progress(tmp_path / "ws/train/main/metrics.jsonl").state == "interrupted"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes as Linux shows them")
def test_pausing_stops_the_trainers_processes_where_they_stand(
    scene: SparseScene, calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_TRAINER", "hangs")
    ws = Workspace(tmp_path / "ws")
    config = TrainConfig(backend="splatfacto", steps=300)
    caught: list[BaseException] = []

    def train() -> None:
        try:
            train_attempt(scene, ws, config, run="main", go_on=False, attempt="me")
        except TrainingError as error:
            caught.append(error)

    thread = threading.Thread(target=train)
    thread.start()
    wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    pid = int((tmp_path / "pid").read_text())
    control, metrics = Control(ws.control_path()), tmp_path / "ws/train/main/metrics.jsonl"
    control.ask("pause", "me")
    wait_for(lambda: Path(f"/proc/{pid}/stat").read_text().split()[2] == "T")
    wait_for(lambda: read_progress(metrics).state == "paused")
    control.ask("continue", "me")
    wait_for(lambda: read_progress(metrics).state == "training")
    os.kill(pid, signal.SIGTERM)
    thread.join(30)
    assert caught and "was killed (SIGTERM)" in str(caught[0])


def test_the_launcher_ends_when_its_standard_input_closes(tmp_path: Path) -> None:
    """So that a trainer does not outlive a notebook that was killed."""
    from splatlib.train.external.protocol import LAUNCHER

    code = (
        "import runpy, sys, time; module = runpy.run_path(sys.argv[1]); module['end_with_parent']();\n"
        "try:\n    print('ready', flush=True); time.sleep(60)\nexcept KeyboardInterrupt:\n    sys.exit(7)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(LAUNCHER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(30) == 7


def test_masks_and_fewer_held_out_views_than_a_trainer_wants(calls: Path, tmp_path: Path) -> None:
    masked = make_scene(tmp_path / "masked", with_masks=True)
    for backend, every in (("splatfacto", 100), ("splatfacto", 0), ("3dgut", 0), ("3dgut", 5)):
        ws = Workspace(tmp_path / f"ws-{backend}-{every}")
        config = TrainConfig.from_dict({"backend": backend, "steps": 300, "held_out_every": every})
        splat = train_splat(masked, ws, config)
        expected = [view.name for view in split_held_out(masked.views, every)[1]]
        assert [view.name for view in splat.held_out] == expected
        assert all(view.psnr_db > 45 for view in splat.held_out), "measured inside the mask"
        data = splat.directory / "trainer" / "data"
        if backend == "splatfacto":
            document = json.loads((data / "transforms.json").read_text())
            assert len(document["test_filenames"]) == 2 and len(document["val_filenames"]) == 1
            assert len(document["train_filenames"]) == 17 - len(expected)
        else:
            masks = list((data / "images").glob("*_mask.png"))
            assert len(masks) == (18 if every == 0 else 17), "beside the pictures"


def test_a_rig_holds_all_its_views_of_a_moment_out_with_3dgrut_too(
    scene: SparseScene, calls: Path, tmp_path: Path
) -> None:
    views = tuple(dataclasses.replace(view, group=f"moment {i // 2}") for i, view in enumerate(scene.views))
    rig = dataclasses.replace(scene, views=views)
    train, held_out = split_held_out(rig.views, 4)
    splat = train_splat(rig, Workspace(tmp_path / "ws"), TrainConfig(backend="3dgut", steps=300, held_out_every=4))
    assert [view.name for view in splat.held_out] == [view.name for view in held_out]
    names = {path.name.partition("_")[2] for path in (splat.directory / "trainer/data/images").iterdir()}
    assert names == {view.name for view in views}
    assert len(train) + len(held_out) == len(names)


def test_nerfacto_leaves_a_mesh_in_our_frame_and_no_gaussians(scene: SparseScene, calls: Path, tmp_path: Path) -> None:
    ws = Workspace(tmp_path / "ws")
    splat = train_splat(scene, ws, TrainConfig(backend="nerfacto", steps=300))
    assert splat.mesh == "mesh.glb" and splat.num_gaussians == 0 and splat.psnr_db is not None
    matrix = np.array(json.loads((splat.directory / "mesh.glb").read_text()))
    point = np.array([0.3, -0.7, 2.0])
    in_trainer = (point + np.array([0.5, -0.25, 1.5])) * 0.4
    np.testing.assert_allclose(matrix @ [*in_trainer, 1], [*point, 1], atol=1e-12)
    with pytest.raises(ArtifactError, match="has a mesh and no Gaussians"):
        splat.gaussians()
    assert "a mesh" in repr(splat._repr_mimebundle_()["text/plain"])


def test_a_preset_is_ours_and_said_to_change_nothing(scene: SparseScene, calls: Path, tmp_path: Path) -> None:
    config = TrainConfig(backend="splatfacto", preset="balanced", steps=300)
    splat: Splat = train_splat(scene, Workspace(tmp_path / "ws"), config)
    assert any("train.preset (balanced)" in warning for warning in splat.warnings)


def test_the_benchmark_leaves_a_row_for_each_trainer_and_tells_which_failed(
    scene: SparseScene, calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from benchmarks import external_train

    monkeypatch.setattr(external_train, "load", lambda folder: scene)
    monkeypatch.setenv("SPLATLIB_ENVIRONMENT_3DGRUT", str(tmp_path / "gone"))
    out = tmp_path / "rows.json"
    words = ["--scene", "fox", "--backends", "splatfacto,3dgut", "--presets", "", "--steps", "400", "--out", str(out)]
    assert external_train.main(words) == 1
    (row,) = json.loads(out.read_text())
    assert (row["scene"], row["backend"], row["trainer"], row["steps"]) == (
        "fox",
        "splatfacto",
        "nerfstudio 1.2.3",
        400,
    )
    assert row["psnr_db"] > 45 and row["num_gaussians"] == 400 and row["device"] == "Fake GPU"
    assert 0 <= row["seconds"] <= row["process_seconds"] * 4
    assert "3dgut on fox failed" in capsys.readouterr().err
