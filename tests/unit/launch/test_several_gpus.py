"""One process a GPU: when the entry point starts itself under torchrun, and what becomes of its exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from splatlib.container.several_gpus import on_all_gpus, wanted_gpus
from splatlib.errors import ConfigError
from splatlib.launch.contract import FAILED, ROOT_VARIABLE, TORCH_DISTRIBUTED


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    return tmp_path


@pytest.mark.parametrize(
    ("hyperparameters", "gpus"),
    [
        (None, 1),
        ({}, 1),
        ({TORCH_DISTRIBUTED: "true"}, 4),
        ({TORCH_DISTRIBUTED: '"true"'}, 4),  # the SDK writes JSON into some hyperparameters
        ({TORCH_DISTRIBUTED: "false"}, 1),
    ],
)
def test_all_gpus_are_taken_where_the_job_asks_for_it(
    config: Path, hyperparameters: dict[str, str] | None, gpus: int
) -> None:
    if hyperparameters is not None:
        (config / "hyperparameters.json").write_text(json.dumps(hyperparameters))
    assert wanted_gpus(config) == gpus


def test_under_torchrun_it_does_not_start_itself_again(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (config / "hyperparameters.json").write_text(json.dumps({TORCH_DISTRIBUTED: "true"}))
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert wanted_gpus(config) == 1


def test_damaged_hyperparameters_are_told(config: Path) -> None:
    (config / "hyperparameters.json").write_text("{")
    with pytest.raises(ConfigError, match="damaged"):
        wanted_gpus(config)


@pytest.mark.slow
def test_a_failure_under_torchrun_is_a_failure_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two real processes under the real torchrun, which fail for want of a job."""
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    assert on_all_gpus(2) == FAILED
    assert "[config] the container was started without a job" in (tmp_path / "output" / "failure").read_text()
