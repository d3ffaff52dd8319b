"""Each format holds the splat, in the axes and within the rounding that it states, and refuses what is damaged."""

from __future__ import annotations

import errno
import gzip
import json
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splatlib.errors import ArtifactError, ExportError
from splatlib.formats import FORMATS, format_of, glb, read_gaussians, sog, spz, write_gaussians
from splatlib.formats.comparison import compare
from splatlib.formats.quality import Quality
from splatlib.gaussians import Gaussians
from tests.limits import files_of_at_most
from tests.unit.formats.made import likeness_db, random_gaussians, shell

# PSNR of the pictures of what is read back, without a Quality; .splat has no SH above degree 0.
AT_LEAST_DB = {"ply": 100, "glb": 90, "usdz": 90, "spz": 45, "spz4": 45, "compressed_ply": 38, "sog": 42, "splat": 38}


@pytest.mark.parametrize("sh_degree", [0, 1, 2, 3])
@pytest.mark.parametrize("name", FORMATS)
def test_what_is_read_back_looks_the_same(tmp_path: Path, name: str, sh_degree: int) -> None:
    gaussians = shell(sh_degree=0 if name == "splat" else sh_degree)
    path = tmp_path / f"scene{FORMATS[name].suffix}"
    write_gaussians(gaussians, path)
    read = read_gaussians(path)
    assert len(read) == len(gaussians) and read.sh_degree == gaussians.sh_degree
    assert likeness_db(gaussians, read) >= AT_LEAST_DB[name]
    assert [path.name for path in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("name", FORMATS)
def test_what_an_encoder_says_is_what_its_file_holds(tmp_path: Path, name: str) -> None:
    for quality in (None, Quality()):
        encoded = FORMATS[name].encode(shell(700), quality)
        path = tmp_path / f"scene{FORMATS[name].suffix}"
        encoded.save(path)
        differences = compare(encoded.gaussians(), read_gaussians(path))
        assert max(vars(differences).values()) < 1e-4


@pytest.mark.parametrize("name", FORMATS)
def test_equal_splats_give_equal_files(tmp_path: Path, name: str) -> None:
    paths = [tmp_path / f"{side}{FORMATS[name].suffix}" for side in "ab"]
    for path in paths:
        FORMATS[name].encode(shell(400), Quality()).save(path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize("name", ["spz", "spz4", "sog"])
def test_coarser_steps_make_smaller_files_that_look_less_alike(tmp_path: Path, name: str) -> None:
    gaussians = shell(4000)
    sizes, likenesses = [], []
    for factor in (0.5, 2.0, 8.0):
        encoded = FORMATS[name].encode(gaussians, Quality().coarser(factor))
        encoded.save(tmp_path / "scene")
        sizes.append((tmp_path / "scene").stat().st_size)
        likenesses.append(likeness_db(gaussians, encoded.gaussians()))
    assert sizes == sorted(sizes, reverse=True) and sizes[2] < 0.7 * sizes[0]
    assert likenesses == sorted(likenesses, reverse=True) and likenesses[0] > 30


@pytest.mark.parametrize("name", ["spz", "sog"])
def test_what_contributes_is_rounded_less(name: str) -> None:
    gaussians = shell(4000)
    seen = gaussians.means[:, 0] > 0
    held = FORMATS[name].encode(gaussians, Quality().coarser(4), np.where(seen, 1.0, 0.004)).gaussians()
    # neighbours of one another: what was kept lies near an original
    distances = [np.linalg.norm(held.means - mean, axis=1).min() for mean in gaussians.means]
    assert np.median(np.array(distances)[seen]) < 0.6 * np.median(np.array(distances)[~seen])


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(0, 3), st.floats(1e-3, 1e5), st.sampled_from([3, 4]))
def test_spz_round_trip_stays_within_its_rounding(
    tmp_path_factory: pytest.TempPathFactory, seed: int, sh_degree: int, reach: float, version: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "round_trip.spz"
    gaussians = random_gaussians(seed, sh_degree, reach=reach)
    spz.encode(gaussians, version=version).save(path)
    errors = compare(spz.representable(gaussians), spz.read(path))
    assert errors.beyond(spz.tolerance(gaussians)) == {}
    assert errors.opacity > 0  # it is quantised: were nothing rounded, nothing would have been compared


def test_spz_of_version_2_is_read(tmp_path: Path) -> None:
    """As version 3, but with rotations of a byte each for x, y, z of a quaternion whose w is positive."""
    gaussians = shell(300, 1)
    gaussians = replace(gaussians, quats=gaussians.quats * np.sign(gaussians.quats[:, :1]))
    sections = spz.encode(gaussians).sections
    turned = gaussians.transformed(rotation=np.diag([1.0, -1.0, -1.0])).quats
    turned = turned * np.sign(turned[:, :1]) / np.linalg.norm(turned, axis=1, keepdims=True)
    positions, alphas, colors, scales, _, sh = (bytes(stream) for stream in sections.streams())
    quats = np.rint((turned[:, 1:] + 1) * 127.5).astype(np.uint8).tobytes()
    head = struct.pack("<IIIBBBB", 0x5053474E, 2, 300, 1, sections.fractional_bits, 0, 0)
    (tmp_path / "old.spz").write_bytes(gzip.compress(head + positions + alphas + colors + scales + quats + sh))
    read = read_gaussians(tmp_path / "old.spz")
    assert compare(gaussians, read).rotation < 0.2 and np.median(np.abs(turned)) > 0.1
    assert likeness_db(read, gaussians) > 38


def test_a_rotation_of_the_wrong_sense_would_show(tmp_path: Path) -> None:
    gaussians = random_gaussians(3, 2)
    spz.encode(gaussians).save(tmp_path / "scene.spz")
    unturned = spz.read(tmp_path / "scene.spz").transformed(rotation=np.diag([1.0, -1.0, -1.0]))
    wrong = replace(spz.read(tmp_path / "scene.spz"), sh=unturned.sh)
    assert "sh" in compare(gaussians, wrong).beyond(spz.tolerance(gaussians))


def test_spz_uses_the_finest_positions_that_fit() -> None:
    near, far = random_gaussians(0, 0, reach=1.0), random_gaussians(0, 0, reach=1e4)
    assert spz.fractional_bits(near) == 16
    assert 1 <= spz.fractional_bits(far) < 12
    with pytest.raises(ExportError, match="scene units from the origin"):
        spz.fractional_bits(random_gaussians(0, 0, reach=1e8))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.97])
def test_a_file_cut_short_is_named(tmp_path: Path, name: str, share: float) -> None:
    path = tmp_path / f"scene{FORMATS[name].suffix}"
    write_gaussians(shell(501), path)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data)) - 5 if share else 3])
    with pytest.raises(ArtifactError, match="scene") as caught:
        read_gaussians(path)
    assert caught.value.why


@pytest.mark.parametrize("name", ["spz", "spz4", "sog", "glb", "usdz"])
def test_damaged_bytes_are_an_error_of_ours_or_a_splat(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"scene{FORMATS[name].suffix}"
    write_gaussians(shell(200), path)
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(data)
        for place in rng.integers(len(data), size=3):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            assert isinstance(read_gaussians(path), Gaussians)
        except ArtifactError as error:
            assert "scene" in error.what


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"plain", "cannot be read"),
        (gzip.compress(b"short"), "cannot be read"),
        (gzip.compress(bytes(64)), "no SPZ"),
        (b"NGSP" + bytes(10), "cannot be read"),
    ],
    ids=["not compressed", "short", "zeros", "version 4"],  # gzip notes the time, and processes must agree on names
)
def test_a_damaged_spz_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "bad.spz").write_bytes(content)
    with pytest.raises(ArtifactError, match=says):
        spz.read(tmp_path / "bad.spz")


def test_a_sog_that_names_files_outside_its_folder_is_refused(tmp_path: Path) -> None:
    write_gaussians(shell(100), tmp_path / "good.sog")
    with zipfile.ZipFile(tmp_path / "good.sog") as archive:
        meta = json.loads(archive.read("meta.json"))
        archive.extractall(tmp_path / "folder")
    assert len(sog.read(tmp_path / "folder" / "meta.json")) == 100
    meta["means"]["files"][0] = "../means_l.webp"
    (tmp_path / "folder" / "meta.json").write_text(json.dumps(meta))
    with pytest.raises(ArtifactError, match="outside its folder"):
        sog.read(tmp_path / "folder" / "meta.json")


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused_and_nothing_is_left(tmp_path: Path, name: str, value: float) -> None:
    gaussians = shell(50)
    means = gaussians.means.copy()
    means[[1, 5], 2] = value
    with pytest.raises(ExportError, match=r"^2 of 50 .* not finite"):
        write_gaussians(replace(gaussians, means=means), tmp_path / f"scene{FORMATS[name].suffix}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", FORMATS)
def test_an_empty_splat_is_refused(tmp_path: Path, name: str) -> None:
    empty = shell(10).select(np.zeros(10, bool))
    with pytest.raises(ExportError, match="no Gaussians"):
        write_gaussians(empty, tmp_path / f"scene{FORMATS[name].suffix}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", FORMATS)
def test_one_gaussian_is_enough(tmp_path: Path, name: str) -> None:
    for quality in (None, Quality(), Quality().coarser(0.05), Quality().coarser(20)):
        path = tmp_path / f"scene{FORMATS[name].suffix}"
        write_gaussians(shell(1), path, quality=quality)
        np.testing.assert_allclose(read_gaussians(path).means, shell(1).means, atol=0.3)


@pytest.mark.parametrize("name", FORMATS)
def test_a_disk_that_fills_up_leaves_the_old_file(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"scene{FORMATS[name].suffix}"
    path.write_bytes(b"the old file")
    encoded = FORMATS[name].encode(shell(50))

    class Full:
        def gaussians(self) -> Gaussians:
            return encoded.gaussians()

        def save(self, where: Path) -> None:
            encoded.save(where)
            with where.open("r+b") as file:
                file.truncate(100)
            raise OSError(errno.ENOSPC, "No space left on device", str(where))

    full = replace(FORMATS[name], encode=lambda *_, **__: Full())
    with pytest.raises(OSError, match="No space"):
        write_gaussians(shell(50), path, full)
    assert [p.name for p in tmp_path.iterdir()] == [path.name] and path.read_bytes() == b"the old file"


def test_endings_name_formats(tmp_path: Path) -> None:
    assert format_of(Path("a.compressed.ply")).name == "compressed_ply"
    assert format_of(Path("a.PLY")).name == "ply" and format_of(Path("a.v4.spz")).name == "spz4"
    with pytest.raises(ExportError, match="no format has this ending"):
        format_of(Path("a.obj"))
    with pytest.raises(ArtifactError, match="known are"):
        read_gaussians(tmp_path / "a.obj")
    with pytest.raises(ArtifactError, match="nowhere"):
        read_gaussians(tmp_path / "nowhere.sog")


def test_gaussians_beyond_four_gigabytes_are_read(tmp_path: Path) -> None:
    """A sparse file: nothing of the 4.5 GB before the vertices lies on the disk, or is read."""
    path = tmp_path / "large.ply"
    write_gaussians(shell(50), tmp_path / "small.ply")
    head, body = (tmp_path / "small.ply").read_bytes().split(b"end_header\n", 1)
    rows = 4_500_000_000 // 8
    padding = f"element padding {rows}\nproperty double nothing\n".encode()
    with path.open("wb") as file:
        file.write(head.replace(b"element vertex", padding + b"element vertex") + b"end_header\n")
        file.seek(8 * rows, 1)
        file.write(body)
    assert path.stat().st_size > 2**32
    np.testing.assert_array_equal(read_gaussians(path).means, shell(50).means)
    with path.open("r+b") as file:
        file.truncate(8 * rows)
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_gaussians(path)


def test_what_a_glb_cannot_say_is_refused_before_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glb, "_MOST_BYTES", 5000)  # 4 GiB, for a smaller splat
    with pytest.raises(ExportError, match="GiB as GLB"):
        write_gaussians(shell(50), tmp_path / "scene.glb")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", FORMATS)
def test_a_real_writer_that_cannot_write_on_leaves_the_old_file(tmp_path: Path, name: str) -> None:
    """The system refuses to let files grow over 3,000 bytes, as a full disk does to each writer's own calls."""
    path = tmp_path / f"scene{FORMATS[name].suffix}"
    path.write_bytes(b"the old file")
    with files_of_at_most(3000), pytest.raises((OSError, ExportError)):
        write_gaussians(shell(400), path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name] and path.read_bytes() == b"the old file"
