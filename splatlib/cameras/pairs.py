"""Which frames are compared with which, and the comparing.

``matching="auto"`` decides so:

1. at most 40 frames: all with all ("exhaustive", at most 780 pairs);
2. a video, or photos whose file names count up: each frame with its next ``sequential_overlap`` neighbours, and for
   loop closure with the six frames elsewhere in the capture that look most like it ("sequential");
3. other photos: each with the 20 that look most like it and its two neighbours by name ("retrieval").

A capture of several sources: all with all up to 40 frames in all; else each source by itself, by the rule for what it
is, and then the sources with one another, since nothing says which of their frames are near: each frame with those of
every other source that look most like it, ten of the only one, fewer of each of several. That is done whatever
``matching`` says: without it the sources would never join.

Frames whose GPS places can be believed (``splatlib.cameras.gps``) are also compared with those of the eight nearest
places, unless all are compared with all.

The faces of a panorama are never compared with one another: they share a centre. Neighbours of a panorama are
panoramas, half as many, and all faces are compared with all of theirs, since the camera may have turned.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt

from splatlib.artifacts import Frame, FrameSet
from splatlib.cameras._pycolmap import colmap_errors_translated, matching_device, num_threads, pycolmap
from splatlib.cameras.gps import Places, neighbours_in_space
from splatlib.config import CamerasConfig
from splatlib.matching import retrieval
from splatlib.matching.order import count_up, moments
from splatlib.progress import bar

Pairs = list[tuple[int, int]]  # indices into FrameSet.frames, the smaller first, sorted

EXHAUSTIVE_UP_TO = 40
_LOOK_ALIKES = 6
_LOOK_ALIKES_UNORDERED = 20
_NEIGHBOURS_UNORDERED = 2
_NEAREST_PLACES = 8
# Frames of other sources, shared among them, and the fewest of each.
_LOOK_ALIKES_ACROSS = 10
_LEAST_ACROSS = 3
# Pairs COLMAP is given at a time: often enough for a progress bar and for Ctrl-C.
_CHUNK = 64
# Of the attempts to fit a two-view geometry before its own stopping rule may end them; COLMAP's 100 cost twice as
# much and found the same inliers (fox_540).
_MIN_RANSAC_TRIALS = 30


def choose_method(frames: FrameSet, config: CamerasConfig) -> str:
    """``exhaustive``, ``sequential`` or ``retrieval``, by the rule at the top of this module; of several sources those
    of each, in their order, ``sequential + retrieval``."""
    if config.matching != "auto":
        return config.matching
    if len(frames) <= EXHAUSTIVE_UP_TO:
        return "exhaustive"
    return " + ".join(_method_of(part) for part in _parts(frames))


def choose_pairs(frames: FrameSet, database_path: Path, config: CamerasConfig, places: Places | None = None) -> Pairs:
    """The pairs to compare. Reads the descriptors in the database where frames are chosen by likeness.

    Args:
        places: where frames were taken, if that is known.
    """
    taken = moments(frames)
    moment_of = {index: number for number, moment in enumerate(taken) for index in moment}
    if choose_method(frames, config) == "exhaustive":
        return [(i, j) for i, j in combinations(range(len(frames)), 2) if moment_of[i] != moment_of[j]]
    parts = _parts(frames)
    methods = [_method_of(part) if config.matching == "auto" else config.matching for part in parts]
    windows = [_window(part, method, config) for part, method in zip(parts, methods, strict=True)]
    pairs = {pair for part, window in zip(parts, windows, strict=True) for pair in _neighbours(part.moments, window)}
    if places is not None:
        count = _NEAREST_PLACES if max(map(len, taken)) == 1 else _NEAREST_PLACES // 2
        pairs |= neighbours_in_space(places, taken, count)
    if len(parts) > 1 or methods[0] == "retrieval" or config.loop_closure:
        with colmap_errors_translated("reading the features"), pycolmap.Database.open(database_path) as database:

            def descriptors_of(index: int) -> npt.NDArray[np.uint8]:
                return np.asarray(database.read_descriptors(index + 1).data)

            vectors = retrieval.vlad(descriptors_of, len(frames), config.seed)
        for part, method, window in zip(parts, methods, windows, strict=True):
            if method == "retrieval" or config.loop_closure:
                top = _LOOK_ALIKES if method == "sequential" else _LOOK_ALIKES_UNORDERED
                inside = retrieval.look_alikes(vectors[part.indices], top, window * part.most_faces)
                pairs |= {(part.indices[i], part.indices[j]) for i, j in inside}
        top = max(_LOOK_ALIKES_ACROSS // max(1, len(parts) - 1), _LEAST_ACROSS)
        for one, other in combinations(parts, 2):
            across = retrieval.look_alikes_across(vectors[one.indices], vectors[other.indices], top)
            pairs |= {(one.indices[i], other.indices[j]) for i, j in across}
    return sorted((i, j) for i, j in pairs if moment_of[i] != moment_of[j])


@dataclass(frozen=True)
class _Part:
    """The frames of one source. A capture's frames are those of its sources, one after the other.

    Attributes:
        indices: of its frames, ascending. moments: the same, those taken at one moment together.
    """

    frames: tuple[Frame, ...]
    indices: list[int]
    moments: list[list[int]]

    @property
    def most_faces(self) -> int:
        return max(map(len, self.moments))


def _parts(frames: FrameSet) -> list[_Part]:
    moments_of: dict[str | None, list[list[int]]] = {}
    for moment in moments(frames):
        moments_of.setdefault(frames.frames[moment[0]].source_group, []).append(moment)
    return [
        _Part(tuple(frames.frames[moment[0]] for moment in own), sorted(i for moment in own for i in moment), own)
        for own in moments_of.values()
    ]


def _method_of(part: _Part) -> str:
    is_video = all(frame.is_of_video for frame in part.frames)
    return "sequential" if is_video or count_up(part.frames) else "retrieval"


def _window(part: _Part, method: str, config: CamerasConfig) -> int:
    """How many moments after its own a frame is compared with."""
    window = config.sequential_overlap if method == "sequential" else _NEIGHBOURS_UNORDERED
    return max(1, window // 2) if part.most_faces > 1 else window


def _neighbours(taken: list[list[int]], window: int) -> set[tuple[int, int]]:
    return {
        (min(i, j), max(i, j))
        for number, moment in enumerate(taken)
        for later in taken[number + 1 : number + 1 + window]
        for i in moment
        for j in later
    }


def match_pairs(frames: FrameSet, pairs: Pairs, database_path: Path, config: CamerasConfig) -> None:
    """Match descriptors (nearest neighbour, ratio 0.8, both ways) and verify each pair's two-view geometry."""
    names = [frame.name for frame in frames.frames]
    matching = pycolmap.FeatureMatchingOptions(num_threads=num_threads())
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = config.seed
    verification.ransac.min_num_trials = _MIN_RANSAC_TRIALS
    pairing = pycolmap.ImportedPairingOptions()
    list_path = database_path.with_name("pairs.txt")
    pairing.match_list_path = str(list_path)
    with bar(len(pairs), "matches", unit="pair") as progress:
        for start in range(0, len(pairs), _CHUNK):
            chunk = pairs[start : start + _CHUNK]
            list_path.write_text("".join(f"{names[i]} {names[j]}\n" for i, j in chunk))
            with colmap_errors_translated("matching the features"):
                pycolmap.match_image_pairs(database_path, matching, pairing, verification, matching_device())
            progress.update(len(chunk))
    list_path.unlink(missing_ok=True)
