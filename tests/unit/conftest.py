"""Fixtures for unit tests."""

from __future__ import annotations

import pytest

from tests.fakes import FakeStages


@pytest.fixture
def fake_stages(monkeypatch: pytest.MonkeyPatch) -> FakeStages:
    """The six stages replaced by ones that finish at once."""
    stages = FakeStages()
    stages.install(monkeypatch)
    return stages
