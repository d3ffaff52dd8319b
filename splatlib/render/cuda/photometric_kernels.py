"""L1 + SSIM and its gradient by the rendered picture, in four Triton kernels.

The same arithmetic as splatlib/render/cpu/photometric.py: the 11-tap window is separable, so one pass runs down the
columns and one along the rows, and the two transposed passes spread the derivatives back (the window is symmetric).
SSIM: Wang et al. (2004). Planes are the colour channels of all views, one after the other.
"""

# pyright: reportMissingImports=false, reportIndexIssue=false
# Triton ships with torch for CUDA on Linux; a launch is written kernel[grid](…).

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from splatlib.render import ssim as window

ROWS, COLUMNS = 8, 64  # pixels of one program
W0, W1, W2, W3, W4, W5 = (tl.constexpr(float(w)) for w in window.WINDOW[:6])
C1, C2 = tl.constexpr(window.C1), tl.constexpr(window.C2)


@triton.jit
def _tap(k: tl.constexpr):
    """Weight of the k-th of eleven taps."""
    d: tl.constexpr = k - 5 if k >= 5 else 5 - k
    weights: tl.constexpr = W5 if d == 0 else W4 if d == 1 else W3 if d == 2 else W2 if d == 3 else W1 if d == 4 else W0
    return weights


@triton.jit
def _place(height, width, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Plane, row [ROWS, 1] and column [1, COLUMNS] of this program's pixels."""
    y = tl.program_id(1) * ROWS + tl.arange(0, ROWS)[:, None]
    x = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    return tl.program_id(2), y, x


@triton.jit
def _pair(image, target, mask, plane, y, x, inside, height, width, HAS_MASK: tl.constexpr):
    """Render and photo, masked, at some pixels; 0 outside the picture."""
    at = (plane.to(tl.int64) * height + y) * width + x
    a = tl.load(image + at, inside, 0.0)
    b = tl.load(target + at, inside, 0).to(tl.float32) * (1.0 / 255.0)
    if HAS_MASK:
        m = tl.load(mask + ((plane // 3).to(tl.int64) * height + y) * width + x, inside, 0.0)
        a, b = a * m, b * m
    return a, b


@triton.jit
def _down(
    image, target, mask, moments, height, width, HAS_MASK: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr
):
    """Windowed a, b, a², b², ab down the columns: moments [P, 5, H, W]."""
    plane, y, x = _place(height, width, ROWS, COLUMNS)
    zero = tl.zeros([ROWS, COLUMNS], tl.float32)
    s0, s1, s2, s3, s4 = zero, zero, zero, zero, zero
    for k in tl.static_range(11):
        row = y + (k - 5)
        inside = (row >= 0) & (row < height) & (x < width)
        a, b = _pair(image, target, mask, plane, row, x, inside, height, width, HAS_MASK)
        w = _tap(k)
        s0 += w * a
        s1 += w * b
        s2 += w * a * a
        s3 += w * b * b
        s4 += w * a * b
    size = height * width
    out = moments + plane.to(tl.int64) * 5 * size + y * width + x
    inside = (y < height) & (x < width)
    tl.store(out, s0, inside)
    tl.store(out + size, s1, inside)
    tl.store(out + 2 * size, s2, inside)
    tl.store(out + 3 * size, s3, inside)
    tl.store(out + 4 * size, s4, inside)


@triton.jit
def _across(
    image, target, mask, moments, partials, sums, height, width,
    HAS_MASK: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """SSIM of each pixel and its derivatives by E[a], E[a²], E[ab]: partials [P, 3, H, W]; sums of |a - b| and SSIM."""
    plane, y, x = _place(height, width, ROWS, COLUMNS)
    size = height * width
    base = moments + plane.to(tl.int64) * 5 * size + y * width
    zero = tl.zeros([ROWS, COLUMNS], tl.float32)
    mean_a, mean_b, square_a, square_b, product = zero, zero, zero, zero, zero
    for k in tl.static_range(11):
        column = x + (k - 5)
        inside = (y < height) & (column >= 0) & (column < width)
        w = _tap(k)
        mean_a += w * tl.load(base + column, inside, 0.0)
        mean_b += w * tl.load(base + size + column, inside, 0.0)
        square_a += w * tl.load(base + 2 * size + column, inside, 0.0)
        square_b += w * tl.load(base + 3 * size + column, inside, 0.0)
        product += w * tl.load(base + 4 * size + column, inside, 0.0)
    inside = (y < height) & (x < width)
    var_a, var_b, cov = square_a - mean_a * mean_a, square_b - mean_b * mean_b, product - mean_a * mean_b
    top1, top2 = 2 * mean_a * mean_b + C1, 2 * cov + C2
    low1, low2 = mean_a * mean_a + mean_b * mean_b + C1, var_a + var_b + C2
    inverse = 1.0 / (low1 * low2)
    ssim = top1 * top2 * inverse
    by_square = -ssim / low2  # E[a²] enters var_a alone
    by_product = 2 * top1 * inverse  # E[ab] enters cov alone
    by_mean = 2 * mean_b * top2 * inverse - 2 * mean_a * ssim / low1 - 2 * mean_a * by_square - mean_b * by_product
    a, b = _pair(image, target, mask, plane, y, x, inside, height, width, HAS_MASK)
    if HAS_MASK:
        m = tl.load(mask + ((plane // 3).to(tl.int64) * height + y) * width + x, inside, 0.0)
        ssim, by_mean, by_square, by_product = ssim * m, by_mean * m, by_square * m, by_product * m
    out = partials + plane.to(tl.int64) * 3 * size + y * width + x
    tl.store(out, by_mean, inside)
    tl.store(out + size, by_square, inside)
    tl.store(out + 2 * size, by_product, inside)
    program = (plane * tl.num_programs(1) + tl.program_id(1)) * tl.num_programs(0) + tl.program_id(0)
    tl.store(sums + 2 * program, tl.sum(tl.where(inside, tl.abs(a - b), 0.0)))
    tl.store(sums + 2 * program + 1, tl.sum(tl.where(inside, ssim, 0.0)))


@triton.jit
def _back_down(partials, spread, height, width, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """The partials, windowed down the columns."""
    plane, y, x = _place(height, width, ROWS, COLUMNS)
    size = height * width
    base = plane.to(tl.int64) * 3 * size + x
    zero = tl.zeros([ROWS, COLUMNS], tl.float32)
    s0, s1, s2 = zero, zero, zero
    for k in tl.static_range(11):
        row = y + (k - 5)
        inside = (row >= 0) & (row < height) & (x < width)
        w = _tap(k)
        s0 += w * tl.load(partials + base + row * width, inside, 0.0)
        s1 += w * tl.load(partials + base + size + row * width, inside, 0.0)
        s2 += w * tl.load(partials + base + 2 * size + row * width, inside, 0.0)
    inside = (y < height) & (x < width)
    out = spread + base + y * width
    tl.store(out, s0, inside)
    tl.store(out + size, s1, inside)
    tl.store(out + 2 * size, s2, inside)


@triton.jit
def _back_across(
    image, target, mask, spread, scales, v_image, height, width, l1_weight, ssim_weight,
    HAS_MASK: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """The gradient, written as [C, H, W, 3]: the order in which gsplat wants it."""
    plane, y, x = _place(height, width, ROWS, COLUMNS)
    size = height * width
    base = spread + plane.to(tl.int64) * 3 * size + y * width
    zero = tl.zeros([ROWS, COLUMNS], tl.float32)
    s0, s1, s2 = zero, zero, zero
    for k in tl.static_range(11):
        column = x + (k - 5)
        inside = (y < height) & (column >= 0) & (column < width)
        w = _tap(k)
        s0 += w * tl.load(base + column, inside, 0.0)
        s1 += w * tl.load(base + size + column, inside, 0.0)
        s2 += w * tl.load(base + 2 * size + column, inside, 0.0)
    inside = (y < height) & (x < width)
    a, b = _pair(image, target, mask, plane, y, x, inside, height, width, HAS_MASK)
    sign = tl.where(a > b, 1.0, -1.0)
    gradient = l1_weight * sign - ssim_weight * (s0 + 2 * a * s1 + b * s2)
    gradient *= tl.load(scales + plane // 3)
    if HAS_MASK:
        gradient *= tl.load(mask + ((plane // 3).to(tl.int64) * height + y) * width + x, inside, 0.0)
    tl.store(v_image + (((plane // 3).to(tl.int64) * height + y) * width + x) * 3 + plane % 3, gradient, inside)


def loss_and_gradient(image: Tensor, target: Tensor, mask: Tensor | None, ssim_weight: float) -> tuple[Tensor, Tensor]:
    """The loss, a mean over views of the means over unmasked pixels, and its gradient [C, 3, H, W].

    Args:
        image: [C, 3, H, W] float32. target: [C, 3, H, W] uint8, contiguous. mask: [C, H, W] float32 or None.
    """
    num_views, _, height, width = image.shape
    planes = 3 * num_views
    image = image.contiguous()
    grid = triton.cdiv(width, COLUMNS), triton.cdiv(height, ROWS), planes
    moments, partials = image.new_empty(planes, 5, height, width), image.new_empty(planes, 3, height, width)
    spread, sums = torch.empty_like(partials), image.new_empty(num_views, 3 * grid[0] * grid[1], 2)
    v_image = image.new_empty(num_views, height, width, 3)
    if mask is None:
        scales = image.new_full((num_views,), 1 / (planes * height * width))
    else:
        mask = mask.contiguous()
        scales = 1 / (planes * mask.sum(dim=(1, 2)).clamp(min=1.0))
    options = {"HAS_MASK": mask is not None, "ROWS": ROWS, "COLUMNS": COLUMNS}
    weights = mask if mask is not None else image  # never read without a mask
    _down[grid](image, target, weights, moments, height, width, **options)
    _across[grid](image, target, weights, moments, partials, sums, height, width, **options)
    _back_down[grid](partials, spread, height, width, ROWS=ROWS, COLUMNS=COLUMNS)
    _back_across[grid](
        image, target, weights, spread, scales, v_image, height, width, 1 - ssim_weight, ssim_weight, **options
    )
    per_view = sums.sum(dim=1)
    terms = (1 - ssim_weight) * per_view[:, 0] - ssim_weight * per_view[:, 1]
    return (terms * scales).sum() + ssim_weight, v_image.permute(0, 3, 1, 2)
