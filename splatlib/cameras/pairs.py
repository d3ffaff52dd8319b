"""Which frames are compared with which, and the comparing.

``matching="auto"`` decides so:

1. at most 40 frames: all with all ("exhaustive", at most 780 pairs);
2. a video, or photos whose file names count up: each frame with its next ``sequential_overlap`` neighbours, and for
   loop closure with the six frames elsewhere in the capture that look most like it ("sequential");
3. other photos: each with the 20 that look most like it and its two neighbours by name ("retrieval").

The faces of a panorama are never compared with one another: they share a centre. Neighbours of a panorama are
panoramas, half as many, and all faces are compared with all of theirs, since the camera may have turned.
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt

from splatlib.artifacts import FrameSet
from splatlib.cameras._pycolmap import colmap_errors_translated, num_threads, pycolmap
from splatlib.config import CamerasConfig
from splatlib.matching import retrieval
from splatlib.matching.order import moments, names_count_up
from splatlib.progress import bar

Pairs = list[tuple[int, int]]  # indices into FrameSet.frames, the smaller first, sorted

EXHAUSTIVE_UP_TO = 40
_LOOK_ALIKES = 6
_LOOK_ALIKES_UNORDERED = 20
_NEIGHBOURS_UNORDERED = 2
# Pairs COLMAP is given at a time: often enough for a progress bar and for Ctrl-C.
_CHUNK = 64
# Of the attempts to fit a two-view geometry before its own stopping rule may end them; COLMAP's 100 cost twice as
# much and found the same inliers (fox_540).
_MIN_RANSAC_TRIALS = 30


def choose_method(frames: FrameSet, config: CamerasConfig) -> str:
    """``exhaustive``, ``sequential`` or ``retrieval``, by the rule at the top of this module."""
    if config.matching != "auto":
        return config.matching
    if len(frames) <= EXHAUSTIVE_UP_TO:
        return "exhaustive"
    return "sequential" if frames.kind == "video" or names_count_up(frames) else "retrieval"


def choose_pairs(frames: FrameSet, database_path: Path, config: CamerasConfig) -> Pairs:
    """The pairs to compare. Reads the descriptors in the database where frames are chosen by likeness."""
    num_frames, method, taken = len(frames), choose_method(frames, config), moments(frames)
    moment_of = {index: number for number, moment in enumerate(taken) for index in moment}
    if method == "exhaustive":
        return [(i, j) for i, j in combinations(range(num_frames), 2) if moment_of[i] != moment_of[j]]
    window = config.sequential_overlap if method == "sequential" else _NEIGHBOURS_UNORDERED
    most_faces = max(map(len, taken))
    if most_faces > 1:
        window = max(1, window // 2)
    pairs = {
        (min(i, j), max(i, j))
        for number, moment in enumerate(taken)
        for later in taken[number + 1 : number + 1 + window]
        for i in moment
        for j in later
    }
    if method == "retrieval" or config.loop_closure:
        top = _LOOK_ALIKES if method == "sequential" else _LOOK_ALIKES_UNORDERED
        with colmap_errors_translated("reading the features"), pycolmap.Database.open(database_path) as database:

            def descriptors_of(index: int) -> npt.NDArray[np.uint8]:
                return np.asarray(database.read_descriptors(index + 1).data)

            vectors = retrieval.vlad(descriptors_of, num_frames, config.seed)
        pairs |= retrieval.look_alikes(vectors, top, but_neighbours_within=window * most_faces)
    return sorted((i, j) for i, j in pairs if moment_of[i] != moment_of[j])


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
                pycolmap.match_image_pairs(database_path, matching, pairing, verification)
            progress.update(len(chunk))
    list_path.unlink(missing_ok=True)
