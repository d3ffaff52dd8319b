"""Still pictures of artefacts: contact sheet, mask overlay, cameras, training curves, truth beside render.

Drawn by Pillow and by matplotlib's figure objects, never through pyplot's global state.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from splatlib.artifacts import Frame, FrameSet, HeldOutView, MaskSet, SparseScene, Splat
from splatlib.events import TrainingProgress
from splatlib.widgets.pictures import ACCENT, INK, SECOND, Tile, evenly, sheet, thumbnail

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_THUMBNAIL_PX = 150
_MOST_THUMBNAILS = 36
_CAPTION_WIDTH_PX = 260
_MOST_POINTS = 20_000
_POINTS_SHOWN_PERCENT = (2.0, 98.0)
_FARTHEST_SHOWN = 3.0  # times the spread of the cameras: a few distant points must not shrink all else


def contact_sheet(frames: FrameSet, most: int = _MOST_THUMBNAILS) -> Image.Image:
    """Thumbnails spread over the capture with index and sharpness; flagged frames stand out."""
    tiles = [
        Tile(thumbnail(frames.image_path(frame), _THUMBNAIL_PX), frame_captions(frame), bool(frame.flags))
        for frame in (frames.frames[index] for index in evenly(len(frames), most))
    ]
    shown = "" if len(tiles) == len(frames) else f", {len(tiles)} shown"
    return sheet(tiles, columns=6, title=f"{kept_and_dropped(frames)}{shown}")


def frame_captions(frame: Frame) -> tuple[str, str]:
    """Two short lines: where the frame comes from, and its sharpness or what is odd about it."""
    where = f"{frame.timestamp_s:.2f} s" if frame.timestamp_s is not None else Path(frame.source).name
    facts = "" if frame.sharpness is None else f"sharpness {frame.sharpness:.3g}"
    return f"#{frame.source_index}  {where}", ", ".join(frame.flags).replace("_", " ") or facts


def kept_and_dropped(frames: FrameSet) -> str:
    """For instance ``60 of 67 pictures kept; dropped: 4 blurred, 3 duplicate``."""
    reasons = Counter(dropped.reason for dropped in frames.dropped)
    dropped = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    total = len(frames.frames) + len(frames.dropped)
    return f"{len(frames)} of {total} pictures kept" + (f"; dropped: {dropped}" if dropped else "")


def mask_sheet(masks: MaskSet, frames: FrameSet | None, most: int = 12) -> Image.Image:
    """Frames with what their masks ignore dimmed and tinted; the masks alone where the frames are gone."""
    tiles = []
    for name in (masks.names[index] for index in evenly(len(masks.names), most)):
        mask = thumbnail(masks.directory / f"{name}.png", 2 * _THUMBNAIL_PX).convert("L")
        picture = mask.convert("RGB")
        if frames is not None:
            picture = thumbnail(frames.images_directory / name, 2 * _THUMBNAIL_PX).resize(mask.size)
            ignored = Image.blend(picture.convert("L").convert("RGB"), Image.new("RGB", mask.size, ACCENT), 0.55)
            picture = Image.composite(picture, ignored, mask)
        tiles.append(Tile(picture, (name, f"{np.asarray(mask).mean() / 255:.0%} in use")))
    title = f"{len(masks.names)} masks ({masks.backend}), {masks.mean_coverage:.0%} of their pixels in use"
    return sheet(tiles, columns=3, title=title)


def held_out_sheet(splat: Splat, most: int = 4) -> Image.Image:
    """Truth beside render of held-out views, from worst to best."""
    tiles = []
    for view, rank in ranked_held_out(splat, most):
        truth_path, render_path = splat.held_out_paths(view)
        quality = f"render, {view.psnr_db:.2f} dB, SSIM {view.ssim:.3f}" + (f" ({rank})" if rank else "")
        truth, render = (_wide_enough(thumbnail(path, 420)) for path in (truth_path, render_path))
        tiles.append(Tile(truth, (f"truth, {view.name}",)))
        tiles.append(Tile(render, (quality,), accented=rank == "worst"))
    quality = "no held-out views" if splat.psnr_db is None else f"held-out mean {splat.psnr_db:.2f} dB"
    return sheet(tiles, columns=2, title=f"{splat.num_gaussians:,} Gaussians, {quality}")


def _wide_enough(picture: Image.Image) -> Image.Image:
    """Enlarged where its caption would not fit: pictures of short trainings are small."""
    factor = _CAPTION_WIDTH_PX / picture.width
    return picture.resize((_CAPTION_WIDTH_PX, round(factor * picture.height))) if factor > 1 else picture


def ranked_held_out(splat: Splat, most: int) -> list[tuple[HeldOutView, str]]:
    """Held-out views by PSNR, worst first, with a word for the worst, the median and the best."""
    ordered = sorted(splat.held_out, key=lambda view: view.psnr_db)
    words = {0: "worst", len(ordered) // 2: "median", len(ordered) - 1: "best"} if len(ordered) > 1 else {}
    return [(ordered[index], words.get(index, "")) for index in evenly(len(ordered), most)]


def training_curves(metrics: TrainingProgress, *, stacked: bool = False) -> Figure:
    """Loss (logarithmic), held-out PSNR and number of Gaussians over the steps; stacked for narrow screens."""
    figure, panels = figure_of([2.2] * 3 if stacked else [2.6] * 3, stacked, width_in=4.2 if stacked else 9.0)
    from matplotlib.ticker import LogLocator, NullLocator

    steps, records = _sorted(metrics.losses)
    loss, psnr, gaussians = panels
    loss.plot(steps, [r["loss"] for r in records], color=_hex(SECOND), linewidth=1.3)
    if any(r["loss"] > 0 for r in records):
        loss.set_yscale("log")
        loss.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        loss.yaxis.set_major_formatter("{x:g}")
        loss.yaxis.set_minor_locator(NullLocator())
    for index, (at, long_side_px) in enumerate(_resolution_changes(steps, records)):
        loss.axvline(at, color=_hex(INK), linewidth=0.7, linestyle=(0, (2, 3)))
        loss.annotate(
            f"{long_side_px} px",
            (at, 1),
            (3, -9 * (index + 1)),  # stepwise down: the coarse stages are short, their labels would overlap
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            fontsize=7,
            color=_hex(INK),
        )
    evaluated, evaluations = _sorted(metrics.evaluations)
    psnr.plot(
        evaluated, [e["psnr_db"] for e in evaluations], color=_hex(ACCENT), linewidth=1.3, marker="o", markersize=3
    )
    counted = [(step, r["num_gaussians"]) for step, r in zip(steps, records, strict=True) if "num_gaussians" in r]
    gaussians.plot(*(zip(*counted, strict=True) if counted else ([], [])), color=_hex(INK), linewidth=1.3)
    gaussians.set_ylim(bottom=0)
    for axes, title in zip(panels, ("loss", "held-out PSNR, dB", "Gaussians"), strict=True):
        axes.set_title(title, fontsize=9, color=_hex(INK), loc="left")
        axes.set_xlabel("step", fontsize=8, color=_hex(INK))
    return figure


def camera_plot(scene: SparseScene, *, stacked: bool = False) -> Figure:
    """Points in their colours and camera frusta, from above and from the side, at one scale; stacked if wished.

    "Up" is the mean of the cameras' own: structure from motion knows no gravity.
    """
    axes_from_world = _viewing_axes(scene)
    centers = np.array([view.center for view in scene.views]) @ axes_from_world.T
    points = scene.points_xyz.astype(np.float64) @ axes_from_world.T
    low, high = _shown_range(points, centers)
    width, *heights = high - low
    panel_in = [4.2 * min(1.3, height / width) + 0.5 for height in heights]
    figure, (above, beside) = figure_of(panel_in, stacked, width_in=4.5 if stacked else 9.0)
    shown = np.flatnonzero(((points >= low) & (points <= high)).all(axis=1))
    shown = shown[evenly(len(shown), _MOST_POINTS)] if len(shown) > _MOST_POINTS else shown
    frusta = _frusta(scene, size=0.06 * float(np.linalg.norm((high - low)[:2]))) @ axes_from_world.T
    for axes, (across, upward, toward_eye), title in (
        (above, (0, 1, 2), "from above"),
        (beside, (0, 2, 1), "from the side"),
    ):
        sign = 1 if toward_eye == 2 else -1  # nearer points are drawn over farther ones
        order = shown[np.argsort(sign * points[shown, toward_eye])]
        colors = scene.points_rgb[order] / 255.0
        axes.scatter(points[order, across], points[order, upward], s=1.2, c=colors, linewidths=0, rasterized=True)
        _draw_frusta(axes, frusta[:, :, [across, upward]])
        axes.plot(centers[:, across], centers[:, upward], color=_hex(ACCENT), linewidth=0.6, alpha=0.5)
        axes.set_xlim(low[across], high[across])
        axes.set_ylim(low[upward], high[upward])
        axes.set_aspect("equal", adjustable="box", anchor="NW")
        axes.set_title(title, fontsize=9, color=_hex(INK), loc="left")
    return figure


def _viewing_axes(scene: SparseScene) -> npt.NDArray[np.float64]:
    """[3, 3] rows: along the longest stretch of the camera path, across it, up; right-handed."""
    up = -np.mean([view.cam_from_world[1, :3] for view in scene.views], axis=0)
    up = up / np.linalg.norm(up) if np.linalg.norm(up) > 1e-6 else np.array([0.0, -1.0, 0.0])
    centers = np.array([view.center for view in scene.views])
    level = (centers - centers.mean(axis=0)) @ (np.eye(3) - np.outer(up, up))
    along = np.linalg.svd(level)[2][0] if len(centers) > 1 else np.zeros(3)
    along = along - (along @ up) * up
    if np.linalg.norm(along) < 1e-6:
        along = np.cross(up, np.eye(3)[np.argmin(np.abs(up))])
    along = along / np.linalg.norm(along)
    return np.stack([along, np.cross(up, along), up])


def _shown_range(
    points: npt.NDArray[np.float64], centers: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Corners [3] of a box round all cameras and all but the outermost points, with a margin."""
    low, high = centers.min(axis=0), centers.max(axis=0)
    if len(points):
        reach = _FARTHEST_SHOWN * (float(np.linalg.norm(high - low)) or np.inf)
        inner = np.percentile(points, _POINTS_SHOWN_PERCENT, axis=0)
        low = np.minimum(low, np.maximum(inner[0], low - reach))
        high = np.maximum(high, np.minimum(inner[1], high + reach))
    margin = 0.06 * float(np.max(high - low)) or 1.0
    return low - margin, high + margin


def _frusta(scene: SparseScene, size: float) -> npt.NDArray[np.float64]:
    """[V, 5, 3] camera centre and the corners of its picture, world coordinates.

    A distorted lens is drawn as the pinhole of its size and focal length.
    """
    frusta = []
    for view in scene.views:
        camera = scene.camera(view)
        corners = [(0, 0), (camera.width, 0), (camera.width, camera.height), (0, camera.height)]
        rays = np.array([((x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, 1.0) for x, y in corners])
        rays *= size / np.linalg.norm(rays, axis=1).max()
        frusta.append(np.vstack([view.center, view.center + rays @ view.cam_from_world[:3, :3]]))
    return np.array(frusta)


def _draw_frusta(axes: Axes, frusta: npt.NDArray[np.float64]) -> None:
    from matplotlib.collections import LineCollection

    outline = [0, 1, 2, 0, 3, 4, 0, 2, 3, 0, 1, 4]
    axes.add_collection(LineCollection(list(frusta[:, outline]), colors=_hex(ACCENT), linewidths=0.7))


def figure_of(heights_in: list[float], stacked: bool, *, width_in: float) -> tuple[Figure, list[Axes]]:
    """A figure with a bare panel for each height, one beside or above the other, that suits any background."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height_in = sum(heights_in) if stacked else max(heights_in)
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    if stacked:
        grid = figure.add_gridspec(len(heights_in), 1, height_ratios=heights_in)
    else:
        grid = figure.add_gridspec(1, len(heights_in))
    panels = [figure.add_subplot(cell) for cell in grid]
    for axes in panels:
        axes.set_facecolor("none")
        axes.grid(color=_hex(INK), alpha=0.2, linewidth=0.6)
        axes.tick_params(which="both", colors=_hex(INK), labelsize=7, length=2.5)
        for side, spine in axes.spines.items():
            spine.set_visible(side in ("left", "bottom"))
            spine.set_color(_hex(INK))
            spine.set_linewidth(0.7)
    return figure, panels


def _sorted(records: dict[int, dict[str, Any]]) -> tuple[list[int], list[dict[str, Any]]]:
    steps = sorted(records)
    return steps, [records[step] for step in steps]


def _resolution_changes(steps: list[int], records: list[dict[str, Any]]) -> list[tuple[int, int]]:
    """Where training went on to larger pictures: (step, long side in pixels), the start included."""
    changes: list[tuple[int, int]] = []
    for step, record in zip(steps, records, strict=True):
        long_side_px = record.get("long_side_px")
        if long_side_px and (not changes or changes[-1][1] != long_side_px):
            changes.append((step, long_side_px))
    return changes


def _hex(rgb: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*rgb)
