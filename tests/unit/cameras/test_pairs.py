from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from splatlib.cameras import _pycolmap, pairs
from splatlib.cameras.features import write_features
from splatlib.config import CamerasConfig
from splatlib.matching import retrieval
from splatlib.matching.order import names_count_up
from tests.unit.cameras.made_frames import frame_set, named_frames, noise, of_sources


@pytest.mark.parametrize(
    ("count", "kind", "pattern", "method"),
    [
        (40, "video", "clip.mp4", "exhaustive"),
        (41, "video", "clip.mp4", "sequential"),
        (41, "photos", "IMG_{:04d}.jpg", "sequential"),
        (41, "photos", "photo {}.jpeg", "sequential"),
        (41, "photos", "nameless.jpg", "retrieval"),
    ],
)
def test_auto_follows_its_rule(count: int, kind: str, pattern: str, method: str) -> None:
    frames = named_frames([pattern.format(3 * index) for index in range(count)], kind)
    assert pairs.choose_method(frames, CamerasConfig()) == method


def test_names_that_jump_about_are_no_sequence() -> None:
    order = np.random.default_rng(0).permutation(60)
    assert not names_count_up(named_frames([f"{number}.jpg" for number in order]))
    assert not names_count_up(named_frames([f"{number * 1000}.jpg" for number in range(60)]))


def test_a_matching_that_is_asked_for_is_taken() -> None:
    frames = named_frames(["a.jpg", "b.jpg", "c.jpg"])
    assert pairs.choose_method(frames, CamerasConfig(matching="sequential")) == "sequential"


def test_sequential_pairs_are_the_neighbours_each_once() -> None:
    frames = named_frames([f"{index}.jpg" for index in range(6)])
    config = CamerasConfig(matching="sequential", sequential_overlap=2, loop_closure=False)
    found = pairs.choose_pairs(frames, Path("no database is needed"), config)
    assert found == [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3), (2, 4), (3, 4), (3, 5), (4, 5)]


def test_exhaustive_pairs_are_all() -> None:
    frames = named_frames([f"{index}.jpg" for index in range(7)])
    found = pairs.choose_pairs(frames, Path("no database is needed"), CamerasConfig(matching="exhaustive"))
    assert len(found) == len(set(found)) == 21


def test_loop_closure_finds_the_place_seen_before(tmp_path: Path) -> None:
    """Ten places, then the first three again from a little to the side: those pairs must be among the compared."""
    places = [noise(240, 180, seed) for seed in range(10)]
    again = [np.ascontiguousarray(np.roll(place, 7, axis=1)) for place in places[:3]]
    frames = frame_set(tmp_path / "frames", [*places, *again])
    config = CamerasConfig(matching="sequential", sequential_overlap=2)
    write_features(tmp_path / "database.db", frames, None, config)
    found = pairs.choose_pairs(frames, tmp_path / "database.db", config)
    assert {(0, 10), (1, 11), (2, 12)} <= set(found)
    without = pairs.choose_pairs(frames, tmp_path / "database.db", config.model_copy(update={"loop_closure": False}))
    assert not {(0, 10), (1, 11), (2, 12)} & set(without)


def test_sources_have_neighbours_among_their_own_and_look_alikes_among_the_others(tmp_path: Path) -> None:
    """Two walks past the same ten places, the second backwards: no order tells which frames of them belong together."""
    places = [noise(240, 180, seed) for seed in range(24)]
    again = [np.ascontiguousarray(np.roll(place, 7, axis=1)) for place in reversed(places[:20])]
    labels = ["there.mp4"] * 24 + ["back.mp4"] * 20
    frames = of_sources(frame_set(tmp_path / "frames", [*places, *again], kind="video"), labels)
    config = CamerasConfig(sequential_overlap=2, loop_closure=False)
    assert pairs.choose_method(frames, config) == "sequential + sequential"
    write_features(tmp_path / "database.db", frames, None, config)
    found = pairs.choose_pairs(frames, tmp_path / "database.db", config)
    inside = {(i, j) for i, j in found if labels[i] == labels[j]}
    assert {j - i for i, j in inside} == {1, 2}
    across = set(found) - inside
    assert {(place, 43 - place) for place in range(20)} <= across
    assert len(across) <= 10 * 44 and found == sorted(set(found))


def test_each_source_is_matched_by_what_it_is() -> None:
    counting = [f"IMG_{index}.jpg" for index in range(30)]
    frames = of_sources(named_frames([*counting, *["nameless.jpg"] * 30]), ["a"] * 30 + ["b"] * 30)
    assert pairs.choose_method(frames, CamerasConfig()) == "sequential + retrieval"
    assert pairs.choose_method(frames, CamerasConfig(matching="exhaustive")) == "exhaustive"
    few = of_sources(named_frames(counting), ["a"] * 15 + ["b"] * 15)
    assert pairs.choose_method(few, CamerasConfig()) == "exhaustive"


def test_look_alikes_across_are_found_from_either_side() -> None:
    one, other = np.eye(6, dtype=np.float32)[:4], np.eye(6, dtype=np.float32)[[5, 2, 0]]
    found = retrieval.look_alikes_across(one, other, top=1)
    assert {(2, 1), (0, 2)} <= found and {i for i, _ in found} == {0, 1, 2, 3} and {j for _, j in found} == {0, 1, 2}


def test_vlad_vectors_are_unit_length_and_repeatable() -> None:
    rng = np.random.default_rng(0)
    descriptors = [rng.integers(0, 256, (80, 128)).astype(np.uint8) for _ in range(5)]
    descriptors.append(descriptors[0][::-1].copy())
    vectors = retrieval.vlad(descriptors.__getitem__, len(descriptors), seed=3)
    assert vectors.shape == (6, 64 * 128)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[5] == pytest.approx(1, abs=1e-5)  # the order of keypoints does not count
    assert max(vectors[0] @ vectors[index] for index in range(1, 5)) < 0.5
    np.testing.assert_array_equal(vectors, retrieval.vlad(descriptors.__getitem__, len(descriptors), seed=3))


def test_frames_without_any_feature_are_survived() -> None:
    empty = np.zeros((0, 128), np.uint8)
    vectors = retrieval.vlad(lambda index: empty, 4, seed=0)
    assert not vectors.any()
    assert all(i < j for i, j in retrieval.look_alikes(vectors, top=2, but_neighbours_within=1))


@pytest.mark.parametrize(("built_for_cuda", "gpus", "chosen"), [(True, 1, "CUDA"), (True, 0, "CPU"), (False, 1, "CPU")])
def test_features_are_matched_on_a_gpu_only_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, built_for_cuda: bool, gpus: int, chosen: str
) -> None:
    """COLMAP with CUDA, left to choose, aborts where there is none."""
    monkeypatch.setattr(_pycolmap.pycolmap, "has_cuda", built_for_cuda)
    monkeypatch.setattr(_pycolmap, "_num_cuda_devices", lambda: gpus)
    assert _pycolmap.matching_device().name.upper() == chosen
