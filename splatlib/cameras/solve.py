"""The third stage: frames in, cameras, points and the pictures to train on out."""

from __future__ import annotations

from pathlib import Path

from splatlib.artifacts import FrameSet, MaskSet, SparseScene
from splatlib.cameras._pycolmap import colmap_errors_translated, colmap_logged
from splatlib.cameras.features import write_features
from splatlib.cameras.gps import Places, lay_onto_places, places_of
from splatlib.cameras.lens import beyond_the_renderer
from splatlib.cameras.mapping import Mapped, map_frames, refine_principal_points
from splatlib.cameras.pairs import choose_method, choose_pairs, match_pairs
from splatlib.cameras.priors import map_with_priors, priors_of_frames, priors_path, read_priors
from splatlib.cameras.rigs import known_cameras
from splatlib.cameras.scene import cameras_and_views, sparse_points
from splatlib.cameras.undistort import take_as_they_are, undistort
from splatlib.config import CamerasConfig
from splatlib.errors import CamerasError, TooFewRegisteredError
from splatlib.progress import logger
from splatlib.workspace import Workspace

_DEFAULT = CamerasConfig()
_MIN_FRAMES = 3
_NAMED_IN_WARNING = 5


def solve_cameras(
    frames: FrameSet, ws: Workspace, config: CamerasConfig = _DEFAULT, masks: MaskSet | None = None
) -> SparseScene:
    """Find each frame's camera by structure from motion (COLMAP), and make the pictures to train on.

    SIFT features by OpenCV; matching, mapping and bundle adjustment by pycolmap. How pairs are chosen is said in
    ``splatlib.cameras.pairs``, which mapper is used in ``splatlib.cameras.mapping``, what undistortion crops in
    ``splatlib.cameras.undistort``. With ``config.undistort`` off the pictures stay as they are and the cameras keep
    their lens distortion, which training can draw on a GPU only. The scene's scale, orientation and origin are
    arbitrary, unless ``config.priors`` names poses that are trusted or refined (``splatlib.cameras.priors.stage``):
    then they are those of the poses; or the photos' GPS places fit (``splatlib.cameras.gps``): then they are metres
    east, north and up.

    With one seed a result repeats but for its last digits: COLMAP's threads add up in the order they finish.

    Args:
        frames: what to solve for.
        ws: where to work.
        config: how.
        masks: features lie only where these are not 0; they go the way of the pictures, for training.

    Raises:
        TooFewRegisteredError: fewer than ``min_registered`` of the frames found their place, and ``allow_partial``
            is off, or none did.
        CamerasError: fewer than three frames, a picture that cannot be read, or a failure inside COLMAP.
        WorkspaceError: the workspace is full, busy, or cannot be written.
    """
    priors = read_priors(priors_path(config.priors, ws), config) if config.priors is not None else None
    inputs = {"frames": frames.digest} | ({"masks": masks.digest} if masks is not None else {})
    inputs |= {"priors": priors.digest} if priors is not None else {}
    has_world = priors is not None and config.priors_mode != "pairs"  # the poses' own, which wins
    places, places_note = places_of(frames) if config.gps and not has_world else (None, "")
    inputs |= {"gps": places.digest} if places is not None else {}
    stage = ws.stage(SparseScene, config, inputs)
    if (scene := stage.reuse()) is not None:
        return scene
    if len(frames) < _MIN_FRAMES:
        raise CamerasError(
            f"{len(frames)} frames are too few to solve cameras from",
            hint=f"at least {_MIN_FRAMES} that overlap are needed, 30 or more are better",
        )
    found = priors_of_frames(priors, frames) if priors is not None else None
    with stage.work() as directory, colmap_logged():
        database_path = directory / "database.db"
        if found is not None:
            mapped = map_with_priors(found, frames, masks, database_path, config)
        else:
            mapped = _map_from_nothing(frames, masks, database_path, config, places)
        too_few = mapped.num_registered < config.min_registered * len(frames)
        if mapped.model is None or (too_few and not config.allow_partial):
            raise _too_few(mapped, frames, config)
        model = mapped.model
        if config.refine_principal_point and mapped.mapper != "priors":
            known = known_cameras(model.images.values(), frames)
            model = refine_principal_points(model, mapped.mapper, known)
        in_enu = None
        if places is not None and mapped.mapper != "priors":
            in_enu, places_note = lay_onto_places(model, frames, places, config.seed)
            model = in_enu or model
        sparse = directory / "sparse" / "0"
        sparse.mkdir(parents=True)
        with colmap_errors_translated("writing the model"):
            model.write(sparse)
        pictures = "undistorted" if config.undistort else "distorted"
        if config.undistort:
            trained_on = undistort(model, frames, masks, directory / pictures)
        else:
            take_as_they_are(model, frames, masks, directory / pictures)
            trained_on = model
        masked = frozenset(masks.names) if masks is not None else frozenset()
        cameras, views = cameras_and_views(trained_on, masked)
        points = sparse_points(trained_on, views)
        notes = (*mapped.notes, places_note) if places_note and in_enu is None else mapped.notes
        warnings = (*notes, *_warnings(mapped, frames), *beyond_the_renderer(cameras))
        if in_enu is not None:
            logger.info("cameras: %s", places_note)
        for warning in warnings:
            logger.warning("cameras: %s", warning)
        scene = SparseScene(
            directory=directory,
            cameras=cameras,
            views=views,
            points_xyz=points.xyz,
            points_rgb=points.rgb,
            point_errors_px=points.errors_px,
            point_track_lengths=points.track_lengths,
            num_frames=len(frames),
            mean_reprojection_error_px=float(model.compute_mean_reprojection_error()),
            mapper=mapped.mapper,
            images=f"{pictures}/images",
            warnings=warnings,
            outside_mask=masks.outside if masks is not None else "ignore",
            world="enu" if in_enu is not None else "priors" if mapped.mapper == "priors" else "arbitrary",
            metres_per_unit=None if in_enu is None else 1.0,
            origin_lat_lon_alt=places.origin if in_enu is not None and places is not None else None,
        )
        scene.save_arrays()
        logger.info(
            "cameras: %d of %d frames registered, %d points, mean reprojection error %.2f px",
            len(views),
            len(frames),
            len(points.xyz),
            scene.mean_reprojection_error_px,
        )
        return stage.finish(scene)


def _map_from_nothing(
    frames: FrameSet, masks: MaskSet | None, database_path: Path, config: CamerasConfig, places: Places | None
) -> Mapped:
    write_features(database_path, frames, masks, config)
    pairs = choose_pairs(frames, database_path, config, places)
    logger.info("cameras: comparing %d pairs (%s)", len(pairs), choose_method(frames, config))
    match_pairs(frames, pairs, database_path, config)
    return map_frames(frames, database_path, config)


def _too_few(mapped: Mapped, frames: FrameSet, config: CamerasConfig) -> TooFewRegisteredError:
    tries = []
    if choose_method(frames, config) != "exhaustive":
        tries.append("compare all frames with all (cameras.matching=exhaustive)")
    if not config.upsample_features:
        tries.append("find finer features (cameras.upsample_features=true)")
    tries.append(
        "capture again: slower, with more overlap between frames, moving sideways, textured surroundings in view"
    )
    if mapped.model is not None:
        tries.append("go on with what there is (cameras.allow_partial=true, or --allow-partial)")
    return TooFewRegisteredError(
        f"only {mapped.num_registered} of {len(frames)} frames found their place"
        f" (at least {config.min_registered:.0%} must)",
        why="neighbouring frames share too few features: blur, jumps, little texture, or a camera that only turned",
        hint="; ".join(tries),
    )


def _warnings(mapped: Mapped, frames: FrameSet) -> list[str]:
    if mapped.model is None or mapped.num_registered == len(frames):
        return []
    placed = {mapped.model.images[image_id].name for image_id in mapped.model.reg_image_ids()}
    missing = [frame.name for frame in frames.frames if frame.name not in placed]
    named = ", ".join(missing[:_NAMED_IN_WARNING]) + (", …" if len(missing) > _NAMED_IN_WARNING else "")
    found = [f"{len(missing)} of {len(frames)} frames could not be placed: {named}."]
    if mapped.num_elsewhere:
        found.append(
            f"{mapped.num_elsewhere} frames form a separate model that does not connect to the largest one;"
            " more overlap between the two parts would join them."
        )
    return found
