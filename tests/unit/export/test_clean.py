"""Cleaning takes what no camera stands for, and no more than held-out photos allow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from splatlib.artifacts import SparseScene, Splat
from splatlib.export.clean import clean
from splatlib.export.judge import Judge
from splatlib.gaussians import Gaussians
from tests.unit.export.conftest import fog


def test_planted_floaters_go_and_surfaces_stay(made: tuple[Splat, SparseScene]) -> None:
    splat, scene = made
    surface = splat.gaussians()
    behind = np.array([view.center - view.cam_from_world[2, :3] * 1.5 for view in scene.views])
    hidden = fog(300, behind)
    faint = replace(fog(200, np.array([[0.0, 0.0, 1.0]])), opacity_logits=np.full(200, -4.5, np.float32))
    far = fog(20, np.array([[0.0, 30.0, 30.0]]), seed=2)
    judge = Judge.of(splat, scene, Gaussians.merged([surface, hidden, faint, far]))
    cleaning = clean(judge, 0.1)
    assert cleaning is not None and cleaning.loss_db <= 0.1
    kept_surface, kept_hidden, kept_faint, kept_far = np.split(
        cleaning.kept, np.cumsum([len(surface), len(hidden), len(faint)])
    )
    assert kept_surface.mean() > 0.97
    assert kept_hidden.mean() < 0.2 and not kept_faint.any() and not kept_far.any()
    assert sum(cleaning.removed.values()) == (~cleaning.kept).sum()
    assert "seen by no camera" in str(cleaning)


def test_no_more_than_the_loss_allowed(made: tuple[Splat, SparseScene]) -> None:
    """Gaussians that only the held-out photos' cameras see are suspects, and stay."""
    splat, scene = made
    surface = splat.gaussians()
    faint = replace(surface, opacity_logits=np.full(len(surface), -4.2, np.float32))
    judge = Judge.of(splat, scene, faint)
    cleaning = clean(judge, 0.02)
    assert cleaning is not None and cleaning.loss_db <= 0.02
    assert cleaning.kept.mean() > 0.3  # all are fainter than fog


def test_without_cameras_nothing_is_told(made: tuple[Splat, SparseScene]) -> None:
    splat, _ = made
    assert clean(Judge.of(splat, None, splat.gaussians()), 0.1) is None


def test_contributions_are_sums_of_blending_weights(made: tuple[Splat, SparseScene]) -> None:
    """All weights of a view together are its alpha, so those of all views are the sum of the alphas."""
    splat, scene = made
    judge = Judge.of(splat, scene, splat.gaussians())
    seen = judge.contributions
    assert seen is not None
    one = replace(scene, views=scene.views[:1])
    weights = judge.painter.contributions(judge.gaussians, one).weights
    camera = scene.camera(one.views[0]).scaled_to(480, 360)
    picture = judge.painter.forward(judge.gaussians, camera, one.views[0].cam_from_world)
    assert weights.sum() == pytest.approx((1 - picture.transmittances).sum(), rel=2e-3)
    assert seen.num_views == min(48, len(scene.views)) and (seen.views <= seen.num_views).all()
