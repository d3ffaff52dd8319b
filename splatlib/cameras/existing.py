"""An existing COLMAP model and its pictures as a SparseScene."""

from __future__ import annotations

from pathlib import Path

from splatlib.artifacts import SparseScene
from splatlib.cameras._pycolmap import colmap_errors_translated, cv2, pycolmap
from splatlib.cameras.lens import beyond_the_renderer
from splatlib.cameras.scene import cameras_and_views, sparse_points
from splatlib.errors import CamerasError
from splatlib.files import digest_of, digest_of_path
from splatlib.progress import logger


def load_colmap(model_directory: str | Path, images_directory: str | Path) -> SparseScene:
    """Read a COLMAP model (binary or text) with the pictures where they lie; nothing is copied.

    Cameras keep the distortion that the model gives them, so the pictures are the ones that it was solved from.
    Training on distorted ones needs a GPU. A mask counts if it lies at ``<images_directory>/../masks/<name>.png``.

    Raises:
        CamerasError: the model cannot be read, holds no registered image, has a lens that training does not know, or a
            picture is missing or of another size than its camera.
    """
    model_directory, images_directory = Path(model_directory), Path(images_directory).resolve()
    if not model_directory.is_dir():
        raise CamerasError(f"{model_directory} is not a folder", hint="give the folder that holds cameras.bin")
    with colmap_errors_translated(f"reading the COLMAP model in {model_directory}"):
        model = pycolmap.Reconstruction(model_directory)
        model.update_point_3d_errors()
    if not model.num_reg_images():
        raise CamerasError(f"the COLMAP model in {model_directory} holds no registered image")
    masks = images_directory.parent / "masks"
    names = [model.images[image_id].name for image_id in model.reg_image_ids()]
    cameras, views = cameras_and_views(model, frozenset(name for name in names if (masks / f"{name}.png").is_file()))
    points = sparse_points(model, views)
    scene = SparseScene(
        directory=model_directory,
        digest=digest_of([digest_of_path(model_directory), digest_of_path(images_directory)]),
        cameras=cameras,
        views=views,
        points_xyz=points.xyz,
        points_rgb=points.rgb,
        point_errors_px=points.errors_px,
        point_track_lengths=points.track_lengths,
        num_frames=model.num_images(),
        mean_reprojection_error_px=float(model.compute_mean_reprojection_error()),
        mapper="unknown",
        images=str(images_directory),
        warnings=tuple(beyond_the_renderer(cameras)),
    )
    _check_pictures(scene)
    for warning in scene.warnings:
        logger.warning("cameras: %s", warning)
    return scene


def _check_pictures(scene: SparseScene) -> None:
    missing = [view.name for view in scene.views if not scene.image_path(view).is_file()]
    if missing:
        raise CamerasError(
            f"{len(missing)} of {len(scene.views)} pictures of the COLMAP model are not in {scene.images_directory}",
            why=f"the first is {missing[0]}",
            hint="give the folder of pictures that belongs to the model",
        )
    for view in {view.camera_index: view for view in scene.views}.values():
        camera, path = scene.camera(view), scene.image_path(view)
        picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
        size = None if picture is None else (picture.shape[1], picture.shape[0])
        if size != (camera.width, camera.height):
            found = "cannot be read" if size is None else f"is {size[0]}x{size[1]}"
            raise CamerasError(
                f"{path} {found}, its camera in the COLMAP model is {camera.width}x{camera.height}",
                hint="give the folder of pictures that belongs to the model",
            )
