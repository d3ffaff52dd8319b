"""Other trainers: all the way through the adapters with a stand-in whose result is known."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from splatlib.artifacts import Distortion, SparseScene, Splat
from splatlib.config import TrainConfig
from splatlib.errors import (
    ArtifactError,
    ConfigError,
    DeviceError,
    MissingDependencyError,
    NoGpuError,
)
from splatlib.gaussians import Gaussians
from splatlib.train import train_splat
from splatlib.train.dataset import split_held_out
from splatlib.workspace import Workspace
from tests.unit.train.conftest import make_scene
from tests.unit.train.external.stand_in import asked, option, pairs

GAUSSIAN_BACKENDS = ("splatfacto", "splatfacto-big", "splatfacto-mcmc", "splatfacto-w-light", "3dgut", "3dgrt")


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
    own = ("--pipeline.model.stop-split-at", "--optimizers.means.scheduler.max-steps")
    assert not {*own} & {*train}, "its own schedule, with its own number of steps"
    data = json.loads((splat.directory / "trainer" / "data" / "transforms.json").read_text())
    assert {max(frame["w"], frame["h"]) for frame in data["frames"]} == {64}
    assert splat.settings["max_long_side_px"] == 64


def test_a_schedule_is_scaled_with_all_its_rates(scene: SparseScene, calls: Path, tmp_path: Path) -> None:
    for backend in ("splatfacto", "splatfacto-w-light", "nerfacto"):
        train_splat(scene, Workspace(tmp_path / backend), TrainConfig.from_dict({"backend": backend, "steps": 3000}))
    splatfacto, in_the_wild, nerfacto = (words for words in asked(calls) if words[0] == "nerfstudio-train")
    expected = {"means": "3000", "camera-opt": "3000", "bilateral-grid": "3000"}
    assert {name: option(splatfacto, f"--optimizers.{name}.scheduler.max-steps") for name in expected} == expected
    assert option(splatfacto, "--optimizers.camera-opt.scheduler.warmup-steps") == "100"
    expected = {"means": "3000", "appearance-features": "4000", "field-background-rest": "1500"}
    assert {name: option(in_the_wild, f"--optimizers.{name}.scheduler.max-steps") for name in expected} == expected
    assert "--optimizers.field-background-rest.scheduler.warmup-steps" not in in_the_wild, "it has none"
    assert option(nerfacto, "--optimizers.fields.scheduler.max-steps") == "20000"
    assert option(nerfacto, "--pipeline.model.proposal-warmup") == "500"


def test_a_splat_that_viewers_draw_worse_than_its_trainer_says_so(
    scene: SparseScene, calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrainConfig(backend="splatfacto", steps=300)
    alike = train_splat(scene, Workspace(tmp_path / "alike"), config)
    assert not any("Drawn as" in warning for warning in alike.warnings)
    monkeypatch.setenv("FAKE_TRAINER", "exports-darker")
    splat = train_splat(scene, Workspace(tmp_path / "darker"), config)
    assert splat.psnr_db is not None and splat.psnr_by_splatlib_db is not None
    assert splat.psnr_db > 45 and splat.psnr_by_splatlib_db < 35
    (said,) = (warning for warning in splat.warnings if "Drawn as" in warning)
    told_db = float(said.partition("the splat is ")[2].partition(" dB")[0])
    assert told_db == pytest.approx(58.9 - splat.psnr_by_splatlib_db, abs=0.06), "theirs is perfect, but for rounding"


def test_settings_of_3dgrut(scene: SparseScene, calls: Path, tmp_path: Path) -> None:
    config = TrainConfig(backend="3dgut", steps=3000, max_gaussians=1000, ssim_weight=0.3, sh_degree=1)
    train_splat(scene, Workspace(tmp_path / "it's here"), config)
    overrides = pairs(asked(calls)[0][4:])
    assert asked(calls)[0][2:4] == ["--config-name", "apps/colmap_3dgut_mcmc"]
    assert overrides["strategy.add.max_n_gaussians"] == "1000" and overrides["loss.lambda_l1"] == "0.7"
    assert overrides["strategy.add.start_iteration"] == "50"
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
