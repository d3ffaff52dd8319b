"""Known camera poses, from a phone's tracking or another program: reading, checking, and mapping with them."""

from splatlib.cameras.priors.formats import read_priors as read_priors
from splatlib.cameras.priors.frames import priors_of_frames as priors_of_frames
from splatlib.cameras.priors.of_capture import priors_path as priors_path
from splatlib.cameras.priors.stage import map_with_priors as map_with_priors

__all__ = ["map_with_priors", "priors_of_frames", "priors_path", "read_priors"]
