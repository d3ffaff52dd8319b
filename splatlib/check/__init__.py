"""The capture check: what will come of the frames, and what to film again, before the expensive stages."""

from splatlib.check.stage import check_capture as check_capture

__all__ = ["check_capture"]
