"""Fixtures for all tests: the captures that the project makes itself, and the real ones where they are present."""

from __future__ import annotations

import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import settings

from splatlib.samples import Sample, make_sample

# A shell's background job starts with it ignored, and so would every process that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Wall time says nothing on a shared machine, and the first call of a kernel compiles it.
settings.register_profile("splatlib", deadline=None)
settings.load_profile("splatlib")

_CAPTURES = Path(__file__).parents[2] / "shared" / "captures"


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between botocore's attempts. Only its own sleep: other threads, which poll with it, would spin."""
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda seconds: None))


@pytest.fixture(scope="session")
def sample_video(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """A made video of 48 frames of 384x216 (frames 9, 29 blurred; 16, 44 repeated) with its true cameras."""
    return make_sample(tmp_path_factory.mktemp("sample_video"), kind="video", num_frames=48, width=384, height=216)


@pytest.fixture(scope="session")
def sample_photos(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """A folder of 24 made photos of 480x360 (9 blurred, 16 repeated) with their true cameras."""
    return make_sample(tmp_path_factory.mktemp("sample_photos"), kind="photos", num_frames=24, width=480, height=360)


@pytest.fixture(scope="session")
def captures() -> Path:
    """The folder of real captures beside the checkout; a test that asks for it is skipped where it is absent."""
    if not _CAPTURES.is_dir():
        pytest.skip("the real captures are not here (a folder shared/captures beside the checkout)")
    return _CAPTURES
