"""What a notebook's parameters cell becomes, and which parameters are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from splatlib.config import Job, TrainConfig
from splatlib.errors import ConfigError
from splatlib.parameters import NOTEBOOK_PARAMETERS, default_out, job_from_parameters, refuse_unknown_parameters


def test_the_defaults_are_a_preview() -> None:
    assert job_from_parameters("bench.mov") == Job(capture="bench.mov")


@pytest.mark.parametrize(
    "overrides",
    [
        {"train.steps": 5, "run": "small"},
        ["train.steps=5", "run=small"],
        "train.steps=5 run=small",
        '{"train.steps": 5, "run": "small"}',
        '["train.steps=5", "run=small"]',
    ],
)
def test_overrides_come_as_mapping_list_or_text(overrides: object) -> None:
    job = job_from_parameters("x", preset="balanced", overrides=overrides)  # pyright: ignore[reportArgumentType]
    assert job == Job(capture="x", run="small", train=TrainConfig(preset="balanced", steps=5))


@pytest.mark.parametrize("nothing", [(), [], {}, "", "  "])
def test_no_overrides(nothing: object) -> None:
    assert job_from_parameters("x", overrides=nothing) == Job(capture="x")  # pyright: ignore[reportArgumentType]


def test_only_known_launchers_and_presets_are_taken() -> None:
    with pytest.raises(ConfigError, match="launcher 'moon' is not known\nTry: this version knows here"):
        job_from_parameters("x", launcher="moon")
    with pytest.raises(
        ConfigError, match=r"train\.preset: Input should be 'preview', 'balanced', 'high' or 'reference'"
    ):
        job_from_parameters("x", preset="best")
    with pytest.raises(ConfigError, match="overrides is not valid JSON"):
        job_from_parameters("x", overrides="{")


def test_unknown_parameters_are_refused_by_name() -> None:
    history = ["", "capture = ''", "# Parameters\ncapture = 'x'\nprest = 'balanced'\nqqq = 1\n"]
    with pytest.raises(ConfigError) as caught:
        refuse_unknown_parameters(history)
    assert caught.value.what == "unknown parameter: prest (did you mean preset?), qqq"
    assert caught.value.hint == f"the parameters are {', '.join(NOTEBOOK_PARAMETERS)}"


def test_variables_of_other_cells_are_no_parameters() -> None:
    """A person may run the cells of an open notebook again, in any order."""
    refuse_unknown_parameters(["job = 1", "# Parameters\ncapture = 'x'\nout = 'y'\n", "result = 2"])
    refuse_unknown_parameters(["# Parameters\nsize_px = 64\n"], known=["size_px"])


def test_results_go_beside_their_like(tmp_path: Path) -> None:
    (tmp_path / "photos.v2").mkdir()
    assert default_out(tmp_path / "photos.v2") == Path("runs/photos.v2")
    assert default_out("films/bench.mov") == Path("runs/bench")


@pytest.mark.parametrize("several", [["a.mov", "photos"], ("a.mov", "photos"), '["a.mov", "photos"]'])
def test_several_sources_come_as_list_or_text(several: list[str] | str) -> None:
    assert job_from_parameters(several) == Job(capture=("a.mov", "photos"))
    assert job_from_parameters("[draft].mov").sources == ("[draft].mov",)
    with pytest.raises(ConfigError, match="list of sources is empty"):
        job_from_parameters("[]")


def test_names_of_results() -> None:
    assert default_out("clips/bench.mov") == default_out(["bench.mov"]) == Path("runs/bench")
    assert default_out(["bench.mov", "b.mov", "photos"]) == Path("runs/bench-and-2-more")
    assert default_out("s3://bucket/in/walk.zip") == default_out("s3://bucket/in/walk/") == Path("runs/walk")
