"""report.json keeps its contract; report.html stands alone, escapes what it is given and tells the numbers."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from splatlib.artifacts import ARTIFACT_FILE, FrameSet, MaskSet, SparseScene, Splat
from splatlib.config import MasksConfig
from splatlib.errors import ArtifactError, WorkspaceError
from splatlib.export import export_splat
from splatlib.report import write_report
from splatlib.report.templates import duration
from splatlib.samples import Sample
from splatlib.workspace import Workspace
from tests.made import made_splat, made_workspace

# Type of each leaf of report.json, schema 1
CONTRACT = {
    "schema": int,
    "capture": str,
    "frames": {"total": int, "kept": int},
    "masks": type(None),
    "cameras": {"registered": int, "total": int, "points": int, "mean_reprojection_error_px": float},
    "train": {
        **{"backend": str, "device": str, "steps": int, "num_gaussians": int},
        **{"psnr_db": float, "ssim": float, "lpips": type(None)},
    },
    "export": {"ply": {"path": str, "bytes": int}, "spz": {"path": str, "bytes": int}},
    "seconds": {"frames": float, "cameras": float, "train": float, "export": float, "total": float},
    "cost_usd": type(None),
    "versions": {"splatlib": str, "python": str, "numpy": str},
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, sample_photos: Sample) -> Workspace:
    ws = made_workspace(tmp_path_factory.mktemp("report"), sample_photos)
    splat = ws.splat()
    assert splat is not None
    export_splat(splat, ws)
    write_report(ws)
    return ws


@pytest.fixture
def ws(finished: Workspace, tmp_path: Path) -> Workspace:
    """A copy to change."""
    shutil.copytree(finished.root, tmp_path / "ws")
    return Workspace(tmp_path / "ws")


class Page(HTMLParser):
    """Tags, their addresses and the visible text of a page; unbalanced tags are an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [v or "" for k, v in attrs if k in ("src", "srcset", "href", "action", "data", "poster")]
        if tag not in ("meta", "img", "br", "source", "link", "input"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def page_of(ws: Workspace) -> Page:
    return Page(ws.report_html_path.read_text(encoding="utf-8"))


def check(document: object, contract: object, path: str = "report") -> None:
    if isinstance(contract, dict):
        assert isinstance(document, dict), path
        assert contract.keys() <= document.keys() if path.endswith("versions") else contract.keys() == document.keys()
        for key, inner in contract.items():
            check(document[key], inner, f"{path}.{key}")
    else:
        assert type(document) is contract, path


def test_report_json_keeps_its_contract(finished: Workspace) -> None:
    document = json.loads(finished.report_json_path.read_text())
    check(document, CONTRACT)
    assert document["schema"] == 1
    assert document["frames"] == {"total": 24, "kept": 22}
    assert document["cameras"]["registered"] == document["cameras"]["total"] == 22
    splat = finished.splat()
    assert splat is not None
    assert document["train"]["psnr_db"] == pytest.approx(sum(v.psnr_db for v in splat.held_out) / len(splat.held_out))
    for file in document["export"].values():
        assert (finished.root / file["path"]).stat().st_size == file["bytes"]
    seconds = dict(document["seconds"])
    assert seconds.pop("total") == pytest.approx(sum(seconds.values()), abs=0.01)


def test_the_page_needs_nothing_from_outside(finished: Workspace) -> None:
    text = finished.report_html_path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.addresses
    assert all(address.startswith("data:image/") for address in page.addresses)
    assert not set(page.tags) & {"script", "link", "iframe", "object", "embed", "base"}
    assert not re.search(r"https?:|//[a-z]|@import|url\(", re.sub(r"data:image/[^\"]*", "", text))
    assert len(text) < 6_000_000


def test_the_page_tells_the_numbers(finished: Workspace) -> None:
    text = page_of(finished).text
    document = json.loads(finished.report_json_path.read_text())
    assert f"{document['train']['psnr_db']:.2f} dB" in text
    assert "22 of 22" in text
    assert "with 19 pictures; 3 more were kept" in text
    assert "22 of 24 pictures kept; dropped: 1 blurred, 1 duplicate" in text
    assert "The exposure changes between frames." in text
    splat = finished.splat()
    assert splat is not None
    places = [text.index(f"{view.psnr_db:.2f} dB SSIM") for view in sorted(splat.held_out, key=lambda v: v.psnr_db)]
    assert places == sorted(places)
    ordered = sorted(splat.held_out, key=lambda view: view.psnr_db)
    for view, rank in zip(ordered, ("worst", "median", "best"), strict=True):
        assert f"{view.name} {rank}" in text
    assert document["versions"]["numpy"] in text
    assert "max_long_side_px 320" in text
    assert f"splat resume {shlex.quote(str(finished.root))}" in text


def test_names_from_strangers_are_escaped(ws: Workspace) -> None:
    path = ws.directory(FrameSet) / ARTIFACT_FILE
    document = json.loads(path.read_text())
    evil = '<script>alert("x")</script>'
    document["artifact"]["capture"] = evil
    document["artifact"]["warnings"] = [evil]
    document["artifact"]["frames"][0]["source"] = evil
    document["config"]["note"] = evil
    path.write_text(json.dumps(document))
    write_report(ws)
    page = page_of(ws)
    assert "script" not in page.tags
    assert page.text.count(evil) >= 3
    assert json.loads(ws.report_json_path.read_text())["capture"] == evil


def test_commands_survive_odd_paths(finished: Workspace, tmp_path: Path) -> None:
    odd = tmp_path / "it's a $HOME; dir"
    shutil.copytree(finished.root, odd)
    ws = Workspace(odd)
    write_report(ws)
    text = page_of(ws).text
    command = text[text.index("splat resume") :].split(" Train once more")[0]
    assert shlex.split(command) == ["splat", "resume", str(odd)]


def test_no_held_out_views_is_said(ws: Workspace) -> None:
    path = ws.directory(Splat) / ARTIFACT_FILE
    document = json.loads(path.read_text())
    document["artifact"]["held_out"] = []
    path.write_text(json.dumps(document))
    write_report(ws)
    assert "No views were held out" in page_of(ws).text
    assert json.loads(ws.report_json_path.read_text())["train"]["psnr_db"] is None


def test_masks_are_compared_with_an_alpha_channel_that_was_not_used(ws: Workspace) -> None:
    frames, scene = ws.frames, ws.scene
    assert frames is not None and scene is not None
    frame = frames.frames[0]
    stage = ws.stage(MaskSet, MasksConfig(backend="grabcut"), inputs={})
    with stage.work() as directory:
        Image.new("L", (frame.width, frame.height), 255).save(directory / f"{frame.name}.png")
        made = MaskSet(directory=directory, backend="grabcut", names=(frame.name,), mean_coverage=1.0)
        masks = stage.finish(replace(made, mean_iou=0.8767, min_iou=0.75))
    path = scene.directory / ARTIFACT_FILE
    document = json.loads(path.read_text())
    document["inputs"]["masks"] = masks.digest
    path.write_text(json.dumps(document))
    write_report(ws)
    assert json.loads(ws.report_json_path.read_text())["masks"] == {
        **{"backend": "grabcut", "masks": 1, "mean_coverage": 1.0, "mean_iou": 0.8767, "min_iou": 0.75}
    }
    assert "IoU 0.877 on average, 0.750 in the worst frame" in page_of(ws).text


def test_exports_of_another_run_are_not_claimed(ws: Workspace, sample_photos: Sample) -> None:
    scene = ws.scene
    assert scene is not None
    other = made_splat(ws, sample_photos, replace(scene, digest="other"), run="second")
    write_report(ws, run=other.run)
    document = json.loads(ws.report_json_path.read_text())
    assert document["export"] == {}
    assert "export" not in document["seconds"]
    text = page_of(ws).text
    assert "scene.ply" not in text
    assert "splat resume" not in text  # the job is of run main


def test_a_workspace_without_a_job_still_gets_its_report(ws: Workspace) -> None:
    ws.job_path.unlink()
    write_report(ws)
    assert "splat show" in page_of(ws).text
    assert "splat resume" not in page_of(ws).text


def test_what_a_job_elsewhere_cost_is_in_both_reports(ws: Workspace) -> None:
    cost = {"instance": "ml.g6.xlarge", "region": "us-east-1", "spot": True, "billable_seconds": 380}
    ws.cost_path.write_text(json.dumps({**cost, "cost_usd": 0.1189}))
    write_report(ws)
    assert json.loads(ws.report_json_path.read_text())["cost_usd"] == 0.1189
    page = ws.report_html_path.read_text()
    assert "Billed: ml.g6.xlarge, spot, us-east-1" in page and "$0.119" in page
    ws.cost_path.write_text("{")
    with pytest.raises(ArtifactError, match="damaged"):
        write_report(ws)


@pytest.mark.parametrize("kind", [FrameSet, SparseScene, Splat])
def test_a_missing_stage_is_named(ws: Workspace, kind: type[FrameSet | SparseScene | Splat]) -> None:
    (ws.directory(kind) / ARTIFACT_FILE).unlink()
    with pytest.raises(ArtifactError, match=f"no complete {kind.__name__}"):
        write_report(ws)


def test_a_report_that_cannot_be_written_is_an_error(ws: Workspace) -> None:
    ws.report_json_path.unlink()
    ws.report_json_path.mkdir()
    with pytest.raises(WorkspaceError, match="Is a directory"):
        write_report(ws)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (8.44, "8.4 s"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (3600, "1 h 0 min")],
)
def test_durations_for_people(seconds: float, words: str) -> None:
    assert duration(seconds) == words
