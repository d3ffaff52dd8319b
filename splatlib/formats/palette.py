"""A palette of sets of SH coefficients: weighted k-means, with the cost of an index in the balance.

Gaussians that contribute little take a popular entry if the nearest is rare: entropy-constrained vector quantisation
(Chou, Lookabaugh and Gray 1989). Distances are integrals over the sphere, since the bases are orthonormal: plain
differences of coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from splatlib.formats.nearest import assign
from splatlib.formats.quality import Quality

FloatArray = npt.NDArray[np.float32]
_LARGE = 16384  # entries: more rounds over more of the rows would cost more time than they save in bytes
_ROUNDS, _ROUNDS_LARGE = 6, 3
_TRAINING_PER_ENTRY, _TRAINING_PER_ENTRY_LARGE = 16, 5
_PROBED = 5


@dataclass(frozen=True)
class Palette:
    """Attributes: entries [K, D], the most used first (or in the rows' order); labels [N] into them."""

    entries: FloatArray
    labels: npt.NDArray[np.int32]


def make_palette(rows: FloatArray, weights: FloatArray, quality: Quality, most: int = 65536, seed: int = 0) -> Palette:
    """Cluster rows [N, D] with weights [N], each row counting by its weight.

    Args:
        quality: its sh_palette and sh_rate, for a row of mean weight. most: entries at most.
    """
    rng = np.random.default_rng(seed)
    weights = np.maximum(weights, 1e-6 * max(float(weights.mean()), 1e-30)).astype(np.float32)
    weights /= weights.mean()
    rate, count = quality.sh_rate, int(np.clip(len(rows) / quality.sh_palette, 1, min(most, len(rows))))
    if count == len(rows):
        return Palette(rows, np.arange(count, dtype=np.int32))
    rounds, per_entry = (
        (_ROUNDS, _TRAINING_PER_ENTRY) if count <= _LARGE else (_ROUNDS_LARGE, _TRAINING_PER_ENTRY_LARGE)
    )
    size = min(len(rows), count * per_entry)
    chosen = rng.choice(len(rows), size, replace=False, p=None) if size < len(rows) else np.arange(len(rows))
    sample, mass = rows[chosen], weights[chosen]
    entries = sample[rng.choice(size, count, replace=False, p=mass / mass.sum(dtype=np.float64))]
    entries[0] = 0  # no dependence on direction: what is hardly seen can have that
    costs = np.zeros(count, np.float32)
    for iteration in range(rounds):
        labels = assign(sample, mass, entries, costs, _PROBED)
        entries, usage = _centroids(sample, mass, labels, entries)
        if iteration < rounds - 2:
            entries, usage = _without_empty(entries, usage, sample, mass, labels, rng)
        costs = _index_costs(usage, rate)
    labels = assign(rows, weights, entries, costs, _PROBED)
    order = np.argsort(-np.bincount(labels, minlength=count), kind="stable")
    used = order[: len(np.unique(labels))]
    rank = np.empty(count, np.int32)
    rank[order] = np.arange(count, dtype=np.int32)
    return Palette(np.ascontiguousarray(entries[used]), rank[labels])


def _centroids(
    rows: FloatArray, weights: FloatArray, labels: npt.NDArray[np.int32], before: FloatArray
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Weighted means, and how many rows each has; an entry without rows stays as it was."""
    order = np.argsort(labels, kind="stable")
    usage = np.bincount(labels, minlength=len(before))
    filled = np.flatnonzero(usage)
    starts = (np.cumsum(usage) - usage)[filled]
    mass = np.add.reduceat(weights[order].astype(np.float64), starts)
    entries, sorted_weights = before.copy(), weights[order]
    for column in range(rows.shape[1]):  # one after the other: all at once, as doubles, would not be small
        weighted = (rows[order, column] * sorted_weights).astype(np.float64)
        entries[filled, column] = np.add.reduceat(weighted, starts) / mass
    return entries, usage


def _without_empty(
    entries: FloatArray,
    usage: npt.NDArray[np.int64],
    rows: FloatArray,
    weights: FloatArray,
    labels: npt.NDArray[np.int32],
    rng: np.random.Generator,
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Entries that nothing uses move to rows that are badly served."""
    empty = np.flatnonzero(usage == 0)
    if len(empty):
        errors = weights * ((rows - entries[labels]) ** 2).sum(axis=1)
        if errors.sum() > 0:
            chances = errors.astype(np.float64) / errors.sum(dtype=np.float64)
            picked = rng.choice(len(rows), min(len(empty), int((chances > 0).sum())), replace=False, p=chances)
            entries[empty[: len(picked)]] = rows[picked]
            usage = usage.copy()
            usage[empty[: len(picked)]] = 1
    return entries, usage


def _index_costs(usage: npt.NDArray[np.int64], rate: float) -> FloatArray:
    """[K] what an index costs: ``rate`` times the bits of an ideal code for this usage."""
    share = np.maximum(usage, 0.5) / max(1, usage.sum())
    return (-np.log2(share) * rate).astype(np.float32)
