"""Points for known poses, and bundle adjustment that starts from them."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from splatlib.artifacts import FrameSet
from splatlib.cameras._pycolmap import colmap_errors_translated, num_threads, pycolmap
from splatlib.cameras.accuracy import align_similarity
from splatlib.cameras.priors.frames import FramePriors
from splatlib.config import CamerasConfig

# Of a pixel: a triangulated point further from where it was found is dropped. COLMAP's own default, for both.
_MAX_ERROR_PX = 4.0
# Rough poses are met with as many median epipolar distances at first.
_FIRST_ERRORS = 4.0
_ROUNDS = 2
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
    return _triangulate(model, frames, database_path, config, max_error_px, not found.cameras)


def triangulated_and_adjusted(
    found: FramePriors, frames: FrameSet, database_path: Path, config: CamerasConfig, error_px: float | None
) -> pycolmap.Reconstruction:
    """Points, poses and intrinsics from the verified matches, in the priors' world and scale.

    Args:
        error_px: median distance of matches from their epipolar lines; None: unknown.
    """
    model = _posed_model(found, database_path)
    loose_px = max(_MAX_ERROR_PX, _FIRST_ERRORS * (error_px if error_px is not None else _MAX_ERROR_PX))
    for max_error_px in (loose_px, *[_MAX_ERROR_PX] * (_ROUNDS - 1)):
        model = _triangulate(model, frames, database_path, config, max_error_px, False)
        _adjust(model)
    model = _triangulate(model, frames, database_path, config, _MAX_ERROR_PX, False)
    _lay_onto(model, found)
    return model


def _posed_model(found: FramePriors, database_path: Path) -> pycolmap.Reconstruction:
    """Cameras, and images with their poses and keypoints, with the ids of the database; no points yet."""
    model = pycolmap.Reconstruction()
    with colmap_errors_translated("reading the features"), pycolmap.Database.open(database_path) as database:
        for index, pose in zip(found.frames, found.cam_from_world, strict=True):
            image = database.read_image(index + 1)
            if not model.exists_camera(image.camera_id):
                model.add_camera_with_trivial_rig(database.read_camera(image.camera_id))
            keypoints = np.asarray(database.read_keypoints(index + 1))[:, :2].astype(np.float64)
            posed = pycolmap.Image(
                name=image.name, keypoints=keypoints, camera_id=image.camera_id, image_id=image.image_id
            )
            model.add_image_with_trivial_frame(posed, pycolmap.Rigid3d(pose[:3]))
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


def _adjust(model: pycolmap.Reconstruction) -> None:
    """Bundle adjustment of all there is, in place, with a loss that forgives mismatches."""
    views_of: dict[int, int] = {}
    bundle = pycolmap.BundleAdjustmentConfig()
    for image_id in model.reg_image_ids():
        bundle.add_image(image_id)
        camera_id = model.images[image_id].camera_id
        views_of[camera_id] = views_of.get(camera_id, 0) + 1
    for camera_id, num_views in views_of.items():
        if num_views < _MIN_VIEWS_OF_LENS:
            bundle.set_constant_cam_intrinsics(camera_id)
    bundle.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    options = pycolmap.BundleAdjustmentOptions(print_summary=False)
    options.ceres.loss_function_type = pycolmap.LossFunctionType.SOFT_L1
    options.ceres.solver_options.function_tolerance = 1e-6
    options.ceres.solver_options.num_threads = num_threads()
    with colmap_errors_translated("adjusting the poses"):
        pycolmap.create_default_bundle_adjuster(options, bundle, model).solve()
        model.update_point_3d_errors()


def _lay_onto(model: pycolmap.Reconstruction, found: FramePriors) -> None:
    """Move, turn and scale the model so that its camera centres lie on the priors', least squares."""
    images = [model.images[index + 1] for index in found.frames]
    solved = np.array([image.projection_center() for image in images])
    rotations, translations = found.cam_from_world[:, :3, :3], found.cam_from_world[:, :3, 3]
    prior = -np.einsum("mji,mj->mi", rotations, translations)
    if np.linalg.matrix_rank(solved - solved.mean(axis=0), tol=1e-6 * np.ptp(solved)) < 2:
        return  # on a line, nothing says how the model is turned about it; the gauge's two cameras stay
    scale, rotation, translation = align_similarity(solved, prior)
    model.transform(pycolmap.Sim3d(scale, pycolmap.Rotation3d(rotation), translation))
