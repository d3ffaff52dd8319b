"""Photos of an object before a plain backdrop, with the true outline of it, or of the room with somebody walking by.

What masks are for, with the truth at hand: an object to cut out, and a passer-by to leave out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from splatlib.artifacts import Camera
from splatlib.errors import WorkspaceError
from splatlib.samples import camera_path, looking_at, make_camera

if TYPE_CHECKING:
    from splatlib.samples.scene import Solid

Subject = Literal["object", "passer_by"]
_Scene = tuple[tuple["Solid", ...], range]  # and which of the solids are the subject

# Of the object's ground: a table and a wall of one colour each, as people put behind what they sell.
_TABLE_RGB, _WALL_RGB = (176, 172, 164), (206, 208, 210)


@dataclass(frozen=True, eq=False)
class MaskedSample:
    """Made photos and the truth about them.

    Attributes:
        path: folder of the photos: JPEGs, or PNGs whose alpha is the outline.
        masks: folder of the true outlines, named like the photos' stems (PNG, 255 = the subject).
        names: file names of the photos.
        cam_from_world: [F, 4, 4] float64, OpenCV axes, metres, world z is up.
        camera: of all photos.
    """

    path: Path
    masks: Path
    names: tuple[str, ...]
    cam_from_world: npt.NDArray[np.float64]
    camera: Camera

    def outline(self, index: int) -> npt.NDArray[np.uint8]:
        """[H, W] 0…255: how much of each pixel the subject covers."""
        from PIL import Image

        with Image.open(self.masks / f"{Path(self.names[index]).stem}.png") as mask:
            return np.asarray(mask.convert("L"))


def make_masked_sample(
    directory: str | Path,
    *,
    subject: Subject = "object",
    alpha: bool = False,
    num_photos: int = 24,
    width: int = 480,
    height: int = 360,
    seed: int = 0,
) -> MaskedSample:
    """Render ``photos/IMG_0001.jpg`` … and ``masks/IMG_0001.png`` ….

    Args:
        directory: made if need be; what it holds under these names is replaced.
        subject: ``object``: solids on a plain table, seen from all round. ``passer_by``: the room of ``make_sample``,
            with a figure that walks through it and stands elsewhere in each photo.
        alpha: write PNGs with the outline as alpha, transparent pixels black, in place of JPEGs.
        seed: of the surfaces.

    Raises WorkspaceError when the directory cannot be written.
    """
    from PIL import Image

    from splatlib.samples.raycast import render_share, render_view

    if num_photos < 2:
        raise ValueError(f"two photos are the least; got {num_photos=}")
    directory, camera = Path(directory), make_camera(width, height)
    poses = _orbit(num_photos) if subject == "object" else camera_path(num_photos)
    suffix = "png" if alpha else "jpg"
    names = tuple(f"IMG_{index + 1:04d}.{suffix}" for index in range(num_photos))
    sample = MaskedSample(directory / "photos", directory / "masks", names, poses, camera)
    try:
        for folder in (sample.path, sample.masks):
            folder.mkdir(parents=True, exist_ok=True)
        for index, (name, pose) in enumerate(zip(names, poses, strict=True)):
            solids, of = _object_scene(seed) if subject == "object" else _visited_room(seed, index / (num_photos - 1))
            picture, _ = render_view(solids, camera, pose)
            share = np.round(255 * render_share(solids, camera, pose, of)).astype(np.uint8)
            Image.fromarray(share).save(sample.masks / f"{Path(name).stem}.png")
            if alpha:
                cut_out = np.where(share[..., None] > 0, picture, 0).astype(np.uint8)
                Image.fromarray(np.dstack([cut_out, share])).save(sample.path / name)
            else:
                Image.fromarray(picture).save(sample.path / name, quality=95, subsampling=0)
    except OSError as error:
        raise WorkspaceError(f"the sample photos cannot be written to {directory}", why=str(error)) from error
    return sample


def _orbit(num_photos: int) -> npt.NDArray[np.float64]:
    """[F, 4, 4] once round the object, from a little above, the height swaying."""
    poses = []
    for along in np.linspace(0, 1, num_photos, endpoint=False):
        azimuth, height = 2 * np.pi * along, 0.95 + 0.25 * np.sin(4 * np.pi * along)
        center = np.array([1.75 * np.cos(azimuth), 1.75 * np.sin(azimuth), height])
        poses.append(looking_at(center, np.array([0.0, 0.0, 0.5]), roll=0.03 * np.sin(6 * np.pi * along)))
    return np.stack(poses)


def _object_scene(seed: int) -> _Scene:
    """The solids, the plain room last, and the indices of those that are the object."""
    from splatlib.samples.scene import build_solids, plain_room

    parts = (
        ("box", "brick", (0.0, 0.0, 0.0), (0.34, 0.34, 0.22), 20.0),
        ("column", "leaf", (0.0, 0.0, 0.44), (0.16, 0.16, 0.14), 0.0),
        ("ball", "plum", (0.0, 0.0, 0.72), (0.25, 0.25, 0.25), 40.0),
    )
    solids = build_solids(parts, seed)
    return (*solids, plain_room(solids, _TABLE_RGB, _WALL_RGB)), range(len(solids))


def _visited_room(seed: int, along: float) -> _Scene:
    """The room at one moment (0…1 of the walk), with the figure in front; its indices."""
    from splatlib.samples.scene import build_scene, build_solids

    parts = (
        ("column", "slate", (0.0, 0.0, 0.0), (0.17, 0.17, 0.42), 0.0),
        ("column", "sea", (0.0, 0.0, 0.84), (0.20, 0.20, 0.24), 0.0),
        ("ball", "sand", (0.0, 0.0, 1.34), (0.13, 0.13, 0.13), 0.0),
    )
    azimuth = np.deg2rad(-150 + 250 * along)
    place = np.array([1.45 * np.cos(azimuth), 1.45 * np.sin(azimuth), 0.0])
    figure = [replace(solid, center=solid.center + place) for solid in build_solids(parts, seed + 1)]
    return (*figure, *build_scene(seed)), range(len(figure))
