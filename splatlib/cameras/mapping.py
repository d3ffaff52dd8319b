"""From matches to cameras and points: COLMAP's incremental or global mapper, and a last refinement.

``mapper="auto"`` decides so: incremental for up to 200 frames, global for more; if the chosen one registers fewer than
``min_registered`` of the frames, the other has a try, and the model with more frames is kept. The incremental mapper's
work grows with the square of the frames, the global one's in proportion: 6 and 22 CPU-s for 67 frames of fox_540, 200
and 89 for 383 of video_fruits.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from splatlib.artifacts import FrameSet
from splatlib.cameras._pycolmap import colmap_errors_translated, num_threads, pycolmap
from splatlib.cameras.rigs import known_cameras
from splatlib.config import CamerasConfig
from splatlib.matching.order import moments
from splatlib.progress import bar, logger

INCREMENTAL_UP_TO = 200
# The global mapper reports as many stages.
_GLOBAL_STAGES = 5

# Global bundle adjustment each time the model has doubled, not grown by a tenth, with fewer repeats, and adjustments
# that stop once they gain nothing: on fox_540 half the CPU-seconds at the same accuracy, since the last refinement
# below starts from there.
_INCREMENTAL_THRIFT: dict[str, float] = {
    "ba_global_frames_ratio": 2.0,
    "ba_global_points_ratio": 2.0,
    "ba_global_max_refinements": 2,
    "ba_global_function_tolerance": 1e-6,
    "ba_local_max_refinements": 1,
    "ba_local_function_tolerance": 1e-6,
}

# A principal point is well determined only by many views through the same lens; one that ends up far from the
# middle tells of a degenerate capture rather than of a lens.
_PRINCIPAL_POINT_MIN_VIEWS = 20
_PRINCIPAL_POINT_MAX_SHIFT = 0.05  # of the picture's size
# By which the mean reprojection error must fall: 0.3 % on fox_540, whose principal point is off by 8 px; 0.02 % on
# buddha_gray_1368, whose point is in the middle and whose cameras got a little worse.
_PRINCIPAL_POINT_MIN_GAIN = 0.001
# Likewise of a distortion that was held at zero. That of a phone's lens, some pixels at the corners, is worth ten times
# as much; that of a lens without any still gains a few thousandths, which is noise fitted.
_DISTORTION_MIN_GAIN = 0.01


@dataclass(frozen=True)
class Mapped:
    """The largest model, None if there is none at all.

    Attributes:
        mapper: the one that made it.
        num_elsewhere: frames in the second largest model, which is left out.
        notes: what a reader of the result should know, in plain sentences.
    """

    model: pycolmap.Reconstruction | None
    mapper: str
    num_elsewhere: int = 0
    notes: tuple[str, ...] = ()

    @property
    def num_registered(self) -> int:
        return self.model.num_reg_images() if self.model is not None else 0


def map_frames(frames: FrameSet, database_path: Path, config: CamerasConfig) -> Mapped:
    """Solve cameras and points with the mapper that the config names, by the rule at the top of this module.

    The same input gives the same model with any number of threads as far as COLMAP does so: its solver adds in
    the order in which threads finish, which shows in the last digits.
    """
    if config.mapper != "auto":
        return _run(config.mapper, frames, database_path, config)
    first, second = ("incremental", "global") if len(frames) <= INCREMENTAL_UP_TO else ("global", "incremental")
    mapped = _run(first, frames, database_path, config)
    if mapped.num_registered >= config.min_registered * len(frames):
        return mapped
    logger.info(
        "cameras: the %s mapper placed %d of %d frames, trying the %s one",
        first,
        mapped.num_registered,
        len(frames),
        second,
    )
    other = _run(second, frames, database_path, config)
    better = other if other.num_registered > mapped.num_registered else mapped
    note = (
        f"The {first} mapper placed {mapped.num_registered} of {len(frames)} frames and the {second} one"
        f" {other.num_registered}; the {better.mapper} mapper's model is kept."
    )
    return replace(better, notes=(note,))


def _run(mapper: str, frames: FrameSet, database_path: Path, config: CamerasConfig) -> Mapped:
    run = _incremental if mapper == "incremental" else _global
    with (
        colmap_errors_translated(f"the {mapper} mapper"),
        tempfile.TemporaryDirectory(dir=database_path.parent, prefix="mapping-") as scratch,
    ):
        models = run(frames, database_path, Path(scratch), config)
    by_size = sorted(models, key=lambda model: model.num_reg_images(), reverse=True)
    if not by_size:
        return Mapped(None, mapper)
    num_elsewhere = by_size[1].num_reg_images() if len(by_size) > 1 else 0
    return Mapped(by_size[0], mapper, num_elsewhere)


def _incremental(
    frames: FrameSet, database_path: Path, scratch: Path, config: CamerasConfig
) -> list[pycolmap.Reconstruction]:
    """Models of the incremental mapper; where they hold too few frames, with the lens held still while it maps.

    The first model is adjusted from two pictures. With some hundred matches these do not tell the lens' distortion from
    its focal length, the adjustment runs away, and no third picture fits.
    """
    models = _grown(frames, database_path, scratch / "free", config, hold_distortion=False)
    if _most_registered(models) >= config.min_registered * len(frames):
        return models
    logger.info(
        "cameras: %d of %d frames placed, trying again with the lens' distortion held until all are",
        _most_registered(models),
        len(frames),
    )
    held = _grown(frames, database_path, scratch / "held", config, hold_distortion=True)
    if _most_registered(held) <= _most_registered(models):
        return models
    return [_with_distortion_freed(model, known_cameras(model.images.values(), frames)) for model in held]


def _grown(
    frames: FrameSet, database_path: Path, scratch: Path, config: CamerasConfig, *, hold_distortion: bool
) -> list[pycolmap.Reconstruction]:
    scratch.mkdir()
    num_moments = len(moments(frames))
    options = pycolmap.IncrementalPipelineOptions(
        num_threads=num_threads(),
        random_seed=config.seed,
        # COLMAP's 10 would refuse small captures; it counts rigs, not pictures.
        min_model_size=max(3, min(10, num_moments // 4)),
        ba_refine_sensor_from_rig=False,
        ba_refine_extra_params=not hold_distortion,
        **_INCREMENTAL_THRIFT,
    )
    with pycolmap.Database.open(database_path) as database:
        options.constant_cameras = known_cameras(database.read_all_images(), frames)
    with bar(num_moments, "cameras", unit="frame") as progress:

        def registered(count: int = 1) -> None:
            # A second model registers frames again that the first one holds.
            progress.update(min(count, num_moments - progress.n))

        models = pycolmap.incremental_mapping(
            database_path,
            frames.images_directory,
            scratch,
            options,
            initial_image_pair_callback=lambda: registered(2),
            next_image_callback=registered,
        )
    return list(models.values())


def _most_registered(models: list[pycolmap.Reconstruction]) -> int:
    return max((model.num_reg_images() for model in models), default=0)


def _with_distortion_freed(model: pycolmap.Reconstruction, known: Collection[int]) -> pycolmap.Reconstruction:
    """Adjusted once more with all intrinsics free but the principal points; unchanged where that gains nothing.

    Where a lens shows the scene in its middle only, its distortion is noise, and would bend the rest of the picture.
    """
    freed = pycolmap.Reconstruction(model)
    config = pycolmap.BundleAdjustmentConfig()
    for image_id in freed.reg_image_ids():
        config.add_image(image_id)
    for camera_id in known:
        config.set_constant_cam_intrinsics(camera_id)
    config.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    options = pycolmap.BundleAdjustmentOptions(refine_sensor_from_rig=False, print_summary=False)
    options.ceres.solver_options.num_threads = num_threads()
    pycolmap.create_default_bundle_adjuster(options, config, freed).solve()
    freed.update_point_3d_errors()
    error_px, before_px = freed.compute_mean_reprojection_error(), model.compute_mean_reprojection_error()
    return freed if error_px <= (1 - _DISTORTION_MIN_GAIN) * before_px else model


def _global(
    frames: FrameSet, database_path: Path, scratch: Path, config: CamerasConfig
) -> list[pycolmap.Reconstruction]:
    with pycolmap.Database.open(database_path) as database:
        focals_known = all(camera.has_prior_focal_length for camera in database.read_all_cameras())
        all_rendered = len(known_cameras(database.read_all_images(), frames)) == database.num_cameras()
    if not focals_known:
        # The global mapper cannot find focal lengths by itself.
        pycolmap.calibrate_view_graph(database_path)
    options = pycolmap.GlobalPipelineOptions(
        num_threads=num_threads(), random_seed=config.seed, image_path=str(frames.images_directory)
    )
    options.mapper.global_positioning.use_gpu = False
    options.mapper.bundle_adjustment.ceres.use_gpu = False
    options.mapper.refine_sensor_from_rig = False
    if all_rendered:
        # it can hold no single camera: panoramas beside photos keep their rigs, but their focal lengths are refined
        options.mapper.bundle_adjustment.refine_focal_length = False
        options.mapper.bundle_adjustment.refine_extra_params = False
    manager = pycolmap.ReconstructionManager()
    with bar(_GLOBAL_STAGES, "cameras", unit="step") as progress, pycolmap.Database.open(database_path) as database:

        def stage_done() -> None:
            progress.update(min(1, _GLOBAL_STAGES - progress.n))

        pipeline = pycolmap.GlobalPipeline(options, database, manager)
        pipeline.add_callback(pycolmap.GlobalPipelineCallback.MODEL_UPDATE_CALLBACK.value, stage_done)
        pipeline.run()
    return [manager.get(index) for index in range(manager.size())]


def refine_principal_points(
    model: pycolmap.Reconstruction, mapper: str, known: Collection[int] = ()
) -> pycolmap.Reconstruction:
    """One more bundle adjustment with the principal points free, of lenses that at least 20 views share.

    COLMAP leaves the principal point in the middle. Phones crop and stabilise off-centre: on fox_540 it moves by
    8 px, and the median relative rotation error falls from 0.23 to 0.09 degrees. The model is returned unchanged
    where no lens has enough views, a point moves by more than 5 % of the picture, or the mean reprojection error does
    not fall by a thousandth.

    Args:
        mapper: that made the model.
        known: ids of cameras that stay as they are.
    """
    views_of: dict[int, int] = {}
    for image_id in model.reg_image_ids():
        camera_id = model.images[image_id].camera_id
        views_of[camera_id] = views_of.get(camera_id, 0) + 1
    free = {i for i, num_views in views_of.items() if num_views >= _PRINCIPAL_POINT_MIN_VIEWS and i not in known}
    if not free:
        return model
    refined = pycolmap.Reconstruction(model)
    config = pycolmap.BundleAdjustmentConfig()
    for image_id in refined.reg_image_ids():
        config.add_image(image_id)
    for camera_id in views_of.keys() - free:
        config.set_constant_cam_intrinsics(camera_id)
    config.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    options = pycolmap.BundleAdjustmentOptions(
        refine_principal_point=True, refine_sensor_from_rig=False, print_summary=False
    )
    options.ceres.solver_options.function_tolerance = 1e-6
    if mapper == "global":
        # The loss that the mapper itself ended with; with another one the errors before and after would differ by that.
        options.ceres.loss_function_type = pycolmap.LossFunctionType.HUBER
        options.ceres.loss_function_scale = 1.0
    options.ceres.solver_options.num_threads = num_threads()
    with colmap_errors_translated("refining the principal points"):
        pycolmap.create_default_bundle_adjuster(options, config, refined).solve()
        refined.update_point_3d_errors()
    error_px, before_px = refined.compute_mean_reprojection_error(), model.compute_mean_reprojection_error()
    shift = max(_principal_point_shift(model.cameras[i], refined.cameras[i]) for i in views_of)
    gain = 1 - error_px / before_px if before_px > 0 else 0.0
    accepted = gain >= _PRINCIPAL_POINT_MIN_GAIN and shift <= _PRINCIPAL_POINT_MAX_SHIFT
    logger.debug(
        "cameras: principal point refinement %s: a shift of %.1f %% of the picture, mean error from %.4f to %.4f px",
        "kept" if accepted else "dropped",
        100 * shift,
        before_px,
        error_px,
    )
    return refined if accepted else model


def _principal_point_shift(before: pycolmap.Camera, after: pycolmap.Camera) -> float:
    """As a share of the picture's size."""
    return max(
        abs(after.principal_point_x - before.principal_point_x) / after.width,
        abs(after.principal_point_y - before.principal_point_y) / after.height,
    )
