"""Solved scenes in the folders that other programs read: COLMAP's and nerfstudio's. Pictures are linked, not copied."""

from splatlib.scene_formats.colmap import write_colmap as write_colmap
from splatlib.scene_formats.nerfstudio import write_nerfstudio as write_nerfstudio
from splatlib.scene_formats.pictures import PlacedView as PlacedView
