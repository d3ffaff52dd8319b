"""Which frames look alike: VLAD vectors over a small vocabulary of the capture's own descriptors, no download.

pycolmap's ``VisualIndex`` also builds a vocabulary, but its ``query`` gives its result in a C++ list that Python
never sees (4.2.1), so it can only be used through COLMAP's own pair generators.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

NUM_WORDS = 64
_SAMPLE = 20_000  # descriptors that the vocabulary is made of
_KMEANS_ITERATIONS = 10


def vlad(descriptors_of: Callable[[int], npt.NDArray[np.uint8]], num_frames: int, seed: int) -> npt.NDArray[np.float32]:
    """Unit vectors [F, 64 * 128]; their inner products say how alike frames look (1 = same, about 0 = unrelated).

    Residuals to the nearest word, summed and normalised word by word (Jégou et al. 2010, "Aggregating local
    descriptors into a compact image representation"; Arandjelović & Zisserman 2013, "All about VLAD").

    Args:
        descriptors_of: descriptors [K, 128] of a frame by its index.
        num_frames: F.
        seed: of the vocabulary.
    """
    words = _vocabulary(descriptors_of, num_frames, seed)
    vectors = np.zeros((num_frames, words.size), np.float32)
    for index in range(num_frames):
        descriptors = descriptors_of(index).astype(np.float32)
        nearest = np.argmax(descriptors @ words.T - 0.5 * (words**2).sum(axis=1), axis=1)
        belongs = (nearest[:, None] == np.arange(len(words))).astype(np.float32)
        residuals = belongs.T @ descriptors - belongs.sum(axis=0)[:, None] * words
        residuals /= np.maximum(np.linalg.norm(residuals, axis=1, keepdims=True), 1e-9)
        vectors[index] = residuals.ravel() / max(float(np.linalg.norm(residuals)), 1e-9)
    return vectors


def look_alikes(vectors: npt.NDArray[np.float32], top: int, but_neighbours_within: int) -> set[tuple[int, int]]:
    """Pairs (i < j) of each frame with the ``top`` that look most like it, neighbours in order left out."""
    pairs: set[tuple[int, int]] = set()
    for index in range(len(vectors)):
        alike = vectors @ vectors[index]
        alike[max(0, index - but_neighbours_within) : index + but_neighbours_within + 1] = -np.inf
        best = np.argsort(-alike, kind="stable")[:top]
        pairs |= {(min(index, int(j)), max(index, int(j))) for j in best if np.isfinite(alike[j])}
    return pairs


def look_alikes_across(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32], top: int) -> set[tuple[int, int]]:
    """Pairs (i, j) of each frame of either set with the ``top`` of the other set that look most like it.

    Args:
        one, other: vectors [F, D] and [G, D] of the frames i and j.
    """
    alike = one @ other.T
    of_one, of_other = (
        np.argsort(-alike, axis=1, kind="stable")[:, :top],
        np.argsort(-alike, axis=0, kind="stable")[:top],
    )
    return {(i, int(j)) for i in range(len(one)) for j in of_one[i]} | {
        (int(i), j) for j in range(len(other)) for i in of_other[:, j]
    }


def _vocabulary(
    descriptors_of: Callable[[int], npt.NDArray[np.uint8]], num_frames: int, seed: int
) -> npt.NDArray[np.float32]:
    """[W, 128] words, W at most 64, by k-means over a sample of all frames' descriptors."""
    rng = np.random.default_rng(seed)
    frames = rng.permutation(num_frames)[:_SAMPLE]
    per_frame = max(1, _SAMPLE // num_frames)
    sample = np.concatenate([rng.permutation(descriptors_of(int(index)))[:per_frame] for index in frames])
    if len(sample) <= NUM_WORDS:
        return sample.astype(np.float32) if len(sample) else np.zeros((1, 128), np.float32)
    cv2.setRNGSeed(seed)
    stop = (cv2.TERM_CRITERIA_MAX_ITER + cv2.TERM_CRITERIA_EPS, _KMEANS_ITERATIONS, 1e-2)
    labels = np.zeros((len(sample), 1), np.int32)
    _, _, words = cv2.kmeans(sample.astype(np.float32), NUM_WORDS, labels, stop, 1, cv2.KMEANS_PP_CENTERS)
    return np.asarray(words, np.float32)
