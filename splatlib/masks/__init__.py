"""Which pixels of each frame count."""

from splatlib.masks.stage import mask_frames as mask_frames

__all__ = ["mask_frames"]
