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

from splatlib.render import ssim
from splatlib.render.cpu.jit import inline, kernel
from splatlib.render.cpu.threads import ThreadPool

F = np.float32
FloatArray = npt.NDArray[np.float32]
ZERO, ONE, TWO = F(0), F(1), F(2)
C1, C2 = F(ssim.C1), F(ssim.C2)
RADIUS = ssim.RADIUS_PX
INV_255 = F(1 / 255)


WINDOW = ssim.WINDOW
W0, W1, W2, W3, W4, W5 = (F(w) for w in WINDOW[:6])


@inline()
def _across(row, x):
    """Windowed sum of a padded row, centred on unpadded column x."""
    return (
        W5 * row[x + 5] + W0 * (row[x] + row[x + 10]) + W1 * (row[x + 1] + row[x + 9])
        + W2 * (row[x + 2] + row[x + 8]) + W3 * (row[x + 3] + row[x + 7]) + W4 * (row[x + 4] + row[x + 6])
    )  # fmt: skip


@kernel()
def _products(begin, end, image, target, mask, products):
    """x, y, x², y², xy of each row (channel-major), masked: products [rows, 5, W + 10], padded by zeros."""
    height, width = image.shape[1], image.shape[2]
    for row in range(begin, end):
        c, y = row // height, row % height
        source_a, source_b, mask_row = image[c, y], target[c, y], mask[y]
        p0, p1, p2, p3, p4 = products[row, 0], products[row, 1], products[row, 2], products[row, 3], products[row, 4]
        for x in range(width):
            a, b = mask_row[x] * source_a[x], mask_row[x] * (F(source_b[x]) * INV_255)
            p0[x + 5], p1[x + 5], p2[x + 5], p3[x + 5], p4[x + 5] = a, b, a * a, b * b, a * b


@kernel()
def _moments(begin, end, products, mask, partials, ssim_sums):
    """SSIM of each row, and its partial derivatives by E[x], E[x²], E[xy], times the mask.

    partials [3, rows, W + 10] stay padded by zeros. The loops are apart since LLVM vectorises none of them together.
    """
    height, width = mask.shape
    down = np.empty(5 * (width + 2 * RADIUS), np.float32)
    planes = down.reshape(5, width + 2 * RADIUS)
    means = np.empty((5, width), np.float32)
    for row in range(begin, end):
        y = row % height
        down[:] = ZERO
        for other in range(max(0, y - RADIUS), min(height, y + RADIUS + 1)):
            weight = WINDOW[other - y + RADIUS]
            source = products[row + other - y].reshape(-1)
            for k in range(down.shape[0]):
                down[k] += weight * source[k]
        for k in range(5):
            plane, mean = planes[k], means[k]
            for x in range(width):
                mean[x] = _across(plane, x)
        p0, p1, p2, mask_row = partials[0, row], partials[1, row], partials[2, row], mask[y]
        total = ZERO
        for x in range(width):
            a, b, aa, bb, ab = means[0, x], means[1, x], means[2, x], means[3, x], means[4, x]
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
def _partials_across(begin, end, partials, across):
    """Horizontal transposed pass: across [rows, 3, W]."""
    width = across.shape[2]
    for row in range(begin, end):
        for k in range(3):
            source, target = partials[k, row], across[row, k]
            for x in range(width):
                target[x] = _across(source, x)


@kernel()
def _gradients(begin, end, image, target, mask, across, l1_scale, ssim_scale, v_image, l1_sums):
    """Vertical transposed pass, and the gradient of the whole loss."""
    height, width = image.shape[1], image.shape[2]
    down = np.empty(3 * width, np.float32)
    for row in range(begin, end):
        c, y = row // height, row % height
        down[:] = ZERO
        for other in range(max(0, y - RADIUS), min(height, y + RADIUS + 1)):
            weight = WINDOW[other - y + RADIUS]
            source = across[row + other - y].reshape(-1)
            for k in range(down.shape[0]):
                down[k] += weight * source[k]
        s0, s1, s2 = down[:width], down[width : 2 * width], down[2 * width :]
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
        self._scratch: dict[tuple[int, ...], tuple[FloatArray, ...]] = {}
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
            if (height, width) not in self._ones:
                self._ones[height, width] = np.ones((height, width), np.float32)
            mask, area = self._ones[height, width], float(height * width)
        else:
            area = max(float(mask.sum()), 1.0)
        rows = channels * height
        if image.shape not in self._scratch:
            padded = width + 2 * RADIUS
            shapes = (rows, 5, padded), (3, rows, padded), (rows, 3, width)
            self._scratch[image.shape] = tuple(np.zeros(shape, np.float32) for shape in shapes)
        products, partials, across = self._scratch[image.shape]
        ssim_sums, l1_sums = np.empty(rows, np.float32), np.empty(rows, np.float32)
        count = area * channels
        v_image = np.empty_like(image)
        self.pool.over_range(_products, rows, image, target, mask, products)
        self.pool.over_range(_moments, rows, products, mask, partials, ssim_sums)
        self.pool.over_range(_partials_across, rows, partials, across)
        l1_scale, ssim_scale = F((1 - ssim_weight) / count), F(-ssim_weight / count)
        self.pool.over_range(_gradients, rows, image, target, mask, across, l1_scale, ssim_scale, v_image, l1_sums)
        l1 = float(l1_sums.sum(dtype=np.float64)) / count
        similarity = float(ssim_sums.sum(dtype=np.float64)) / count
        return (1 - ssim_weight) * l1 + ssim_weight * (1 - similarity), l1, v_image
