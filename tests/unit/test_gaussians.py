"""Laws of Gaussians: similarity transforms with their spherical harmonics, and the PLY file."""

from __future__ import annotations

from pathlib import Path

import gsply
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from splatlib.errors import ArtifactError
from splatlib.gaussians import Gaussians, quat_from_matrix
from splatlib.spherical_harmonics import evaluate_sh, rotate_sh, sh_bases

seeds = st.integers(0, 2**32 - 1)
degrees = st.integers(0, 3)


def random_gaussians(seed: int, count: int = 20, sh_degree: int = 3) -> Gaussians:
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> npt.NDArray[np.float32]:
        return rng.normal(size=(count, *shape)).astype(np.float32)

    return Gaussians(normal(3), normal(3) - 3, normal(4), normal(), normal((sh_degree + 1) ** 2, 3) * np.float32(0.3))


def random_rotation(seed: int) -> npt.NDArray[np.float64]:
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


def random_directions(seed: int, count: int) -> npt.NDArray[np.float64]:
    vectors = np.random.default_rng(seed).normal(size=(count, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def covariances(gaussians: Gaussians) -> npt.NDArray[np.float64]:
    """[N, 3, 3] by the textbook formula for wxyz."""
    q = gaussians.quats.astype(np.float64)
    w, x, y, z = (q / np.linalg.norm(q, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    half = np.array(rows).transpose(2, 0, 1) * gaussians.scales.astype(np.float64)[:, None, :]
    return half @ half.transpose(0, 2, 1)


def test_bases_are_orthonormal_over_the_sphere() -> None:
    # Gauss–Legendre in z times equal steps in azimuth integrates polynomials of degree 6 exactly.
    z, weights = np.polynomial.legendre.leggauss(8)
    azimuth = np.arange(16) * 2 * np.pi / 16
    radius = np.sqrt(1 - z * z)
    directions = np.stack(
        np.broadcast_arrays(radius[:, None] * np.cos(azimuth), radius[:, None] * np.sin(azimuth), z[:, None]), axis=-1
    )
    bases = sh_bases(directions, 3)
    gram = np.einsum("ijk,ijl,i->kl", bases, bases, weights) * 2 * np.pi / 16
    np.testing.assert_allclose(gram, np.eye(16), atol=1e-12)


def test_bases_have_order_and_signs_of_gsplat() -> None:
    """Against Sloan's recurrence as gsplat 1.5 writes it (``_eval_sh_bases_fast``)."""
    directions = random_directions(3, 50)
    x, y, z = directions.T
    c1, s1 = x * x - y * y, 2 * x * y
    c2, s2 = x * c1 - y * s1, x * s1 + y * c1
    b2, c3, b3 = -1.092548430592079 * z, -2.285228997322329 * z * z + 0.4570457994644658, 1.445305721320277 * z
    expected = [
        *(0.2820947917738781 + 0 * x, -0.48860251190292 * y, 0.48860251190292 * z, -0.48860251190292 * x),
        *(0.5462742152960395 * s1, b2 * y, 0.9461746957575601 * z * z - 0.3153915652525201, b2 * x),
        *(0.5462742152960395 * c1, -0.5900435899266435 * s2, b3 * s1, c3 * y),
        *(z * (1.865881662950577 * z * z - 1.119528997770346), c3 * x, b3 * c1, -0.5900435899266435 * c2),
    ]
    np.testing.assert_allclose(sh_bases(directions, 3), np.stack(expected, axis=1), atol=1e-12)


@given(seeds, degrees)
def test_a_turned_function_keeps_its_values(seed: int, degree: int) -> None:
    sh = np.random.default_rng(seed).normal(size=(7, (degree + 1) ** 2, 3))
    rotation, directions = random_rotation(seed), random_directions(seed + 1, 7)
    turned = evaluate_sh(rotate_sh(sh, rotation), directions @ rotation.T)
    np.testing.assert_allclose(turned, evaluate_sh(sh, directions), atol=1e-10)


@given(seeds)
def test_sh_rotations_compose(seed: int) -> None:
    sh = np.random.default_rng(seed).normal(size=(5, 16, 3))
    first, second = random_rotation(seed), random_rotation(seed + 1)
    np.testing.assert_allclose(rotate_sh(rotate_sh(sh, first), second), rotate_sh(sh, second @ first), atol=1e-10)


@given(seeds)
def test_quaternion_of_a_matrix_turns_as_the_matrix_does(seed: int) -> None:
    rotation = random_rotation(seed)
    unit = Gaussians(
        np.zeros((1, 3), np.float32),
        np.log(np.array([[1, 2, 3]], np.float32)),
        quat_from_matrix(rotation)[None].astype(np.float32),
        np.zeros(1, np.float32),
        np.zeros((1, 1, 3), np.float32),
    )
    np.testing.assert_allclose(covariances(unit)[0], rotation @ np.diag([1, 4, 9]) @ rotation.T, atol=1e-5)


@given(seeds, degrees, st.floats(0.01, 100))
def test_transform_moves_means_covariances_and_colours_together(seed: int, degree: int, scale: float) -> None:
    gaussians = random_gaussians(seed, sh_degree=degree)
    rotation, shift = random_rotation(seed + 1), np.random.default_rng(seed + 2).normal(size=3)
    moved = gaussians.transformed(scale, rotation, shift)
    np.testing.assert_allclose(moved.means, scale * gaussians.means @ rotation.T + shift, rtol=1e-4, atol=1e-4 * scale)
    expected = scale**2 * rotation @ covariances(gaussians) @ rotation.T
    np.testing.assert_allclose(covariances(moved), expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    directions = random_directions(seed + 3, len(gaussians))
    np.testing.assert_allclose(
        evaluate_sh(moved.sh, directions @ rotation.T), evaluate_sh(gaussians.sh, directions), atol=1e-5
    )
    np.testing.assert_array_equal(moved.opacity_logits, gaussians.opacity_logits)


@given(seeds)
def test_identity_changes_nothing(seed: int) -> None:
    gaussians = random_gaussians(seed)
    same = gaussians.transformed()
    np.testing.assert_array_equal(same.means, gaussians.means)
    np.testing.assert_array_equal(same.log_scales, gaussians.log_scales)
    np.testing.assert_array_equal(same.quats, gaussians.quats)
    np.testing.assert_allclose(same.sh, gaussians.sh, atol=1e-6)


@given(seeds)
def test_transforms_compose(seed: int) -> None:
    gaussians = random_gaussians(seed)
    first, second = random_rotation(seed), random_rotation(seed + 1)
    twice = gaussians.transformed(2.0, first, [1, 2, 3]).transformed(0.5, second, [0, -1, 0])
    once = gaussians.transformed(1.0, second @ first, 0.5 * second @ [1, 2, 3] + [0, -1, 0])
    np.testing.assert_allclose(twice.means, once.means, atol=1e-4)
    np.testing.assert_allclose(covariances(twice), covariances(once), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(twice.sh, once.sh, atol=1e-5)


@pytest.mark.parametrize("rotation", [np.diag([1, 1, -1]), 2 * np.eye(3), np.eye(2)])
def test_what_is_no_rotation_is_refused(rotation: npt.NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match="orthonormal"):
        random_gaussians(0).transformed(rotation=rotation)


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
def test_a_scale_that_is_not_positive_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="positive scale"):
        random_gaussians(0).transformed(scale=scale)


floats = hnp.arrays(np.float32, (4, 3), elements=st.floats(width=32, allow_nan=True, allow_infinity=True))


@settings(deadline=None)
@given(means=floats, seed=seeds, degree=degrees)
def test_ply_round_trip_is_bit_exact(
    tmp_path_factory: pytest.TempPathFactory, means: npt.NDArray[np.float32], seed: int, degree: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "round_trip.ply"
    drawn = random_gaussians(seed, count=4, sh_degree=degree)
    gaussians = Gaussians(means, drawn.log_scales, drawn.quats, drawn.opacity_logits, drawn.sh)
    gaussians.save_ply(path)
    read = Gaussians.load_ply(path)
    for name in ("means", "log_scales", "quats", "opacity_logits", "sh"):
        assert getattr(read, name).tobytes() == getattr(gaussians, name).tobytes(), name


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_gsply_reads_our_ply_alike(tmp_path: Path, degree: int) -> None:
    gaussians = random_gaussians(degree, sh_degree=degree)
    gaussians.save_ply(tmp_path / "splat.ply")
    theirs = gsply.plyread(tmp_path / "splat.ply")
    np.testing.assert_array_equal(theirs.means, gaussians.means)
    np.testing.assert_array_equal(theirs.scales, gaussians.log_scales)
    np.testing.assert_array_equal(theirs.quats, gaussians.quats)
    np.testing.assert_array_equal(theirs.opacities, gaussians.opacity_logits)
    np.testing.assert_array_equal(theirs.sh0, gaussians.sh[:, 0])
    if degree:
        np.testing.assert_array_equal(theirs.shN, gaussians.sh[:, 1:])


def test_ply_columns_in_any_order_and_further_ones(tmp_path: Path) -> None:
    gaussians = random_gaussians(5, count=3, sh_degree=0)
    names = ["opacity", "nx", "x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2"]
    names += ["rot_0", "rot_1", "rot_2", "rot_3", "scale_0", "scale_1", "scale_2"]
    table = np.zeros(3, [*((name, "<f4") for name in names), ("label", "u1")])
    table["opacity"], table["label"] = gaussians.opacity_logits, 7
    for prefix, array in (("f_dc_", gaussians.sh[:, 0]), ("rot_", gaussians.quats), ("scale_", gaussians.log_scales)):
        for column in range(array.shape[1]):
            table[f"{prefix}{column}"] = array[:, column]
    for column, name in enumerate("xyz"):
        table[name] = gaussians.means[:, column]
    header = "ply\nformat binary_little_endian 1.0\ncomment made elsewhere\nelement vertex 3\n"
    header += "".join(f"property float {name}\n" for name in names) + "property uchar label\nend_header\n"
    (tmp_path / "other.ply").write_bytes(header.encode() + table.tobytes())
    read = Gaussians.load_ply(tmp_path / "other.ply")
    for name in ("means", "log_scales", "quats", "opacity_logits", "sh"):
        np.testing.assert_array_equal(getattr(read, name), getattr(gaussians, name))


@pytest.mark.parametrize("encoding", ["ascii", "binary_big_endian"])
def test_plys_as_text_and_big_endian(tmp_path: Path, encoding: str) -> None:
    """With an element before the vertices, whose property is of another type, and one with lists after them."""
    gaussians = random_gaussians(6, count=200, sh_degree=2)
    gaussians.save_ply(tmp_path / "plain.ply")
    head, _, body = (tmp_path / "plain.ply").read_bytes().partition(b"end_header\n")
    values = np.frombuffer(body, "<f4").reshape(200, -1)
    cameras = np.array([1.5, -2.5])
    if encoding == "ascii":
        lines = [*(str(value) for value in cameras), *(" ".join(repr(float(v)) for v in row) for row in values)]
        data = ("\n".join(lines) + "\n3 0 1 2\n").encode()
    else:
        data = cameras.astype(">f8").tobytes() + values.astype(">f4").tobytes() + b"\x03" + bytes(12)
    head = head.replace(b"binary_little_endian", encoding.encode())
    head = head.replace(b"element vertex", b"element camera 2\nproperty double z\nelement vertex")
    head += b"element face 1\nproperty list uchar int vertex_indices\nend_header\n"
    (tmp_path / "other.ply").write_bytes(head + data)
    read = Gaussians.load_ply(tmp_path / "other.ply")
    for name in ("means", "log_scales", "quats", "opacity_logits", "sh"):
        np.testing.assert_array_equal(getattr(read, name), getattr(gaussians, name))


def test_an_element_with_lists_before_the_vertices_is_named(tmp_path: Path) -> None:
    content = b"ply\nformat ascii 1.0\nelement face 1\nproperty list uchar int i\nelement vertex 1\nproperty float x\n"
    (tmp_path / "lists.ply").write_bytes(content + b"end_header\n1 0\n1\n")
    with pytest.raises(ArtifactError, match="'vertex' holds lists, or comes after 'face'"):
        Gaussians.load_ply(tmp_path / "lists.ply")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"not a ply at all", "no PLY file"),
        (b"ply\nformat morse 1.0\nelement vertex 0\nend_header\n", "encoding 'morse'"),
        (b"ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nend_header\n1\n", "cut short"),
        (b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\none\n", "after 0 rows"),
        (b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\n1 2\n", "1 properties"),
        (b"ply\nelement vertex 0\nend_header\n", "names no format"),
        (b"ply\nformat binary_little_endian 1.0\nelement vertex 1\n", "header does not end"),
        (b"ply\nformat binary_little_endian 1.0\nelement face 0\nend_header\n", "no element 'vertex'"),
        (b"ply\nformat binary_little_endian 1.0\nelement vertex 0\nproperty list int int a\nend_header\n", "list"),
        (b"ply\nformat binary_little_endian 1.0\nelement vertex 99999999999\nproperty float x\nend_header\n", "short"),
        (b"ply\nformat binary_little_endian 1.0\nelement vertex 0\nproperty float x\nend_header\n", "f_dc_0"),
    ],
)
def test_a_damaged_ply_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "bad.ply"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=says) as caught:
        Gaussians.load_ply(path)
    assert "bad.ply" in str(caught.value)


def test_a_ply_cut_short_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cut.ply"
    random_gaussians(0).save_ply(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ArtifactError, match="20 of 'vertex' and holds 19"):
        Gaussians.load_ply(path)


def test_an_absent_ply_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"nowhere\.ply"):
        Gaussians.load_ply(tmp_path / "nowhere.ply")


def test_shapes_and_types_are_checked() -> None:
    good = random_gaussians(0)
    with pytest.raises(ValueError, match=r"quats wants float32 \(20, 4\)"):
        Gaussians(good.means, good.log_scales, good.quats[:, :3], good.opacity_logits, good.sh)
    with pytest.raises(ValueError, match="sh wants shape"):
        Gaussians(good.means, good.log_scales, good.quats, good.opacity_logits, good.sh[:, :5])
    with pytest.raises(ValueError, match="float64"):
        Gaussians(good.means.astype(np.float64), good.log_scales, good.quats, good.opacity_logits, good.sh)  # type: ignore[arg-type]
