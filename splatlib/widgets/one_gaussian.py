"""A single Gaussian, to learn what it is: drawn by our own rasteriser, its every number on a slider."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from PIL import Image

from splatlib.artifacts import Camera
from splatlib.gaussians import SH_C0, Gaussians
from splatlib.progress import mode
from splatlib.render import render_image
from splatlib.widgets.pictures import Tile, png_bytes, sheet
from splatlib.widgets.viewing import looking

Triple = tuple[float, float, float]
SH_C1 = 0.4886025119029199  # first real spherical harmonics, √(3 / 4π), with the signs of the 3DGS PLY
_EYE_DISTANCE, _PICTURE_PX = 5.0, 300


@dataclass(frozen=True)
class OneGaussian:
    """A Gaussian at the origin and the place it is seen from.

    Attributes:
        lengths: standard deviations along its own three axes, scene units.
        turned_deg: about its x, y and z axis, in this order.
        opacity: of its middle, in (0, 1).
        color, color_behind: RGB in [0, 1], seen from the front and from behind; between them it changes with the
            direction as a spherical harmonic of degree 1.
        seen_from_deg: how far the camera walked round it, to the right.
    """

    lengths: Triple = (0.8, 0.4, 0.3)
    turned_deg: Triple = (0.0, 0.0, 25.0)
    opacity: float = 0.95
    color: Triple = (0.95, 0.45, 0.1)
    color_behind: Triple = (0.95, 0.45, 0.1)
    seen_from_deg: float = 0.0

    def gaussians(self) -> Gaussians:
        """The same as a set of one."""
        front, behind = np.array(self.color), np.array(self.color_behind)
        sh = np.zeros((1, 4, 3), np.float32)
        sh[0, 0] = ((front + behind) / 2 - 0.5) / SH_C0
        sh[0, 2] = (front - behind) / 2 / SH_C1  # along z, which the camera in front looks along
        return Gaussians(
            means=np.zeros((1, 3), np.float32),
            log_scales=np.log(np.array([self.lengths], np.float32)),
            quats=_quaternion(self.turned_deg)[None].astype(np.float32),
            opacity_logits=np.array([np.log(self.opacity / (1 - self.opacity))], np.float32),
            sh=sh,
        )

    def picture(self, size_px: int = _PICTURE_PX, background: Triple = (0.0, 0.0, 0.0)) -> Image.Image:
        angle = np.deg2rad(self.seen_from_deg)
        eye = _EYE_DISTANCE * np.array([np.sin(angle), 0.0, -np.cos(angle)])
        camera = Camera(size_px, size_px, 1.1 * size_px, 1.1 * size_px, size_px / 2, size_px / 2)
        pose = looking(eye, np.zeros(3), np.array([0.0, -1.0, 0.0]))
        return Image.fromarray(render_image(self.gaussians(), camera, pose, background))


def variations(start: OneGaussian | None = None) -> Image.Image:
    """One Gaussian, and what becomes of it when a single thing is changed: a still picture of the sliders."""
    start = start or OneGaussian()
    blue = (0.15, 0.4, 0.95)
    changed: dict[str, dict[str, Any]] = {
        "as it begins": {},
        "longer: lengths (1.0, 0.2, 0.3)": {"lengths": (1.0, 0.2, 0.3)},
        "turned: 70° about z": {"turned_deg": (0.0, 0.0, 70.0)},
        "half as opaque": {"opacity": start.opacity / 2},
        "seen from the side: 90°": {"seen_from_deg": 90.0},
        "blue behind, seen from 120°": {"color_behind": blue, "seen_from_deg": 120.0},
    }
    tiles = [Tile(replace(start, **change).picture(240), (words,)) for words, change in changed.items()]
    return sheet(tiles, columns=3, title="One Gaussian")


def play(start: OneGaussian | None = None) -> Any:
    """Sliders for every number of one Gaussian, its picture beside them; in a batch run ``variations``."""
    if mode() != "auto":
        return variations(start)
    import ipywidgets
    from IPython.display import display

    start = start or OneGaussian()
    picture = ipywidgets.Image(format="png", width=_PICTURE_PX, height=_PICTURE_PX)
    sliders = _sliders(start)

    def draw(_: Any = None) -> None:
        values = {name: slider.value for name, slider in sliders.items()}
        picture.value = png_bytes(_from_values(values).picture())

    for slider in sliders.values():
        slider.observe(draw, "value")
    draw()
    box = ipywidgets.HBox([ipywidgets.VBox(list(sliders.values())), picture])
    bundle: Any = box._repr_mimebundle_()
    display({**bundle, "text/plain": "One Gaussian", "image/png": png_bytes(variations(start))}, raw=True)
    return None


def _sliders(start: OneGaussian) -> dict[str, Any]:
    import ipywidgets

    def slider(words: str, value: float, low: float, high: float, step: float) -> Any:
        style, layout = {"description_width": "9em"}, {"width": "26em"}
        looks = {"description": words, "style": style, "layout": layout}
        return ipywidgets.FloatSlider(value, min=low, max=high, step=step, **looks)

    def color(words: str, value: Triple) -> Any:
        hexadecimal = "#" + "".join(f"{round(255 * part):02x}" for part in value)
        return ipywidgets.ColorPicker(value=hexadecimal, description=words, style={"description_width": "9em"})

    return {
        **{f"length_{axis}": slider(f"length along {axis}", start.lengths[i], 0.02, 1.5, 0.02) for i, axis in _AXES},
        **{f"turned_{axis}": slider(f"turned about {axis}, °", start.turned_deg[i], -180, 180, 1) for i, axis in _AXES},
        "opacity": slider("opacity", start.opacity, 0.01, 0.99, 0.01),
        "seen_from_deg": slider("walk round it, °", start.seen_from_deg, -180, 180, 1),
        "color": color("colour in front", start.color),
        "color_behind": color("colour behind", start.color_behind),
    }


_AXES = tuple(enumerate("xyz"))


def _from_values(values: dict[str, Any]) -> OneGaussian:
    colors = {
        name: tuple(int(values[name][i : i + 2], 16) / 255 for i in (1, 3, 5)) for name in ("color", "color_behind")
    }
    own = {field.name for field in fields(OneGaussian)}
    plain = {name: value for name, value in values.items() if name in own and name not in colors}
    lengths, turned = (tuple(values[f"{name}_{axis}"] for _, axis in _AXES) for name in ("length", "turned"))
    return OneGaussian(lengths=lengths, turned_deg=turned, **colors, **plain)  # pyright: ignore[reportArgumentType]


def _quaternion(turned_deg: Triple) -> np.ndarray:
    """[4] wxyz of rotations about the own x, y and z axis, one after the other."""
    from scipy.spatial.transform import Rotation

    x, y, z, w = Rotation.from_euler("XYZ", turned_deg, degrees=True).as_quat()
    return np.array([w, x, y, z])
