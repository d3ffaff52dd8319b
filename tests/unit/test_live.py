"""The live view of a training: what it shows, what its buttons ask, and what stays where nothing is live."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import IPython.display
import numpy as np
import pytest
from PIL import Image

from splatlib.errors import TrainingError
from splatlib.events import TrainingProgress
from splatlib.gaussians import Gaussians
from splatlib.widgets import live
from splatlib.widgets.one_gaussian import OneGaussian


class FakeTraining:
    """Tells what a test says, and notes what it is asked."""

    def __init__(self, directory: Path) -> None:
        self.directory: Path | None = directory
        self.progress, self.ended, self.asked = TrainingProgress(), False, []
        self.can_be_steered = True

    def tell(self, **record: Any) -> None:
        self.progress.take_line(json.dumps(record))

    def pause(self) -> None:
        self.asked.append("pause")

    def resume(self) -> None:
        self.asked.append("resume")

    def snapshot(self) -> Gaussians:
        return OneGaussian().gaussians()

    def scene(self) -> None:
        return None

    def request_stop(self) -> None:
        raise TrainingError("no training 'main' is running", hint="start it")


@pytest.fixture
def training(tmp_path: Path) -> FakeTraining:
    training = FakeTraining(tmp_path)
    training.tell(step=0, event="begun", steps=100, device="cpu", attempt="a")
    for step in (20, 40):
        training.tell(step=step, seconds=step / 10, loss=1 / step, num_gaussians=step, long_side_px=64)
    (tmp_path / "previews").mkdir()
    Image.new("RGB", (40, 30), (10, 200, 30)).save(tmp_path / "previews" / "000040.jpg")
    training.tell(step=40, seconds=4.5, psnr_db=21.5, preview="previews/000040.jpg", long_side_px=64)
    return training


@pytest.fixture
def displayed(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What a notebook was given to show, and with what it was replaced."""
    bundles: list[dict[str, Any]] = []
    handle = SimpleNamespace(update=lambda bundle, raw: bundles.append(bundle))
    monkeypatch.setattr(IPython.display, "display", lambda bundle, raw, display_id: (bundles.append(bundle), handle)[1])
    monkeypatch.setattr(live, "in_notebook", lambda: True)
    monkeypatch.setattr(live, "LOOK_EVERY_S", 0.02)
    return bundles


def until(condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end_s, "this never came"
        time.sleep(0.02)


def test_progress_in_words(training: FakeTraining) -> None:
    words = live.describe_progress(training.progress)
    assert words == (
        "training, step 40 of 100 (4 s, about 6 s left), loss 0.0250, held-out PSNR 21.50 dB, 40 Gaussians"
    )
    training.tell(step=40, event="failed", message="the disk is full")
    assert live.describe_progress(training.progress).endswith("\nthe disk is full")
    assert live.describe_progress(TrainingProgress()) == "waiting"


def test_a_batch_run_shows_a_picture_and_brings_it_up_to_date(
    training: FakeTraining, displayed: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPLATLIB_PROGRESS", "text")
    refresh = live.show(training)
    training.tell(step=100, event="finished")
    refresh()
    before, after = displayed
    assert before.keys() == after.keys() == {"text/plain", "image/png"}
    assert "finished" in after["text/plain"]
    picture = np.asarray(Image.open(io.BytesIO(after["image/png"])).convert("RGBA"))
    curves_alone = live.still(training.progress, None)
    assert picture.shape[0] > curves_alone.height
    assert abs(picture[-20, 100, :3].astype(int) - (10, 200, 30)).max() < 12  # the newest picture, below


def test_in_a_terminal_it_is_a_line(training: FakeTraining, capsys: pytest.CaptureFixture[str]) -> None:
    live.show(training)()
    assert capsys.readouterr().out.startswith("training, step 40 of 100")


def test_the_widgets_follow_the_training_and_end_as_a_picture(
    training: FakeTraining, displayed: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPLATLIB_PROGRESS", "auto")
    view = live._Live(training)
    assert view._picture.value == (training.directory / "previews" / "000040.jpg").read_bytes()  # type: ignore[operator]
    assert (view._bar.value, view._bar.max) == (40, 100)
    view._pause.click()
    training.tell(step=40, event="paused")
    until(lambda: view._pause.description == "Continue")
    view._pause.click()
    assert training.asked == ["pause", "resume"]
    view._stop.click()  # what goes wrong is told below
    assert "no training" in view._trouble.value and "Try: start it" in view._trouble.value
    view._turn.click()
    assert [child.kind for child in view._turned.children] == ["splat"] and view._trouble.value == ""
    training.tell(step=60, event="continued")
    training.tell(step=60, seconds=6.0, loss=0.01, num_gaussians=99, long_side_px=64)
    until(lambda: "99 Gaussians" in view._words.value)
    training.can_be_steered = False
    training.ended = True
    until(lambda: len(displayed) == 2 and view._stop.disabled)
    assert view._pause.disabled and view._stop.disabled
    for bundle in displayed:
        assert {"application/vnd.jupyter.widget-view+json", "image/png"} <= bundle.keys()


def test_trouble_of_the_view_appears_under_it(
    training: FakeTraining, displayed: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    view = live._Live(training)
    monkeypatch.setattr(view, "refresh", lambda: 1 / 0)
    until(lambda: "ZeroDivisionError" in view._trouble.value)
