"""Before and after: photo and render of held-out views with an error map, pictures of any kind, or two splats."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from splatlib.artifacts import SparseScene, Splat
from splatlib.errors import ArtifactError, ConfigError
from splatlib.gaussians import Gaussians
from splatlib.widgets.packing import pack
from splatlib.widgets.pictures import Tile, jpeg_bytes, png_bytes, sheet, thumbnail
from splatlib.widgets.runtime import View
from splatlib.widgets.splat import BLACK, scene_of, splat_data
from splatlib.widgets.stills import held_out_sheet, ranked_held_out
from splatlib.widgets.viewing import start_in_scene, start_round_gaussians, still_of

_MOST_VIEWS = 40
_PICTURE_PX = 960
_MOST_GAUSSIANS_EACH = 500_000
Picture = npt.NDArray[np.uint8]


def compare_held_out(splat: Splat, *, most: int = _MOST_VIEWS, height_px: int = 460) -> View:
    """Photo and render of the views that training never saw, from worst to best, under a slider.

    Raises:
        ArtifactError: the splat has none, or their pictures are gone.
        MissingDependencyError: anywidget is not installed.
    """
    if not splat.held_out:
        raise ArtifactError("this splat has no held-out views", hint="train with held_out_every above 0")
    pairs, pictures = [], []
    for view, rank in ranked_held_out(splat, most):
        facts = f"{view.psnr_db:.2f} dB PSNR · SSIM {view.ssim:.3f}" + (f" · {rank}" if rank else "")
        pairs.append({"name": view.name, "facts": facts})
        pictures += [jpeg_bytes(thumbnail(path, _PICTURE_PX), 90) for path in splat.held_out_paths(view)]
    title = f"Held-out views of {splat.run}"
    return _pictures_view(
        pairs, pictures, ("photo", "render"), title, height_px, lambda: png_bytes(held_out_sheet(splat))
    )


def compare_pictures(
    before: Sequence[Picture],
    after: Sequence[Picture],
    *,
    labels: tuple[str, str] = ("before", "after"),
    names: Sequence[str] = (),
    height_px: int = 460,
) -> View:
    """Pictures [H, W, 3] in pairs of one size, under a slider.

    Raises:
        ConfigError: numbers or sizes differ.
        MissingDependencyError: anywidget is not installed.
    """
    if len(before) != len(after) or any(a.shape != b.shape for a, b in zip(before, after, strict=False)):
        shapes = f"{[p.shape for p in before]} and {[p.shape for p in after]}"
        raise ConfigError("pictures are compared in pairs of one size", why=f"given are {shapes}")
    pairs, pictures = [], []
    for index, (one, other) in enumerate(zip(before, after, strict=True)):
        error = float(np.mean((one.astype(np.float64) - other) ** 2)) / 255**2
        facts = "equal" if error == 0 else f"{-10 * np.log10(error):.2f} dB PSNR"
        pairs.append({"name": names[index] if names else f"{index + 1}", "facts": facts})
        pictures += [_jpeg(one), _jpeg(other)]

    def still() -> bytes:
        pictured = [(one, labels[0]) for one in before], [(other, labels[1]) for other in after]
        tiles = [Tile(Image.fromarray(p), (label,)) for pair in zip(*pictured, strict=True) for p, label in pair]
        return png_bytes(sheet(tiles, 2))

    return _pictures_view(pairs, pictures, labels, "Comparison", height_px, still)


def compare_splats(
    one: Splat | Gaussians,
    other: Splat | Gaussians,
    *,
    labels: tuple[str, str] = ("before", "after"),
    scene: SparseScene | None = None,
    height_px: int = 420,
) -> View:
    """Two splats of one scene side by side, with one camera for both.

    Args:
        scene: whose first camera the view begins in; of a ``Splat`` that of its workspace, unless given.

    Raises:
        ArtifactError: a splat's file is gone or damaged.
        MissingDependencyError: anywidget is not installed.
    """
    both = [splat.gaussians() if isinstance(splat, Splat) else splat for splat in (one, other)]
    if scene is None and isinstance(one, Splat):
        scene = scene_of(one)
    start = start_in_scene(scene) if scene is not None and scene.views else start_round_gaussians(both[0])
    packed = [pack(gaussians, most=_MOST_GAUSSIANS_EACH) for gaussians in both]
    notes = [f"{label}: {p.note}" for label, p in zip(labels, packed, strict=True) if p.note]
    splats = [{**splat_data(p.info, start, BLACK), "label": label} for label, p in zip(labels, packed, strict=True)]
    info: dict[str, Any] = {"of": "splats", "title": "Two splats", "note": "\n".join(notes), "splats": splats}

    def still() -> bytes:
        tiles = [
            Tile(Image.fromarray(still_of(gaussians, start, BLACK)).resize((480, 276)), (label,))
            for gaussians, label in zip(both, labels, strict=True)
        ]
        return png_bytes(sheet(tiles, 2))

    text = " against ".join(f"{label}: {len(g):,} Gaussians" for label, g in zip(labels, both, strict=True))
    return View(kind="compare", info=info, blobs=[p.data for p in packed], still=still, text=text, height_px=height_px)


def _pictures_view(
    pairs: list[dict[str, str]],
    pictures: list[bytes],
    labels: tuple[str, str],
    title: str,
    height_px: int,
    still: Any,
) -> View:
    info = {
        "of": "pictures",
        "title": title,
        "note": "",
        "labels": list(labels),
        "pairs": pairs,
        "sizes": [len(picture) for picture in pictures],
    }
    text = "\n".join(f"{pair['name']}: {pair['facts']}" for pair in pairs)
    return View(kind="compare", info=info, blobs=[b"".join(pictures)], still=still, text=text, height_px=height_px)


def _jpeg(picture: Picture) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).convert("RGB").save(buffer, "JPEG", quality=92, subsampling=0)
    return buffer.getvalue()
