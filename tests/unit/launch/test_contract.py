"""What container and launchers agree on: documents, lines, metric definitions."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from splatlib import Job, MasksConfig
from splatlib.config import CamerasConfig
from splatlib.container.inputs import placed_job
from splatlib.errors import CamerasError, CaptureNotFoundError, CaptureUnsafeError, ConfigError
from splatlib.launch.baggage import job_name, pack
from splatlib.launch.contract import (
    MAX_FAILURE_CHARACTERS,
    ContainerPaths,
    JobDocuments,
    event_line,
    event_of,
    failure_text,
    metric_definitions,
)


@pytest.fixture
def paths(tmp_path: Path) -> ContainerPaths:
    paths = ContainerPaths(tmp_path / "ml")
    paths.job.mkdir(parents=True)
    paths.capture.mkdir(parents=True)
    return paths


def write(paths: ContainerPaths, documents: JobDocuments) -> None:
    for name, text in documents.files().items():
        (paths.job / name).write_text(text)


def test_an_event_comes_back_as_it_was_told() -> None:
    line = event_line(stage="train", step=1200, loss=0.0312, psnr_db=None, num_gaussians=24_000)
    assert event_of(line) == {"stage": "train", "step": 1200, "loss": 0.0312, "num_gaussians": 24000}
    assert event_of("2026-11-27 12:00 " + line) == event_of(line)
    assert event_of("training: step=3 of many") is None
    told = {"stage": "train", "step": 5, "event": "failed", "message": "the loss = nan; 100 % of it\nis gone"}
    assert event_of(event_line(**told)) == told


def test_sagemaker_reads_the_same_numbers_out_of_a_line() -> None:
    line = event_line(
        stage="train", step=20, long_side_px=320, seconds=1.5, cpu_seconds=2.5, loss=1.5e-05, psnr_db=21.25
    )
    found = {
        definition["Name"]: float(match[1])
        for definition in metric_definitions()
        if (match := re.search(definition["Regex"], line))
    }
    assert found == {"train:step": 20, "train:loss": 1.5e-05, "train:psnr_db": 21.25, "train:seconds": 1.5}
    other = event_line(stage="cameras", state="done", seconds=3.0)
    assert not any(re.search(definition["Regex"], other) for definition in metric_definitions())


def test_a_failure_fits_into_what_sagemaker_shows_and_begins_with_the_code() -> None:
    text = failure_text(CamerasError("no model", why="x" * 5000, hint="film again"))
    assert text.startswith("[cameras] no model\nWhy: xxx") and len(text) == MAX_FAILURE_CHARACTERS
    assert failure_text(ValueError("odd")) == "[ValueError] odd"


def test_all_that_a_job_names_travels_and_gets_its_names_back(tmp_path: Path, paths: ContainerPaths) -> None:
    photos, masks, poses = tmp_path / "photos", tmp_path / "masks", tmp_path / "transforms.json"
    (photos / "deep").mkdir(parents=True)
    masks.mkdir()
    contents = {photos / "a.jpg": "A", photos / "deep" / "b.jpg": "B", photos / "c.jpg": "A", masks / "a.png": "M"}
    for path, content in contents.items():
        path.write_text(content)
    (photos / ".DS_Store").write_text("x")
    poses.write_text("{}")
    job = Job(
        capture=(str(photos), "s3://bucket/more.mov"),
        masks=MasksConfig(backend="folder", folder=str(masks)),
        cameras=CamerasConfig(priors=str(poses)),
    )
    baggage = pack(job)
    assert {file.name for file in baggage.files} == {
        "0/photos/a.jpg",
        "0/photos/c.jpg",
        "0/photos/deep/b.jpg",
        "1/masks/a.png",
        "2/transforms.json",
    }
    write(paths, baggage.documents)
    for file in baggage.files:
        (paths.capture / file.sha256).write_bytes(file.path.read_bytes())
    assert len(list(paths.capture.iterdir())) == 4, "the same content travels once"
    for _ in range(2):  # a container may start again on the same disk
        placed = placed_job(paths)
    named, other = placed.sources
    assert other == "s3://bucket/more.mov" and placed.masks is not None and placed.masks.folder is not None
    assert (Path(named) / "deep" / "b.jpg").read_text() == "B" and not (Path(named) / ".DS_Store").exists()
    assert (Path(placed.masks.folder) / "a.png").read_text() == "M"
    assert Path(placed.cameras.priors or "").read_text() == "{}"


def test_keywords_are_no_places() -> None:
    job = Job(
        capture="s3://b/k",
        masks=MasksConfig(backend="u2net", weights="download"),
        cameras=CamerasConfig(priors="capture"),
    )
    assert pack(job).files == () and pack(job).job == job


def test_a_capture_under_its_own_names_needs_no_list(paths: ContainerPaths) -> None:
    """What someone writes who starts the image without our launchers."""
    (paths.job / "job.json").write_text('{"capture": "bench.mov"}')
    assert placed_job(paths).sources == (str(paths.capture / "bench.mov"),)


def test_without_a_job_it_says_how_to_start_it(paths: ContainerPaths) -> None:
    with pytest.raises(ConfigError, match="started without a job") as told:
        placed_job(paths)
    assert "splat submit" in told.value.hint


def test_a_job_of_another_version_says_so(paths: ContainerPaths) -> None:
    write(paths, JobDocuments(Job(capture="x"), {}))
    job = json.loads((paths.job / "job.json").read_text())
    (paths.job / "job.json").write_text(json.dumps({**job, "lightfield": True}))
    with pytest.raises(ConfigError, match="lightfield: unknown field"):
        placed_job(paths)
    contents = json.loads((paths.job / "contents.json").read_text())
    (paths.job / "contents.json").write_text(json.dumps({**contents, "splatlib": "9.1.0"}))
    with pytest.raises(ConfigError, match=r"written by splatlib 9\.1\.0") as told:
        placed_job(paths)
    assert "lightfield" in told.value.why and "image" in told.value.hint
    (paths.job / "contents.json").write_text(json.dumps({**contents, "schema": 99}))
    with pytest.raises(ConfigError, match="written by"):
        placed_job(paths)
    (paths.job / "contents.json").write_text("[")
    with pytest.raises(ConfigError, match="damaged"):
        placed_job(paths)


def test_a_blob_that_did_not_arrive_is_named(paths: ContainerPaths) -> None:
    write(paths, JobDocuments(Job(capture="0/a.mov"), {"0/a.mov": "ab" * 32}))
    with pytest.raises(CaptureNotFoundError, match=r"1 of 1 files .* 0/a\.mov"):
        placed_job(paths)


@pytest.mark.parametrize("name", ["../a.mov", "/etc/a.mov", "0/../../a.mov"])
def test_a_name_cannot_lead_out_of_the_folder(paths: ContainerPaths, name: str) -> None:
    (paths.capture / "abc").write_text("x")
    write(paths, JobDocuments(Job(capture="0/a.mov"), {name: "abc"}))
    with pytest.raises(CaptureUnsafeError):
        placed_job(paths)


def test_a_name_has_only_letters_that_sagemaker_takes() -> None:
    names = {job_name(Job(capture=source)) for source in ("Ünïcode & höuse (1).mov", "s3://b/p/", "x" * 99, "x" * 99)}
    assert len(names) == 4
    assert all(re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", name) for name in names)


def test_a_capture_that_is_not_there_is_told_before_anything_starts() -> None:
    with pytest.raises(CaptureNotFoundError, match=r"nowhere\.mov"):
        pack(Job(capture="/nowhere.mov"))
