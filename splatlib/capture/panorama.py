"""Equirectangular panoramas rendered to pinhole faces, as one rig of cameras that share a centre.

A face has as many pixels across as the panorama has over the same angle on the horizon: with 90 degrees a quarter of
the panorama's width.

COLMAP also has a camera model EQUIRECTANGULAR. It is not used: training draws pinholes, so the faces are needed in any
case, and SIFT knows no distortion of the kind that a panorama has near its poles.
"""

from __future__ import annotations

import math
import threading
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from splatlib.artifacts import Frame, RigFace
from splatlib.config import FramesConfig, panorama_face_names
from splatlib.equirectangular import FaceSize, Picture, Table, face_table, render_faces


def faces_of(config: FramesConfig) -> tuple[RigFace, ...]:
    """The faces that a config asks for, those to drop left out."""
    return tuple(
        RigFace(name, _wxyz(cam_from_rig(name, config.panorama_ring)))
        for name in panorama_face_names(config.panorama_ring)
        if name not in config.panorama_drop
    )


def panoramas_within(config: FramesConfig) -> int:
    """How many panoramas ``max_frames`` allows, each of its faces being a frame; three at the least."""
    return max(3, config.max_frames // len(faces_of(config)))


def frame_of_face(frame: Frame, face: RigFace, group: str, focal_px: float) -> Frame:
    """A frame's record as that of a panorama's face; the focal length of the lens that took it means nothing now."""
    return replace(frame, group=group, face=face.name, focal_px=focal_px)


def cam_from_rig(name: str, ring: int) -> npt.NDArray[np.float64]:
    """[3, 3] rotation of a face; of those round the horizon the first looks along the rig's z, the second right."""
    number = panorama_face_names(ring).index(name)
    yaw = 2 * math.pi * number / ring if number < ring else 0.0
    pitch = {"up": math.pi / 2, "down": -math.pi / 2}.get(name, 0.0)
    turn = np.array([[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]])
    tilt = np.array([[1, 0, 0], [0, math.cos(pitch), -math.sin(pitch)], [0, math.sin(pitch), math.cos(pitch)]])
    return (turn @ tilt).T


def face_size(panorama_width_px: int, hfov_deg: float, max_side_px: int) -> FaceSize:
    """How large the faces of a panorama of this width are, no larger than ``max_side_px``."""
    side_px = min(max(1, round(panorama_width_px * hfov_deg / 360)), max_side_px)
    focal_px = side_px / 2 / math.tan(math.radians(hfov_deg) / 2)
    return FaceSize.within(panorama_width_px, side_px, focal_px)


class FaceRenderer:
    """Renders panoramas to faces; the tables of positions are computed once per size. May be used by several threads.

    Attributes:
        faces: in the order of what ``render`` returns.
    """

    def __init__(self, config: FramesConfig) -> None:
        self.faces = faces_of(config)
        self._hfov_deg, self._max_side_px = config.panorama_hfov_deg, config.max_long_side_px
        self._rotations = [cam_from_rig(face.name, config.panorama_ring) for face in self.faces]
        self._tables: dict[FaceSize, list[Table]] = {}
        self._lock = threading.Lock()

    def focal_px(self, side_px: int) -> float:
        """Of a face of this width."""
        return side_px / 2 / math.tan(math.radians(self._hfov_deg) / 2)

    def size_for(self, panorama_width_px: int) -> FaceSize:
        return face_size(panorama_width_px, self._hfov_deg, self._max_side_px)

    def render(self, panorama: Picture) -> list[Picture]:
        """Faces [S, S, C] of a panorama [H, 2H, C], uint8 (cubic; without C: a mask, nearest)."""
        size = self.size_for(panorama.shape[1])
        how = cv2.INTER_CUBIC if panorama.ndim == 3 else cv2.INTER_NEAREST
        return render_faces(panorama, size, self._tables_for(size), how)

    def _tables_for(self, size: FaceSize) -> list[Table]:
        with self._lock:
            if size not in self._tables:
                self._tables[size] = [face_table(rotation, size) for rotation in self._rotations]
            return self._tables[size]


def _wxyz(rotation: npt.NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Unit quaternion of a [3, 3] rotation by Shepperd's method (1978): divides by the largest component."""
    r = rotation
    squares = np.array([1 + np.trace(r), *(1 + 2 * r[i, i] - np.trace(r) for i in range(3))])
    best = int(np.argmax(squares))
    skew = np.array([r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]])
    if best == 0:
        quaternion = np.array([squares[0], *skew])
    else:
        i = best - 1
        quaternion = np.array([skew[i], *(r[i, j] + r[j, i] for j in range(3))])
        quaternion[best] = squares[best]
    w, x, y, z = (quaternion / np.linalg.norm(quaternion)).tolist()
    return w, x, y, z
