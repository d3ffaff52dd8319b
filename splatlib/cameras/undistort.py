"""Pictures and masks for training: undistorted, with COLMAP's model moved along, or as they were taken.

Undistorted, for training with a pinhole camera: as COLMAP's undistorter with ``blank_pixels=0`` does, the pinhole
picture is the largest one that holds no pixel from outside the original: edges that a lens bends inwards are cropped,
and there is no black border. The focal length and the principal point's relative place stay, so pixels keep about their
size. Where a lens has no distortion terms the pictures are taken as they are, without another JPEG compression.

As they were taken, for renderers that draw distorted lenses: nothing is cropped or resampled.
"""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from splatlib.artifacts import FrameSet, MaskSet
from splatlib.cameras._pycolmap import colmap_errors_translated, cv2, num_threads, pycolmap
from splatlib.cameras.lens import distortion_of
from splatlib.errors import CamerasError
from splatlib.progress import bar

JPEG_QUALITY = 97
# How far from itself a keypoint may come back, unprojected and projected again.
_MAX_RETURN_PX = 0.5

# Source position of each target pixel as cv2.remap wants it: [H, W] x and [H, W] y, pixel centres at integers.
Remap = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]


def undistort(
    model: pycolmap.Reconstruction, frames: FrameSet, masks: MaskSet | None, directory: Path
) -> pycolmap.Reconstruction:
    """Write ``images/``, ``masks/`` and ``sparse/`` under ``directory``; returns the model with pinhole cameras.

    Raises:
        CamerasError: a picture or mask cannot be read or written.
    """
    (directory / "images").mkdir(parents=True)
    (directory / "sparse").mkdir()
    if masks is not None:
        (directory / "masks").mkdir()
    with colmap_errors_translated("undistorting"):
        pinhole, remaps = _pinhole_model(model)
        pinhole.write(directory / "sparse")
    frame_named = {frame.name: frame for frame in frames.frames}

    def write(image_id: int) -> None:
        image = model.images[image_id]
        remap = remaps[image.camera_id]
        source = frames.image_path(frame_named[image.name])
        _write_picture(source, directory / "images" / image.name, remap, cv2.INTER_CUBIC)
        mask_path = masks.mask_path(image.name) if masks is not None else None
        if mask_path is not None:
            _write_picture(mask_path, directory / "masks" / f"{image.name}.png", remap, cv2.INTER_NEAREST)

    opencv_threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        image_ids = sorted(model.reg_image_ids())
        with (
            ThreadPoolExecutor(num_threads(), thread_name_prefix="splatlib-undistort") as pool,
            bar(len(image_ids), "undistort", unit="frame") as progress,
        ):
            for _ in pool.map(write, image_ids):
                progress.update()
    finally:
        cv2.setNumThreads(opencv_threads)

    return pinhole


def take_as_they_are(model: pycolmap.Reconstruction, frames: FrameSet, masks: MaskSet | None, directory: Path) -> None:
    """Put the registered frames' pictures and masks under ``images/`` and ``masks/`` of ``directory``, byte for byte:
    as hard links where the file system has them, else as copies."""
    (directory / "images").mkdir(parents=True)
    if masks is not None:
        (directory / "masks").mkdir()
    for image_id in sorted(model.reg_image_ids()):
        name = model.images[image_id].name
        _link_or_copy(frames.images_directory / name, directory / "images" / name)
        mask_path = masks.mask_path(name) if masks is not None else None
        if mask_path is not None:
            _link_or_copy(mask_path, directory / "masks" / f"{name}.png")


def _pinhole_model(model: pycolmap.Reconstruction) -> tuple[pycolmap.Reconstruction, dict[int, Remap | None]]:
    """A copy whose cameras are PINHOLE and whose keypoints are moved accordingly; None: pictures stay as they are."""
    pinhole = pycolmap.Reconstruction(model)
    remaps: dict[int, Remap | None] = {}
    for camera_id, camera in model.cameras.items():
        target = _pinhole_camera(camera)
        remaps[camera_id] = None if distortion_of(camera) is None else _remap(camera, target)
        place = pinhole.cameras[camera_id]
        place.model, place.width, place.height = target.model, target.width, target.height
        place.params = list(target.params)
    for image_id in model.reg_image_ids():
        image = model.images[image_id]
        camera, target = model.cameras[image.camera_id], pinhole.cameras[image.camera_id]
        if remaps[image.camera_id] is None:
            continue
        keypoints = np.array([point.xy for point in image.points2D], np.float64).reshape(-1, 2)
        rays = np.asarray(camera.cam_from_img(keypoints))
        moved = rays * (target.focal_length_x, target.focal_length_y)
        moved += (target.principal_point_x, target.principal_point_y)
        # COLMAP returns rays of its own making for what a fisheye lens sees at 90 degrees or more.
        returned = np.asarray(camera.img_from_cam(np.column_stack([rays, np.ones(len(rays))]))).reshape(-1, 2)
        in_front = np.linalg.norm(returned - keypoints, axis=1) < _MAX_RETURN_PX
        places = pinhole.images[image_id].points2D  # looked up once: each look-up makes an object per keypoint
        for index, xy in enumerate(moved):
            if in_front[index]:
                places[index].xy = xy
            else:
                _forget_keypoint(pinhole, image_id, index)
    return pinhole, remaps


def _forget_keypoint(model: pycolmap.Reconstruction, image_id: int, index: int) -> None:
    """One that no pinhole picture can show. Its number stays, so that the others keep theirs."""
    point = model.images[image_id].points2D[index]
    if point.has_point3D():
        model.delete_observation(image_id, index)
    point.xy = (0.0, 0.0)


def _pinhole_camera(camera: pycolmap.Camera) -> pycolmap.Camera:
    if distortion_of(camera) is not None:
        return pycolmap.undistort_camera(pycolmap.UndistortCameraOptions(blank_pixels=0.0), camera)
    return pycolmap.Camera(
        camera_id=camera.camera_id,
        model="PINHOLE",
        width=camera.width,
        height=camera.height,
        params=[camera.focal_length_x, camera.focal_length_y, camera.principal_point_x, camera.principal_point_y],
    )


def _remap(camera: pycolmap.Camera, target: pycolmap.Camera) -> Remap:
    u, v = np.meshgrid(np.arange(target.width) + 0.5, np.arange(target.height) + 0.5)
    rays = np.stack(
        [
            (u - target.principal_point_x) / target.focal_length_x,
            (v - target.principal_point_y) / target.focal_length_y,
            np.ones_like(u),
        ],
        axis=-1,
    )
    positions = np.asarray(camera.img_from_cam(rays.reshape(-1, 3))).reshape(target.height, target.width, 2)
    positions -= 0.5  # cv2 counts from the centre of the first pixel, COLMAP from its corner
    return positions[..., 0].astype(np.float32), positions[..., 1].astype(np.float32)


def _write_picture(source: Path, target: Path, remap: Remap | None, interpolation: int) -> None:
    if remap is None:
        _link_or_copy(source, target)
        return
    picture = cv2.imread(str(source), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if picture is None:
        raise CamerasError(f"{source} cannot be read as a picture", hint="extract the frames or masks again")
    # The outermost pixels may fall half a pixel outside.
    picture = cv2.remap(picture, *remap, interpolation, borderMode=cv2.BORDER_REPLICATE)
    options = [cv2.IMWRITE_PNG_COMPRESSION, 1] if target.suffix == ".png" else [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    ok, data = cv2.imencode(target.suffix, picture, options)
    if not ok:
        raise CamerasError(f"{target} cannot be encoded as {target.suffix}")
    # Written by Python, so that a full disk is an error and not a shorter file.
    target.write_bytes(data.tobytes())


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        # Another file system, or one without hard links.
        shutil.copyfile(source, target)
