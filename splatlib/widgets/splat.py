"""The viewer of a splat: orbit, fly, stand in cameras, crop, measure, take pictures."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from PIL import Image

from splatlib.artifacts import SparseScene, Splat
from splatlib.crop import in_turned_box
from splatlib.errors import ArtifactError, ConfigError
from splatlib.gaussians import Gaussians
from splatlib.widgets.display import describe
from splatlib.widgets.packing import MOST_GAUSSIANS, pack
from splatlib.widgets.pictures import jpeg_bytes, png_bytes
from splatlib.widgets.runtime import View, traitlets
from splatlib.widgets.surroundings import cameras_data, start_box
from splatlib.widgets.viewing import Start, start_in_scene, start_round_gaussians, still_of
from splatlib.workspace import Workspace

BLACK = (0.0, 0.0, 0.0)


class SplatView(View):
    """A splat under the mouse.

    Attributes:
        crop: of the crop box, as a person set it: ``center`` [3], ``size`` [3] in scene units, ``rotation`` [9]
            (box_from_world, row by row). Empty: no crop. May be set from Python. Of a view of a ``Splat`` it is what
            ``ExportConfig(crop=view.crop)`` takes.
        measured: ``points`` [2][3], their ``distance`` in scene units and, where a person gave the true length,
            ``metres`` and ``metres_per_unit``.
        screenshot: PNG of the last picture that was taken.
    """

    crop = traitlets.Dict().tag(sync=True)
    measured = traitlets.Dict().tag(sync=True)
    # from the browser come memory views, which the trait would refuse
    screenshot = traitlets.Bytes().tag(sync=True, from_json=lambda value, _: bytes(value))

    def __init__(self, gaussians: Gaussians, *, most: int = MOST_GAUSSIANS, **more: Any) -> None:
        self._gaussians, self._most = gaussians, most
        super().__init__(kind="splat", **more)

    @property
    def metres_per_unit(self) -> float | None:
        """From the measured distance; None until a person has said how long it is in truth."""
        return self.measured.get("metres_per_unit")

    def show(self, gaussians: Gaussians) -> None:
        """Other Gaussians in the same view, from where the person stands: a training's newest, for instance."""
        packed = pack(gaussians, most=self._most)
        with self.hold_sync():
            info, blobs = dict(cast(Mapping[str, Any], self.info)), list(cast(Sequence[bytes], self.blobs))
            self.info = {**info, "packed": packed.info, "total": packed.total, "note": packed.note}
            self.blobs = [packed.data, *blobs[1:]]
        self._gaussians = gaussians

    def inside_crop(self) -> npt.NDArray[np.bool_]:
        """[N] which Gaussians have their centre in the crop box; all where there is no crop."""
        return inside_box(self._gaussians.means, self.crop)

    def cropped(self) -> Gaussians:
        """The Gaussians in the crop box."""
        return self._gaussians.select(self.inside_crop())

    def screenshot_image(self) -> Image.Image | None:
        return Image.open(io.BytesIO(self.screenshot)) if self.screenshot else None


def inside_box(means: npt.NDArray[np.floating], crop: Mapping[str, Any]) -> npt.NDArray[np.bool_]:
    """[N] which points [N, 3] lie in a crop box; all for an empty one. Raises ConfigError: it is none."""
    if not crop:
        return np.ones(len(means), bool)
    try:
        return in_turned_box(means, crop["center"], crop["size"], crop["rotation"])
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError("crop is no box", why=str(error), hint="give center [3], size [3], rotation [9]") from error


def view_splat(
    splat: Splat | Gaussians,
    *,
    scene: SparseScene | None = None,
    background: tuple[float, float, float] = BLACK,
    most: int = MOST_GAUSSIANS,
    height_px: int = 460,
    title: str = "",
) -> SplatView:
    """Show a splat.

    Args:
        scene: its cameras, to stand in; of a ``Splat`` those of its workspace, unless given.
        background: RGB in [0, 1].
        most: Gaussians shown; of more, the most visible.

    Raises:
        ArtifactError: the splat's file is gone or damaged.
        MissingDependencyError: anywidget is not installed.
    """
    gaussians = splat.gaussians() if isinstance(splat, Splat) else splat
    if scene is None and isinstance(splat, Splat):
        scene = scene_of(splat)
    start = start_in_scene(scene) if scene is not None and scene.views else start_round_gaussians(gaussians)
    packed = pack(gaussians, most=most)
    still = still_of(gaussians, start, background)
    info = {
        **splat_data(packed.info, start, background),
        "title": title or (f"Splat {splat.run}" if isinstance(splat, Splat) else "Splat"),
        "total": packed.total,
        "note": packed.note,
        "cameras": cameras_data(scene) if scene is not None else [],
        "box": start_box(gaussians, start),
        "units": "m" if scene is not None and scene.metres_per_unit == 1 else "units",
    }
    text = describe(splat) if isinstance(splat, Splat) else f"{len(gaussians):,} Gaussians"
    return SplatView(
        gaussians,
        most=most,
        info=info,
        blobs=[packed.data, poster(still)],
        still=lambda: png_bytes(Image.fromarray(still)),
        text=text,
        height_px=height_px,
    )


def splat_data(packed_info: Mapping[str, Any], start: Start, background: tuple[float, float, float]) -> dict[str, Any]:
    """What the front end needs to draw packed Gaussians."""
    return {"packed": dict(packed_info), **start.to_data(), "background": list(background)}


def poster(still: npt.NDArray[np.uint8]) -> bytes:
    """JPEG, shown until the first frame is drawn and where there is no WebGL2."""
    return jpeg_bytes(Image.fromarray(still), 75)


def scene_of(splat: Splat) -> SparseScene | None:
    """The cameras of the workspace that holds a splat, if they are still there."""
    try:
        return Workspace.open(Path(splat.directory).parents[1]).scene
    except (ArtifactError, IndexError):
        return None
