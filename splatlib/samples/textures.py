"""Procedural surface pictures with corners and blobs at many scales, stored as mip-mapped six-face atlases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[Any]  # float32 throughout; NumPy's type stubs widen it at every operation

NUM_FACES = 6
_GUTTER_PX = 1  # bilinear look-ups at a face's edge must not see its neighbour in the atlas
_ROW_PX = 4096  # cv2.remap refuses pictures of more than 32,767 pixels a side, so a pixel list is folded into rows


@dataclass(frozen=True)
class Atlas:
    """Six square faces side by side, in halving sizes.

    Attributes:
        levels: level k is [S + 2, 6 (S + 2), 3] uint8 with S = size_px / 2ᵏ.
        size_px: side of a face at level 0.
        texel_m: side of a texel at level 0, scene units.
    """

    levels: tuple[npt.NDArray[np.uint8], ...]
    size_px: int
    texel_m: float

    @classmethod
    def from_faces(cls, faces: list[npt.NDArray[np.uint8]], texel_m: float) -> Atlas:
        levels, current = [], faces
        while True:
            padded = [
                cv2.copyMakeBorder(f, _GUTTER_PX, _GUTTER_PX, _GUTTER_PX, _GUTTER_PX, cv2.BORDER_REPLICATE)
                for f in current
            ]
            levels.append(np.hstack(padded))
            side_px = current[0].shape[0]
            if side_px <= 16:
                return cls(tuple(levels), faces[0].shape[0], texel_m)
            current = [cv2.resize(f, (side_px // 2, side_px // 2), interpolation=cv2.INTER_AREA) for f in current]

    def sample(self, face: npt.NDArray[np.intp], u: FloatArray, v: FloatArray, footprint_m: FloatArray) -> FloatArray:
        """Trilinear look-up.

        Args:
            face: [K] index of the face. u, v: [K] in 0…1. footprint_m: [K] size of a ray on the surface.

        Returns:
            [3, K] colours, 0…255.
        """
        finest = np.log2(np.maximum(footprint_m, 1e-9) / np.float32(self.texel_m))
        level = np.clip(finest, 0, len(self.levels) - 1)
        colors = np.zeros((3, len(u)), np.float32)
        for k in range(int(level.min()), min(int(level.max()) + 2, len(self.levels))):
            weight = 1 - np.abs(level - np.float32(k))
            which = np.flatnonzero(weight > 0)
            if len(which):
                side_px = np.float32(self.size_px >> k)
                x = face[which].astype(np.float32) * (side_px + 2 * _GUTTER_PX) + u[which] * side_px + np.float32(0.5)
                colors[:, which] += weight[which] * _bilinear(self.levels[k], x, v[which] * side_px + np.float32(0.5))
        return colors


def _bilinear(picture: npt.NDArray[np.uint8], x: FloatArray, y: FloatArray) -> FloatArray:
    """[3, K] colours at the pixel coordinates x, y [K]; the centre of the first pixel is 0."""
    rows = -(-len(x) // _ROW_PX)
    folded = np.zeros((2, rows * _ROW_PX), np.float32)
    folded[0, : len(x)], folded[1, : len(x)] = x, y
    map_x, map_y = folded.reshape(2, rows, _ROW_PX)
    colors = cv2.remap(picture, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return colors.reshape(-1, 3)[: len(x)].T.astype(np.float32)


def value_noise(
    rng: np.random.Generator, size_px: int, extent_m: tuple[float, float], wavelength_m: float, octaves: int
) -> FloatArray:
    """[size_px, size_px] sum of smoothly interpolated random grids, about -1…1, halving in wavelength and weight."""
    total = np.zeros((size_px, size_px), np.float32)
    for octave in range(octaves):
        cells = [max(2, round(extent / wavelength_m * 2**octave)) for extent in extent_m]
        grid = rng.uniform(-1, 1, (cells[1] + 1, cells[0] + 1)).astype(np.float32)
        total += cv2.resize(grid, (size_px, size_px), interpolation=cv2.INTER_CUBIC) * np.float32(0.6**octave)
    return total


def painted_face(
    rng: np.random.Generator, size_px: int, extent_m: tuple[float, float], palette: FloatArray, detail_m: float
) -> npt.NDArray[np.uint8]:
    """[size_px, size_px, 3] a picture of noise, checks, tiles, discs and speckle.

    Args:
        extent_m: width and height that the picture covers, scene units.
        palette: [C, 3] colours, 0…255.
        detail_m: size of the typical blob; speckle goes down to a third of it.
    """
    tint = value_noise(rng, size_px, extent_m, detail_m * 12, octaves=4)
    stops = np.linspace(0, 255, len(palette))
    ramp = np.stack([np.interp(np.arange(256), stops, palette[:, c]) for c in range(3)], axis=1).astype(np.uint8)
    picture = cv2.applyColorMap(cv2.convertScaleAbs(tint + 1, alpha=127.5), ramp[:, None])

    cells = [np.arange(size_px) * extent // (size_px * detail_m * 1.6) for extent in extent_m]
    checks = np.add.outer(cells[1], cells[0]) % 2 == 0
    checks &= value_noise(rng, size_px, extent_m, detail_m * 14, octaves=1) > 0.35
    brightness = 1 + np.float32(0.22) * value_noise(rng, size_px, extent_m, detail_m * 3, octaves=3)
    brightness[checks] *= np.float32(0.5)
    picture = np.asarray(cv2.multiply(picture, cv2.merge([brightness] * 3), dtype=cv2.CV_8U), np.uint8)

    area = extent_m[0] * extent_m[1] / detail_m**2
    px_per_detail = detail_m * size_px / np.array(extent_m)
    for count, smallest, largest in ((area / 60, 1.2, 3.5), (area / 6, 0.33, 1.0)):
        radii = np.exp(rng.uniform(np.log(smallest), np.log(largest), int(count)))
        _scatter(rng, picture, palette, radii[:, None] * px_per_detail)
    return picture


def _scatter(
    rng: np.random.Generator,
    picture: npt.NDArray[np.uint8],
    palette: FloatArray,
    axes_px: npt.NDArray[np.float64],
) -> None:
    """Draw discs and tiles of these half axes [D, 2] at random, in colours lighter and darker than the palette's."""
    count = len(axes_px)
    centers = rng.uniform(0, picture.shape[0], (count, 2))
    colors = np.clip(palette[rng.integers(len(palette), size=count)] * rng.uniform(0.35, 1.5, (count, 1)), 0, 255)
    for center, axes, color, angle_deg, is_disc in zip(
        centers, np.maximum(axes_px, 1), colors, rng.uniform(0, 180, count), rng.random(count) < 0.67, strict=True
    ):
        if is_disc:
            box = (center.tolist(), axes.tolist(), float(angle_deg))
            cv2.ellipse(picture, box, color.tolist(), thickness=-1, lineType=cv2.LINE_AA)
        else:
            corners = cv2.boxPoints((center.tolist(), (1.4 * axes).tolist(), float(angle_deg)))
            cv2.fillConvexPoly(picture, np.round(corners * 16).astype(np.int32), color.tolist(), cv2.LINE_AA, shift=4)
