"""Pictures of a capture check: the overlap of frames as a ring, and what each frame is like along the capture."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from splatlib.artifacts import CaptureCheck, Finding, FrameSet
from splatlib.artifacts.check import unlinked_steps
from splatlib.widgets.pictures import ACCENT, BAD, INK, SECOND, data_uri, jpeg_bytes, png_bytes, thumbnail

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_ON_RING = 16
_THUMBNAIL_PX = 110
_LEAST_RANGE_EV = 0.5
_STRONG_MATCHES = 200  # from here on a link is drawn at its fullest
_COLOR_OF = {"places": SECOND, "doubtful": ACCENT, "lost": BAD}
_WORDS_OF = {"places": "should find their place", "doubtful": "are in doubt", "lost": "will not find theirs"}


def overlap_ring(check: CaptureCheck, frames: FrameSet | None, *, most: int = _MOST_ON_RING) -> Figure:
    """Frames in a ring, clockwise from the top, and a line between those that share points, the stronger the more.

    Frames are coloured by their outlook; red arcs mark jumps between neighbours. Frames without an order are put
    beside those they share most with.
    """
    figure, axes = _bare_figure(6.4, 6.4)
    order = ring_order(check)
    count = len(order)
    angle = np.empty(count)
    angle[order] = np.pi / 2 - 2 * np.pi * np.arange(count) / max(count, 1)
    place = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    _draw_links(axes, check, place)
    if check.in_order:
        _draw_steps(axes, check, angle)
    for outlook, color in _COLOR_OF.items():
        members = check.with_outlook(outlook)
        size = 26 if outlook == "places" else 46
        axes.scatter(place[members, 0], place[members, 1], s=size, color=_hex(color), zorder=3, linewidths=0)
    shown = [int(order[i * count // most]) for i in range(most)] if count > most else [int(i) for i in order]
    _draw_thumbnails(axes, check, frames, place, shown)
    axes.set_xlim(-1.48, 1.48)
    axes.set_ylim(-1.5, 1.46)
    return figure


def ring_order(check: CaptureCheck) -> npt.NDArray[np.intp]:
    """Indices of the frames round the ring: as taken, or so that linked ones lie near one another."""
    count = len(check.frames)
    if check.in_order or not check.links:
        return np.arange(count)
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import reverse_cuthill_mckee

    one, other = (np.array([getattr(link, end) for link in check.links]) for end in ("one", "other"))
    both = (np.concatenate([one, other]), np.concatenate([other, one]))
    linked = coo_array((np.ones(2 * len(one)), both), shape=(count, count)).tocsr()
    return np.asarray(reverse_cuthill_mckee(linked, symmetric_mode=True), np.intp)


def along_the_capture(check: CaptureCheck, *, narrow: bool = False) -> Figure:
    """Sharpness, exposure, shared points and coverage of each frame, one panel above the other."""
    from splatlib.widgets.stills import figure_of

    figure, panels = figure_of([1.25] * 4, stacked=True, width_in=4.2 if narrow else 9.0)
    numbers = np.arange(1, len(check.frames) + 1)
    values = (
        ("sharpness (under 0.2: blurred)", [frame.sharpness for frame in check.frames]),
        ("exposure, stops, of the same points", [frame.exposure_ev for frame in check.frames]),
        ("points shared with frames placed before", [frame.known_points for frame in check.frames]),
        ("share of the picture that three frames see, %", [100 * frame.covered for frame in check.frames]),
    )
    colors = [_hex(_COLOR_OF[frame.outlook]) for frame in check.frames]
    for axes, (title, column) in zip(panels, values, strict=True):
        heights = np.array([np.nan if value is None else value for value in column], float)
        axes.plot(numbers, heights, color=_hex(INK), linewidth=0.7, alpha=0.6)
        axes.scatter(numbers, heights, s=9, c=colors, zorder=3, linewidths=0)
        axes.set_title(title, fontsize=9, color=_hex(INK), loc="left")
        axes.set_xlim(0, len(numbers) + 1)
        if axes is panels[1]:  # noise of a hundredth of a stop must not fill the panel
            low, high = np.nanmin(heights, initial=-_LEAST_RANGE_EV), np.nanmax(heights, initial=_LEAST_RANGE_EV)
            axes.set_ylim(1.1 * low, 1.1 * high)
        else:
            axes.set_ylim(0, 1.12 * max(np.nanmax(heights, initial=0.0), 1e-3))
    panels[-1].set_xlabel("frame, in the capture's order", fontsize=8, color=_hex(INK))
    return figure


def check_html(check: CaptureCheck, frames: FrameSet | None) -> str:
    """For a notebook: the verdict, the findings with their frames, and both pictures."""
    findings = "".join(
        f"<p><b>{escape(finding.title)}</b> {escape(finding.advice)}</p>{_row_html(check, frames, finding)}"
        for finding in check.findings
    )
    pictures = "".join(
        f'<img style="max-width:min(100%,{widest})" src="{data_uri("image/png", png_bytes(figure))}" alt="{alt}">'
        for figure, alt, widest in (
            (overlap_ring(check, frames), "Which frames share points", "620px"),
            (along_the_capture(check), "Each frame along the capture", "1000px"),
        )
    )
    return f"<p><b>{escape(headline(check))}</b></p>{findings}{pictures}"


def headline(check: CaptureCheck) -> str:
    """The verdict in one sentence."""
    missing = len(check) - len(check.with_outlook("places"))
    match check.verdict:
        case "good":
            return "This capture should reconstruct well."
        case "weak":
            return f"This capture should reconstruct in part: {missing} of {len(check)} frames are in doubt or lost."
        case _:
            return f"This capture will not reconstruct as it is: {missing} of {len(check)} frames lack a safe place."


def frames_to_look_at(check: CaptureCheck, finding: Finding) -> list[tuple[int, bool]]:
    """The frames of a finding, each with whether the camera jumped from the one shown before it."""
    steps = set(unlinked_steps(check.links, len(check))) if check.in_order else set()
    shown = list(finding.frames)
    return [
        (index, before is not None and before + 1 == index and before in steps)
        for before, index in zip([None, *shown], shown, strict=False)
    ]


def _row_html(check: CaptureCheck, frames: FrameSet | None, finding: Finding) -> str:
    if frames is None:
        return ""
    tiles = []
    for index, is_after_jump in frames_to_look_at(check, finding):
        frame = check.frames[index]
        picture = data_uri("image/jpeg", jpeg_bytes(thumbnail(frames.images_directory / frame.name, 160)))
        border = f"border-left:4px solid {_hex(BAD)};padding-left:6px;" if is_after_jump else ""
        tiles.append(
            f'<figure style="display:inline-block;margin:0 6px 0 0;{border}"><img src="{picture}" '
            f'alt="{escape(frame.short_label)}"><figcaption><small>{escape(frame.short_label)}</small></figcaption></figure>'
        )
    return f"<div>{''.join(tiles)}</div>"


def _bare_figure(width_in: float, height_in: float) -> tuple[Figure, Axes]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_aspect("equal")
    return figure, axes


def _draw_links(axes: Axes, check: CaptureCheck, place: npt.NDArray[np.float64]) -> None:
    """Bent towards the middle, so that links of neighbours stay near the rim. Weak ones are drawn over strong ones."""
    from matplotlib.collections import LineCollection

    along = np.linspace(0, 1, 16)[:, None]
    for motion, color in (("told", SECOND), ("turned", ACCENT)):
        links = [link for link in check.links if (link.motion == "turned") == (motion == "turned")]
        if not links:
            continue
        strength = np.clip([link.matches / _STRONG_MATCHES for link in links], 0.05, 1)
        curves = []
        for link in links:
            a, b = place[link.one], place[link.other]
            bend = 0.55 * (a + b) / 2
            curves.append((1 - along) ** 2 * a + 2 * along * (1 - along) * bend + along**2 * b)
        rgba = [(*(value / 255 for value in color), 0.10 + 0.55 * s) for s in strength]
        style = "solid" if motion == "told" else (0, (2, 2))
        axes.add_collection(LineCollection(curves, colors=rgba, linewidths=0.5 + 1.6 * strength, linestyles=style))


def _draw_steps(axes: Axes, check: CaptureCheck, angle: npt.NDArray[np.float64]) -> None:
    """The path along the rim; red where no link leads over a step."""
    gaps = set(unlinked_steps(check.links, len(check.frames)))
    for step in range(len(check.frames) - 1):
        arc = np.linspace(angle[step], angle[step + 1], 8)
        color, width = (BAD, 5.0) if step in gaps else (INK, 1.0)
        axes.plot(np.cos(arc), np.sin(arc), color=_hex(color), linewidth=width, solid_capstyle="butt", zorder=2)


def _draw_thumbnails(
    axes: Axes, check: CaptureCheck, frames: FrameSet | None, place: npt.NDArray[np.float64], shown: list[int]
) -> None:
    for index in shown:
        frame, (x, y), below = check.frames[index], 1.27 * place[index], 0.03
        if frames is not None:
            picture = np.asarray(thumbnail(frames.images_directory / frame.name, _THUMBNAIL_PX))
            scale = 0.145 / max(picture.shape[:2])
            half = (scale * picture.shape[1], scale * picture.shape[0])
            below += half[1]
            axes.imshow(picture, extent=(x - half[0], x + half[0], y - half[1], y + half[1]), zorder=4)
            stalk = np.stack([1.02 * place[index], 1.08 * place[index]])
            axes.plot(*stalk.T, color=_hex(_COLOR_OF[frame.outlook]), linewidth=0.8)
        look = {"ha": "center", "va": "center", "fontsize": 6.5, "color": _hex(INK), "zorder": 5}
        axes.annotate(frame.short_label, (x, y - below), **look)
    axes.set_autoscale_on(False)


def legend(check: CaptureCheck) -> list[tuple[str, str, int]]:
    """Colour, words and number of frames of each outlook that occurs."""
    counted = [(_hex(_COLOR_OF[o]), words, len(check.with_outlook(o))) for o, words in _WORDS_OF.items()]
    return [entry for entry in counted if entry[2]]


def _hex(rgb: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*rgb)
