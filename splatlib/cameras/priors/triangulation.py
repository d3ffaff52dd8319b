"""Points for known poses, and bundle adjustment that starts from them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from splatlib.artifacts import FrameSet
from splatlib.cameras._pycolmap import colmap_errors_translated, num_threads, pycolmap
from splatlib.cameras.priors.frames import FramePriors
from splatlib.cameras.priors.poses import FloatArray, inverted
from splatlib.cameras.rigs import known_cameras
from splatlib.config import CamerasConfig

# A triangulated point further from where it was found is dropped. COLMAP's own default.
MAX_ERROR_PX = 4.0
# COLMAP's defaults for the angle between a ray and a point that continues a track, and that begins a new one again.
_MAX_ANGLE_DEG, _MAX_ANGLE_AGAIN_DEG = 2.0, 5.0
# Of a step's relative gain, below which an adjustment stops; another round follows a rough one.
_TOLERANCE, _ROUGH_TOLERANCE = 1e-6, 1e-4
# Intrinsics of a lens with fewer views are not adjusted; the poses would take up what they say.
_MIN_VIEWS_OF_LENS = 5


def triangulated(
    found: FramePriors, frames: FrameSet, database_path: Path, config: CamerasConfig, max_error_px: float
) -> pycolmap.Reconstruction:
    """Points from the verified matches, poses fixed. Intrinsics are adjusted where the priors have none.

    Args:
        max_error_px: of a point in a picture, beyond which the observation is dropped.
    """
    model = _posed_model(found, database_path)
    return _triangulate(model, frames, database_path, config, max_error_px, not found.lenses_known)


def triangulated_and_adjusted(
    found: FramePriors,
    frames: FrameSet,
    database_path: Path,
    config: CamerasConfig,
    max_errors_px: Sequence[float],
    sigma: float,
) -> pycolmap.Reconstruction:
    """Points, poses and intrinsics from the verified matches, in the priors' world and scale.

    Args:
        max_errors_px: of a point in a picture; points are triangulated and all is adjusted once for each of them.
        sigma: by how much the priors' camera centres may be off, standard deviation in their unit.
    """
    model = _posed_model(found, database_path)
    for max_error_px in max_errors_px:
        model = _triangulate(model, frames, database_path, config, max_error_px, False)
        _adjust(model, found, frames, sigma, rough=max_error_px > MAX_ERROR_PX)
    return model


def completed(
    model: pycolmap.Reconstruction, frames: FrameSet, database_path: Path, config: CamerasConfig
) -> pycolmap.Reconstruction:
    """Points anew for adjusted poses: observations that rough poses had ruled out come back, wrong ones go."""
    return _triangulate(model, frames, database_path, config, MAX_ERROR_PX, False)


def poses_of(model: pycolmap.Reconstruction, found: FramePriors) -> FloatArray:
    """[M, 4, 4] cam_from_world of the frames with priors, as the model has them now."""
    poses = np.tile(np.eye(4), (len(found), 1, 1))
    for place, index in enumerate(found.frames):
        poses[place, :3] = model.images[index + 1].cam_from_world().matrix()
    return poses


def write_adjusted_lenses(model: pycolmap.Reconstruction, database_path: Path) -> None:
    """To the database, for the next round of matching and triangulation."""
    with colmap_errors_translated("writing the lenses"), pycolmap.Database.open(database_path) as database:
        for camera in model.cameras.values():
            database.update_camera(camera)


def _posed_model(found: FramePriors, database_path: Path) -> pycolmap.Reconstruction:
    """Cameras, rigs, and images with their poses and keypoints, with the ids of the database; no points yet."""
    model = pycolmap.Reconstruction()
    pose_of = {index + 1: pose for index, pose in zip(found.frames, found.cam_from_world, strict=True)}
    with colmap_errors_translated("reading the features"), pycolmap.Database.open(database_path) as database:
        camera_of = {camera.camera_id: camera for camera in database.read_all_cameras()}
        for moment in database.read_all_frames():
            image_ids = [data_id.id for data_id in moment.data_ids if data_id.id in pose_of]
            if not image_ids:
                continue
            if not model.exists_rig(moment.rig_id):
                rig = database.read_rig(moment.rig_id)
                for sensor_id in (rig.ref_sensor_id, *rig.non_ref_sensors):
                    model.add_camera(camera_of[sensor_id.id])
                model.add_rig(rig)
            model.add_frame(moment)
            for image_id in image_ids:
                image = database.read_image(image_id)
                keypoints = np.asarray(database.read_keypoints(image_id))[:, :2].astype(np.float64)
                posed = pycolmap.Image(
                    name=image.name, keypoints=keypoints, camera_id=image.camera_id, image_id=image_id
                )
                posed.frame_id = moment.frame_id
                model.add_image(posed)
            first = model.images[image_ids[0]]
            cam_from_world = pycolmap.Rigid3d(pose_of[first.image_id][:3])
            model.frames[moment.frame_id].set_cam_from_world(first.camera_id, cam_from_world)
            model.register_frame(moment.frame_id)
    return model


def _triangulate(
    model: pycolmap.Reconstruction,
    frames: FrameSet,
    database_path: Path,
    config: CamerasConfig,
    max_error_px: float,
    refine_intrinsics: bool,
) -> pycolmap.Reconstruction:
    options = pycolmap.IncrementalPipelineOptions(num_threads=num_threads(), random_seed=config.seed)
    options.mapper.filter_max_reproj_error = max_error_px
    options.triangulation.merge_max_reproj_error = max_error_px
    options.triangulation.complete_max_reproj_error = max_error_px
    focal_px = min(camera.mean_focal_length() for camera in model.cameras.values())
    angle_deg = float(np.degrees(np.arctan(max_error_px / focal_px)))
    options.triangulation.create_max_angle_error = max(_MAX_ANGLE_DEG, angle_deg)
    options.triangulation.continue_max_angle_error = max(_MAX_ANGLE_DEG, angle_deg)
    options.triangulation.re_max_angle_error = max(_MAX_ANGLE_AGAIN_DEG, angle_deg)
    options.constant_cameras = known_cameras(model.images.values(), frames)
    options.ba_refine_sensor_from_rig = False
    options.ba_global_max_refinements = 2
    options.ba_global_function_tolerance = 1e-6
    with (
        colmap_errors_translated("triangulating the points"),
        tempfile.TemporaryDirectory(dir=database_path.parent, prefix="mapping-") as scratch,
    ):
        model = pycolmap.triangulate_points(
            model,
            database_path,
            frames.images_directory,
            scratch,
            clear_points=True,
            options=options,
            refine_intrinsics=refine_intrinsics,
        )
        model.update_point_3d_errors()
    return model


def _adjust(model: pycolmap.Reconstruction, found: FramePriors, frames: FrameSet, sigma: float, *, rough: bool) -> None:
    """Bundle adjustment of all there is, in place, with a loss that forgives mismatches.

    The priors' camera centres are observations as well: they hold the world's axes, origin and scale, and frames that
    the pictures say little about. Intrinsics that the file tells would take up what rough poses are off by.
    """
    views_of: dict[int, int] = {}
    bundle = pycolmap.BundleAdjustmentConfig()
    for image_id in model.reg_image_ids():
        bundle.add_image(image_id)
        camera_id = model.images[image_id].camera_id
        views_of[camera_id] = views_of.get(camera_id, 0) + 1
    known = known_cameras(model.images.values(), frames)
    for camera_id, num_views in views_of.items():
        if num_views < _MIN_VIEWS_OF_LENS or camera_id in known or (rough and found.lenses_known):
            bundle.set_constant_cam_intrinsics(camera_id)
    options = pycolmap.BundleAdjustmentOptions(refine_sensor_from_rig=False, print_summary=False)
    options.ceres.loss_function_type = pycolmap.LossFunctionType.SOFT_L1
    options.ceres.solver_options.function_tolerance = _ROUGH_TOLERANCE if rough else _TOLERANCE
    options.ceres.solver_options.num_threads = num_threads()
    prior_options = pycolmap.PosePriorBundleAdjustmentOptions()
    # a place where tracking jumped is to be left behind
    prior_options.ceres.prior_position_loss_function_type = pycolmap.LossFunctionType.CAUCHY
    with colmap_errors_translated("adjusting the poses"):
        pycolmap.create_pose_prior_bundle_adjuster(
            options, prior_options, bundle, _positions(model, found, sigma), model
        ).solve()
        model.update_point_3d_errors()


def _positions(model: pycolmap.Reconstruction, found: FramePriors, sigma: float) -> list[pycolmap.PosePrior]:
    """Of each rig once, at its reference camera."""
    world_from_cam = inverted(found.read_as())
    positions = []
    for index, pose in zip(found.frames, world_from_cam, strict=True):
        image = model.images[index + 1]
        if image.is_ref_in_frame():
            positions.append(
                pycolmap.PosePrior(
                    pose_prior_id=image.image_id,
                    corr_data_id=image.data_id,
                    position=pose[:3, 3],
                    position_covariance=np.eye(3) * sigma**2,
                    coordinate_system=pycolmap.PosePriorCoordinateSystem.CARTESIAN,
                )
            )
    return positions
