"""Which prior belongs to which frame, and the lenses of priors in COLMAP's database.

Frames are renamed when they are extracted, so priors are found by the file name that a frame had in the capture
(``Frame.source``), of a video by the frame's own name. A prior's path may be longer or shorter than the frame's, and
its suffix another one or none: the one that shares most of the path is taken. Where an app recorded the poses of a
video, the number of a frame in the video says which is its own. A panorama has one pose, of its rig
(it looks at the panorama's middle); its faces share it. Panoramas of a video go by their number, ``000001``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from splatlib.artifacts import Frame, FrameSet
from splatlib.cameras._pycolmap import pycolmap
from splatlib.cameras.priors.intrinsics import PANORAMA, colmap_camera
from splatlib.cameras.priors.poses import Convention, FloatArray, PosePriors, inverted
from splatlib.cameras.rigs import rotation_of_face
from splatlib.errors import CamerasError
from splatlib.matching.order import moments

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".heic", ".heif", ".avif", ".exr"})
_NAMED = 3
# Focal lengths, principal points and coefficients this near are of one lens: what is left over from a file's digits.
_SAME_LENS = 1e-4
# Of the distance from the origin: places nearer to one another are the same but for rounding.
_ONE_PLACE = 1e-9


@dataclass(frozen=True, eq=False)
class FramePriors:
    """Priors of those frames that have one.

    Attributes:
        priors: as read.
        frames: [M] indices into ``FrameSet.frames``, ascending.
        rows: [M] indices into the priors' arrays.
        moments: [M] numbers; frames that were taken at one moment from one place share one.
        faces: [M] whether the frame is a panorama's face.
        cam_from_rig: [M, 4, 4] of a panorama's faces, else the identity.
        cam_from_world: [M, 4, 4] read by the stated convention, or better ones found since.
        cameras: their lenses for the frames' size, COLMAP's ids counting from 1; empty where the file has none.
        camera_ids: [M] into ``cameras``; 0 for the faces of panoramas, whose lenses need no telling.
        notes: what a reader of the result should know, in plain sentences.
    """

    priors: PosePriors
    frames: tuple[int, ...]
    rows: tuple[int, ...]
    moments: tuple[int, ...]
    faces: tuple[bool, ...]
    cam_from_rig: FloatArray
    cam_from_world: FloatArray
    cameras: tuple[pycolmap.Camera, ...]
    camera_ids: tuple[int, ...]
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def lenses_known(self) -> bool:
        """The file has intrinsics, or all frames are faces of panoramas."""
        return bool(self.cameras) or all(self.faces)

    def read_as(self, convention: Convention | None = None) -> FloatArray:
        """[M, 4, 4] cam_from_world of the frames, read by a convention; without one by the file's own."""
        return self.cam_from_rig @ self.priors.cam_from_world(convention)[list(self.rows)]


def priors_of_frames(priors: PosePriors, frames: FrameSet) -> FramePriors:
    """Match priors to frames by name.

    Raises:
        CamerasError: no frame has a prior, one could have several, several share one, or intrinsics do not fit.
    """
    rows = (
        _rows_by_number(priors, frames) if priors.numbers and frames.kind == "video" else _rows_by_name(priors, frames)
    )
    if not rows:
        example = frames.frames[0]
        raise CamerasError(
            f"none of the {len(priors.names)} poses in {priors.origin} belongs to a frame",
            why=f"poses are of pictures like {priors.names[0]}, frames like {_name_of(example)}",
            hint="poses and pictures are matched by file name",
        )
    _refuse_sharing(rows, priors, frames)
    _refuse_one_place(rows, priors)
    cameras, camera_ids = _cameras(rows, priors, frames)
    moment_of = {index: number for number, moment in enumerate(moments(frames)) for index in moment}
    cam_from_rig = _cam_from_rig(rows, frames)
    return FramePriors(
        priors=priors,
        frames=tuple(rows),
        rows=tuple(rows.values()),
        moments=tuple(moment_of[index] for index in rows),
        faces=tuple(frames.frames[index].group is not None for index in rows),
        cam_from_rig=cam_from_rig,
        cam_from_world=cam_from_rig @ priors.cam_from_world()[list(rows.values())],
        cameras=cameras,
        camera_ids=camera_ids,
        notes=(*priors.notes, *_notes(rows, priors, frames)),
    )


def write_lenses(database_path: Path, found: FramePriors) -> None:
    """Give the frames with priors the priors' lenses in COLMAP's database, instead of the guessed ones."""
    with pycolmap.Database.open(database_path) as database:
        id_in_database: dict[int, int] = {}
        for camera in found.cameras:
            own_id = database.write_camera(camera)  # COLMAP counts on from the guessed ones
            id_in_database[camera.camera_id] = own_id
            rig = pycolmap.Rig(rig_id=own_id)
            rig.add_ref_sensor(pycolmap.sensor_t(pycolmap.SensorType.CAMERA, own_id))
            database.write_rig(rig, use_rig_id=True)
        for index, camera_id in zip(found.frames, found.camera_ids, strict=True):
            if not camera_id:
                continue
            image = database.read_image(index + 1)
            image.camera_id = id_in_database[camera_id]
            moment = pycolmap.Frame(frame_id=index + 1, rig_id=id_in_database[camera_id])
            moment.add_data_id(image.data_id)
            database.update_frame(moment)  # first: COLMAP compares the image with it
            database.update_image(image)


def _rows_by_number(priors: PosePriors, frames: FrameSet) -> dict[int, int]:
    row_of = {number: row for row, number in enumerate(priors.numbers)}
    numbers = {index: frame.source_index for index, frame in enumerate(frames.frames)}
    return {index: row_of[number] for index, number in numbers.items() if number in row_of}


def _rows_by_name(priors: PosePriors, frames: FrameSet) -> dict[int, int]:
    by_stem: dict[str, list[int]] = {}
    for row, name in enumerate(priors.names):
        by_stem.setdefault(_stem(name), []).append(row)
    found = {index: _row_of(_name_of(frame), by_stem, priors) for index, frame in enumerate(frames.frames)}
    return {index: row for index, row in found.items() if row is not None}


def _name_of(frame: Frame) -> str:
    return frame.group or frame.name if frame.is_of_video else frame.source


def _cam_from_rig(rows: dict[int, int], frames: FrameSet) -> FloatArray:
    result = np.tile(np.eye(4), (len(rows), 1, 1))
    rotation_of = {face.name: rotation_of_face(face).matrix() for face in frames.faces}
    for place, index in enumerate(rows):
        face = frames.frames[index].face
        if face is not None:
            result[place, :3, :3] = rotation_of[face]
    return result


def _row_of(source: str, by_stem: dict[str, list[int]], priors: PosePriors) -> int | None:
    candidates = by_stem.get(_stem(source), [])
    if not candidates:
        return None
    scores = [_likeness(source, priors.names[row]) for row in candidates]
    best = [row for row, score in zip(candidates, scores, strict=True) if score == max(scores)]
    if len(best) > 1:
        raise CamerasError(
            f"{len(best)} poses in {priors.origin} could be that of {source}",
            why=", ".join(priors.names[row] for row in best[:_NAMED]),
            hint="name the poses with the folders and suffixes of the pictures, or keep one of them",
        )
    return best[0]


def _likeness(source: str, name: str) -> tuple[int, bool]:
    """How many folders above the file are the same, and whether the suffix is."""
    own, other = PurePosixPath(source), PurePosixPath(name)
    shared = 0
    for a, b in zip(reversed(own.parts[:-1]), reversed(other.parts[:-1]), strict=False):
        if a != b:
            break
        shared += 1
    return shared, own.name == other.name


def _stem(name: str) -> str:
    """The file's name, without a suffix if that is one of a picture: ``frame_1.5`` is whole."""
    path = PurePosixPath(name)
    return path.stem if path.suffix.lower() in _SUFFIXES else path.name


def _refuse_sharing(rows: dict[int, int], priors: PosePriors, frames: FrameSet) -> None:
    frame_of: dict[int, Frame] = {}
    for index, row in rows.items():
        frame = frames.frames[index]
        other = frame_of.get(row)
        if other is not None and (frame.group is None or frame.group != other.group):
            raise CamerasError(
                f"the pose of {priors.names[row]} could be that of two frames",
                why=f"{other.source} and {frame.source}",
                hint="name the poses with the folders and suffixes of the pictures",
            )
        frame_of[row] = frame


def _refuse_one_place(rows: dict[int, int], priors: PosePriors) -> None:
    matrices = priors.matrices if priors.convention.direction == "camera_to_world" else inverted(priors.matrices)
    places = matrices[sorted(set(rows.values())), :3, 3]
    extent = float(np.ptp(places, axis=0).max())
    if len(places) > 1 and extent <= _ONE_PLACE * max(1.0, float(np.abs(places).max())):
        raise CamerasError(
            f"all {len(places)} poses in {priors.origin} are at one place",
            why="without a way between the pictures nothing can be measured in them",
            hint="check that the translations were written, or leave priors out",
        )


def _cameras(
    rows: dict[int, int], priors: PosePriors, frames: FrameSet
) -> tuple[tuple[pycolmap.Camera, ...], tuple[int, ...]]:
    """Lenses of photos; those of panoramas' faces follow from how they were rendered."""
    photos = {index: row for index, row in rows.items() if frames.frames[index].group is None}
    lenses = [priors.lenses[row] for row in photos.values()]
    missing = [priors.names[row] for row, lens in zip(photos.values(), lenses, strict=True) if lens is None]
    if len(missing) == len(lenses):
        return (), (0,) * len(rows)
    if missing:
        raise CamerasError(
            f"{len(missing)} of {len(lenses)} poses in {priors.origin} have no intrinsics, the others have",
            why=", ".join(missing[:_NAMED]),
            hint="give all of them intrinsics, or none",
        )
    cameras: list[pycolmap.Camera] = []
    id_of: dict[int, int] = {}
    for index, lens in zip(photos, lenses, strict=True):
        assert lens is not None
        if lens.model == PANORAMA:
            raise CamerasError(
                f"the camera_model {PANORAMA} in {priors.origin} is of panoramas",
                why=f"{frames.frames[index].source} is none",
                hint="set frames.projection=equirectangular, or correct the camera_model",
            )
        camera = colmap_camera(lens, frames.frames[index], len(cameras) + 1)
        same = next((other for other in cameras if _same(camera, other)), None)
        if same is None:
            cameras.append(camera)
        id_of[index] = (same or camera).camera_id
    return tuple(cameras), tuple(id_of.get(index, 0) for index in rows)


def _same(a: pycolmap.Camera, b: pycolmap.Camera) -> bool:
    return (a.model, a.width, a.height) == (b.model, b.width, b.height) and bool(
        np.allclose(a.params, b.params, rtol=_SAME_LENS, atol=_SAME_LENS)
    )


def _notes(rows: dict[int, int], priors: PosePriors, frames: FrameSet) -> list[str]:
    notes = []
    if unused := len(priors.names) - len(rows):
        notes.append(f"{unused} of {len(priors.names)} poses in {priors.origin} belong to no frame and are not used.")
    if without := len(frames) - len(rows):
        names = [frame.source for index, frame in enumerate(frames.frames) if index not in rows]
        named = ", ".join(names[:_NAMED]) + (", …" if without > _NAMED else "")
        notes.append(f"{without} of {len(frames)} frames have no pose in {priors.origin}: {named}.")
    return notes
