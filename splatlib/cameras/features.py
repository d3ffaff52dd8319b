"""SIFT features of every frame, written to a COLMAP database.

OpenCV's SIFT always doubles its input. Fed with the picture at half size, its first octave is the picture itself:
1.6 px of blur leaves nothing that half the resolution could not hold. On fox_540 this finds as many points, at the
same accuracy, as COLMAP's SIFT without its upsampled octave, for 3.7 instead of 12.5 CPU-s. ``upsample_features``
feeds the whole picture (COLMAP's octave -1).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from splatlib.artifacts import Frame, FrameSet, MaskSet
from splatlib.cameras._pycolmap import colmap_errors_translated, cv2, num_threads, pycolmap
from splatlib.cameras.lens import is_fisheye
from splatlib.cameras.rigs import write_rigs
from splatlib.config import CamerasConfig
from splatlib.errors import CamerasError
from splatlib.matching.descriptors import Descriptors, root_sift
from splatlib.progress import bar
from splatlib.threads import in_order

Keypoints = npt.NDArray[np.float32]  # [K, 4] x, y (pixel centres at half integers), scale in px, orientation in rad

# COLMAP's peak threshold is 0.02 / 3 a layer, OpenCV's is divided by the layers too; a little lower keeps weak
# corners of evenly coloured scenes (fox_540: 6,560 points instead of 5,780).
_CONTRAST_THRESHOLD = 0.0133
# A frame with fewer features than this is looked at again, whole and for weaker corners.
_FEW_FEATURES = 500
_LOW_CONTRAST_THRESHOLD = 0.004
_EDGE_THRESHOLD = 10.0  # COLMAP's
# COLMAP's guess where EXIF says nothing: times the longer side, a field of view of 45 degrees.
_DEFAULT_FOCAL_FACTOR = 1.2
# Likewise of a fisheye lens: 95 degrees. The mapper mends a guess twice too long, but not one of 0.6 times the truth.
_FISHEYE_FOCAL_FACTOR = 0.6
# A blob of some scale is found in a blur of about that width, which at three times that has faded to a hundredth.
_CLEAR_OF_MASK_SCALES = 3.0
# A frame left with fewer keeps them all: there a lost match hurts more than a moving outline, which RANSAC outvotes.
_FEWEST_CLEAR_OF_MASK = 250


class CameraKey(NamedTuple):
    """What tells the cameras of frames apart."""

    source_group: str | None
    width: int
    height: int
    focal_px: int | None


def write_features(database_path: Path, frames: FrameSet, masks: MaskSet | None, config: CamerasConfig) -> None:
    """Create the database: cameras, images, SIFT features. Image ids count from 1 in the order of ``frames``.

    Frames of one source, of the same size and EXIF focal length, share one camera; the faces of panoramas are rigs
    (``splatlib.cameras.rigs``). Keypoints lie where the mask is not 0; and where black means that something unknown is
    there (``MaskSet.outside``), so far from it that it has no part in them: a passer-by whom a mask hides moves, and so
    would the corners that his outline makes. A frame that is left with few by that keeps them all.

    Raises:
        CamerasError: a picture or mask cannot be read, or their sizes differ.
    """
    sift = _sift_of(frames, masks, config)
    with (
        colmap_errors_translated("writing the features"),
        pycolmap.Database.open(database_path) as database,
        _one_opencv_thread(),
        bar(len(frames), "features", unit="frame") as progress,
    ):
        _write_images(database, frames, config.camera_model)
        found = in_order(sift, frames.frames, "sift", num_threads())
        for image_id, (keypoints, descriptors) in enumerate(found, start=1):
            database.write_keypoints(image_id, keypoints)
            database.write_descriptors(
                image_id, pycolmap.FeatureDescriptors(pycolmap.FeatureExtractorType.SIFT, descriptors)
            )
            progress.update()


def camera_groups(frames: FrameSet) -> dict[CameraKey, list[Frame]]:
    """Frames that share a camera: same source, width, height and EXIF focal length in whole pixels (None: unknown).

    Two phones may have pictures of one size and differ in everything else, so lenses are never shared across sources.
    Faces of panoramas are left out: each has a camera of its own.
    """
    groups: dict[CameraKey, list[Frame]] = {}
    for frame in frames.frames:
        if frame.group is not None:
            continue
        focal_px = round(frame.focal_px) if frame.focal_px else None
        groups.setdefault(CameraKey(frame.source_group, frame.width, frame.height, focal_px), []).append(frame)
    return groups


def _write_images(database: pycolmap.Database, frames: FrameSet, camera_model: str) -> None:
    camera_id_of: dict[str, int] = {}
    groups = camera_groups(frames)
    for camera_id, ((_, width, height, focal_px), group) in enumerate(groups.items(), start=1):
        fisheye = is_fisheye(camera_model)
        guess_px = (_FISHEYE_FOCAL_FACTOR if fisheye else _DEFAULT_FOCAL_FACTOR) * max(width, height)
        camera = pycolmap.Camera.create_from_model_name(camera_id, camera_model, focal_px or guess_px, width, height)
        # COLMAP verifies no pair of fisheye pictures whose focal length it takes for unknown.
        camera.has_prior_focal_length = focal_px is not None or fisheye
        database.write_camera(camera, use_camera_id=True)
        rig = pycolmap.Rig(rig_id=camera_id)
        rig.add_ref_sensor(camera.sensor_id)
        database.write_rig(rig, use_rig_id=True)
        camera_id_of |= {frame.name: camera_id for frame in group}
    for image_id, frame in enumerate(frames.frames, start=1):
        if frame.group is not None:
            continue
        camera_id = camera_id_of[frame.name]
        image = pycolmap.Image(name=frame.name, keypoints=np.zeros((0, 2)), camera_id=camera_id, image_id=image_id)
        database.write_image(image, use_image_id=True)
        moment = pycolmap.Frame(frame_id=image_id, rig_id=camera_id)
        moment.add_data_id(image.data_id)
        database.write_frame(moment, use_frame_id=True)
    write_rigs(database, frames, first_free_id=len(groups) + 1)


def _sift_of(
    frames: FrameSet, masks: MaskSet | None, config: CamerasConfig
) -> Callable[[Frame], tuple[Keypoints, Descriptors]]:
    def sift(frame: Frame) -> tuple[Keypoints, Descriptors]:
        grey = _read_grey(frames.image_path(frame), (frame.height, frame.width))
        mask_path = masks.mask_path(frame.name) if masks is not None else None
        mask = _read_grey(mask_path, grey.shape) if mask_path is not None else None
        keypoints, descriptors = _detect(grey, mask, config)
        if mask is None or masks is None or masks.outside == "transparent":
            return keypoints, descriptors
        clear = _clear_of(mask, keypoints)
        if clear.sum() < min(_FEWEST_CLEAR_OF_MASK, config.max_features):
            return keypoints, descriptors  # of a small object every corner is needed, those of its outline too
        return keypoints[clear], descriptors[clear]

    return sift


def _clear_of(mask: npt.NDArray[np.uint8], keypoints: Keypoints) -> npt.NDArray[np.bool_]:
    """[K] which keypoints lie some times their own scale away from where a mask [H, W] is black."""
    distance_px = cv2.distanceTransform((mask > 0).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    height, width = mask.shape
    columns = keypoints[:, 0].astype(int).clip(0, width - 1)
    rows = keypoints[:, 1].astype(int).clip(0, height - 1)
    return distance_px[rows, columns] >= _CLEAR_OF_MASK_SCALES * keypoints[:, 2]


def _detect(
    grey: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint8] | None, config: CamerasConfig
) -> tuple[Keypoints, Descriptors]:
    """SIFT of one picture [H, W]. Of too many keypoints the largest are kept, as COLMAP does; of a whole picture's, the
    strongest."""
    if config.upsample_features:
        # Faint corners too, to be left out where there are enough others: half of fox_540's small pictures with trusted
        # poses would need a second look, and this one costs a tenth more. Describing what will not be kept is half of
        # the cost, so SIFT itself keeps the strongest.
        found, strengths = _detect_at(grey, mask, config, 1.0, _LOW_CONTRAST_THRESHOLD, config.max_features)
        strong = strengths >= _CONTRAST_THRESHOLD
        enough = strong.sum() >= min(_FEW_FEATURES, config.max_features)
        return _largest(found, strong if enough else np.ones_like(strong), config.max_features)
    found, strengths = _detect_at(grey, mask, config, 0.5, _CONTRAST_THRESHOLD)
    if len(strengths) < min(_FEW_FEATURES, config.max_features):
        found, strengths = _detect_at(grey, mask, config, 1.0, _LOW_CONTRAST_THRESHOLD)
    return _largest(found, np.ones(len(strengths), bool), config.max_features)


def _largest(
    found: tuple[Keypoints, npt.NDArray[np.float32]], chosen: npt.NDArray[np.bool_], count: int
) -> tuple[Keypoints, Descriptors]:
    keypoints, descriptors = found[0][chosen], found[1][chosen]
    largest = np.argsort(-keypoints[:, 2], kind="stable")[:count]
    return keypoints[largest], root_sift(descriptors[largest])


def _detect_at(
    grey: npt.NDArray[np.uint8],
    mask: npt.NDArray[np.uint8] | None,
    config: CamerasConfig,
    scale: float,
    contrast_threshold: float,
    strongest: int = 0,
) -> tuple[tuple[Keypoints, npt.NDArray[np.float32]], npt.NDArray[np.float64]]:
    """Keypoints, SIFT's own descriptors, and [K] contrasts as ``contrast_threshold`` counts them; of the
    ``strongest`` only, 0: of all."""
    height, width = grey.shape
    scale *= min(1.0, config.max_feature_image_px / max(width, height))
    if scale < 1.0:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        grey = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)
        if mask is not None:
            mask = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    detector = cv2.SIFT.create(
        nfeatures=strongest,
        contrastThreshold=contrast_threshold,
        edgeThreshold=_EDGE_THRESHOLD,
        enable_precise_upscale=True,
    )
    found, raw = detector.detectAndCompute(grey, mask)
    if not found:
        return (np.zeros((0, 4), np.float32), np.zeros((0, 128), np.float32)), np.zeros(0)
    per_pixel = np.array([width / grey.shape[1], height / grey.shape[0]])
    keypoints = np.empty((len(found), 4), np.float32)
    keypoints[:, :2] = (np.array([point.pt for point in found]) + 0.5) * per_pixel
    keypoints[:, 2] = np.array([point.size for point in found]) / 2 * per_pixel.mean()
    keypoints[:, 3] = np.radians([point.angle for point in found])
    strengths = np.array([point.response for point in found]) * detector.getNOctaveLayers()
    return (keypoints, np.asarray(raw, np.float32)), strengths


def _read_grey(path: Path, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
    if grey is None:
        raise CamerasError(f"{path} cannot be read as a picture", hint="extract the frames or masks again")
    if grey.shape != shape:
        raise CamerasError(
            f"{path} is {grey.shape[1]}x{grey.shape[0]}, its frame {shape[1]}x{shape[0]}",
            hint="extract the frames and masks again",
        )
    return np.asarray(grey, np.uint8)


@contextlib.contextmanager
def _one_opencv_thread() -> Iterator[None]:
    """One thread a picture beats OpenCV's own threads by a sixth."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
