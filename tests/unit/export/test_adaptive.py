"""The search for the coarsest rounding: what it may look at, and that it ends where it should."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from splatlib.artifacts import SparseScene, Splat
from splatlib.export.adaptive import coarsest_within, encode_within
from splatlib.export.judge import Judge
from splatlib.formats import FORMATS
from splatlib.formats.quality import Quality
from splatlib.gaussians import Gaussians
from tests.unit.formats.made import shell


@dataclass(frozen=True)
class Told:
    """An encoding that only knows how coarse it is."""

    factor: float

    def gaussians(self) -> Gaussians:
        return replace(shell(1), means=np.full((1, 3), self.factor, np.float32))

    def save(self, path: Path) -> None:
        raise AssertionError("the search writes nothing")


def told(gaussians: Gaussians, quality: Quality | None = None, contributions: object = None) -> Told:
    return Told(0.0 if quality is None else quality.position / Quality().position)


TELLING = replace(FORMATS["sog"], encode=told)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("slope", [0.7, 1.3, 2.0])
@pytest.mark.parametrize("at_half_db", [0.001, 0.05, 0.4, 1.0])
def test_the_search_ends_close_below_the_loss_allowed(slope: float, at_half_db: float) -> None:
    def loss_db(one: Gaussians) -> float:
        return at_half_db * (float(one.means[0, 0]) / 0.5) ** slope

    encoded, factor = coarsest_within(shell(1), TELLING, loss_db, 0.15, None)
    assert factor is not None and loss_db(encoded.gaussians()) <= 0.15
    assert loss_db(encoded.gaussians()) >= 0.1 or factor == 16.0


def test_a_floor_that_nothing_reaches_ends_with_the_finest() -> None:
    encoded, factor = coarsest_within(shell(1), TELLING, lambda one: 0.2 + float(one.means[0, 0]), 0.15, None)
    assert factor is None and encoded == Told(0.0)


def test_what_is_chosen_by_is_not_what_is_judged_by(made: tuple[Splat, SparseScene]) -> None:
    splat, scene = made
    few = Judge.of(splat, scene, splat.gaussians())  # three held out: all to judge by
    assert {photo.name for photo in few.photos} == {view.name for view in splat.held_out} and not few.trial_photos
    judge = Judge.of(replace(splat, held_out=()), scene, splat.gaussians())  # as many as are looked at
    judged, tried = ({photo.name for photo in photos} for photos in (judge.photos, judge.trial_photos))
    assert judged and tried and not judged & tried
    for one in (few, judge):
        photos = {photo.name for photo in (*one.photos, *one.trial_photos)}
        assert one.trial_views and not {view.name for view in one.trial_views} & photos
    shifted = replace(judge.gaussians, means=judge.gaussians.means + np.float32(0.003))
    trial_db, own_db = judge.trial_loss_db(shifted), judge.psnr_db
    judge.photos = [replace(photo, truth=255 - photo.truth) for photo in judge.photos]
    assert judge.trial_loss_db(shifted) == trial_db > 0 and judge.psnr_db == own_db  # they are not asked


def test_where_held_out_photos_say_more_than_expected_the_file_is_finer(
    made: tuple[Splat, SparseScene], monkeypatch: pytest.MonkeyPatch
) -> None:
    splat, scene = made
    judge = Judge.of(splat, scene, splat.gaussians())
    monkeypatch.setattr(judge, "trial_loss_db", lambda other: 0.3 * judge.loss_db(other))  # an optimist
    chosen = encode_within(judge.gaussians, FORMATS["spz"], judge, 0.15)
    assert chosen.loss_db is not None and chosen.loss_db <= 0.15
    assert judge.factors["spz"] == chosen.factor  # SPZ 4 begins there


def test_a_small_splat_meets_a_strict_target_in_every_small_format(made: tuple[Splat, SparseScene]) -> None:
    """Its palette of SH coefficients grows as the target asks for, up to one entry for each Gaussian."""
    splat, scene = made
    rng = np.random.default_rng(0)
    gaussians = splat.gaussians()
    sh = np.concatenate([gaussians.sh[:, :1], rng.normal(0, 0.1, (len(gaussians), 15, 3))], axis=1)
    judge = Judge.of(splat, scene, replace(gaussians, sh=sh.astype(np.float32)))
    for name in ("spz", "sog"):
        chosen = encode_within(judge.gaussians, FORMATS[name], judge, 0.02)
        assert chosen.loss_db is not None and chosen.loss_db <= 0.02
        assert chosen.factor is not None
