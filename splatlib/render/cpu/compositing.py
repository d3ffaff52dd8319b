"""Tiles to pixels, front to back, and the gradient of it.

A tile's pixels lie in one flat buffer, plane after plane, and a Gaussian touches a contiguous run of whole tile
rows of it: a plain loop without branches, which LLVM turns into vector code. Tiles are narrow, as wide as one AVX
register, since a Gaussian of a few pixels wastes the rest of a row. Unsigned offsets spare it the check for
negative indices.

Alpha is opacity · exp(-½ dᵀQd), at most 0.999, and nothing below 1/255; a pixel is finished once its transmittance
is below 1e-4 (gsplat's constants).
"""

from __future__ import annotations

import math

import numpy as np

from splatlib.render.cpu.binning import TILE_H, TILE_W
from splatlib.render.cpu.jit import inline, kernel

PIXELS = TILE_W * TILE_H
_P1, _P2, _P3, _P4, _P5, _P6 = (np.uint64(PIXELS * k) for k in range(1, 7))

F = np.float32
ZERO, ONE, TWO, HALF = F(0), F(1), F(2), F(0.5)
MIN_ALPHA, MAX_ALPHA, MIN_TRANSMITTANCE = F(1 / 255), F(0.999), F(1e-4)
# How many Gaussians are blended between two looks at whether the whole tile is finished.
_BETWEEN_CHECKS = 16


def _exp_polynomial() -> list[np.float32]:
    """Degree-5 polynomial for exp on [-0.75, 0]: weighted least squares at Chebyshev nodes, relative error 1e-7."""
    nodes = -0.375 * (1 - np.cos(np.pi * (np.arange(400) + 0.5) / 400))
    powers = np.vander(nodes, 6, increasing=True)
    return [F(c) for c in np.linalg.lstsq(powers / np.exp(nodes)[:, None], np.ones(400), rcond=None)[0]]


_E0, _E1, _E2, _E3, _E4, _E5 = _exp_polynomial()
_LOWEST, _EIGHTH = F(-0.75), F(-0.125)


@inline()
def _exp_of_minus(q):
    """exp(-q) for q in [0, 6] as (polynomial of -q/8)⁸: vectorises without a maths library; constant beyond 6.

    exp(-6) < 1/255, so the constant is below what alpha's threshold lets pass.
    """
    u = max(q * _EIGHTH, _LOWEST)
    e = _E0 + u * (_E1 + u * (_E2 + u * (_E3 + u * (_E4 + u * _E5))))
    e = e * e
    e = e * e
    return e * e


@inline()
def _tile_row_span(p, tile_x, tile_y):
    """Rows [begin, end) of the tile at pixel (tile_x, tile_y) that the ellipse of ``p`` reaches in its columns."""
    mean_x, mean_y, conic_xx, conic_xy, conic_yy = p[0], p[1], p[2], p[3], p[4]
    extent_x, extent_y, cutoff = p[9], p[10], p[11]
    low = max(-extent_x, tile_x + HALF - mean_x)
    high = min(extent_x, tile_x + F(TILE_W) - HALF - mean_x)
    dx_of_lowest = -conic_xy / conic_xx * extent_y
    dx_down = min(max(dx_of_lowest, low), high)
    dx_up = min(max(-dx_of_lowest, low), high)
    slope = conic_xy * conic_xy - conic_xx * conic_yy
    root_down = math.sqrt(max(ZERO, slope * dx_down * dx_down + TWO * cutoff * conic_yy))
    root_up = math.sqrt(max(ZERO, slope * dx_up * dx_up + TWO * cutoff * conic_yy))
    bottom = mean_y + (-conic_xy * dx_down + root_down) / conic_yy - tile_y - HALF
    top = mean_y + (-conic_xy * dx_up - root_up) / conic_yy - tile_y - HALF
    return max(0, int(math.ceil(top))), min(TILE_H - 1, int(math.floor(bottom))) + 1


@inline()
def _blend(buffer, start, count, x, y, half_xx, xy, half_yy, opacity, red, green, blue):
    """Planes: transmittance, red, green, blue, pixel x, pixel y."""
    for k in range(count):
        p = start + k
        dx = buffer[p + _P4] - x
        dy = buffer[p + _P5] - y
        alpha = min(MAX_ALPHA, opacity * _exp_of_minus((half_xx * dx + xy * dy) * dx + half_yy * dy * dy))
        transmittance = buffer[p]
        alpha = alpha if alpha >= MIN_ALPHA else ZERO
        alpha = alpha if transmittance >= MIN_TRANSMITTANCE else ZERO
        weight = alpha * transmittance
        buffer[p] = transmittance - weight
        buffer[p + _P1] += weight * red
        buffer[p + _P2] += weight * green
        buffer[p + _P3] += weight * blue


@kernel()
def composite(
    thread, num_threads, projected, tile_gaussians, tile_offsets, num_tile_columns, background, image, transmittances,
    tile_ends,
):  # fmt: skip
    """Blend each tile's Gaussians.

    image [3, H, W], transmittances [H, W]: written. background [3]: seen through what is left.
    tile_ends [tiles]: where each tile stopped, for the backward pass.
    """
    height, width = transmittances.shape
    buffer = np.empty(6 * PIXELS, np.float32)
    for tile in range(thread, tile_ends.shape[0], num_threads):
        tile_x, tile_y = (tile % num_tile_columns) * TILE_W, (tile // num_tile_columns) * TILE_H
        origin_x, origin_y = F(tile_x), F(tile_y)
        for p in range(PIXELS):
            buffer[p] = ONE
            buffer[p + PIXELS] = buffer[p + 2 * PIXELS] = buffer[p + 3 * PIXELS] = ZERO
            buffer[p + 4 * PIXELS] = F(p % TILE_W) + HALF
            buffer[p + 5 * PIXELS] = F(p // TILE_W) + HALF
        place, end = tile_offsets[tile], tile_offsets[tile + 1]
        while place < end:
            stop = min(end, place + _BETWEEN_CHECKS)
            while place < stop:
                g = projected[tile_gaussians[place]]
                first_row, last_row = _tile_row_span(g, origin_x, origin_y)
                if last_row > first_row:
                    _blend(
                        buffer, np.uint64(first_row * TILE_W), np.uint64((last_row - first_row) * TILE_W),
                        g[0] - origin_x, g[1] - origin_y, HALF * g[2], g[3], HALF * g[4], g[5], g[6], g[7], g[8],
                    )  # fmt: skip
                place += 1
            most = ZERO
            for p in range(PIXELS):
                most = max(most, buffer[p])
            if most < MIN_TRANSMITTANCE:
                break
        tile_ends[tile] = place
        for y in range(min(TILE_H, height - tile_y)):
            for x in range(min(TILE_W, width - tile_x)):
                p = y * TILE_W + x
                left = buffer[p]
                image[0, tile_y + y, tile_x + x] = buffer[p + PIXELS] + left * background[0]
                image[1, tile_y + y, tile_x + x] = buffer[p + 2 * PIXELS] + left * background[1]
                image[2, tile_y + y, tile_x + x] = buffer[p + 3 * PIXELS] + left * background[2]
                transmittances[tile_y + y, tile_x + x] = left


@inline()
def _blend_backward(buffer, start, count, x, y, half_xx, xy, half_yy, opacity, red, green, blue):
    """Planes: transmittance, what is still to come, gradient by red, green, blue, pixel x, pixel y.

    "What is still to come" is the gradient times the colour that Gaussians behind this one and the background add;
    with it the pass can run front to back, like the forward one. Returns sums over the pixels: weight · gradient
    (3), dL/d ln alpha (1), and its first and second moments in dx, dy (5).
    """
    v_red = v_green = v_blue = sum_v = sum_x = sum_y = sum_xx = sum_xy = sum_yy = ZERO
    for k in range(count):
        p = start + k
        dx = buffer[p + _P5] - x
        dy = buffer[p + _P6] - y
        unclamped = opacity * _exp_of_minus((half_xx * dx + xy * dy) * dx + half_yy * dy * dy)
        alpha = min(MAX_ALPHA, unclamped)
        transmittance = buffer[p]
        alpha = alpha if alpha >= MIN_ALPHA else ZERO
        alpha = alpha if transmittance >= MIN_TRANSMITTANCE else ZERO
        weight = alpha * transmittance
        g_red, g_green, g_blue = buffer[p + _P2], buffer[p + _P3], buffer[p + _P4]
        g_color = red * g_red + green * g_green + blue * g_blue
        to_come = buffer[p + _P1] - weight * g_color
        buffer[p + _P1] = to_come
        buffer[p] = transmittance - weight
        v_red += weight * g_red
        v_green += weight * g_green
        v_blue += weight * g_blue
        v = (transmittance * g_color - to_come / (ONE - alpha)) * alpha
        v = v if unclamped < MAX_ALPHA else ZERO
        vx, vy = v * dx, v * dy
        sum_v += v
        sum_x += vx
        sum_y += vy
        sum_xx += vx * dx
        sum_xy += vx * dy
        sum_yy += vy * dy
    return v_red, v_green, v_blue, sum_v, sum_x, sum_y, sum_xx, sum_xy, sum_yy


@kernel()
def composite_backward(
    thread, num_threads, projected, tile_gaussians, tile_slots, tile_offsets, tile_ends, num_tile_columns, image,
    transmittances, v_image, v_transmittances, slot_gradients,
):  # fmt: skip
    """Gradient of ``composite`` by the projected Gaussians.

    v_image [3, H, W], v_transmittances [H, W]: gradient by the picture and by what is left.
    slot_gradients [intersections, 9]: written; one row a Gaussian and tile, so that no two threads share one and
        the sum over a Gaussian's rows has a fixed order: results are bitwise repeatable.
    """
    height, width = transmittances.shape
    buffer = np.empty(7 * PIXELS, np.float32)
    for tile in range(thread, tile_ends.shape[0], num_threads):
        tile_x, tile_y = (tile % num_tile_columns) * TILE_W, (tile // num_tile_columns) * TILE_H
        origin_x, origin_y = F(tile_x), F(tile_y)
        for p in range(PIXELS):
            buffer[p] = ONE
            buffer[p + PIXELS] = buffer[p + 2 * PIXELS] = buffer[p + 3 * PIXELS] = buffer[p + 4 * PIXELS] = ZERO
            buffer[p + 5 * PIXELS] = F(p % TILE_W) + HALF
            buffer[p + 6 * PIXELS] = F(p // TILE_W) + HALF
        for y in range(min(TILE_H, height - tile_y)):
            for x in range(min(TILE_W, width - tile_x)):
                p, py, px = y * TILE_W + x, tile_y + y, tile_x + x
                to_come = v_transmittances[py, px] * transmittances[py, px]
                for c in range(3):
                    buffer[p + (2 + c) * PIXELS] = v_image[c, py, px]
                    to_come += v_image[c, py, px] * image[c, py, px]
                buffer[p + PIXELS] = to_come
        for place in range(tile_offsets[tile], tile_offsets[tile + 1]):
            out = slot_gradients[tile_slots[place]]
            g = projected[tile_gaussians[place]]
            first_row, last_row = (0, 0) if place >= tile_ends[tile] else _tile_row_span(g, origin_x, origin_y)
            if last_row <= first_row:
                for k in range(9):
                    out[k] = ZERO
                continue
            xx, xy, yy, opacity = g[2], g[3], g[4], g[5]
            v_red, v_green, v_blue, sum_v, sum_x, sum_y, sum_xx, sum_xy, sum_yy = _blend_backward(
                buffer, np.uint64(first_row * TILE_W), np.uint64((last_row - first_row) * TILE_W),
                g[0] - origin_x, g[1] - origin_y, HALF * xx, xy, HALF * yy, opacity, g[6], g[7], g[8],
            )  # fmt: skip
            out[0], out[1] = xx * sum_x + xy * sum_y, xy * sum_x + yy * sum_y
            out[2], out[3], out[4] = -HALF * sum_xx, -sum_xy, -HALF * sum_yy
            out[5] = sum_v / opacity
            out[6], out[7], out[8] = v_red, v_green, v_blue
