"""A stand-in in the place of every trainer."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from splatlib.environments.found import python_of
from splatlib.gaussians import Gaussians

FAKE = Path(__file__).with_name("fake_trainer.py")


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Gaussians that the scene's pictures were drawn from: what a perfect trainer would find."""
    rng = np.random.default_rng(0)
    count = 400
    colors = rng.uniform(0.05, 0.95, (count, 3))
    sh = np.zeros((count, 4, 3), np.float32)
    gaussians = Gaussians(
        means=(rng.uniform(-1, 1, (count, 3)) * [1.5, 1.0, 0.7]).astype(np.float32),
        log_scales=np.log(rng.uniform(0.05, 0.2, (count, 3))).astype(np.float32),
        quats=rng.normal(size=(count, 4)).astype(np.float32),
        opacity_logits=rng.uniform(1, 5, count).astype(np.float32),
        sh=sh,
    )
    sh[:, 0] = (colors - 0.5) / 0.28209479177387814
    path = tmp_path_factory.mktemp("truth") / "truth.ply"
    gaussians.save_ply(path)
    return path


@pytest.fixture
def calls(tmp_path: Path, truth: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All environments are the stand-in; what they were asked is written to this file."""
    python = python_of(tmp_path / "environment")
    python.parent.mkdir(parents=True)
    # It draws with splatlib, which a real one does not have.
    places = os.pathsep.join([str(FAKE.parents[4]), os.environ.get("PYTHONPATH", "")])
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{places}" exec "{sys.executable}" "{FAKE}" "{truth}" "$@"\n')
    python.chmod(0o755)
    for name in ("NERFSTUDIO", "SPLATFACTO_W", "3DGRUT"):
        monkeypatch.setenv(f"SPLATLIB_ENVIRONMENT_{name}", str(tmp_path / "environment"))
    monkeypatch.setenv("FAKE_TRAINER_CALLS", str(tmp_path / "calls"))
    monkeypatch.delenv("FAKE_TRAINER", raising=False)
    return tmp_path / "calls"
