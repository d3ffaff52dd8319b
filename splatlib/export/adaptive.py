"""As small as a stated loss of PSNR allows: the coarsest rounding that held-out photos do not show."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from splatlib.formats import Encoded, Format
from splatlib.formats.quality import Quality
from splatlib.gaussians import Gaussians
from splatlib.progress import logger

_TRIALS = 5
_CLOSE = 0.8  # of the loss allowed: nearer is not worth another trial
_FINEST_FACTOR, _COARSEST_FACTOR = 1 / 16, 16.0


def encode_within(
    gaussians: Gaussians,
    format: Format,
    loss_db: Callable[[Gaussians], float],
    max_loss_db: float,
    contributions: np.ndarray | None,
) -> Encoded:
    """The smallest encoding found whose loss is allowed.

    The squared error grows as the square of the steps, and small losses in dB as the squared error: each trial tells
    the next. Where no trial is good enough, the finest that the format can do.
    """
    best: tuple[float, Encoded] | None = None
    fine, coarse, factor = 0.0, np.inf, 1.0
    for trial in range(_TRIALS):
        encoded = format.encode(gaussians, Quality().coarser(factor), contributions)
        loss = loss_db(encoded.gaussians())
        logger.debug("export: %s, trial %d: steps times %.3g lose %.3f dB", format.name, trial, factor, loss)
        if loss <= max_loss_db:
            fine = factor
            if best is None or factor > best[0]:
                best = factor, encoded
            if loss >= _CLOSE * max_loss_db or factor >= _COARSEST_FACTOR:
                break
        else:
            coarse = factor
        wanted = factor * (0.93 * max_loss_db / max(loss, 0.02 * max_loss_db)) ** 0.5
        # keep inside what is known, and away from its ends
        low, high = max(fine * 1.02, _FINEST_FACTOR), min(coarse / 1.02, _COARSEST_FACTOR)
        if low >= high or (not fine and factor <= _FINEST_FACTOR):
            break
        factor = float(np.clip(wanted, low, high))
    return best[1] if best is not None else format.encode(gaussians)
