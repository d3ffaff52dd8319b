"""Masks of whole panoramas, rendered to the faces as the pictures were."""

from __future__ import annotations

import functools

import cv2
import numpy as np
import numpy.typing as npt

from splatlib.artifacts import Frame, FrameSet
from splatlib.equirectangular import FaceSize, Table, face_table, render_faces
from splatlib.masks.thumbnails import Picture


class MaskFaces:
    """Renders to the faces of a FrameSet's panoramas. May be used by several threads."""

    def __init__(self, frames: FrameSet) -> None:
        self._face_from_rig = {face.name: _rotation(face.cam_from_rig) for face in frames.faces}
        # as many as a panorama has faces, for one size of mask
        self._table = functools.lru_cache(maxsize=max(1, len(frames.faces)))(self._made_table)

    def render(self, panorama: Picture, frame: Frame) -> Picture:
        """[S, S] of a mask [H, 2H] in any resolution: still grey, averaged where it is finer than the face."""
        assert frame.face is not None and frame.focal_px is not None, "not a face of a panorama"
        size = FaceSize.within(panorama.shape[1], frame.width, frame.focal_px)
        return render_faces(panorama, size, [self._table(frame.face, size)], cv2.INTER_LINEAR)[0]

    def _made_table(self, face: str, size: FaceSize) -> Table:
        return face_table(self._face_from_rig[face], size)


def _rotation(wxyz: tuple[float, float, float, float]) -> npt.NDArray[np.float64]:
    """[3, 3] of a unit quaternion."""
    w, x, y, z = wxyz
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
