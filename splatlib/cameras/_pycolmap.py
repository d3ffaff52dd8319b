"""The one place that imports pycolmap; all other modules take ``pycolmap`` from here.

cv2 must be loaded before pycolmap: both carry zlib, and in the other order ``cv2.imwrite`` of a PNG aborts the
process with "free(): invalid pointer" (seen with pycolmap 4.2.1 and opencv-python-headless 5.0).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from splatlib.errors import CamerasError
from splatlib.progress import logger
from splatlib.threads import available_cpus as num_threads  # COLMAP's own default counts all of the machine's

if "pycolmap" in sys.modules and "cv2" not in sys.modules:
    raise CamerasError(
        "pycolmap was imported before OpenCV",
        why="in this order OpenCV crashes the process when it writes a PNG file",
        hint="put `import cv2` before `import pycolmap`, and restart the process or notebook kernel",
    )

import cv2
import pycolmap

__all__ = ["colmap_errors_translated", "colmap_logged", "cv2", "matching_device", "num_threads", "pycolmap"]

# What pycolmap raises: failed checks arrive as ValueError or RuntimeError, a broken database as RuntimeError.
_COLMAP_ERRORS = (RuntimeError, ValueError, IndexError, KeyError)
_DISK_FULL = ("disk is full", "No space left")  # SQLite's words and the system's


def matching_device() -> pycolmap.Device:
    """Where COLMAP is to match features: on a GPU if it is built for one (``pycolmap-cuda12``) and there is one.

    Left to itself such a build aborts where there is none.
    """
    return pycolmap.Device.cuda if pycolmap.has_cuda and _num_cuda_devices() else pycolmap.Device.cpu


def _num_cuda_devices() -> int:
    """GPUs that this process may see, by NVIDIA's driver; 0 where there is none of it."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return 0
    return count.value


@contextlib.contextmanager
def colmap_errors_translated(doing: str) -> Iterator[None]:
    """Turn what pycolmap raises while ``doing`` something into a CamerasError; a full disk into an OSError, which the
    workspace knows how to tell."""
    try:
        yield
    except _COLMAP_ERRORS as error:
        if any(words in str(error) for words in _DISK_FULL):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise CamerasError(
            f"{doing} failed inside COLMAP", why=str(error), hint="the stage's log has COLMAP's own messages"
        ) from error


@contextlib.contextmanager
def colmap_logged() -> Iterator[None]:
    """Send COLMAP's own messages (glog) to the stage's log instead of the terminal."""
    log = pycolmap.logging
    to_stderr, threshold = log.alsologtostderr, log.stderrthreshold
    with tempfile.TemporaryDirectory(prefix="splatlib-colmap-") as directory:
        log.alsologtostderr, log.stderrthreshold = False, int(log.Level.FATAL.value)
        log.set_log_destination(log.Level.INFO, str(Path(directory) / "log."))
        try:
            yield
        finally:
            # Leaving the destination also writes out what glog still holds back.
            log.set_log_destination(log.Level.INFO, "")
            log.alsologtostderr, log.stderrthreshold = to_stderr, threshold
            for file in sorted(Path(directory).iterdir()):
                for line in file.read_text(errors="replace").splitlines():
                    logger.debug("colmap: %s", line)
