"""Mapping with priors, in the three modes of ``CamerasConfig.priors_mode``.

- ``trust``: the poses are taken as they are. Features, matches along epipolar lines between frames that can see the
  same things, triangulation. Intrinsics that the file lacks are found by bundle adjustment with fixed poses.
- ``refine``: the poses are where bundle adjustment starts. Pairs are matched and verified as without priors; points are
  triangulated, all is adjusted, twice. The result is laid back onto the priors' camera centres.
- ``pairs``: the poses only choose the pairs; mapping starts from nothing, in a world of its own.

``trust`` and ``refine`` keep the priors' world axes, origin and scale.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from splatlib.artifacts import FrameSet, MaskSet
from splatlib.cameras._pycolmap import colmap_errors_translated, pycolmap
from splatlib.cameras.features import write_features
from splatlib.cameras.mapping import Mapped, map_frames
from splatlib.cameras.pairs import match_pairs
from splatlib.cameras.priors.epipolar import Agreement, check_convention
from splatlib.cameras.priors.frames import FramePriors, write_lenses
from splatlib.cameras.priors.triangulation import triangulated, triangulated_and_adjusted
from splatlib.cameras.priors.visibility import pairs_by_pose
from splatlib.config import CamerasConfig
from splatlib.progress import logger

# Features of trusted poses: only points to start Gaussians from are wanted, not poses. At 0.6 of the size features
# of fox_540 take 2.4 instead of 4.0 CPU-s.
_TRUST_FEATURES = 1024
_TRUST_SIZE = 0.6
_TRUST_PARTNERS = 8
_PARTNERS = 12
# How far from its epipolar line a match may lie, in median distances of the check, within these bounds.
_BAND = 4.0
_BAND_PX = (1.0, 8.0)
# Above it, poses are worth refining.
_ROUGH_PX = 2.0


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
    image_ids = tuple(index + 1 for index in found.frames)
    cameras = _cameras_of(image_ids, database_path)
    pairs = pairs_by_pose(found.cam_from_world, cameras, agreement.depth, _TRUST_PARTNERS if trust else _PARTNERS)
    logger.info("cameras: comparing %d pairs (by pose)", len(pairs))
    if trust:
        from splatlib.cameras.priors.guided import match_along_lines  # Numba, which nothing else here needs

        low, high = _BAND_PX
        band_px = high if agreement.error_px is None else min(max(_BAND * agreement.error_px, low), high)
        match_along_lines(pairs, image_ids, found.cam_from_world, database_path, band_px)
        model = triangulated(found, frames, database_path, config, band_px)
        return Mapped(model, "priors", notes=notes)
    by_frame = [(found.frames[i], found.frames[j]) for i, j in pairs]
    match_pairs(frames, _with_the_others(by_frame, found, frames), database_path, config)
    if config.priors_mode == "refine":
        model = triangulated_and_adjusted(found, frames, database_path, config, agreement.error_px)
        return Mapped(model, "priors", notes=notes)
    mapped = map_frames(frames, database_path, config)
    return Mapped(mapped.model, mapped.mapper, mapped.num_elsewhere, (*mapped.notes, *notes))


def _thrifty(config: CamerasConfig, frames: FrameSet) -> CamerasConfig:
    longer_side_px = max(max(frame.width, frame.height) for frame in frames.frames)
    size_px = (
        _TRUST_SIZE * min(longer_side_px, config.max_feature_image_px) * (1.0 if config.upsample_features else 0.5)
    )
    # SIFT at half size and SIFT of the halved picture are the same; but the second look that a picture with few
    # features gets is at whole size, which must be the small one here.
    small = {"upsample_features": True, "max_feature_image_px": int(size_px)}
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


def _cameras_of(image_ids: tuple[int, ...], database_path: Path) -> list[pycolmap.Camera]:
    with colmap_errors_translated("reading the lenses"), pycolmap.Database.open(database_path) as database:
        cameras = {camera.camera_id: camera for camera in database.read_all_cameras()}
        return [cameras[database.read_image(image_id).camera_id] for image_id in image_ids]


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
