"""Which Gaussians touch which tile, front to back: a radix sort by depth, then a counting sort by tile."""

from __future__ import annotations

import math

import numpy as np

from splatlib.render.cpu.jit import inline, kernel
from splatlib.render.cpu.projection import (
    CONIC_XX,
    CONIC_XY,
    CONIC_YY,
    CUTOFF,
    EXTENT_X,
    EXTENT_Y,
    MEAN_X,
    MEAN_Y,
)

TILE_W, TILE_H = 8, 16  # pixels; 16x16 took 10 % longer, 8x32 the same
F = np.float32
ZERO, TWO, HALF = F(0), F(2), F(0.5)
_RADIX = 2048  # 11 bits a pass: three passes sort a positive float32 exactly


@inline()
def _tile_columns(mean_x, mean_y, conic_xx, conic_xy, conic_yy, extent_x, extent_y, cutoff, tile_row, width):
    """First and last tile column that the ellipse covers with a pixel centre in a row of tiles; (0, -1): none.

    The ellipse is ½ dᵀ Q d = cutoff. Within the row's band of dy its widest chord ends where dy is nearest to
    that of the ellipse's right- or leftmost point.
    """
    low = max(-extent_y, F(tile_row * TILE_H) + HALF - mean_y)
    high = min(extent_y, F(tile_row * TILE_H + TILE_H) - HALF - mean_y)
    if low > high:
        return 0, -1
    dy_of_rightmost = -conic_xy / conic_yy * extent_x
    dy_right = min(max(dy_of_rightmost, low), high)
    dy_left = min(max(-dy_of_rightmost, low), high)
    slope = conic_xy * conic_xy - conic_xx * conic_yy
    root_right = math.sqrt(max(ZERO, slope * dy_right * dy_right + TWO * cutoff * conic_xx))
    root_left = math.sqrt(max(ZERO, slope * dy_left * dy_left + TWO * cutoff * conic_xx))
    right = mean_x + (-conic_xy * dy_right + root_right) / conic_xx
    left = mean_x + (-conic_xy * dy_left - root_left) / conic_xx
    first_pixel = max(0, int(math.ceil(left - HALF)))
    last_pixel = min(int(width) - 1, int(math.floor(right - HALF)))
    if last_pixel < first_pixel:
        return 0, -1
    return first_pixel // TILE_W, last_pixel // TILE_W


@kernel()
def count_tiles(begin, end, projected, visible, width, height, tile_rows, tile_counts):
    """First and last tile row of each Gaussian, tile_rows [N, 2] int32, and how many tiles it touches, [N] int32."""
    for i in range(begin, end):
        tile_counts[i] = 0
        if not visible[i]:
            continue
        p = projected[i]
        first_pixel = max(0, int(math.ceil(p[MEAN_Y] - p[EXTENT_Y] - HALF)))
        last_pixel = min(int(height) - 1, int(math.floor(p[MEAN_Y] + p[EXTENT_Y] - HALF)))
        if last_pixel < first_pixel:
            continue
        tile_rows[i, 0], tile_rows[i, 1] = first_pixel // TILE_H, last_pixel // TILE_H
        for row in range(tile_rows[i, 0], tile_rows[i, 1] + 1):
            first, last = _tile_columns(
                p[MEAN_X], p[MEAN_Y], p[CONIC_XX], p[CONIC_XY], p[CONIC_YY], p[EXTENT_X], p[EXTENT_Y], p[CUTOFF],
                row, width,
            )  # fmt: skip
            tile_counts[i] += last - first + 1


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
            first, last = _tile_columns(
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
