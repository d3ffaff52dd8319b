"""Trainings beside each other: the table's figures, what cannot be compared, and a page that stands alone."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from splatlib.artifacts import ARTIFACT_FILE, HeldOutView, Splat
from splatlib.cli import app
from splatlib.errors import ArtifactError
from splatlib.report import compare_runs, write_comparison
from splatlib.samples import Sample
from splatlib.workspace import Workspace
from tests.made import made_workspace


def rewrite(splat: Splat, **changes: object) -> None:
    """Change what a finished run says of itself."""
    path = splat.directory / ARTIFACT_FILE
    document = json.loads(path.read_text())
    document["inputs"]["cameras"] = changes.pop("cameras", "the same")
    changed = dataclasses.replace(splat, **changes)  # pyright: ignore[reportArgumentType]
    document["artifact"] = changed.to_data()
    path.write_text(json.dumps(document))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, sample_photos: Sample) -> Path:
    """Our run, and one of another trainer that was worse on every view."""
    ws = made_workspace(tmp_path_factory.mktemp("compared"), sample_photos)
    shutil.copytree(ws.root / "train" / "main", ws.root / "train" / "other")
    ours, other = ws.splat("main"), ws.splat("other")
    assert ours is not None and other is not None
    rewrite(ours)
    worse = tuple(HeldOutView(view.name, view.psnr_db - 1.5, view.ssim - 0.02) for view in other.held_out)
    by_us = tuple(HeldOutView(view.name, view.psnr_db - 2, view.ssim - 0.03) for view in other.held_out)
    rewrite(
        other,
        run="other",
        backend="splatfacto",
        trainer="nerfstudio 1.1.5",
        held_out=worse,
        held_out_by_splatlib=by_us,
        train_seconds=812.4,
    )
    return ws.root


@pytest.fixture
def ws(finished: Path, tmp_path: Path) -> Workspace:
    shutil.copytree(finished, tmp_path / "ws")
    return Workspace(tmp_path / "ws")


def test_the_table_has_the_figures_of_each_run_best_first(ws: Workspace) -> None:
    comparison = compare_runs(ws)
    ours, other = ws.splat("main"), ws.splat("other")
    assert ours is not None and other is not None and ours.psnr_db is not None and other.psnr_by_splatlib_db is not None
    assert [run.splat.run for run in comparison.runs] == ["main", "other"] and comparison.warnings == ()
    lines = str(comparison).splitlines()
    assert f"{ours.psnr_db:.2f}" in lines[1] and "36.0" in lines[1], "ours: seconds of its last line"
    assert "splatfacto: nerfstudio 1.1.5" in lines[2] and "812.4" in lines[2]
    assert f"{other.psnr_by_splatlib_db:.2f}" in lines[2]
    assert f"{ours.num_gaussians:,}" in lines[1] and f"{ours.ply_path.stat().st_size / 1e6:.2f}" in lines[1]


def test_runs_that_cannot_be_held_against_each_other_are_named(ws: Workspace) -> None:
    other = ws.splat("other")
    assert other is not None
    rewrite(other, cameras="others")
    assert compare_runs(ws).warnings == ("other was trained on other cameras than main.",)
    rewrite(other, held_out=other.held_out[1:])
    assert compare_runs(ws).warnings == ("other was measured on other views than main.",)
    rewrite(other)
    for view in other.held_out:
        path = other.held_out_paths(view)[0]
        with Image.open(path) as picture:
            picture.resize((picture.width // 2, picture.height // 2)).save(path)
    assert "pictures of 240 px, main of 480 px" in compare_runs(ws).warnings[0]


def test_the_page_shows_all_runs_of_a_view_and_needs_no_other_file(ws: Workspace) -> None:
    page = write_comparison(compare_runs(ws)).read_text()
    sources = re.findall(r'<img src="([^"]{20})', page)
    assert len(sources) == 3 * 3 and all(source.startswith("data:image/jpeg") for source in sources)
    assert "other: " in page and "http" not in page


def test_the_command_tells_the_table_and_the_page(ws: Workspace) -> None:
    result = CliRunner().invoke(app, ["compare", str(ws.root), "--run", "other"])
    assert result.exit_code == 0 and "nerfstudio 1.1.5" in result.output and "main" not in result.output.split("\n")[1]
    assert (ws.root / "comparison.html").exists()
    assert CliRunner().invoke(app, ["compare", str(ws.root), "--run", "none"]).exit_code == 1


def test_a_notebook_shows_table_and_pictures(ws: Workspace) -> None:
    bundle = compare_runs(ws)._repr_mimebundle_()
    assert bundle["text/html"].count("<img") == 9 and "812.4" in bundle["text/plain"]


def test_nothing_to_compare_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no finished training"):
        compare_runs(Workspace(tmp_path / "empty"))
