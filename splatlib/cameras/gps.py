"""Photos' GPS places: neighbours in space, and a world in metres whose axes are east, north and up.

Places are used if at least eight frames have one, and they can be believed: not one fix copied into every picture, not
kilometres apart; single strays are left out. The solved cameras are then laid onto them by a similarity (RANSAC, then
least squares). It is kept only if the places agree with the solved path: their errors are less than half of the path's
extent, and turn it by less than five degrees. Otherwise the world stays as it was, and a note says why.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from splatlib.artifacts import FrameSet
from splatlib.cameras._pycolmap import colmap_errors_translated, pycolmap
from splatlib.files import digest_of
from splatlib.matching.order import moments

FloatArray = npt.NDArray[np.float64]

MIN_PLACES = 8
_MIN_DISTINCT = 4
# Receivers write about seven digits of a degree: a centimetre.
_SAME_DEG = 1e-7
# A place this many times further from the middle than most, and at least so far, is a stray fix.
_STRAY_RATIO = 10.0
_STRAY_M = 100.0
_MAX_MEDIAN_DISTANCE_M = 10_000.0
# Three times what a phone's receiver errs by under open sky (3 to 5 m); beyond it a place is an outlier.
MAX_ERROR_M = 15.0
_MIN_INLIERS = 0.6
_MAX_ERROR_SHARE = 0.5
_MAX_TILT_DEG = 5.0
# Fixes one after the other err alike: about four of them say what one independent fix would.
_INDEPENDENT_SHARE = 0.25
_NOT_USED = "The photos' GPS places are not used: "


@dataclass(frozen=True, eq=False)
class Places:
    """Where frames were taken, as GPS says.

    Attributes:
        frames: [M] indices into ``FrameSet.frames``, one a moment, ascending.
        enu_m: [M, 3] metres east, north and up of the origin; up is 0 unless each place has an altitude.
        origin: latitude and longitude in degrees, altitude in metres (None: the places have none), amid them.
    """

    frames: tuple[int, ...]
    enu_m: FloatArray
    origin: tuple[float, float, float | None]

    @property
    def digest(self) -> str:
        return digest_of([self.frames, np.round(self.enu_m, 3).tolist(), self.origin])


@dataclass(frozen=True)
class Fit:
    """How well places agree with solved cameras, once these are laid onto them.

    Attributes:
        error_m: root mean square distance.
        extent_m: root mean square distance of the cameras from their middle.
        tilt_deg: how far the places' errors may have turned the cameras.
        inliers: share of the places within ``MAX_ERROR_M``.
    """

    error_m: float
    extent_m: float
    tilt_deg: float
    inliers: float

    @property
    def is_good(self) -> bool:
        return (
            self.inliers >= _MIN_INLIERS
            and self.error_m <= _MAX_ERROR_SHARE * self.extent_m
            and self.tilt_deg <= _MAX_TILT_DEG
        )


def places_of(frames: FrameSet) -> tuple[Places | None, str]:
    """The frames' places, or None; and why they are not used, if they have some."""
    indices = [moment[0] for moment in moments(frames) if frames.frames[moment[0]].gps is not None]
    if not indices:
        return None, ""
    given = [frames.frames[index].gps or (0.0, 0.0, None) for index in indices]
    if len(indices) < MIN_PLACES:
        return None, f"{_NOT_USED}only {len(indices)} of {len(frames)} frames have one, {MIN_PLACES} are needed."
    with_altitude = all(altitude_m is not None for _, _, altitude_m in given)
    lat_lon_alt = np.array([(lat, lon, alt_m if with_altitude else 0.0) for lat, lon, alt_m in given], np.float64)
    distinct = len(np.unique(np.round(lat_lon_alt[:, :2] / _SAME_DEG), axis=0))
    if distinct < _MIN_DISTINCT:
        return None, f"{_NOT_USED}{len(indices)} frames share {distinct} of them, so they were not measured for each."
    middle = np.median(lat_lon_alt, axis=0)
    enu_m = _enu_m(lat_lon_alt, middle)
    distance_m = np.linalg.norm(enu_m[:, :2], axis=1)
    median_m = float(np.median(distance_m))
    if median_m > _MAX_MEDIAN_DISTANCE_M:
        return None, f"{_NOT_USED}they lie {2 * median_m / 1000:.0f} km apart, which no one scene does."
    kept = np.flatnonzero(distance_m <= max(_STRAY_M, _STRAY_RATIO * median_m))
    origin = (float(middle[0]), float(middle[1]), float(middle[2]) if with_altitude else None)
    return Places(tuple(indices[i] for i in kept), enu_m[kept], origin), ""


def neighbours_in_space(places: Places, taken: list[list[int]], count: int) -> set[tuple[int, int]]:
    """Pairs (i < j) of frames: all of each moment with all of the ``count`` moments nearest to it on the map.

    Args:
        taken: the frames of each moment.
    """
    from scipy.spatial import KDTree

    moment_of = {moment[0]: moment for moment in taken}
    on_map = places.enu_m[:, :2]
    _, nearest = KDTree(on_map).query(on_map, k=min(count + 1, len(on_map)))
    return {
        (min(i, j), max(i, j))
        for row, others in enumerate(np.atleast_2d(nearest))
        for other in others
        if other != row
        for i in moment_of[places.frames[row]]
        for j in moment_of[places.frames[int(other)]]
    }


def lay_onto_places(
    model: pycolmap.Reconstruction, frames: FrameSet, places: Places, seed: int
) -> tuple[pycolmap.Reconstruction | None, str]:
    """The model in metres east, north and up of the places' origin, or None; and a sentence on how well it fits.

    Umeyama's similarity within COLMAP's RANSAC.
    """
    images = [model.find_image_with_name(frames.frames[index].name) for index in places.frames]
    rows = [row for row, image in enumerate(images) if image is not None and image.has_pose]
    names = [images[row].name for row in rows]
    if len(rows) < MIN_PLACES:
        return None, f"{_NOT_USED}only {len(rows)} frames that have one were registered, {MIN_PLACES} are needed."
    enu_m = places.enu_m[rows]
    options = pycolmap.RANSACOptions(max_error=MAX_ERROR_M, random_seed=seed)
    with colmap_errors_translated("laying the cameras onto their GPS places"):
        enu_from_model = pycolmap.align_reconstruction_to_locations(model, names, enu_m, MIN_PLACES, options)
        if enu_from_model is None:
            return None, f"{_NOT_USED}no similarity lays the solved cameras onto them."
        moved = pycolmap.Reconstruction(model)
        moved.transform(enu_from_model)
    centers_m = np.array([moved.find_image_with_name(name).projection_center() for name in names])
    fit = fit_of(centers_m, enu_m)
    figures = f"they are {fit.error_m:.1f} m off the solved path (rms), which extends over {fit.extent_m:.1f} m"
    if fit.is_good:
        return moved, f"The world is in metres, east, north and up, by {len(rows)} GPS places; {figures}."
    if fit.tilt_deg > _MAX_TILT_DEG and fit.error_m <= _MAX_ERROR_SHARE * fit.extent_m:
        return None, f"{_NOT_USED}{figures}; which way is up would be known to {fit.tilt_deg:.0f}° only."
    return None, f"{_NOT_USED}{figures}."


def fit_of(centers_m: FloatArray, enu_m: FloatArray) -> Fit:
    """Of camera centres [M, 3] that were laid onto places [M, 3]."""
    errors_m = np.linalg.norm(centers_m - enu_m, axis=1)
    inside = errors_m <= MAX_ERROR_M
    share = float(inside.mean())
    if inside.sum() < 3:
        return Fit(float("inf"), 0.0, 180.0, share)
    error_m = float(np.sqrt((errors_m[inside] ** 2).mean()))
    centred = centers_m[inside] - centers_m[inside].mean(axis=0)
    # Standard deviations along the principal axes: what lies off the longest one holds the turn about it.
    deviations_m = np.linalg.svd(centred, compute_uv=False) / np.sqrt(len(centred))
    lever_m = float(np.hypot(deviations_m[1], deviations_m[2]))
    per_axis_m = error_m / np.sqrt(3)
    tilt = per_axis_m / max(lever_m * np.sqrt(_INDEPENDENT_SHARE * len(centred)), 1e-12)
    return Fit(error_m, float(np.linalg.norm(deviations_m)), float(np.degrees(np.arctan(tilt))), share)


def _enu_m(lat_lon_alt: FloatArray, origin: FloatArray) -> FloatArray:
    transform = pycolmap.GPSTransform(pycolmap.GPSTransformEllipsoid.WGS84)
    return np.asarray(transform.ellipsoid_to_enu(lat_lon_alt, *(float(value) for value in origin)), np.float64)
