"""Mapping against COLMAP's synthetic data sets, whose cameras are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from splatlib.artifacts import FrameSet
from splatlib.cameras import mapping
from splatlib.cameras._pycolmap import pycolmap
from splatlib.cameras.accuracy import center_errors_percent, relative_rotation_errors_deg
from splatlib.cameras.mapping import Mapped, map_frames, refine_principal_points
from splatlib.config import CamerasConfig
from splatlib.errors import CamerasError
from tests.unit.cameras.made_frames import frame_set, named_frames


def synthetic(
    directory: Path, num_frames: int, principal_point: tuple[float, float] = (512, 384)
) -> tuple[FrameSet, Path, pycolmap.Reconstruction]:
    """Frames (black pictures), a database with matches, and the truth."""
    pycolmap.set_random_seed(0)
    options = pycolmap.SyntheticDatasetOptions(
        num_rigs=1,
        num_cameras_per_rig=1,
        num_frames_per_rig=num_frames,
        num_points3D=300,
        camera_model_id=pycolmap.CameraModelId.PINHOLE,
        camera_params=[900.0, 900.0, *principal_point],
        camera_has_prior_focal_length=True,
    )
    directory.mkdir()
    with pycolmap.Database.open(directory / "database.db") as database:
        truth = pycolmap.synthesize_dataset(options, database)
    frames = frame_set(directory / "frames", [np.zeros((768, 1024, 3), np.uint8)] * num_frames)
    images = sorted(truth.images.values(), key=lambda image: image.image_id)
    for frame, image in zip(frames.frames, images, strict=True):
        path = frames.images_directory / image.name
        path.parent.mkdir(exist_ok=True)
        frames.image_path(frame).rename(path)
    named = [replace(f, name=image.name) for f, image in zip(frames.frames, images, strict=True)]
    return replace(frames, frames=tuple(named)), directory / "database.db", truth


def poses_of(model: pycolmap.Reconstruction, names: list[str]) -> np.ndarray:
    by_name = {image.name: image for image in model.images.values() if image.has_pose}
    return np.array([np.vstack([by_name[name].cam_from_world().matrix(), (0, 0, 0, 1)]) for name in names])


@pytest.mark.parametrize("mapper", ["incremental", "global"])
def test_both_mappers_find_the_true_cameras(tmp_path: Path, mapper: Literal["incremental", "global"]) -> None:
    frames, database_path, truth = synthetic(tmp_path / "data", 12)
    mapped = map_frames(frames, database_path, CamerasConfig(mapper=mapper, camera_model="PINHOLE"))
    assert mapped.model is not None
    assert (mapped.mapper, mapped.num_registered, mapped.notes) == (mapper, 12, ())
    names = [frame.name for frame in frames.frames]
    solved, true = poses_of(mapped.model, names), poses_of(truth, names)
    assert np.median(relative_rotation_errors_deg(solved, true)) < 0.01
    assert np.median(center_errors_percent(solved, true)) < 0.01
    assert not list(tmp_path.glob("data/mapping-*")), "scratch is cleared away"


def test_one_seed_gives_one_result(tmp_path: Path) -> None:
    frames, database_path, _ = synthetic(tmp_path / "data", 8)
    names = [frame.name for frame in frames.frames]
    first, second = (map_frames(frames, database_path, CamerasConfig(mapper="incremental")) for _ in range(2))
    assert first.model is not None and second.model is not None
    np.testing.assert_allclose(poses_of(first.model, names), poses_of(second.model, names), atol=1e-6)


@pytest.mark.parametrize("mapper", ["incremental", "global"])
def test_principal_points_are_found_where_many_views_share_the_lens(
    tmp_path: Path, mapper: Literal["incremental", "global"]
) -> None:
    frames, database_path, truth = synthetic(tmp_path / "data", 24, principal_point=(520, 378))
    with pycolmap.Database.open(database_path) as database:
        (camera,) = database.read_all_cameras()
        camera.params = [900.0, 900.0, 512.0, 384.0]
        database.update_camera(camera)
    mapped = map_frames(frames, database_path, CamerasConfig(mapper=mapper))
    assert mapped.model is not None
    refined = refine_principal_points(mapped.model, mapped.mapper)
    (before,), (after,) = mapped.model.cameras.values(), refined.cameras.values()
    assert (before.principal_point_x, before.principal_point_y) == (512, 384), "the input is left as it is"
    assert (after.principal_point_x, after.principal_point_y) == pytest.approx((520, 378), abs=0.05)
    names = [frame.name for frame in frames.frames]
    rotation_before, rotation_after = (
        np.median(relative_rotation_errors_deg(poses_of(model, names), poses_of(truth, names)))
        for model in (mapped.model, refined)
    )
    assert rotation_after < 0.01 < rotation_before


def test_principal_points_of_few_views_stay(tmp_path: Path) -> None:
    frames, database_path, _ = synthetic(tmp_path / "data", 8, principal_point=(520, 378))
    mapped = map_frames(frames, database_path, CamerasConfig(mapper="incremental"))
    assert mapped.model is not None
    assert refine_principal_points(mapped.model, mapped.mapper) is mapped.model


def test_a_principal_point_far_off_is_not_believed(tmp_path: Path) -> None:
    frames, database_path, _ = synthetic(tmp_path / "data", 24, principal_point=(640, 384))
    with pycolmap.Database.open(database_path) as database:
        (camera,) = database.read_all_cameras()
        camera.params = [900.0, 900.0, 512.0, 384.0]
        database.update_camera(camera)
    mapped = map_frames(frames, database_path, CamerasConfig(mapper="incremental"))
    assert mapped.model is not None
    assert refine_principal_points(mapped.model, mapped.mapper) is mapped.model


class FakeModel:
    def __init__(self, num_registered: int) -> None:
        self.num_registered = num_registered

    def num_reg_images(self) -> int:
        return self.num_registered


@pytest.mark.parametrize(
    ("num_frames", "registered", "tried", "kept"),
    [
        (20, {"incremental": 20}, ["incremental"], "incremental"),
        (20, {"incremental": 10}, ["incremental"], "incremental"),
        (20, {"incremental": 4, "global": 18}, ["incremental", "global"], "global"),
        (20, {"incremental": 4, "global": 3}, ["incremental", "global"], "incremental"),
        (201, {"global": 200}, ["global"], "global"),
        (201, {"global": 0, "incremental": 150}, ["global", "incremental"], "incremental"),
    ],
)
def test_auto_falls_back_to_the_other_mapper(
    monkeypatch: pytest.MonkeyPatch, num_frames: int, registered: dict[str, int], tried: list[str], kept: str
) -> None:
    runs: list[str] = []

    def run(mapper: str, *_: object) -> Mapped:
        runs.append(mapper)
        return Mapped(FakeModel(registered[mapper]) if registered[mapper] else None, mapper)  # type: ignore[arg-type]

    monkeypatch.setattr(mapping, "_run", run)
    frames = named_frames([f"{index}.jpg" for index in range(num_frames)])
    mapped = map_frames(frames, Path("database.db"), CamerasConfig())
    assert (runs, mapped.mapper) == (tried, kept)
    assert bool(mapped.notes) == (len(tried) == 2)


def test_a_mapper_that_is_asked_for_has_no_fall_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping, "_run", lambda mapper, *_: Mapped(None, mapper))
    mapped = map_frames(named_frames(["a", "b", "c"]), Path("database.db"), CamerasConfig(mapper="global"))
    assert (mapped.mapper, mapped.num_registered) == ("global", 0)


def test_a_failure_inside_colmap_is_translated(tmp_path: Path) -> None:
    (tmp_path / "database.db").write_text("this is no database")
    frames = frame_set(tmp_path / "frames", [np.zeros((48, 64, 3), np.uint8)] * 3)
    with pytest.raises(CamerasError, match="failed inside COLMAP") as caught:
        map_frames(frames, tmp_path / "database.db", CamerasConfig(mapper="incremental"))
    assert caught.value.why and caught.value.__cause__ is not None
