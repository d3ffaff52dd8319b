"""How much of each picture is seen from elsewhere too, and how bright the frames are against one another."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import lsqr

from splatlib.check.features import LONG_SIDE_PX, Picture
from splatlib.check.growth import Tracks
from splatlib.check.links import Match

# Two views give a point, the third confirms it: COLMAP's least track length for a point that counts.
SEEN_BY = 3
_CELL_PX = 8
_NEAR_PX = LONG_SIDE_PX // 16


def covered_shares(pictures: Sequence[Picture], tracks: Tracks) -> npt.NDArray[np.float64]:
    """[pictures] share of each picture's area that lies near a point seen at ``SEEN_BY`` moments."""
    often = tracks.lengths >= SEEN_BY
    reach = np.ones((2 * (_NEAR_PX // _CELL_PX) + 1,) * 2, np.uint8)
    shares = []
    for picture, track in zip(pictures, tracks.of_features, strict=True):
        width, height = (-(-side // _CELL_PX) for side in picture.size)
        cells = np.zeros((height, width), np.uint8)
        seen = (track >= 0) & (often[track] if often.size else False)
        column, row = (picture.positions[seen] // _CELL_PX).astype(int).T
        cells[row, column] = 1
        near = cv2.dilate(cells, reach) > 0
        if picture.mask is not None:
            counted = cv2.resize(picture.mask, (width, height), interpolation=cv2.INTER_AREA) >= 128
            near = near[counted]
        shares.append(float(near.mean()) if near.size else 0.0)
    return np.array(shares)


def exposures_ev(matches: Sequence[Match], moment_of: dict[int, int], num_moments: int) -> list[float | None]:
    """Of each moment against the mean of those it is linked with, in stops: least squares over all links."""
    known = [match for match in matches if match.exposure_ev is not None]
    one = np.array([moment_of[match.one] for match in known], np.intp)
    other = np.array([moment_of[match.other] for match in known], np.intp)
    change = np.array([match.exposure_ev for match in known], np.float64)
    rows, ones = np.arange(len(known)), np.ones(len(known))
    steps = coo_array(
        (np.concatenate([-ones, ones]), (np.concatenate([rows, rows]), np.concatenate([one, other]))),
        shape=(len(known), num_moments),
    ).tocsr()
    solved = lsqr(steps, change)[0] if known else np.zeros(num_moments)
    _, parts = connected_components(coo_array((ones, (one, other)), shape=(num_moments,) * 2), directed=False)
    linked = np.isin(np.arange(num_moments), np.concatenate([one, other]))
    for part in np.unique(parts):
        solved[parts == part] -= solved[parts == part].mean()
    return [float(ev) if is_linked else None for ev, is_linked in zip(solved, linked, strict=True)]
