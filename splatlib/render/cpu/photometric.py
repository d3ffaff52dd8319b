"""L1 + SSIM and its gradient by the rendered picture, fused for the CPU.

The windowed means of SSIM are separable: a vertical pass into scratch rows, a horizontal pass that also forms the
partial derivatives, and the two transposed passes that spread them back (the window is symmetric). Zero padding. Masked
pixels count as black in both pictures, and nothing is learned from them.
SSIM: Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity" (2004), 11x11 Gaussian
window of sigma 1.5, on values in [0, 1].
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from splatlib.render.cpu.jit import inline, kernel
from splatlib.render.cpu.threads import ThreadPool

F = np.float32
FloatArray = npt.NDArray[np.float32]
ZERO, ONE, TWO = F(0), F(1), F(2)
C1, C2 = F(0.01**2), F(0.03**2)
RADIUS = 5
INV_255 = F(1 / 255)


def _window() -> FloatArray:
    weights = np.exp(-((np.arange(11) - 5.0) ** 2) / (2 * 1.5**2))
    return (weights / weights.sum()).astype(np.float32)


WINDOW = _window()
W0, W1, W2, W3, W4, W5 = (F(w) for w in WINDOW[:6])


@inline()
def _across(row, x):
    """Windowed sum of a padded row, centred on unpadded column x."""
    return (
        W5 * row[x + 5] + W0 * (row[x] + row[x + 10]) + W1 * (row[x + 1] + row[x + 9])
        + W2 * (row[x + 2] + row[x + 8]) + W3 * (row[x + 3] + row[x + 7]) + W4 * (row[x + 4] + row[x + 6])
    )  # fmt: skip


@kernel()
def _moments(begin, end, image, target, mask, down, partials, ssim_sums):
    """SSIM of each row (channel-major), and its partial derivatives by E[x], E[x²], E[xy], times the mask.

    down [threads' rows, 5, W + 10] is scratch, one row a picture row; partials [3, rows, W + 10] padded by zeros.
    """
    height, width = image.shape[1], image.shape[2]
    for row in range(begin, end):
        c, y = row // height, row % height
        d0, d1, d2, d3, d4 = down[row, 0], down[row, 1], down[row, 2], down[row, 3], down[row, 4]
        d0[:] = ZERO
        d1[:] = ZERO
        d2[:] = ZERO
        d3[:] = ZERO
        d4[:] = ZERO
        for other in range(max(0, y - RADIUS), min(height, y + RADIUS + 1)):
            weight = WINDOW[other - y + RADIUS]
            source_a, source_b, mask_row = image[c, other], target[c, other], mask[other]
            for x in range(width):
                a, b = mask_row[x] * source_a[x], mask_row[x] * (F(source_b[x]) * INV_255)
                wa, wb = weight * a, weight * b
                d0[x + 5] += wa
                d1[x + 5] += wb
                d2[x + 5] += wa * a
                d3[x + 5] += wb * b
                d4[x + 5] += wa * b
        p0, p1, p2 = partials[0, row], partials[1, row], partials[2, row]
        for x in range(RADIUS):
            p0[x] = p1[x] = p2[x] = ZERO
            p0[width + 5 + x] = p1[width + 5 + x] = p2[width + 5 + x] = ZERO
        mask_row = mask[y]
        total = ZERO
        for x in range(width):
            a, b, aa, bb, ab = _across(d0, x), _across(d1, x), _across(d2, x), _across(d3, x), _across(d4, x)
            numerator1, numerator2 = TWO * a * b + C1, TWO * (ab - a * b) + C2
            inverse1, inverse2 = ONE / (a * a + b * b + C1), ONE / (aa - a * a + bb - b * b + C2)
            ssim = numerator1 * numerator2 * inverse1 * inverse2
            by_aa = -ssim * inverse2
            by_ab = TWO * numerator1 * inverse1 * inverse2
            by_a = TWO * b * numerator2 * inverse1 * inverse2 - TWO * a * ssim * inverse1 - TWO * a * by_aa - b * by_ab
            m = mask_row[x]
            total += m * ssim
            p0[x + 5], p1[x + 5], p2[x + 5] = m * by_a, m * by_aa, m * by_ab
        ssim_sums[row] = total


@kernel()
def _partials_across(begin, end, partials, down):
    """Horizontal transposed pass, into the scratch rows."""
    width = partials.shape[2] - 2 * RADIUS
    for row in range(begin, end):
        for k in range(3):
            source, target = partials[k, row], down[row, k]
            for x in range(width):
                target[x] = _across(source, x)


@kernel()
def _gradients(begin, end, image, target, mask, down, l1_scale, ssim_scale, v_image, scratch, l1_sums):
    """Vertical transposed pass, and the gradient of the whole loss. scratch [rows, 3, W]."""
    height, width = image.shape[1], image.shape[2]
    for row in range(begin, end):
        c, y = row // height, row % height
        s0, s1, s2 = scratch[row, 0], scratch[row, 1], scratch[row, 2]
        s0[:] = ZERO
        s1[:] = ZERO
        s2[:] = ZERO
        for other in range(max(0, y - RADIUS), min(height, y + RADIUS + 1)):
            weight = WINDOW[other - y + RADIUS]
            base = row + other - y
            d0, d1, d2 = down[base, 0], down[base, 1], down[base, 2]
            for x in range(width):
                s0[x] += weight * d0[x]
                s1[x] += weight * d1[x]
                s2[x] += weight * d2[x]
        source_a, source_b, mask_row, out = image[c, y], target[c, y], mask[y], v_image[c, y]
        total = ZERO
        for x in range(width):
            m = mask_row[x]
            a, b = m * source_a[x], m * (F(source_b[x]) * INV_255)
            total += abs(a - b)
            sign = ONE if a > b else -ONE
            out[x] = m * (l1_scale * sign + ssim_scale * (s0[x] + TWO * a * s1[x] + b * s2[x]))
        l1_sums[row] = total


class PhotometricLoss:
    """Computes the loss and its gradient; keeps its scratch arrays from call to call."""

    def __init__(self, pool: ThreadPool) -> None:
        self.pool = pool
        self._scratch: dict[tuple[int, ...], tuple[FloatArray, FloatArray, FloatArray]] = {}
        self._ones: dict[tuple[int, int], FloatArray] = {}

    def __call__(
        self,
        image: FloatArray,
        target: npt.NDArray[np.uint8],
        mask: FloatArray | None,
        ssim_weight: float,
    ) -> tuple[float, float, FloatArray]:
        """Loss, L1 alone, and gradient by the image.

        image [3, H, W], target [3, H, W] uint8, mask [H, W] or None. Means are over unmasked pixels.
        """
        channels, height, width = image.shape
        if mask is None:
            mask = self._ones.setdefault((height, width), np.ones((height, width), np.float32))
            area = float(height * width)
        else:
            area = max(float(mask.sum()), 1.0)
        rows = channels * height
        if image.shape not in self._scratch:
            self._scratch[image.shape] = (
                np.zeros((rows, 5, width + 2 * RADIUS), np.float32),
                np.zeros((3, rows, width + 2 * RADIUS), np.float32),
                np.zeros((rows, 3, width), np.float32),
            )
        down, partials, scratch = self._scratch[image.shape]
        ssim_sums, l1_sums = np.empty(rows, np.float32), np.empty(rows, np.float32)
        count = area * channels
        v_image = np.empty_like(image)
        self.pool.over_range(_moments, rows, image, target, mask, down, partials, ssim_sums)
        self.pool.over_range(_partials_across, rows, partials, down)
        l1_scale, ssim_scale = F((1 - ssim_weight) / count), F(-ssim_weight / count)
        self.pool.over_range(
            _gradients, rows, image, target, mask, down, l1_scale, ssim_scale, v_image, scratch, l1_sums
        )
        l1 = float(l1_sums.sum(dtype=np.float64)) / count
        ssim = float(ssim_sums.sum(dtype=np.float64)) / count
        return (1 - ssim_weight) * l1 + ssim_weight * (1 - ssim), l1, v_image
