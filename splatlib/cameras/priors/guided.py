"""Matching along epipolar lines: where poses are known, a match can only lie near one line.

That takes the place of RANSAC, and most wrong candidates drop out before descriptors are compared with one another.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from splatlib.cameras._pycolmap import colmap_errors_translated, num_threads, pycolmap
from splatlib.cameras.features import Descriptors
from splatlib.cameras.pairs import Pairs
from splatlib.cameras.priors.kernel import nearest_along_lines
from splatlib.cameras.priors.poses import FloatArray, inverted
from splatlib.progress import bar

# As in splatlib.cameras.pairs: of the angles between descriptors (Lowe 2004, section 7.1), COLMAP's values.
_MAX_RATIO = 0.8
_MAX_DISTANCE = 0.7
_NORM = 512.0  # of descriptors in COLMAP's database
# COLMAP's triangulation leaves out pairs with fewer.
_MIN_MATCHES = 15
# Of the baseline, in depths: below it two frames are at one place and have no epipolar lines.
_NO_BASELINE = 1e-6


def match_along_lines(
    pairs: Pairs, image_ids: tuple[int, ...], cam_from_world: FloatArray, database_path: Path, max_error_px: float
) -> int:
    """Match pairs that have none in the database yet, and write what is found there as verified; returns how many.

    Args:
        pairs: positions in ``image_ids`` and ``cam_from_world`` [M, 4, 4].
        max_error_px: how far a match may lie from its epipolar line.
    """
    with colmap_errors_translated("matching the features"), pycolmap.Database.open(database_path) as database:
        features = [_features(database, image_id) for image_id in image_ids]

        def matched(pair: tuple[int, int]) -> npt.NDArray[np.uint32]:
            first, second = pair
            cam2_from_cam1 = cam_from_world[second] @ inverted(cam_from_world[first])
            (points1, descriptors1, focal1_px), (points2, descriptors2, focal2_px) = features[first], features[second]
            max_error = max_error_px / np.sqrt(focal1_px * focal2_px)
            return match(points1, descriptors1, points2, descriptors2, cam2_from_cam1, max_error)

        todo = [(i, j) for i, j in pairs if not database.exists_two_view_geometry(image_ids[i], image_ids[j])]
        written = 0
        with (
            ThreadPoolExecutor(num_threads(), thread_name_prefix="splatlib-match") as pool,
            bar(len(todo), "matches", unit="pair") as progress,
        ):
            for (i, j), matches in zip(todo, pool.map(matched, todo), strict=True):
                if len(matches) >= _MIN_MATCHES:
                    geometry = pycolmap.TwoViewGeometry(
                        config=pycolmap.TwoViewGeometryConfiguration.CALIBRATED, inlier_matches=matches
                    )
                    database.write_two_view_geometry(image_ids[i], image_ids[j], geometry)
                    written += 1
                progress.update()
    return written


def match(
    points1: FloatArray,
    descriptors1: Descriptors,
    points2: FloatArray,
    descriptors2: Descriptors,
    cam2_from_cam1: FloatArray,
    max_error: float,
) -> npt.NDArray[np.uint32]:
    """[N, 2] indices of features that are nearest to one another, both ways, of those on each other's epipolar lines.

    Args:
        points1, points2: [K, 2] undistorted, at unit focal length; NaN where the lens' model cannot say.
        descriptors1, descriptors2: [K, 128] root SIFT.
        max_error: distance from the line, at unit focal length.
    """
    if not len(points1) or not len(points2) or np.linalg.norm(cam2_from_cam1[:3, 3]) < _NO_BASELINE:
        return np.zeros((0, 2), np.uint32)
    tx, ty, tz = cam2_from_cam1[:3, 3]
    essential = np.array([[0, -tz, ty], [tz, 0, -tx], [-ty, tx, 0]]) @ cam2_from_cam1[:3, :3]
    lines = np.column_stack([points1, np.ones(len(points1))]) @ essential.T
    lines /= np.maximum(np.linalg.norm(lines[:, :2], axis=1, keepdims=True), 1e-12)
    nearest2, nearest1, best, second = nearest_along_lines(
        lines.astype(np.float32), points2.astype(np.float32), descriptors1, descriptors2, max_error
    )
    distance, next_distance = (np.arccos(np.clip(values / _NORM**2, 0.0, 1.0)) for values in (best, second))
    good = (nearest2 >= 0) & (nearest1[nearest2] == np.arange(len(points1)))
    good &= (distance <= _MAX_DISTANCE) & (distance <= _MAX_RATIO * next_distance)
    return np.column_stack([np.flatnonzero(good), nearest2[good]]).astype(np.uint32)


def _features(database: pycolmap.Database, image_id: int) -> tuple[FloatArray, Descriptors, float]:
    """Undistorted points [K, 2] at unit focal length, descriptors [K, 128], focal length in pixels."""
    camera = database.read_camera(database.read_image(image_id).camera_id)
    keypoints = np.asarray(database.read_keypoints(image_id))[:, :2].astype(np.float64)
    points = np.asarray(camera.cam_from_img(keypoints)).reshape(-1, 2)
    descriptors = np.asarray(database.read_descriptors(image_id).data, np.uint8).reshape(-1, 128)
    return points, descriptors, camera.mean_focal_length()
