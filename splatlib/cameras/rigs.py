"""Panoramas as COLMAP rigs: the faces of one share a centre, and how they lie to one another is known and kept.

COLMAP solves one pose a rig and moment (``rig_from_world`` of its "frame") instead of one an image; the faces' own
poses, ``cam_from_rig``, and their focal lengths follow from how the panorama was rendered and are held constant. So six
faces of a panorama add six times the matches and not one unknown more than a single picture.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from splatlib.artifacts import Frame, FrameSet, RigFace
from splatlib.cameras._pycolmap import pycolmap
from splatlib.errors import CamerasError
from splatlib.matching.order import moments

# Width, height and focal length in pixels of the faces of one size of panorama.
_Size = tuple[int, int, float]


def write_rigs(database: pycolmap.Database, frames: FrameSet, first_free_id: int) -> None:
    """Write cameras, rigs, images and frames of all panoramas. Image ids count from 1 in the order of ``frames``.

    Panoramas of one size share a rig with a PINHOLE camera a face, ids from ``first_free_id`` on.

    Raises:
        CamerasError: a face is not in ``frames.faces``, has no focal length, or comes twice in a panorama.
    """
    groups = [group for group in moments(frames) if frames.frames[group[0]].group is not None]
    _require_sound(frames, groups)
    camera_ids: dict[_Size, dict[str, int]] = {}
    for group in groups:
        size = _size_of(frames.frames[group[0]])
        if size not in camera_ids:
            ids = range(first_free_id, first_free_id + len(frames.faces))
            camera_ids[size] = {face.name: camera_id for face, camera_id in zip(frames.faces, ids, strict=True)}
            _write_rig(database, frames, size, camera_ids[size])
            first_free_id += len(frames.faces)
        rig_id = min(camera_ids[size].values())
        moment = pycolmap.Frame(frame_id=group[0] + 1, rig_id=rig_id)
        for index in group:
            frame = frames.frames[index]
            image = pycolmap.Image(
                name=frame.name,
                keypoints=np.zeros((0, 2)),
                camera_id=camera_ids[size][str(frame.face)],
                image_id=index + 1,
            )
            database.write_image(image, use_image_id=True)
            moment.add_data_id(image.data_id)
        database.write_frame(moment, use_frame_id=True)


def known_cameras(images: Iterable[pycolmap.Image], frames: FrameSet) -> set[int]:
    """Ids of the cameras whose intrinsics are known beforehand and stay as they are: those of panoramas' faces.

    Args:
        images: of a database or a model.
    """
    names = {frame.name for frame in frames.frames if frame.group is not None}
    return {image.camera_id for image in images if image.name in names}


def _write_rig(database: pycolmap.Database, frames: FrameSet, size: _Size, camera_id_of: dict[str, int]) -> None:
    """The first face is the rig's reference: the rig has that camera's axes."""
    width, height, focal_px = size
    rig = pycolmap.Rig(rig_id=min(camera_id_of.values()))
    panorama_from_reference = rotation_of_face(frames.faces[0]).inverse()
    for face in frames.faces:
        camera = pycolmap.Camera(
            camera_id=camera_id_of[face.name],
            model="PINHOLE",
            width=width,
            height=height,
            params=[focal_px, focal_px, width / 2, height / 2],
        )
        camera.has_prior_focal_length = True
        database.write_camera(camera, use_camera_id=True)
        if face is frames.faces[0]:
            rig.add_ref_sensor(camera.sensor_id)
        else:
            rotation = rotation_of_face(face) * panorama_from_reference
            rig.add_sensor(camera.sensor_id, pycolmap.Rigid3d(rotation, np.zeros(3)))
    database.write_rig(rig, use_rig_id=True)


def rotation_of_face(face: RigFace) -> pycolmap.Rotation3d:
    """cam_from_rig."""
    w, x, y, z = face.cam_from_rig
    return pycolmap.Rotation3d(np.array([x, y, z, w]))


def _size_of(frame: Frame) -> _Size:
    return frame.width, frame.height, float(frame.focal_px or 0.0)


def _require_sound(frames: FrameSet, groups: list[list[int]]) -> None:
    known = {face.name for face in frames.faces}
    for group in groups:
        members = [frames.frames[index] for index in group]
        faces = [frame.face for frame in members]
        sizes = {_size_of(frame) for frame in members}
        sound = set(faces) <= known and len(set(faces)) == len(faces) and len(sizes) == 1 and all(s[2] for s in sizes)
        if not sound:
            raise CamerasError(
                f"the faces of panorama {members[0].group} are no rig",
                why=f"they are {', '.join(map(str, faces))}; each of {', '.join(sorted(known))} may come once,"
                " all of one size and with a focal length",
                hint="extract the frames again",
            )
