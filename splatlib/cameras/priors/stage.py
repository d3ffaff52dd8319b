"""Mapping with priors, in the three modes of ``CamerasConfig.priors_mode``.

- ``trust``: the poses are taken as they are. Features, matches along epipolar lines between frames that can see the
  same things, triangulation. Intrinsics that the file lacks are found by bundle adjustment with fixed poses.
- ``refine``: the poses are where bundle adjustment starts, and their camera centres are observations in it. Rough ones
  are adjusted first to a few pairs, matched and verified as without priors. Then matches along epipolar lines, too,
  triangulation, adjustment, triangulation.
- ``pairs``: the poses only choose the pairs; mapping starts from nothing, in a world of its own.

``trust`` and ``refine`` keep the priors' world axes, origin and scale.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from splatlib.artifacts import FrameSet, MaskSet
from splatlib.cameras._pycolmap import colmap_errors_translated, pycolmap
from splatlib.cameras.features import write_features
from splatlib.cameras.mapping import Mapped, map_frames
from splatlib.cameras.pairs import Pairs, match_pairs
from splatlib.cameras.priors.epipolar import Agreement, agreement_of, check_convention
from splatlib.cameras.priors.frames import FramePriors, write_lenses
from splatlib.cameras.priors.triangulation import (
    MAX_ERROR_PX,
    completed,
    poses_of,
    triangulated,
    triangulated_and_adjusted,
    write_adjusted_lenses,
)
from splatlib.cameras.priors.visibility import pairs_by_pose, usual_depth
from splatlib.config import CamerasConfig
from splatlib.progress import logger

# Features of trusted poses: only points to start Gaussians from are wanted, not poses. At 0.6 of the size features
# of fox_540 take 2.4 instead of 4.0 CPU-s.
_TRUST_FEATURES = 768
_TRUST_SIZE = 0.6
# Of the longer side, at least: smaller pictures, such as panoramas' faces, have no features to spare.
_TRUST_MIN_PX = 288
# Frames that each is compared with, where its pose is good already, and where matches alone must make it so; of rough
# poses at first, whose matches RANSAC verifies, at twice the cost.
_FEW_PARTNERS = 8
_PARTNERS = 12
_FIRST_PARTNERS = 4
# How far from its epipolar line a match may lie, in median distances of the check, within these bounds.
_BAND = 4.0
_BAND_PX = (1.0, 8.0)
# Above it, poses are worth refining.
_ROUGH_PX = 2.0
# Rough poses are met with as many median epipolar distances at first, then with a few pixels.
_FIRST_ERRORS = 4.0
_SECOND_ERROR_PX = 8.0
# A frame that sees fewer points is hardly held by them: COLMAP registers no picture with fewer inliers than 30.
_MIN_POINTS = 30
_NAMED = 5
# An error that nobody could measure is taken for this one.
_UNKNOWN_PX = 20.0


def map_with_priors(
    found: FramePriors, frames: FrameSet, masks: MaskSet | None, database_path: Path, config: CamerasConfig
) -> Mapped:
    """Features to model, with known poses; see the top of this module.

    Raises:
        CamerasError: the poses do not fit the pictures in the stated convention, or COLMAP failed.
    """
    trust = config.priors_mode == "trust"
    write_features(database_path, frames, masks, _thrifty(config, frames) if trust else config)
    if found.cameras and config.priors_mode != "pairs":
        write_lenses(database_path, found)
    agreement = check_convention(frames, found, database_path, config)
    if agreement.focal_factor != 1.0 and config.priors_mode != "pairs":
        _correct_focal_lengths(database_path, agreement.focal_factor)
    notes = (*found.notes, *_notes(found, agreement, config))
    cameras = _cameras_of(found, database_path)
    if trust:
        pairs = pairs_by_pose(found.cam_from_world, cameras, found.moments, agreement.depth, _FEW_PARTNERS)
        band_px = _band_px(agreement)
        _match(pairs, found, database_path, band_px)
        model = triangulated(found, frames, database_path, config, band_px)
        return Mapped(model, "priors", notes=notes)
    if config.priors_mode == "refine":
        model = _refined(found, frames, database_path, config, agreement)
        return Mapped(model, "priors", notes=(*notes, *_loose(model, found, frames)))
    pairs = pairs_by_pose(found.cam_from_world, cameras, found.moments, agreement.depth, _PARTNERS)
    by_frame = _with_the_others([(found.frames[i], found.frames[j]) for i, j in pairs], found, frames)
    logger.info("cameras: comparing %d pairs (by pose)", len(by_frame))
    match_pairs(frames, by_frame, database_path, config)
    mapped = map_frames(frames, database_path, config)
    return Mapped(mapped.model, mapped.mapper, mapped.num_elsewhere, (*mapped.notes, *notes))


def _refined(
    found: FramePriors, frames: FrameSet, database_path: Path, config: CamerasConfig, agreement: Agreement
) -> pycolmap.Reconstruction:
    cameras = _cameras_of(found, database_path)
    error_px = _UNKNOWN_PX if agreement.error_px is None else agreement.error_px
    depth = agreement.depth or usual_depth(found.cam_from_world)
    # a camera that is off by as much moves what it sees by as much; no prior is taken for better than a pixel
    sigma = max(error_px, 1.0) / cameras[0].mean_focal_length() * depth
    band_px, partners = _band_px(agreement), _FEW_PARTNERS
    if error_px > _ROUGH_PX:
        few = pairs_by_pose(found.cam_from_world, cameras, found.moments, depth, _FIRST_PARTNERS)
        logger.info("cameras: adjusting rough poses to %d pairs first", len(few))
        by_frame = sorted((found.frames[i], found.frames[j]) for i, j in few)
        match_pairs(frames, by_frame, database_path, config)
        loose_px = max(MAX_ERROR_PX, _FIRST_ERRORS * error_px)
        errors_px = (loose_px, min(loose_px, _SECOND_ERROR_PX))
        model = triangulated_and_adjusted(found, frames, database_path, config, errors_px, sigma)
        write_adjusted_lenses(model, database_path)
        found = replace(found, cam_from_world=poses_of(model, found))
        band_px, partners = _band_px(agreement_of(found, by_frame, database_path)), _PARTNERS
    pairs = pairs_by_pose(found.cam_from_world, cameras, found.moments, depth, partners)
    _match(pairs, found, database_path, band_px)
    model = triangulated_and_adjusted(found, frames, database_path, config, [MAX_ERROR_PX], sigma)
    return completed(model, frames, database_path, config)


def _loose(model: pycolmap.Reconstruction, found: FramePriors, frames: FrameSet) -> list[str]:
    """Frames that the pictures say too little about; the faces of a panorama count together."""
    points: dict[int, int] = {}
    for index, moment in zip(found.frames, found.moments, strict=True):
        points[moment] = points.get(moment, 0) + model.images[index + 1].num_points3D
    loose = sorted({moment for moment, count in points.items() if count < _MIN_POINTS})
    if not loose:
        return []
    names = [frames.frames[found.frames[found.moments.index(moment)]].name for moment in loose[:_NAMED]]
    named = ", ".join(names) + (", …" if len(loose) > _NAMED else "")
    return [f"{len(loose)} frames share too little with the others to adjust their poses: {named}."]


def _match(pairs: Pairs, found: FramePriors, database_path: Path, band_px: float) -> None:
    from splatlib.cameras.priors.guided import match_along_lines  # Numba, which nothing else here needs

    logger.info("cameras: comparing %d pairs (by pose)", len(pairs))
    image_ids = tuple(index + 1 for index in found.frames)
    match_along_lines(pairs, image_ids, found.cam_from_world, database_path, band_px)


def _band_px(agreement: Agreement) -> float:
    low, high = _BAND_PX
    return high if agreement.error_px is None else min(max(_BAND * agreement.error_px, low), high)


def _thrifty(config: CamerasConfig, frames: FrameSet) -> CamerasConfig:
    longer_side_px = max(max(frame.width, frame.height) for frame in frames.frames)
    size_px = (
        _TRUST_SIZE * min(longer_side_px, config.max_feature_image_px) * (1.0 if config.upsample_features else 0.5)
    )
    # SIFT at half size and SIFT of the halved picture are the same; but the second look that a picture with few
    # features gets is at whole size, which must be the small one here.
    small = {"upsample_features": True, "max_feature_image_px": max(_TRUST_MIN_PX, int(size_px))}
    return config.model_copy(update={**small, "max_features": min(_TRUST_FEATURES, config.max_features)})


def _with_the_others(pairs: list[tuple[int, int]], found: FramePriors, frames: FrameSet) -> list[tuple[int, int]]:
    """Frames without a prior are compared with their neighbours by name."""
    known = set(found.frames)
    others = {
        (min(i, j), max(i, j))
        for i in range(len(frames))
        if i not in known
        for j in range(max(0, i - _PARTNERS // 2), min(len(frames), i + _PARTNERS // 2 + 1))
        if i != j
    }
    return sorted({*pairs, *others})


def _cameras_of(found: FramePriors, database_path: Path) -> list[pycolmap.Camera]:
    with colmap_errors_translated("reading the lenses"), pycolmap.Database.open(database_path) as database:
        cameras = {camera.camera_id: camera for camera in database.read_all_cameras()}
        return [cameras[database.read_image(index + 1).camera_id] for index in found.frames]


def _correct_focal_lengths(database_path: Path, factor: float) -> None:
    """Of guessed lenses: the factor is the one at which matches lie nearest to their epipolar lines."""
    with pycolmap.Database.open(database_path) as database:
        for camera in database.read_all_cameras():
            params = np.array(camera.params)
            params[list(camera.focal_length_idxs())] *= factor
            camera.params = params.tolist()
            database.update_camera(camera)


def _notes(found: FramePriors, agreement: Agreement, config: CamerasConfig) -> list[str]:
    origin = Path(found.priors.origin).name
    if agreement.error_px is None:
        return [f"Too few pairs of frames match to check the poses in {origin} against the pictures."]
    if agreement.error_px > _ROUGH_PX and config.priors_mode == "trust":
        return [
            f"Matched points are {agreement.error_px:.1f} px off where the poses in {origin} want them (median);"
            " cameras.priors_mode=refine would adjust the poses."
        ]
    return []
