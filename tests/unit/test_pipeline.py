"""``reconstruct``: order of the stages, masks of captures with alpha, reuse, and resuming after an interruption."""

from __future__ import annotations

from pathlib import Path

import pytest

from splatlib.config import CamerasConfig, Job, MasksConfig, TrainConfig
from splatlib.errors import CamerasError, ConfigError, MissingDependencyError
from splatlib.pipeline import Reconstruction, _absolute, reconstruct
from splatlib.workspace import Workspace
from tests.fakes import FakeStages, fake_exports, fake_frames, fake_masks, fake_scene, fake_splat

ALL = ["frames", "check", "cameras", "train", "export", "report"]


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "bench.mov"
    path.write_text("moving pictures")
    return path


def test_the_stages_run_in_order_and_leave_everything(fake_stages: FakeStages, capture: Path, tmp_path: Path) -> None:
    result = reconstruct(Job(capture=str(capture)), tmp_path / "ws")
    assert fake_stages.worked == ALL
    ws = Workspace(tmp_path / "ws")
    assert (result.frames, result.splat, result.exports) == (ws.frames, ws.splat(), ws.exports)
    assert result.masks is None and result.report_html == ws.report_html_path and result.report_html.exists()


def test_a_second_run_only_writes_the_report(fake_stages: FakeStages, capture: Path, tmp_path: Path) -> None:
    job, ws = Job(capture=str(capture)), Workspace(tmp_path / "ws")
    reconstruct(job, ws)
    reconstruct(job, ws)
    assert fake_stages.worked == [*ALL, "report"]


def test_a_change_redoes_what_depends_on_it(fake_stages: FakeStages, capture: Path, tmp_path: Path) -> None:
    ws = Workspace(tmp_path / "ws")
    reconstruct(Job(capture=str(capture)), ws)
    fake_stages.worked.clear()
    reconstruct(Job(capture=str(capture), cameras=CamerasConfig(seed=1)), ws)
    assert fake_stages.worked == ["cameras", "train", "export", "report"]
    capture.write_text("other pictures")
    fake_stages.worked.clear()
    reconstruct(Job(capture=str(capture), cameras=CamerasConfig(seed=1)), ws)
    assert fake_stages.worked == ALL


@pytest.mark.parametrize(
    ("train", "error", "words"),
    [
        (TrainConfig(backend="splatfacto"), MissingDependencyError, "nerfstudio of splatfacto"),
        (TrainConfig(backend="3dgut", robust=True), ConfigError, "has no train.robust"),
        (TrainConfig(backend="nerfacto"), ConfigError, "makes a mesh"),
    ],
)
def test_another_trainer_that_cannot_run_here_is_told_before_the_first_stage(
    train: TrainConfig,
    error: type[Exception],
    words: str,
    fake_stages: FakeStages,
    capture: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SPLATLIB_ENVIRONMENTS", str(tmp_path / "none"))
    monkeypatch.delenv("SPLATLIB_ENVIRONMENT_NERFSTUDIO", raising=False)
    with pytest.raises(error, match=words):
        reconstruct(Job(capture=str(capture), train=train), tmp_path / "ws")
    assert fake_stages.worked == []


def test_trainings_share_the_cameras(fake_stages: FakeStages, capture: Path, tmp_path: Path) -> None:
    ws = Workspace(tmp_path / "ws")
    reconstruct(Job(capture=str(capture)), ws)
    fake_stages.worked.clear()
    result = reconstruct(Job(capture=str(capture), run="long", train=TrainConfig(steps=9000)), ws)
    assert fake_stages.worked == ["train", "export", "report"]
    assert result.splat.run == "long" and ws.runs() == ["long", "main"]


def test_an_alpha_channel_is_used_as_masks(fake_stages: FakeStages, capture: Path, tmp_path: Path) -> None:
    fake_stages.has_alpha = True
    result = reconstruct(Job(capture=str(capture)), tmp_path / "ws")
    assert result.masks is not None and result.masks.backend == "alpha"
    assert fake_stages.worked == ["frames", "masks", "check", "cameras", "train", "export", "report"]


def test_masks_that_the_job_asks_for_come_first(fake_stages: FakeStages, capture: Path, tmp_path: Path) -> None:
    fake_stages.has_alpha = True
    job = Job(capture=str(capture), masks=MasksConfig(backend="folder", folder="my-masks"))
    result = reconstruct(job, tmp_path / "ws")
    assert result.masks is not None and result.masks.backend == "folder"


@pytest.mark.parametrize("stage", ALL)
def test_an_interrupted_run_goes_on_where_it_was(
    stage: str, fake_stages: FakeStages, capture: Path, tmp_path: Path
) -> None:
    ws = Workspace(tmp_path / "ws")
    fake_stages.raising = {stage: KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        reconstruct(Job(capture=str(capture)), ws)
    assert fake_stages.worked == ALL[: ALL.index(stage) + 1]
    fake_stages.worked.clear()
    fake_stages.raising.clear()
    reconstruct(ws.load_job(), ws)
    assert fake_stages.worked == ALL[ALL.index(stage) :]


def test_a_failed_stage_keeps_the_ones_before(fake_stages: FakeStages, capture: Path, tmp_path: Path) -> None:
    fake_stages.raising = {"cameras": CamerasError("no overlap")}
    with pytest.raises(CamerasError):
        reconstruct(Job(capture=str(capture)), tmp_path / "ws")
    ws = Workspace(tmp_path / "ws")
    assert ws.frames is not None and ws.scene is None


def test_a_job_resumes_from_another_folder(
    fake_stages: FakeStages, capture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(capture.parent)
    job = Job(capture=capture.name, masks=MasksConfig(backend="folder", folder="my-masks"))
    reconstruct(job, tmp_path / "ws")
    monkeypatch.chdir("/")
    saved = Workspace(tmp_path / "ws").load_job()
    assert saved.capture == str(capture) and saved.masks and saved.masks.folder == str(tmp_path / "my-masks")
    fake_stages.worked.clear()
    reconstruct(saved, tmp_path / "ws")
    assert fake_stages.worked == ["report"]


def test_a_list_of_sources_is_saved_with_full_paths(
    fake_stages: FakeStages, capture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(capture.parent)
    other = capture.with_name("other.mov")
    other.write_text("more pictures")
    reconstruct(Job(capture=(capture.name, "other.mov")), tmp_path / "ws")
    assert Workspace(tmp_path / "ws").load_job().sources == (str(capture), str(other))


def test_what_lies_in_s3_or_in_the_capture_is_no_path() -> None:
    job = Job.from_dict({"capture": ["s3://bucket/a b/", "x.mov"], "cameras": {"priors": "capture"}})
    absolute = job.with_places(_absolute)
    assert absolute.sources == ("s3://bucket/a b/", str(Path("x.mov").absolute()))
    assert absolute.cameras.priors == "capture"


@pytest.mark.parametrize("weights", ["download", "s3://bucket/weights"])
def test_weights_that_are_no_folder_stay_as_they_are(
    weights: str, fake_stages: FakeStages, capture: Path, tmp_path: Path
) -> None:
    reconstruct(Job(capture=str(capture), masks=MasksConfig(backend="u2net", weights=weights)), tmp_path / "ws")
    masks = Workspace(tmp_path / "ws").load_job().masks
    assert masks and masks.weights == weights


def test_a_result_shows_itself(tmp_path: Path) -> None:
    result = Reconstruction(
        fake_frames(tmp_path),
        fake_masks(tmp_path),
        fake_scene(tmp_path),
        fake_splat(tmp_path),
        fake_exports(tmp_path),
        tmp_path / "report.html",
        tmp_path / "report.json",
    )
    lines = str(result).splitlines()
    assert [line.split(":")[0].strip() for line in lines] == [
        *("FrameSet", "warning", "MaskSet", "SparseScene", "Splat", "ExportBundle", "report")
    ]
    assert lines[-1] == f"report: {tmp_path / 'report.html'}"
