"""GPS places: what is believed of them, and a world in metres, east, north and up."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import ExifTags, Image

from splatlib.artifacts import FrameSet, SparseScene
from splatlib.cameras import gps, solve_cameras
from splatlib.cameras._pycolmap import pycolmap
from splatlib.cameras.pairs import choose_pairs
from splatlib.capture import extract_frames
from splatlib.config import CamerasConfig
from splatlib.samples import Sample
from splatlib.workspace import Workspace
from tests.unit.cameras.conftest import Solved
from tests.unit.cameras.made_frames import named_frames

# The sample's room, blown up to a courtyard: its camera path is 4 m wide, this one 40 m.
SCALE = 10.0
ORIGIN = (48.137, 11.575, 519.0)
FloatArray = npt.NDArray[np.float64]


def lat_lon_alt(enu_m: FloatArray) -> FloatArray:
    transform = pycolmap.GPSTransform(pycolmap.GPSTransformEllipsoid.WGS84)
    return np.asarray(transform.enu_to_ellipsoid(enu_m, *ORIGIN))


def with_places(frames: FrameSet, enu_m: FloatArray, altitude: bool = True) -> FrameSet:
    rows = [(float(a), float(b), float(c) if altitude else None) for a, b, c in lat_lon_alt(enu_m)]
    return replace(frames, frames=tuple(replace(f, gps=row) for f, row in zip(frames.frames, rows, strict=True)))


def true_places(solved: Solved) -> FloatArray:
    """[V, 3] metres, of the frames in order."""
    sample = solved.sample
    return SCALE * sample.centers[[sample.names.index(frame.source) for frame in solved.frames.frames]]


def model_of(solved: Solved) -> pycolmap.Reconstruction:
    return pycolmap.Reconstruction(solved.scene.directory / "sparse" / "0")


def laid(solved: Solved, enu_m: FloatArray, **how: bool) -> tuple[pycolmap.Reconstruction | None, str]:
    frames = with_places(solved.frames, enu_m, **how)
    places, note = gps.places_of(frames)
    assert places is not None, note
    return gps.lay_onto_places(model_of(solved), frames, places, seed=0)


def noise_m(shape: tuple[int, int], sigma_m: float, seed: int = 0) -> FloatArray:
    """Altitudes err more, as those of receivers do."""
    return np.random.default_rng(seed).normal(0, sigma_m, shape) * (1, 1, 1.5)


def write_gps(folder: Path, names: Sequence[str], enu_m: FloatArray) -> None:
    """Into the EXIF blocks of JPEGs; the pictures keep their bytes."""
    for name, (lat, lon, alt_m) in zip(names, lat_lon_alt(enu_m), strict=True):
        with Image.open(folder / name) as image:
            exif = image.getexif()
            exif[ExifTags.IFD.GPSInfo] = {
                ExifTags.GPS.GPSLatitudeRef: "N",
                ExifTags.GPS.GPSLatitude: (float(int(lat)), float(int(lat % 1 * 60)), lat * 60 % 1 * 60),
                ExifTags.GPS.GPSLongitudeRef: "E",
                ExifTags.GPS.GPSLongitude: (float(int(lon)), float(int(lon % 1 * 60)), lon * 60 % 1 * 60),
                ExifTags.GPS.GPSAltitudeRef: b"\x00",
                ExifTags.GPS.GPSAltitude: float(alt_m),
            }
            image.save(folder / name, quality="keep", exif=exif)


def test_a_capture_with_gps_comes_out_metric_and_north_up(sample_photos: Sample, tmp_path: Path) -> None:
    """EXIF with errors of 1 m (1.5 m in altitude) at 24 places round a courtyard."""
    shutil.copytree(sample_photos.path, tmp_path / "photos")
    enu_m = SCALE * sample_photos.centers
    write_gps(tmp_path / "photos", sample_photos.names, enu_m + noise_m(enu_m.shape, 1.0))
    ws = Workspace(tmp_path / "ws")
    frames = extract_frames(tmp_path / "photos", ws)
    scene = solve_cameras(frames, ws)
    assert (scene.world, scene.metres_per_unit) == ("enu", 1.0)
    assert scene.origin_lat_lon_alt is not None
    np.testing.assert_allclose(scene.origin_lat_lon_alt[:2], ORIGIN[:2], atol=5e-4)
    source_of = {frame.name: frame.source for frame in frames.frames}
    true = np.array([sample_photos.cam_from_world[sample_photos.names.index(source_of[v.name])] for v in scene.views])
    assert_metric(scene, true)
    assert not any("GPS" in warning for warning in scene.warnings)
    assert SparseScene.load(scene.directory).origin_lat_lon_alt == scene.origin_lat_lon_alt
    assert solve_cameras(frames, ws, CamerasConfig(gps=False)).world == "arbitrary"


def assert_metric(scene: SparseScene, true_cam_from_world: FloatArray) -> None:
    """Lengths within 4 %, and axes within 3 degrees, of the truth."""
    centers = np.array([view.center for view in scene.views])
    true_centers = -SCALE * np.einsum("vji,vj->vi", true_cam_from_world[:, :3, :3], true_cam_from_world[:, :3, 3])
    lengths, true_lengths = (np.linalg.norm(c[:, None] - c[None], axis=-1) for c in (centers, true_centers))
    assert lengths.sum() / true_lengths.sum() == pytest.approx(1, abs=0.04)
    for view, true in zip(scene.views, true_cam_from_world, strict=True):
        turned = view.cam_from_world[:3, :3] @ true[:3, :3].T
        assert np.degrees(np.arccos(np.clip((np.trace(turned) - 1) / 2, -1, 1))) < 3
        np.testing.assert_allclose(view.cam_from_world[:3, :3].T @ view.cam_from_world[:3, :3], np.eye(3), atol=1e-9)


@pytest.mark.parametrize(("sigma_m", "scale"), [(0.02, 1), (1.0, 1), (3.0, 2)])
def test_the_error_of_the_world_follows_that_of_the_places(solved: Solved, sigma_m: float, scale: float) -> None:
    true_m = scale * true_places(solved)
    moved, note = laid(solved, true_m + noise_m(true_m.shape, sigma_m))
    assert moved is not None, note
    frames = solved.frames.frames
    centers = np.array([moved.find_image_with_name(f.name).projection_center() for f in frames])
    spread = [np.linalg.norm(c - c.mean(axis=0), axis=1).mean() for c in (centers, true_m)]
    assert spread[0] / spread[1] == pytest.approx(1, abs=0.01 + 0.03 * sigma_m / scale)
    assert up_error_deg(moved, solved) < 0.1 + 3 * sigma_m / scale
    assert "metres, east, north and up" in note


def up_error_deg(moved: pycolmap.Reconstruction, solved: Solved) -> float:
    """The largest of all views, between the world's z axis as solved and the true one."""
    up = np.array([0.0, 0.0, 1.0])
    errors = []
    for frame in solved.frames.frames:
        rotation = moved.find_image_with_name(frame.name).cam_from_world().rotation.matrix()
        true = solved.sample.cam_from_world[solved.sample.names.index(frame.source)][:3, :3]
        errors.append(np.degrees(np.arccos(np.clip((rotation @ up) @ (true @ up), -1, 1))))
    return max(errors)


def test_errors_that_leave_up_open_are_refused(solved: Solved) -> None:
    true_m = true_places(solved)
    moved, note = laid(solved, true_m + noise_m(true_m.shape, 3.0))
    assert moved is None and "which way is up would be known to" in note


def test_strays_and_outliers_do_not_turn_the_world(solved: Solved) -> None:
    true_m = true_places(solved)
    places_m = true_m + noise_m(true_m.shape, 0.5)
    places_m[3] += (5000, 0, 0)
    places_m[[7, 12]] += (0, 60, 0)
    moved, note = laid(solved, places_m)
    assert moved is not None, note
    assert up_error_deg(moved, solved) < 3


def test_one_place_without_altitude_makes_all_lie_on_the_ground(solved: Solved) -> None:
    true_m = true_places(solved)
    frames = with_places(solved.frames, true_m)
    first = frames.frames[0]
    assert first.gps is not None
    frames = replace(frames, frames=(replace(first, gps=(*first.gps[:2], None)), *frames.frames[1:]))
    places, _ = gps.places_of(frames)
    assert places is not None and places.origin[2] is None
    np.testing.assert_allclose(places.enu_m[:, 2], 0, atol=1e-3)  # but for the earth's curvature


def test_a_desk_is_too_small_for_gps(solved: Solved) -> None:
    """The same path, 2 m wide, with the errors of a phone."""
    true_m = true_places(solved) / 20
    moved, note = laid(solved, true_m + noise_m(true_m.shape, 4.0))
    assert moved is None and "not used" in note and "off the solved path" in note


def test_places_of_another_walk_are_not_believed(solved: Solved) -> None:
    true_m = true_places(solved)
    moved, note = laid(solved, np.random.default_rng(1).permutation(true_m))
    assert moved is None and "not used" in note


def test_a_line_does_not_tell_which_way_is_up() -> None:
    along = np.linspace(-30, 30, 20)[:, None] * (1.0, 0.0, 0.0)
    errors = noise_m((20, 3), 2.0)
    line = gps.fit_of(along, along + errors)
    ring = np.column_stack([30 * np.cos(np.arange(20)), 30 * np.sin(np.arange(20)), np.zeros(20)])
    assert not line.is_good and line.tilt_deg > 20 and line.error_m < 0.2 * line.extent_m
    assert gps.fit_of(ring, ring + errors).is_good


def frames_at(places: Sequence[tuple[float, float, float | None] | None]) -> FrameSet:
    frames = named_frames([f"IMG_{n}.jpg" for n in range(len(places))])
    return replace(frames, frames=tuple(replace(f, gps=p) for f, p in zip(frames.frames, places, strict=True)))


def test_what_is_believed() -> None:
    ring = [(48 + 1e-4 * np.cos(n), 11 + 1e-4 * np.sin(n), 500.0) for n in range(20)]
    assert gps.places_of(frames_at([None] * 20)) == (None, "")
    assert "only 5 of 20" in gps.places_of(frames_at([*ring[:5], *[None] * 15]))[1]
    assert "share 1 of them" in gps.places_of(frames_at([ring[0]] * 20))[1]
    far = [(48 + n, 11.0, 500.0) for n in range(20)]
    assert "km apart" in gps.places_of(frames_at(far))[1]
    believed, note = gps.places_of(frames_at([*ring, (0.5, 0.5, 0.0)]))
    assert believed is not None and believed.frames == tuple(range(20)) and note == ""
    assert gps.places_of(frames_at([*ring[:-1], (48.0, 11.0, None)]))[0].origin[2] is None  # pyright: ignore


def test_neighbours_in_space_are_compared() -> None:
    """Sixty photos whose names tell nothing, along a street and back on its other side."""
    street = [(48.0 + 1e-4 * (n if n < 30 else 59 - n), 11.0 + (0 if n < 30 else 5e-5), 500.0) for n in range(60)]
    frames = frames_at(street)
    places, _ = gps.places_of(frames)
    config = CamerasConfig(matching="sequential", sequential_overlap=2, loop_closure=False)
    without = choose_pairs(frames, Path("no database is needed"), config)
    found = choose_pairs(frames, Path("no database is needed"), config, places)
    assert set(without) < set(found)
    assert {(n, 59 - n) for n in range(30)} <= set(found)
    assert all(abs(street[i][0] - street[j][0]) < 1e-3 for i, j in found)


def test_without_gps_nothing_changes(solved: Solved) -> None:
    assert (solved.scene.world, solved.scene.metres_per_unit, solved.scene.origin_lat_lon_alt) == (
        "arbitrary",
        None,
        None,
    )
    document = (solved.scene.directory / "artifact.json").read_text()
    assert '"gps"' not in document.partition('"artifact"')[0]
