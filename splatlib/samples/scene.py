"""The sample's world: a textured room with boxes, balls and columns on its floor. z is up, lengths in metres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from splatlib.samples.textures import NUM_FACES, Atlas, FloatArray, painted_face

Vector = Any  # three scalars or arrays that broadcast

LIGHT_FROM_SURFACE = np.array([0.40, -0.45, 0.80]) / np.linalg.norm([0.40, -0.45, 0.80])
_AMBIENT = 0.45
_SHADOW = 0.55


@dataclass(frozen=True)
class Solid:
    """A box, an upright column or a ball in its own axes, centred on the origin there.

    Attributes:
        kind: ``room`` is a box seen from inside.
        center: [3]. yaw: turn about z, radians. half: [3] half extents (a ball's and a column's are round).
        gloss: strength of the highlight, 0 for a matt surface.
    """

    kind: str
    center: npt.NDArray[np.float64]
    yaw: float
    half: npt.NDArray[np.float64]
    atlas: Atlas
    gloss: float = 0.0

    @property
    def own_from_world(self) -> npt.NDArray[np.float64]:
        """[3, 3] rotation."""
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        return np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])

    def intersect(self, origin: Vector, direction: Vector) -> FloatArray:
        """Distance to the surface in units of the direction's length, infinity where the ray misses; own axes."""
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.kind == "ball":
                return _hit_quadric(origin, direction, 3, self.half[0])
            if self.kind == "column":
                near_side, far_side = _quadric_span(origin, direction, 2, self.half[0])
                near_caps, far_caps = _slab(origin, direction, self.half, (2,))
                near, far = np.maximum(near_side, near_caps), np.minimum(far_side, far_caps)
            else:
                near, far = _slab(origin, direction, self.half, (0, 1, 2))
                if self.kind == "room":
                    return far
        return np.where((near < far) & (near > 0), near, np.inf).astype(np.float32)

    def surface(self, point: Vector) -> tuple[Vector, npt.NDArray[np.intp], FloatArray, FloatArray]:
        """Unit normal ([K] x 3), atlas face [K] and face coordinates u, v [K] of surface points ([K] x 3); own axes.

        Balls are unwrapped as a cube, columns as four side panels and two caps.
        """
        scaled = np.stack([point[k] / np.float32(self.half[k]) for k in range(3)])
        if self.kind == "column":
            return _column_surface(scaled)
        columns = np.arange(scaled.shape[1])
        axis = np.argmax(np.abs(scaled), axis=0)
        on_axis = scaled[axis, columns]
        face = 2 * axis + (on_axis < 0)
        reach = np.abs(on_axis) if self.kind == "ball" else np.float32(1)
        u, v = ((scaled[(axis + k) % 3, columns] / reach + 1) / 2 for k in (1, 2))
        if self.kind == "ball":
            return unit(tuple(scaled)), face, u, v
        outward = np.sign(on_axis) * np.float32(-1 if self.kind == "room" else 1)
        return tuple(np.where(axis == k, outward, np.float32(0)) for k in range(3)), face, u, v

    def shade(self, normal: Vector) -> FloatArray:
        """[K] share of the light that a surface with these normals (own axes) sends back."""
        if self.kind == "room":  # lit evenly; the floor's shadows are painted into its picture
            return np.float32(0.80) + np.float32(0.20) * normal[2]
        toward_light = (self.own_from_world @ LIGHT_FROM_SURFACE).astype(np.float32)
        return np.float32(_AMBIENT) + np.float32(1.12 - _AMBIENT) * np.maximum(dot(normal, toward_light), 0)


def dot(a: Vector, b: Vector) -> FloatArray:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def unit(vector: Vector) -> Vector:
    scale = 1 / np.sqrt(dot(vector, vector))
    return (vector[0] * scale, vector[1] * scale, vector[2] * scale)


def _column_surface(scaled: FloatArray) -> tuple[Vector, npt.NDArray[np.intp], FloatArray, FloatArray]:
    """As ``Solid.surface``, for points [3, K] given in half extents."""
    x, y, z = scaled
    cap, nought = np.abs(z) > 1 - 1e-4, np.float32(0)
    quarter_turns = (np.arctan2(y, x) * np.float32(2 / np.pi)) % 4
    panel = np.minimum(quarter_turns.astype(np.intp), 3)
    face = np.where(cap, np.where(z > 0, 4, 5), panel)
    u, v = np.where(cap, (x + 1) / 2, quarter_turns - panel), np.where(cap, y + 1, z + 1) / 2
    normal = unit((np.where(cap, nought, x), np.where(cap, nought, y), np.where(cap, np.sign(z), nought)))
    return normal, face, u, v


def _slab(origin: Vector, direction: Vector, half: npt.NDArray[np.float64], axes: tuple[int, ...]) -> Any:
    near, far = -np.inf, np.inf
    for k in axes:
        inverse = 1 / (direction[k] + np.float32(1e-20))  # finite for a ray along the slab, no change for others
        middle, reach = -origin[k] * inverse, np.float32(half[k]) * np.abs(inverse)
        near, far = np.maximum(near, middle - reach), np.minimum(far, middle + reach)
    return near, far


def _quadric_span(origin: Vector, direction: Vector, dimensions: int, radius: float) -> Any:
    a = sum(direction[k] * direction[k] for k in range(dimensions))
    b = sum(origin[k] * direction[k] for k in range(dimensions))
    c = sum(origin[k] * origin[k] for k in range(dimensions)) - radius * radius
    root = np.sqrt(b * b - a * c)  # NaN where the ray misses; every comparison with it is false
    return (-b - root) / a, (-b + root) / a


def _hit_quadric(origin: Vector, direction: Vector, dimensions: int, radius: float) -> FloatArray:
    near, _ = _quadric_span(origin, direction, dimensions, radius)
    return np.where(near > 0, near, np.inf).astype(np.float32)


_PALETTES = {
    "stone": [(96, 88, 80), (150, 138, 120), (196, 184, 160), (122, 130, 128)],
    "sand": [(126, 92, 62), (186, 146, 98), (222, 192, 140), (168, 120, 86)],
    "sea": [(24, 62, 92), (44, 110, 140), (96, 168, 178), (206, 222, 210)],
    "leaf": [(38, 66, 40), (84, 122, 58), (158, 176, 86), (226, 214, 140)],
    "brick": [(92, 36, 30), (160, 66, 48), (206, 118, 82), (236, 190, 150)],
    "plum": [(58, 34, 74), (112, 66, 124), (176, 122, 168), (232, 206, 214)],
    "slate": [(40, 46, 58), (78, 88, 104), (128, 138, 150), (190, 196, 200)],
    "gold": [(110, 74, 18), (184, 134, 38), (226, 188, 92), (244, 228, 168)],
}

# kind, palette, centre (z is set so that the solid stands on what lies below), half extents, yaw in degrees
Part = tuple[str, str, tuple[float, float, float], tuple[float, float, float], float]
_SOLIDS: tuple[Part, ...] = (
    ("box", "brick", (-0.75, 0.55, 0.0), (0.34, 0.34, 0.55), 24),
    ("box", "sea", (0.55, -0.35, 0.0), (0.45, 0.30, 0.22), -17),
    ("column", "leaf", (0.75, 0.70, 0.0), (0.26, 0.26, 0.70), 0),
    ("ball", "plum", (-0.35, -0.60, 0.0), (0.30, 0.30, 0.30), 40),
    ("ball", "gold", (0.55, -0.35, 0.44), (0.24, 0.24, 0.24), 10),  # the glossy one, on the low box
    ("column", "slate", (-1.15, -0.45, 0.0), (0.20, 0.20, 0.30), 0),
    ("box", "stone", (0.05, 1.30, 0.0), (0.60, 0.18, 0.34), 8),
)
_GLOSSY = 4
_ROOM_HALF = np.array([4.2, 4.2, 1.7])
_FLOOR = 5  # of a room's faces


@lru_cache(maxsize=2)
def build_scene(seed: int = 0) -> tuple[Solid, ...]:
    """The solids, the room last. The seed changes the surfaces, not the shapes."""
    rng = np.random.default_rng(seed)
    solids = _made(_SOLIDS, rng)
    solids[_GLOSSY] = replace(solids[_GLOSSY], gloss=0.9)
    return (*solids, _room(rng, solids))


@lru_cache(maxsize=4)
def build_solids(parts: tuple[Part, ...], seed: int) -> tuple[Solid, ...]:
    """Solids of one's own, in the order of ``parts``."""
    return tuple(_made(parts, np.random.default_rng(seed)))


def plain_room(solids: Sequence[Solid], floor_rgb: tuple[int, int, int], wall_rgb: tuple[int, int, int]) -> Solid:
    """A room of one colour with a floor of another; only the solids' shadows lie on it."""
    size_px = 512
    colors = [floor_rgb if face == _FLOOR else wall_rgb for face in range(NUM_FACES)]
    faces = [np.full((size_px, size_px, 3), color, np.float32) for color in colors]
    return _lit_room(faces, solids, size_px)


def _made(parts: Sequence[Part], rng: np.random.Generator) -> list[Solid]:
    solids = []
    for kind, palette_name, center, half, yaw_deg in parts:
        atlas = _painted(rng, kind, np.array(half), palette_name, size_px=256, detail_m=0.045)
        lifted = np.array([center[0], center[1], center[2] + half[2]])
        solids.append(Solid(kind, lifted, np.deg2rad(yaw_deg), np.array(half), atlas))
    return solids


def _painted(
    rng: np.random.Generator,
    kind: str,
    half: npt.NDArray[np.float64],
    palette_name: str,
    *,
    size_px: int,
    detail_m: float,
) -> Atlas:
    palette = np.array(_PALETTES[palette_name], np.float32)
    faces = []
    for face in range(NUM_FACES):
        extent = _face_extent(kind, half, face)
        faces.append(painted_face(rng, size_px, extent, palette, detail_m))
    return Atlas.from_faces(faces, texel_m=2 * float(half.max()) / size_px)


def _face_extent(kind: str, half: npt.NDArray[np.float64], face: int) -> tuple[float, float]:
    if kind == "column" and face < 4:
        return float(half[0] * np.pi / 2), float(2 * half[2])
    axis = face // 2
    return float(2 * half[(axis + 1) % 3]), float(2 * half[(axis + 2) % 3])


def _room(rng: np.random.Generator, solids: Sequence[Solid]) -> Solid:
    """Four walls, a ceiling, and a floor."""
    size_px = 768
    walls = ["sand", "slate", "stone", "sea", "stone", "stone"]
    faces = []
    for face, palette_name in enumerate(walls):
        palette = np.array(_PALETTES[palette_name], np.float32) * 0.62 + 70  # paler than the solids before them
        faces.append(painted_face(rng, size_px, _face_extent("room", _ROOM_HALF, face), palette, detail_m=0.11))
    return _lit_room(faces, solids, size_px)


def _lit_room(faces: Sequence[FloatArray], solids: Sequence[Solid], size_px: int) -> Solid:
    """A room of these faces, the solids' shadows painted into its floor, soft as under a wide lamp."""
    along = (np.arange(512, dtype=np.float32) + 0.5) / 512 * 2 - 1
    x, y = np.meshgrid(along * _ROOM_HALF[0], along * _ROOM_HALF[1])
    light = np.ones((512, 512), np.float32)
    for solid in solids:
        own = solid.own_from_world
        origin = [own[k, 0] * (x - solid.center[0]) + own[k, 1] * (y - solid.center[1]) for k in range(2)]
        hit = solid.intersect((*origin, -solid.center[2]), tuple(own @ LIGHT_FROM_SURFACE))
        light[np.isfinite(hit)] = 1 - _SHADOW
    soft = cv2.resize(cv2.GaussianBlur(light, (0, 0), 3.0), (size_px, size_px), interpolation=cv2.INTER_LINEAR)
    shaded = [
        (face * soft[..., None] if index == _FLOOR else face).astype(np.uint8) for index, face in enumerate(faces)
    ]
    atlas = Atlas.from_faces(shaded, texel_m=2 * float(_ROOM_HALF[0]) / size_px)
    return Solid("room", np.array([0, 0, _ROOM_HALF[2]]), 0.0, _ROOM_HALF, atlas)
