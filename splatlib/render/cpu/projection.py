"""Each Gaussian onto the picture, and its gradient back: EWA splatting with spherical-harmonics colour.

Method: Zwicker et al., "EWA Splatting" (2002), as in 3D Gaussian Splatting (Kerbl et al. 2023), with gsplat's
conventions: pixel centres at half integers, 0.3 px² added to the screen covariance, the Jacobian's position clamped
to 1.3 times the view. The vector-Jacobian product follows Ye & Kanazawa, "Mathematical Supplement for the gsplat
Library" (2023).

Arrays (float32 unless said):
    means [N, 3], log_scales [N, 3], quats [N, 4] wxyz, opacity_logits [N], sh0 [N, 1, 3], sh_rest [N, K, 3].
    camera [22]: cam_from_world rotation row by row (0–8), translation (9–11), fx fy cx cy (12–15), width height
        (16–17), camera centre in the world (18–20), depth of the near plane (21).
    projected [N, 12]: columns as named by the constants below.
"""

from __future__ import annotations

import math

import numpy as np

from splatlib.render.cpu.jit import inline, kernel

# Columns of ``projected``: the centre and the conic (inverse covariance), pixels; the opacity; the colour;
# the half-width and half-height of the ellipse outside of which alpha < 1/255; ln(255 · opacity), which is
# the exponent at that ellipse.
MEAN_X, MEAN_Y, CONIC_XX, CONIC_XY, CONIC_YY, OPACITY, RED, GREEN, BLUE, EXTENT_X, EXTENT_Y, CUTOFF = range(12)
# Sums of ``compositing``'s gradient over the tiles of a Gaussian; XY is the sum of both off-diagonal entries.
G_MEAN_X, G_MEAN_Y, G_CONIC_XX, G_CONIC_XY, G_CONIC_YY, G_OPACITY, G_RED, G_GREEN, G_BLUE = range(9)

F = np.float32
ZERO, ONE, TWO, HALF = F(0), F(1), F(2), F(0.5)
EPS2D = F(0.3)
VIEW_MARGIN = F(0.3)
MIN_ALPHA = F(1 / 255)
TINY = F(1e-12)
INV_MIN_ALPHA = F(255)


@inline()
def _rotation(w, x, y, z):
    """Rotation matrix of a unit quaternion, row by row."""
    return (
        ONE - TWO * (y * y + z * z), TWO * (x * y - w * z), TWO * (x * z + w * y),
        TWO * (x * y + w * z), ONE - TWO * (x * x + z * z), TWO * (y * z - w * x),
        TWO * (x * z - w * y), TWO * (y * z + w * x), ONE - TWO * (x * x + y * y),
    )  # fmt: skip


@inline()
def _clamped_slopes(camera, x, y, z):
    """x/z and y/z, clamped to the widened view, and whether each was inside."""
    fx, fy, cx, cy, width, height = camera[12], camera[13], camera[14], camera[15], camera[16], camera[17]
    margin_x = VIEW_MARGIN * HALF * width / fx
    margin_y = VIEW_MARGIN * HALF * height / fy
    slope_x, slope_y = x / z, y / z
    clamped_x = min((width - cx) / fx + margin_x, max(-cx / fx - margin_x, slope_x))
    clamped_y = min((height - cy) / fy + margin_y, max(-cy / fy - margin_y, slope_y))
    return clamped_x, clamped_y, clamped_x == slope_x, clamped_y == slope_y


@inline()
def _screen_from_world(camera, slope_x, slope_y, inv_z):
    """The 2x3 matrix T = J W: derivative of the pixel position by the world position."""
    j00, j11 = camera[12] * inv_z, camera[13] * inv_z
    j02, j12 = -j00 * slope_x, -j11 * slope_y
    return (
        j00 * camera[0] + j02 * camera[6], j00 * camera[1] + j02 * camera[7], j00 * camera[2] + j02 * camera[8],
        j11 * camera[3] + j12 * camera[6], j11 * camera[4] + j12 * camera[7], j11 * camera[5] + j12 * camera[8],
    )  # fmt: skip


@inline()
def _sh_basis(degree, x, y, z, basis):
    """Real spherical harmonics Y_1 … of a unit direction into basis[0 …], in the order and signs of 3DGS.

    Polynomials: Sloan, "Efficient Spherical Harmonic Evaluation" (2013).
    """
    if degree < 1:
        return
    c1 = F(0.4886025119029199)
    basis[0], basis[1], basis[2] = -c1 * y, c1 * z, -c1 * x
    if degree < 2:
        return
    xx, yy, zz = x * x, y * y, z * z
    basis[3] = F(1.0925484305920792) * x * y
    basis[4] = F(-1.0925484305920792) * y * z
    basis[5] = F(0.31539156525252005) * (TWO * zz - xx - yy)
    basis[6] = F(-1.0925484305920792) * x * z
    basis[7] = F(0.5462742152960396) * (xx - yy)
    if degree < 3:
        return
    basis[8] = F(-0.5900435899266435) * y * (F(3) * xx - yy)
    basis[9] = F(2.890611442640554) * x * y * z
    basis[10] = F(-0.4570457994644658) * y * (F(4) * zz - xx - yy)
    basis[11] = F(0.3731763325901154) * z * (TWO * zz - F(3) * xx - F(3) * yy)
    basis[12] = F(-0.4570457994644658) * x * (F(4) * zz - xx - yy)
    basis[13] = F(1.445305721320277) * z * (xx - yy)
    basis[14] = F(-0.5900435899266435) * x * (xx - F(3) * yy)


@inline()
def _sh_direction_gradient(degree, x, y, z, w):
    """Gradient of Σ_k w[k] Y_{k+1}(x, y, z) by x, y, z, of the same polynomials."""
    c1 = F(0.4886025119029199)
    gx, gy, gz = -c1 * w[2], -c1 * w[0], c1 * w[1]
    if degree > 1:
        a, b, c = F(1.0925484305920792), F(0.31539156525252005), F(1.0925484305920792)
        gx += a * y * w[3] - TWO * b * x * w[5] - a * z * w[6] + c * x * w[7]
        gy += a * x * w[3] - a * z * w[4] - TWO * b * y * w[5] - c * y * w[7]
        gz += -a * y * w[4] + F(4) * b * z * w[5] - a * x * w[6]
    if degree > 2:
        xx, yy, zz = x * x, y * y, z * z
        d, e, f = F(0.5900435899266435), F(2.890611442640554), F(0.4570457994644658)
        g, h = F(0.3731763325901154), F(1.445305721320277)
        gx += -F(6) * d * x * y * w[8] + e * y * z * w[9] + TWO * f * x * y * w[10] - F(6) * g * x * z * w[11]
        gx += -f * (F(4) * zz - F(3) * xx - yy) * w[12] + TWO * h * x * z * w[13] - F(3) * d * (xx - yy) * w[14]
        gy += -F(3) * d * (xx - yy) * w[8] + e * x * z * w[9] - f * (F(4) * zz - xx - F(3) * yy) * w[10]
        gy += -F(6) * g * y * z * w[11] + TWO * f * x * y * w[12] - TWO * h * y * z * w[13] + F(6) * d * x * y * w[14]
        gz += e * x * y * w[9] - F(8) * f * y * z * w[10] + F(3) * g * (TWO * zz - xx - yy) * w[11]
        gz += -F(8) * f * x * z * w[12] + h * (xx - yy) * w[13]
    return gx, gy, gz


@kernel()
def project(
    begin, end, means, log_scales, quats, opacity_logits, sh0, sh_rest, degree, camera,
    projected, depths, visible,
):  # fmt: skip
    """Project Gaussians begin … end-1; those out of sight get ``visible`` False and nothing else."""
    basis = np.zeros(15, np.float32)
    num_rest = (degree + 1) * (degree + 1) - 1
    fx, fy, cx, cy, width, height = camera[12], camera[13], camera[14], camera[15], camera[16], camera[17]
    for i in range(begin, end):
        visible[i] = False
        mx, my, mz = means[i, 0], means[i, 1], means[i, 2]
        x = camera[0] * mx + camera[1] * my + camera[2] * mz + camera[9]
        y = camera[3] * mx + camera[4] * my + camera[5] * mz + camera[10]
        z = camera[6] * mx + camera[7] * my + camera[8] * mz + camera[11]
        opacity = ONE / (ONE + math.exp(-opacity_logits[i]))
        if not (z > camera[21] and opacity > MIN_ALPHA):  # so written, NaN is culled too
            continue
        inv_z = ONE / z
        mean_x, mean_y = fx * x * inv_z + cx, fy * y * inv_z + cy

        # Screen covariance T R S Sᵀ Rᵀ Tᵀ = U Uᵀ
        slope_x, slope_y, _, _ = _clamped_slopes(camera, x, y, z)
        t00, t01, t02, t10, t11, t12 = _screen_from_world(camera, slope_x, slope_y, inv_z)
        qw, qx, qy, qz = quats[i, 0], quats[i, 1], quats[i, 2], quats[i, 3]
        inv_norm = ONE / math.sqrt(qw * qw + qx * qx + qy * qy + qz * qz + TINY)
        r00, r01, r02, r10, r11, r12, r20, r21, r22 = _rotation(
            qw * inv_norm, qx * inv_norm, qy * inv_norm, qz * inv_norm
        )
        s0, s1, s2 = math.exp(log_scales[i, 0]), math.exp(log_scales[i, 1]), math.exp(log_scales[i, 2])
        u00, u10 = (t00 * r00 + t01 * r10 + t02 * r20) * s0, (t10 * r00 + t11 * r10 + t12 * r20) * s0
        u01, u11 = (t00 * r01 + t01 * r11 + t02 * r21) * s1, (t10 * r01 + t11 * r11 + t12 * r21) * s1
        u02, u12 = (t00 * r02 + t01 * r12 + t02 * r22) * s2, (t10 * r02 + t11 * r12 + t12 * r22) * s2
        cov_xx = u00 * u00 + u01 * u01 + u02 * u02 + EPS2D
        cov_xy = u00 * u10 + u01 * u11 + u02 * u12
        cov_yy = u10 * u10 + u11 * u11 + u12 * u12 + EPS2D
        det = cov_xx * cov_yy - cov_xy * cov_xy
        if not det > TINY:
            continue
        inv_det = ONE / det
        conic_xx, conic_xy, conic_yy = cov_yy * inv_det, -cov_xy * inv_det, cov_xx * inv_det

        # On the picture?
        cutoff = math.log(opacity * INV_MIN_ALPHA)
        extent_x, extent_y = math.sqrt(TWO * cutoff * cov_xx), math.sqrt(TWO * cutoff * cov_yy)
        if not (
            mean_x + extent_x > ZERO and mean_x - extent_x < width
            and mean_y + extent_y > ZERO and mean_y - extent_y < height
        ):  # fmt: skip
            continue

        # Colour
        red = F(0.28209479177387814) * sh0[i, 0, 0] + HALF
        green = F(0.28209479177387814) * sh0[i, 0, 1] + HALF
        blue = F(0.28209479177387814) * sh0[i, 0, 2] + HALF
        if degree > 0:
            dx, dy, dz = mx - camera[18], my - camera[19], mz - camera[20]
            inv_length = ONE / math.sqrt(dx * dx + dy * dy + dz * dz + TINY)
            _sh_basis(degree, dx * inv_length, dy * inv_length, dz * inv_length, basis)
            for k in range(num_rest):
                red += basis[k] * sh_rest[i, k, 0]
                green += basis[k] * sh_rest[i, k, 1]
                blue += basis[k] * sh_rest[i, k, 2]

        out = projected[i]
        out[MEAN_X], out[MEAN_Y] = mean_x, mean_y
        out[CONIC_XX], out[CONIC_XY], out[CONIC_YY] = conic_xx, conic_xy, conic_yy
        out[OPACITY], out[CUTOFF] = opacity, cutoff
        out[RED], out[GREEN], out[BLUE] = max(red, ZERO), max(green, ZERO), max(blue, ZERO)
        out[EXTENT_X], out[EXTENT_Y] = extent_x, extent_y
        depths[i] = z
        visible[i] = True


@kernel()
def project_backward(
    begin, end, means, log_scales, quats, opacity_logits, sh0, sh_rest, degree, camera, projected,
    slot_offsets, slot_gradients, depth_gradients, v_means, v_log_scales, v_quats, v_opacity_logits, v_sh0,
    v_sh_rest, v_means2d,
):  # fmt: skip
    """Sum each Gaussian's gradient over its tiles and carry it back to the parameters.

    Every row of the v_ arrays is written: zeros where the Gaussian was not seen. ``depth_gradients`` [N] are added
    gradients by the camera-space depth (all zero without a depth picture). ``v_means2d`` [N, 2] is the gradient by
    the projected centre, pixels, which densification reads.
    """
    basis = np.zeros(15, np.float32)
    weights = np.zeros(15, np.float32)
    num_rest = (degree + 1) * (degree + 1) - 1
    fx, fy = camera[12], camera[13]
    for i in range(begin, end):
        for k in range(sh_rest.shape[1]):
            v_sh_rest[i, k, 0] = v_sh_rest[i, k, 1] = v_sh_rest[i, k, 2] = ZERO
        if slot_offsets[i] == slot_offsets[i + 1]:
            for k in range(3):
                v_means[i, k] = v_log_scales[i, k] = v_sh0[i, 0, k] = ZERO
            v_quats[i, 0] = v_quats[i, 1] = v_quats[i, 2] = v_quats[i, 3] = ZERO
            v_opacity_logits[i] = v_means2d[i, 0] = v_means2d[i, 1] = ZERO
            continue
        g0 = g1 = g2 = g3 = g4 = g5 = g6 = g7 = g8 = ZERO
        for slot in range(slot_offsets[i], slot_offsets[i + 1]):
            g = slot_gradients[slot]
            g0 += g[0]
            g1 += g[1]
            g2 += g[2]
            g3 += g[3]
            g4 += g[4]
            g5 += g[5]
            g6 += g[6]
            g7 += g[7]
            g8 += g[8]
        v_means2d[i, 0], v_means2d[i, 1] = g0, g1

        # Forward quantities again
        mx, my, mz = means[i, 0], means[i, 1], means[i, 2]
        x = camera[0] * mx + camera[1] * my + camera[2] * mz + camera[9]
        y = camera[3] * mx + camera[4] * my + camera[5] * mz + camera[10]
        z = camera[6] * mx + camera[7] * my + camera[8] * mz + camera[11]
        inv_z = ONE / z
        slope_x, slope_y, inside_x, inside_y = _clamped_slopes(camera, x, y, z)
        t00, t01, t02, t10, t11, t12 = _screen_from_world(camera, slope_x, slope_y, inv_z)
        inv_norm = ONE / math.sqrt(
            quats[i, 0] * quats[i, 0] + quats[i, 1] * quats[i, 1] + quats[i, 2] * quats[i, 2]
            + quats[i, 3] * quats[i, 3] + TINY
        )  # fmt: skip
        qw, qx, qy, qz = quats[i, 0] * inv_norm, quats[i, 1] * inv_norm, quats[i, 2] * inv_norm, quats[i, 3] * inv_norm
        r00, r01, r02, r10, r11, r12, r20, r21, r22 = _rotation(qw, qx, qy, qz)
        s0, s1, s2 = math.exp(log_scales[i, 0]), math.exp(log_scales[i, 1]), math.exp(log_scales[i, 2])
        n00, n10 = t00 * r00 + t01 * r10 + t02 * r20, t10 * r00 + t11 * r10 + t12 * r20
        n01, n11 = t00 * r01 + t01 * r11 + t02 * r21, t10 * r01 + t11 * r11 + t12 * r21
        n02, n12 = t00 * r02 + t01 * r12 + t02 * r22, t10 * r02 + t11 * r12 + t12 * r22

        # Conic Q = Σ⁻¹: the covariance's gradient is -Q G Q, with G the symmetric gradient by Q
        a, b, c = projected[i, CONIC_XX], projected[i, CONIC_XY], projected[i, CONIC_YY]
        g3 *= HALF
        p00, p01, p10, p11 = a * g2 + b * g3, a * g3 + b * g4, b * g2 + c * g3, b * g3 + c * g4
        v_xx, v_xy, v_yy = -(p00 * a + p01 * b), -(p00 * b + p01 * c), -(p10 * b + p11 * c)

        # Σ = N S² Nᵀ with N = T R: dL/dU = 2 V U, with U = N S
        w00, w10 = TWO * (v_xx * n00 + v_xy * n10) * s0, TWO * (v_xy * n00 + v_yy * n10) * s0
        w01, w11 = TWO * (v_xx * n01 + v_xy * n11) * s1, TWO * (v_xy * n01 + v_yy * n11) * s1
        w02, w12 = TWO * (v_xx * n02 + v_xy * n12) * s2, TWO * (v_xy * n02 + v_yy * n12) * s2
        v_log_scales[i, 0] = (w00 * n00 + w10 * n10) * s0
        v_log_scales[i, 1] = (w01 * n01 + w11 * n11) * s1
        v_log_scales[i, 2] = (w02 * n02 + w12 * n12) * s2
        w00 *= s0
        w10 *= s0
        w01 *= s1
        w11 *= s1
        w02 *= s2
        w12 *= s2

        # N = T R: dL/dT = W Rᵀ, dL/dR = Tᵀ W
        v_t00, v_t10 = w00 * r00 + w01 * r01 + w02 * r02, w10 * r00 + w11 * r01 + w12 * r02
        v_t01, v_t11 = w00 * r10 + w01 * r11 + w02 * r12, w10 * r10 + w11 * r11 + w12 * r12
        v_t02, v_t12 = w00 * r20 + w01 * r21 + w02 * r22, w10 * r20 + w11 * r21 + w12 * r22
        v00, v01, v02 = t00 * w00 + t10 * w10, t00 * w01 + t10 * w11, t00 * w02 + t10 * w12
        v10, v11, v12 = t01 * w00 + t11 * w10, t01 * w01 + t11 * w11, t01 * w02 + t11 * w12
        v20, v21, v22 = t02 * w00 + t12 * w10, t02 * w01 + t12 * w11, t02 * w02 + t12 * w12

        # Quaternion, through its normalisation
        v_w = TWO * (qx * (v21 - v12) + qy * (v02 - v20) + qz * (v10 - v01))
        v_x = TWO * (-TWO * qx * (v11 + v22) + qy * (v01 + v10) + qz * (v02 + v20) + qw * (v21 - v12))
        v_y = TWO * (qx * (v01 + v10) - TWO * qy * (v00 + v22) + qz * (v12 + v21) + qw * (v02 - v20))
        v_z = TWO * (qx * (v02 + v20) + qy * (v12 + v21) - TWO * qz * (v00 + v11) + qw * (v10 - v01))
        radial = v_w * qw + v_x * qx + v_y * qy + v_z * qz
        v_quats[i, 0], v_quats[i, 1] = (v_w - radial * qw) * inv_norm, (v_x - radial * qx) * inv_norm
        v_quats[i, 2], v_quats[i, 3] = (v_y - radial * qy) * inv_norm, (v_z - radial * qz) * inv_norm

        # Camera-space position: through the centre, and through J (which depends on x/z only inside the margin)
        v_j00 = v_t00 * camera[0] + v_t01 * camera[1] + v_t02 * camera[2]
        v_j02 = v_t00 * camera[6] + v_t01 * camera[7] + v_t02 * camera[8]
        v_j11 = v_t10 * camera[3] + v_t11 * camera[4] + v_t12 * camera[5]
        v_j12 = v_t10 * camera[6] + v_t11 * camera[7] + v_t12 * camera[8]
        inv_zz = inv_z * inv_z
        v_cx, v_cy = g0 * fx * inv_z, g1 * fy * inv_z
        v_cz = depth_gradients[i] - (g0 * fx * x + g1 * fy * y + v_j00 * fx + v_j11 * fy) * inv_zz
        if inside_x:
            v_cx -= fx * inv_zz * v_j02
            v_cz += TWO * fx * slope_x * inv_zz * v_j02
        else:
            v_cz += fx * slope_x * inv_zz * v_j02
        if inside_y:
            v_cy -= fy * inv_zz * v_j12
            v_cz += TWO * fy * slope_y * inv_zz * v_j12
        else:
            v_cz += fy * slope_y * inv_zz * v_j12
        v_mx = camera[0] * v_cx + camera[3] * v_cy + camera[6] * v_cz
        v_my = camera[1] * v_cx + camera[4] * v_cy + camera[7] * v_cz
        v_mz = camera[2] * v_cx + camera[5] * v_cy + camera[8] * v_cz

        opacity = projected[i, OPACITY]
        v_opacity_logits[i] = g5 * opacity * (ONE - opacity)

        # Colour, where it was not clamped at black
        g6 = g6 if projected[i, RED] > ZERO else ZERO
        g7 = g7 if projected[i, GREEN] > ZERO else ZERO
        g8 = g8 if projected[i, BLUE] > ZERO else ZERO
        v_sh0[i, 0, 0] = F(0.28209479177387814) * g6
        v_sh0[i, 0, 1] = F(0.28209479177387814) * g7
        v_sh0[i, 0, 2] = F(0.28209479177387814) * g8
        if degree > 0:
            dx, dy, dz = mx - camera[18], my - camera[19], mz - camera[20]
            inv_length = ONE / math.sqrt(dx * dx + dy * dy + dz * dz + TINY)
            dx, dy, dz = dx * inv_length, dy * inv_length, dz * inv_length
            _sh_basis(degree, dx, dy, dz, basis)
            for k in range(num_rest):
                v_sh_rest[i, k, 0] = basis[k] * g6
                v_sh_rest[i, k, 1] = basis[k] * g7
                v_sh_rest[i, k, 2] = basis[k] * g8
                weights[k] = sh_rest[i, k, 0] * g6 + sh_rest[i, k, 1] * g7 + sh_rest[i, k, 2] * g8
            v_dx, v_dy, v_dz = _sh_direction_gradient(degree, dx, dy, dz, weights)
            radial = v_dx * dx + v_dy * dy + v_dz * dz
            v_mx += (v_dx - radial * dx) * inv_length
            v_my += (v_dy - radial * dy) * inv_length
            v_mz += (v_dz - radial * dz) * inv_length
        v_means[i, 0], v_means[i, 1], v_means[i, 2] = v_mx, v_my, v_mz
