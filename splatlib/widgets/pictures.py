"""Small picture work that stills and the report share: thumbnails, sheets with captions, encoding."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from splatlib.errors import ArtifactError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Legible on white and on black, so that one picture serves a light and a dark notebook.
INK = (122, 127, 135)
ACCENT = (217, 119, 47)
SECOND = (60, 140, 190)
BAD = (214, 58, 58)
_GAP_PX = 8
_LINE_PX = 16
_FONT_PX = 12


@dataclass(frozen=True)
class Tile:
    """A picture with its caption lines; accented ones are drawn in the accent colour."""

    picture: Image.Image
    captions: tuple[str, ...] = ()
    accented: bool = False


def thumbnail(path: Path, long_side_px: int) -> Image.Image:
    """The picture as RGB, scaled down to fit. Raises ArtifactError where there is none."""
    try:
        with Image.open(path) as picture:
            picture.draft("RGB", (2 * long_side_px, 2 * long_side_px))  # a JPEG decodes at a fraction of its size
            small = picture.convert("RGB")
    except OSError as error:
        raise ArtifactError(
            f"{path} is missing or damaged", why=str(error), hint="run the stage that made it again"
        ) from error
    small.thumbnail((long_side_px, long_side_px), Image.Resampling.LANCZOS)
    return small


def evenly(count: int, most: int) -> list[int]:
    """At most ``most`` indices below ``count``, spread evenly, first and last among them."""
    if count <= most:
        return list(range(count))
    return [round(index * (count - 1) / (most - 1)) for index in range(most)]


def sheet(tiles: Sequence[Tile], columns: int, title: str = "") -> Image.Image:
    """RGBA grid of tiles on a transparent ground, captions beneath each.

    All tiles get the room of the largest. The title stands above.
    """
    tiles = tiles or [Tile(Image.new("RGBA", (_GAP_PX, _GAP_PX)), ("nothing to show",))]
    columns = min(columns, len(tiles))
    width = max(tile.picture.width for tile in tiles)
    caption_px = _LINE_PX * max(len(tile.captions) for tile in tiles)
    height = max(tile.picture.height for tile in tiles) + caption_px
    top = 2 * _LINE_PX if title else 0
    rows = -(-len(tiles) // columns)
    canvas = Image.new("RGBA", (columns * (width + _GAP_PX) - _GAP_PX, top + rows * (height + _GAP_PX) - _GAP_PX))
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(_FONT_PX)
    if title:
        draw.text((0, 2), title, fill=INK, font=ImageFont.load_default(_FONT_PX + 2))
    for index, tile in enumerate(tiles):
        x, y = (index % columns) * (width + _GAP_PX), top + (index // columns) * (height + _GAP_PX)
        canvas.paste(tile.picture, (x, y))
        for line, caption in enumerate(tile.captions):
            place = (x, y + tile.picture.height + 1 + line * _LINE_PX)
            draw.text(place, _fitting(caption, font, width), fill=ACCENT if tile.accented else INK, font=font)
    return canvas


def _fitting(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width_px: int) -> str:
    """The text, its middle left out where it is too long."""
    kept = text
    while font.getlength(kept) > width_px and len(text) > 4:
        text = text[: len(text) // 2] + text[len(text) // 2 + 1 :]
        kept = text[: len(text) // 2] + "…" + text[len(text) // 2 :]
    return kept


def png_bytes(picture: Image.Image | Figure) -> bytes:
    buffer = io.BytesIO()
    if isinstance(picture, Image.Image):
        picture.save(buffer, "PNG")
    else:
        picture.savefig(buffer, format="png", dpi=144, transparent=True)
    return buffer.getvalue()


def jpeg_bytes(picture: Image.Image, quality: int = 82) -> bytes:
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()


def svg_bytes(figure: Figure) -> bytes:
    """A drawing that names its fonts instead of carrying them, without date, so that equal figures give equal bytes."""
    import matplotlib

    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "splatlib"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def data_uri(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"
