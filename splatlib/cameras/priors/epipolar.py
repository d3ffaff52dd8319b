"""Do the poses agree with the pictures? Epipolar geometry of verified matches under each convention.

A relative pose that is right leaves matched points on one another's epipolar lines and in front of both cameras. The
distance from the lines is Sampson's (Hartley & Zisserman 2004, section 11.4.3). Matches come from the pictures alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from splatlib.artifacts import FrameSet
from splatlib.cameras._pycolmap import colmap_errors_translated, pycolmap
from splatlib.cameras.pairs import Pairs, match_pairs
from splatlib.cameras.priors.frames import FramePriors
from splatlib.cameras.priors.poses import DIRECTIONS, Convention, FloatArray, inverted
from splatlib.config import CamerasConfig
from splatlib.errors import CamerasError
from splatlib.progress import logger

# Pairs that are compared: frames at so many places, each with some whose poses are much like its own. If too few
# match, which is so where the poses belong to other pictures, at more places with the next frames in their order.
_PLACES_BY_POSE = 6
_PLACES_BY_ORDER = 24
_STEPS = (1, 2, 4)
# Of panoramas, whose faces are all compared with all.
_STEPS_OF_PANORAMAS = (1,)
# A pair with fewer verified matches says little, and fewer such pairs than this say nothing.
_MIN_MATCHES = 30
_MIN_PAIRS = 3
# Poses that fit leave a median distance below this share of the picture's diagonal: 11 px at 540x960, an
# error of about one degree. Wrong conventions of fox_540 and buddha_gray_1368 leave 45 px and more.
_FITS = 0.01
# Poses that will be adjusted may leave more: 3 degrees and 3 % of the path leave 20 px on fox_540 and 33 px on
# buddha_gray_1368. More pairs are compared then, and the stated convention must be the best of all.
_FITS_ROUGHLY = 0.025
# Another convention fits better only if it does so by far: for a camera that hardly turns some give the same lines.
_BETTER = 4.0
_EXACT_PX = 1.5
_ONE_OF_EACH_KIND = ("opencv", "opengl", "ros")
# Focal lengths that are tried where the file has none, in longer sides of the picture.
_FOCAL_FACTORS = np.geomspace(0.4, 2.5, 38)


@dataclass(frozen=True, eq=False)
class _Pair:
    """Verified matches of two frames with priors: positions among them, undistorted points [K, 2] at unit focal length,
    and the focal length in pixels."""

    first: int
    second: int
    points1: FloatArray
    points2: FloatArray
    focal_px: float


@dataclass(frozen=True)
class Agreement:
    """How well priors and pictures agree.

    Attributes:
        error_px: median over pairs of the median Sampson distance; None: too few pairs matched to say.
        depth: median distance of matched points from the camera, in the priors' unit; None likewise.
        focal_factor: by which a guessed focal length is to be multiplied; 1 where the file has intrinsics.
    """

    error_px: float | None
    depth: float | None
    focal_factor: float = 1.0


def check_convention(frames: FrameSet, found: FramePriors, database_path: Path, config: CamerasConfig) -> Agreement:
    """Compare a sample of pairs with the poses. Features and lenses must be in the database; matches are added to it.

    Raises:
        CamerasError: the poses do not fit the pictures as they are stated; the error names the convention that does.
    """
    diagonal_px = float(np.hypot(frames.frames[0].width, frames.frames[0].height))
    agreements: dict[Convention, Agreement] = {}
    for sample in (_alike(found), _successive(found)):
        match_pairs(frames, sample, database_path, config)
        pairs = _verified(found, sample, database_path)
        agreements = _agreements(found, pairs, frames, config) if len(pairs) >= _MIN_PAIRS else {}
        if agreements and min(map(_error_px, agreements.values())) <= _FITS * diagonal_px:
            break
    if not agreements:
        logger.info("cameras: too few pairs match to check the convention of the priors")
        return Agreement(None, None)
    for convention, agreement in agreements.items():
        logger.debug("cameras: priors read as %s are off by %.2f px", convention, agreement.error_px)
    stated = found.priors.convention
    own = next(agreement for convention, agreement in agreements.items() if convention.same_as(stated))
    best = min(agreements, key=lambda convention: _error_px(agreements[convention]))
    own_px, best_px = _error_px(own), _error_px(agreements[best])
    rough = best_px > _FITS * diagonal_px
    if best_px > _FITS_ROUGHLY * diagonal_px:
        raise CamerasError(
            f"the poses in {found.priors.origin} do not fit the pictures in any convention",
            why=f"matched points are {_px(best_px)} off their epipolar lines at best (as {best})",
            hint="check that poses and pictures belong together and were not cropped or turned, or leave priors out",
        )
    if own_px > (best_px if rough else max(_EXACT_PX, min(_FITS * diagonal_px, _BETTER * best_px))):
        raise CamerasError(
            f"the poses in {found.priors.origin} are not {stated}: they fit {_names(best)}",
            why=f"matched points are {_px(own_px)} off their epipolar lines as {stated}, {_px(best_px)} as {best}",
            hint=_hint(best, stated),
        )
    if rough and config.priors_mode == "trust":
        raise CamerasError(
            f"the poses in {found.priors.origin} are too rough to be trusted",
            why=f"as {stated} they fit best, but matched points are {_px(own_px)} off their epipolar lines",
            hint="set cameras.priors_mode=refine, which adjusts them to the pictures",
        )
    logger.info("cameras: the priors fit the pictures as %s, to %.2f px", stated, own_px)
    return own


def agreement_of(found: FramePriors, pairs: Pairs, database_path: Path) -> Agreement:
    """Of the poses as ``found`` holds them now with the verified matches of some pairs of frames."""
    verified = _verified(found, pairs, database_path)
    return _agreement(found.cam_from_world, verified, 1.0) if len(verified) >= _MIN_PAIRS else Agreement(None, None)


def sampson_errors(points1: FloatArray, points2: FloatArray, cam2_from_cam1: FloatArray) -> FloatArray:
    """[K] Sampson distances of matched points [K, 2] at unit focal length, in their unit. NaN without a baseline."""
    x1, x2 = (np.column_stack([points, np.ones(len(points))]) for points in (points1, points2))
    essential = _cross(cam2_from_cam1[:3, 3]) @ cam2_from_cam1[:3, :3]
    lines2, lines1 = x1 @ essential.T, x2 @ essential
    residual = (x2 * lines2).sum(axis=1)
    scale = np.sqrt((lines1[:, :2] ** 2).sum(axis=1) + (lines2[:, :2] ** 2).sum(axis=1))
    return np.abs(residual) / np.where(scale > 0, scale, np.nan)


def depths(points1: FloatArray, points2: FloatArray, cam2_from_cam1: FloatArray) -> tuple[FloatArray, FloatArray]:
    """[K] depths in the first and the second camera where the rays of matched points [K, 2] pass closest."""
    a = np.column_stack([points1, np.ones(len(points1))]) @ cam2_from_cam1[:3, :3].T
    b = np.column_stack([points2, np.ones(len(points2))])
    t = cam2_from_cam1[:3, 3]
    aa, ab, bb = (a * a).sum(axis=1), (a * b).sum(axis=1), (b * b).sum(axis=1)
    at, bt = a @ t, b @ t
    determinant = np.maximum(aa * bb - ab * ab, 1e-300)
    return (ab * bt - bb * at) / determinant, (aa * bt - ab * at) / determinant


def _alike(found: FramePriors) -> Pairs:
    """Frames with others whose orientation and place are near, whatever the convention: it changes neither the angle
    between two orientations, nor much the distance of two cameras that are alike."""
    groups = _by_moment(found)
    position = {index: place for place, index in enumerate(found.frames)}
    poses = found.cam_from_world[[position[group[0]] for group in groups]]
    wanted: set[tuple[int, int]] = set()
    for place in _spread(len(groups), _PLACES_BY_POSE):
        turned = np.arccos(np.clip((np.einsum("nij,ij->n", poses[:, :3, :3], poses[place, :3, :3]) - 1) / 2, -1, 1))
        moved = [np.linalg.norm(p[:, :3, 3] - p[place, :3, 3], axis=1) for p in (poses, inverted(poses))]
        cost = sum(unlike / (np.median(unlike) or 1.0) for unlike in (turned, *moved))
        near = np.argsort(np.where(np.arange(len(groups)) == place, np.inf, cost), kind="stable")
        steps = [step for step in _steps(found, groups) if step < len(groups)]
        wanted |= {(min(place, other), max(place, other)) for other in (int(near[step - 1]) for step in steps)}
    return _pairs_of(groups, wanted)


def _successive(found: FramePriors) -> Pairs:
    """Neighbours in the frames' order: what was taken one after the other mostly overlaps."""
    groups = _by_moment(found)
    places = _spread(len(groups), _PLACES_BY_ORDER)
    steps = _steps(found, groups)
    return _pairs_of(
        groups, {(place, place + step) for place in places for step in steps if place + step < len(groups)}
    )


def _by_moment(found: FramePriors) -> list[list[int]]:
    taken: dict[int, list[int]] = {}
    for index, moment in zip(found.frames, found.moments, strict=True):
        taken.setdefault(moment, []).append(index)
    return list(taken.values())


def _spread(count: int, places: int) -> set[int]:
    return {int(place) for place in np.linspace(0, count - 1, places)}


def _steps(found: FramePriors, groups: list[list[int]]) -> tuple[int, ...]:
    return _STEPS_OF_PANORAMAS if len(groups) < len(found) else _STEPS


def _pairs_of(groups: list[list[int]], wanted: set[tuple[int, int]]) -> Pairs:
    return sorted((i, j) for first, second in wanted for i in groups[first] for j in groups[second])


def _verified(found: FramePriors, sample: Pairs, database_path: Path) -> list[_Pair]:
    position = {index + 1: place for place, index in enumerate(found.frames)}
    pairs = []
    with colmap_errors_translated("reading the matches"), pycolmap.Database.open(database_path) as database:
        for i, j in sample:
            matches = np.asarray(database.read_two_view_geometry(i + 1, j + 1).inlier_matches)
            if len(matches) < _MIN_MATCHES:
                continue
            sides = []
            for image_id, columns in ((i + 1, matches[:, 0]), (j + 1, matches[:, 1])):
                camera = database.read_camera(database.read_image(image_id).camera_id)
                keypoints = np.asarray(database.read_keypoints(image_id))[columns, :2].astype(np.float64)
                sides.append((np.asarray(camera.cam_from_img(keypoints)), camera.mean_focal_length()))
            (points1, focal1_px), (points2, focal2_px) = sides
            good = np.isfinite(points1).all(axis=1) & np.isfinite(points2).all(axis=1)
            first, second = position[i + 1], position[j + 1]
            pairs.append(_Pair(first, second, points1[good], points2[good], (focal1_px + focal2_px) / 2))
    return pairs


def _agreements(
    found: FramePriors, pairs: list[_Pair], frames: FrameSet, config: CamerasConfig
) -> dict[Convention, Agreement]:
    # in mode `pairs` the file's lenses are not used, so the database has guessed ones
    told = (found.cameras and config.priors_mode != "pairs") or any(found.faces)
    factors = np.ones(1) if told else _FOCAL_FACTORS * _longer_side(frames) / pairs[0].focal_px
    return {convention: _best_agreement(convention, found, pairs, factors) for convention in _conventions(found)}


def _conventions(found: FramePriors) -> list[Convention]:
    orders = (False, True) if found.priors.swapped_matrices is not None else (False,)
    return [Convention(*each) for each in product(_ONE_OF_EACH_KIND, DIRECTIONS, orders)]


def _best_agreement(convention: Convention, found: FramePriors, pairs: list[_Pair], factors: FloatArray) -> Agreement:
    cam_from_world = found.read_as(convention)
    return min((_agreement(cam_from_world, pairs, factor) for factor in factors), key=_error_px)


def _agreement(cam_from_world: FloatArray, pairs: list[_Pair], focal_factor: float) -> Agreement:
    """Infinitely bad where most points lie behind a camera: a reversed baseline has the same epipolar lines."""
    errors_px, in_front, nearby = [], [], []
    for pair in pairs:
        cam2_from_cam1 = cam_from_world[pair.second] @ inverted(cam_from_world[pair.first])
        points1, points2 = pair.points1 / focal_factor, pair.points2 / focal_factor
        errors = sampson_errors(points1, points2, cam2_from_cam1) * pair.focal_px * focal_factor
        if np.isnan(errors).any():
            continue  # two poses at one place
        errors_px.append(np.median(errors))
        depth1, depth2 = depths(points1, points2, cam2_from_cam1)
        in_front.append(np.mean((depth1 > 0) & (depth2 > 0)))
        nearby.append(np.median(depth1))
    if not errors_px or np.median(in_front) < 0.5:
        return Agreement(np.inf, None, focal_factor)
    return Agreement(float(np.median(errors_px)), float(np.median(nearby)), float(focal_factor))


def _error_px(agreement: Agreement) -> float:
    return np.inf if agreement.error_px is None else agreement.error_px


def _longer_side(frames: FrameSet) -> int:
    return max(frames.frames[0].width, frames.frames[0].height)


def _cross(vector: FloatArray) -> FloatArray:
    x, y, z = vector
    return np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])


def _px(error_px: float) -> str:
    return f"{error_px:.1f} px" if np.isfinite(error_px) else "behind the cameras or far"


def _names(convention: Convention) -> str:
    """With the other names that the same axes have."""
    if convention.axes != "opengl":
        return str(convention)
    return f"{convention} (the axes of arkit and arcore too)"


def _hint(best: Convention, stated: Convention) -> str:
    settings = []
    if best.axes != stated.axes:
        settings.append(f"cameras.priors_convention={best.axes}")
    if best.direction != stated.direction:
        settings.append(f"cameras.priors_direction={best.direction}")
    if best.swapped:
        settings.append("the other quaternion_order in the file")
    return "set " + " and ".join(settings)
