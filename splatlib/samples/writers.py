"""Write the sample's pictures: an MP4 by OpenCV, or JPEGs with EXIF by Pillow."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import cv2
import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from splatlib.errors import WorkspaceError
from splatlib.samples import Sample

Writer = Callable[[int, npt.NDArray[np.uint8]], None]

_SENSOR_WIDTH_MM = 6.4
_FIRST_PHOTO_AT = datetime(2024, 5, 1, 10, 0, 0, tzinfo=UTC)


@contextlib.contextmanager
def open_writer(sample: Sample, frames_per_second: int) -> Iterator[Writer]:
    """A function that writes picture number i [H, W, 3]; the file or folder appears when all are written."""
    partial = sample.path.with_name("partial-" + sample.path.name)
    if sample.kind == "photos":
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        exif = [_exif(sample, index) for index in sample.frame_indices]

        def write_photo(index: int, picture: npt.NDArray[np.uint8]) -> None:
            Image.fromarray(picture).save(partial / sample.names[index], quality=95, subsampling=0, exif=exif[index])

        yield write_photo
        shutil.rmtree(sample.path, ignore_errors=True)
    else:
        size = (sample.camera.width, sample.camera.height)
        video = cv2.VideoWriter(str(partial), cv2.VideoWriter.fourcc(*"mp4v"), frames_per_second, size)
        if not video.isOpened():
            raise WorkspaceError(
                f"the sample video cannot be written to {partial}",
                why="OpenCV opened no MPEG-4 writer: the folder is not writable, or this OpenCV has no FFmpeg",
            )

        def write_frame(index: int, picture: npt.NDArray[np.uint8]) -> None:
            video.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))

        yield write_frame
        video.release()
    partial.replace(sample.path)


def _exif(sample: Sample, index: int) -> Image.Exif:
    """Focal length, taking time and size as a phone writes them."""
    focal_mm = sample.camera.fx / sample.camera.width * _SENSOR_WIDTH_MM
    px_per_mm = sample.camera.width / _SENSOR_WIDTH_MM
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "splatlib"
    exif[ExifTags.Base.Model] = "sample"
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.FocalLength] = round(focal_mm, 4)
    details[ExifTags.Base.FocalLengthIn35mmFilm] = round(focal_mm / _SENSOR_WIDTH_MM * 36)
    details[ExifTags.Base.FocalPlaneXResolution] = px_per_mm * 10
    details[ExifTags.Base.FocalPlaneYResolution] = px_per_mm * 10
    details[ExifTags.Base.FocalPlaneResolutionUnit] = 3  # pixels per centimetre
    taken_at = _FIRST_PHOTO_AT + timedelta(seconds=2 * index)
    details[ExifTags.Base.DateTimeOriginal] = taken_at.strftime("%Y:%m:%d %H:%M:%S")
    return exif
