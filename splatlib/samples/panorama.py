"""Panoramas of the sample's room, as a 360° camera carried round it takes them, with known poses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from splatlib.errors import WorkspaceError
from splatlib.samples import camera_path

# What panorama cameras write into a JPEG (Google's Photo Sphere metadata).
_GPANO = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:GPano="http://ns.google.com/photos/1.0/panorama/" '
    'GPano:ProjectionType="equirectangular" GPano:FullPanoWidthPixels="{width}" '
    'GPano:CroppedAreaImageWidthPixels="{width}" GPano:FullPanoHeightPixels="{height}" '
    'GPano:CroppedAreaImageHeightPixels="{height}"/></rdf:RDF></x:xmpmeta>'
)


@dataclass(frozen=True, eq=False)
class PanoramaSample:
    """Made panoramas and the truth about them.

    Attributes:
        path: folder of JPEGs.
        names: their file names.
        rig_from_world: [F, 4, 4] float64, OpenCV axes; z looks at the middle of the panorama. Metres, world z is up.
        seed: of the surfaces.
    """

    path: Path
    names: tuple[str, ...]
    rig_from_world: npt.NDArray[np.float64]
    seed: int


def make_panoramas(
    folder: str | Path, *, num_panoramas: int = 12, width: int = 1024, seed: int = 0, metadata: bool = True
) -> PanoramaSample:
    """Render equirectangular JPEGs ``PANO_0001.jpg`` … of width x width/2 pixels.

    Args:
        folder: made if need be.
        metadata: write the GPano block that says what they are.

    Raises WorkspaceError when the folder cannot be written.
    """
    from PIL import Image

    from splatlib.samples.raycast import render_panorama
    from splatlib.samples.scene import build_scene

    if num_panoramas < 2 or width < 64 or width % 2:
        raise ValueError(f"two panoramas of an even width of at least 64 are wanted; got {num_panoramas=}, {width=}")
    folder, solids = Path(folder), build_scene(seed)
    poses = camera_path(num_panoramas)
    names = tuple(f"PANO_{index + 1:04d}.jpg" for index in range(num_panoramas))
    xmp = _GPANO.format(width=width, height=width // 2).encode() if metadata else b""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, pose in zip(names, poses, strict=True):
            picture, _ = render_panorama(solids, width, pose)
            Image.fromarray(picture).save(folder / name, quality=95, subsampling=0, xmp=xmp)
    except OSError as error:
        raise WorkspaceError(f"the sample panoramas cannot be written to {folder}", why=str(error)) from error
    return PanoramaSample(folder, names, poses, seed)
