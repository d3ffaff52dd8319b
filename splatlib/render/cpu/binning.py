"""Which Gaussians touch which tile, front to back: a radix sort by depth, then a counting sort by tile."""

from __future__ import annotations

import numpy as np

from splatlib.render.cpu.jit import kernel
from splatlib.render.cpu.projection import (
    CONIC_XX,
    CONIC_XY,
    CONIC_YY,
    CUTOFF,
    EXTENT_X,
    EXTENT_Y,
    MEAN_X,
    MEAN_Y,
    tile_columns,
)

_RADIX = 2048  # 11 bits a pass: three passes sort a positive float32 exactly


@kernel()
def order_by_depth(depths, tile_counts, slot_offsets, order, scratch):
    """Visible Gaussians, nearest first, into ``order``; running sum of tile counts into ``slot_offsets`` [N + 1].

    Positive floats sort like their bit patterns. The sort is stable: equal depths keep their index order.
    Returns the number of visible Gaussians.
    """
    keys = depths.view(np.uint32)
    histogram = np.zeros((3, _RADIX), np.int64)
    mask = np.uint32(_RADIX - 1)
    num_visible = 0
    total = 0
    for i in range(depths.shape[0]):
        slot_offsets[i] = total
        total += tile_counts[i]
        if tile_counts[i] > 0:
            order[num_visible] = i
            num_visible += 1
            for digit in range(3):
                histogram[digit, (keys[i] >> np.uint32(11 * digit)) & mask] += 1
    slot_offsets[depths.shape[0]] = total
    for digit in range(3):
        position = 0
        for value in range(_RADIX):
            count = histogram[digit, value]
            histogram[digit, value] = position
            position += count
    for digit in range(3):
        source, target = (order, scratch) if digit != 1 else (scratch, order)
        for j in range(num_visible):
            value = (keys[source[j]] >> np.uint32(11 * digit)) & mask
            target[histogram[digit, value]] = source[j]
            histogram[digit, value] += 1
    for j in range(num_visible):
        order[j] = scratch[j]
    return num_visible


@kernel()
def count_or_place(
    thread, num_threads, placing, projected, tile_rows, slot_offsets, order, num_visible, width, num_tile_columns,
    positions, tile_gaussians, tile_slots,
):  # fmt: skip
    """Count the Gaussians of each tile, or place them, for one thread's share of the depth order.

    Shares are contiguous in depth, and a tile's places are handed out share by share: the result is the same for
    any number of threads.

    positions [num_threads, tiles] int64: counts when counting, next free place when placing.
    tile_gaussians, tile_slots [intersections]: Gaussian of each place, and where its gradient goes.
    """
    mine = positions[thread]
    if not placing:
        mine[:] = 0
    for j in range(num_visible * thread // num_threads, num_visible * (thread + 1) // num_threads):
        i = order[j]
        p = projected[i]
        slot = slot_offsets[i]
        for row in range(tile_rows[i, 0], tile_rows[i, 1] + 1):
            first, last = tile_columns(
                p[MEAN_X], p[MEAN_Y], p[CONIC_XX], p[CONIC_XY], p[CONIC_YY], p[EXTENT_X], p[EXTENT_Y], p[CUTOFF],
                row, width,
            )  # fmt: skip
            for tile in range(row * num_tile_columns + first, row * num_tile_columns + last + 1):
                if placing:
                    tile_gaussians[mine[tile]] = i
                    tile_slots[mine[tile]] = slot
                    slot += 1
                mine[tile] += 1


@kernel()
def assign_places(positions, tile_offsets):
    """Turn counts [threads, tiles] into first places, and the tiles' ranges into ``tile_offsets`` [tiles + 1]."""
    place = 0
    for tile in range(positions.shape[1]):
        tile_offsets[tile] = place
        for thread in range(positions.shape[0]):
            count = positions[thread, tile]
            positions[thread, tile] = place
            place += count
    tile_offsets[positions.shape[1]] = place
