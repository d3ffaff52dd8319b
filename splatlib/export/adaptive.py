"""As small as a stated loss of PSNR allows: the coarsest rounding that photos do not show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from splatlib.export.judge import Judge
from splatlib.formats import Encoded, Format
from splatlib.formats.quality import Quality
from splatlib.gaussians import Gaussians
from splatlib.progress import logger

_TRIALS = 6
_CLOSE = 0.85  # of the loss allowed: nearer is not worth another trial
_AIM = 0.94
_FIRST_FACTOR = 0.5
_FINEST_FACTOR, _COARSEST_FACTOR = 1 / 64, 16.0
_USUAL_SLOPE, _SLOPES = 1.4, (0.5, 2.5)


@dataclass(frozen=True)
class Chosen:
    """Attributes:
    loss_db: on held-out photos; None: not measured. factor: on all steps of ``Quality``; None: the format's finest.
    """

    encoded: Encoded
    loss_db: float | None = None
    factor: float | None = None


def encode_within(gaussians: Gaussians, format: Format, judge: Judge, max_loss_db: float) -> Chosen:
    """Chosen by some of the held-out photos, judged by the others; finer where these say more than allowed.

    Formats that have one quality, and all where nothing can be measured, are as fine as they can be.
    """
    if not (format.rounds_as and judge.can_measure):
        encoded = format.encode(gaussians)
        return Chosen(encoded, judge.loss_db(encoded.gaussians()) if judge.can_measure else None)
    known = judge.contributions
    weights = None if known is None else known.weights
    first = judge.factors.get(format.rounds_as)
    encoded, factor = coarsest_within(gaussians, format, judge.trial_loss_db, max_loss_db, weights, first)
    loss_db = judge.loss_db(encoded.gaussians())
    while factor is not None and loss_db > max_loss_db:
        logger.info("export: %s loses %.3f dB on the photos to judge by: once more, finer", format.name, loss_db)
        factor *= (0.9 * max_loss_db / loss_db) ** (1 / _USUAL_SLOPE)
        if factor < _FINEST_FACTOR:
            encoded, factor = format.encode(gaussians), None
        else:
            encoded = format.encode(gaussians, Quality().coarser(factor), weights)
        loss_db = judge.loss_db(encoded.gaussians())
    if factor is not None:
        judge.factors[format.rounds_as] = factor
    return Chosen(encoded, loss_db, factor)


def coarsest_within(
    gaussians: Gaussians,
    format: Format,
    loss_db: Callable[[Gaussians], float],
    max_loss_db: float,
    contributions: np.ndarray | None,
    first_factor: float | None = None,
) -> tuple[Encoded, float | None]:
    """The smallest encoding found whose loss is allowed, and the factor on all steps of ``Quality`` that it has.

    Losses go as a power of the steps, somewhere between the first (where a format's own floor counts) and the second:
    the first two trials tell which, and the others follow it. Where no trial is good enough, the finest that the format
    can do, with None.

    Args:
        first_factor: to begin with, where one is known that should fit.
    """
    best: tuple[float, Encoded] | None = None
    tried: list[tuple[float, float]] = []
    fine, coarse = 0.0, np.inf
    factor = first_factor or _FIRST_FACTOR
    for trial in range(_TRIALS):
        encoded = format.encode(gaussians, Quality().coarser(factor), contributions)
        loss = loss_db(encoded.gaussians())
        logger.debug("export: %s, trial %d: steps times %.3g lose %.3f dB", format.name, trial, factor, loss)
        tried.append((np.log(factor), np.log(max(loss, 1e-3 * max_loss_db))))
        if loss <= max_loss_db:
            fine = factor
            if best is None or factor > best[0]:
                best = factor, encoded
            if loss >= _CLOSE * max_loss_db or factor >= _COARSEST_FACTOR:
                break
        else:
            coarse = factor
        wanted = float(np.exp(tried[-1][0] + (np.log(_AIM * max_loss_db) - tried[-1][1]) / _slope(tried)))
        # keep inside what is known, and away from its ends
        low, high = max(fine * 1.03, _FINEST_FACTOR), min(coarse / 1.03, _COARSEST_FACTOR)
        if low >= high or (not fine and factor <= _FINEST_FACTOR):
            break
        factor = float(np.clip(wanted, low, high))
    return (best[1], best[0]) if best is not None else (format.encode(gaussians), None)


def _slope(tried: list[tuple[float, float]]) -> float:
    """Of log loss by log factor, between the last two trials."""
    if len(tried) < 2 or tried[-1][0] == tried[-2][0]:
        return _USUAL_SLOPE
    (x0, y0), (x1, y1) = tried[-2:]
    return float(np.clip((y1 - y0) / (x1 - x0), *_SLOPES))
