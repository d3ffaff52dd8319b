"""From a capture (video, folder or zip of photos) to frames worth reconstructing from."""

from splatlib.capture.frames import extract_frames as extract_frames

__all__ = ["extract_frames"]
