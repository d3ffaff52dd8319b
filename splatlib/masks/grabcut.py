"""Masks without a network: graph cuts on colour, from a guess that all frames make together.

1. Each frame, small: what differs from its borders (``saliency``) starts a GrabCut (Rother et al., SIGGRAPH 2004).
2. The colours of all first cuts, pooled, say anew where the object is; a second cut starts from that.
3. Neighbours in the sequence agree (``temporal``), and edges follow the full-size picture (``edges``).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import cv2
import numpy as np

from splatlib.artifacts import Frame, FrameSet
from splatlib.config import MaskPrompt, MasksConfig
from splatlib.errors import MasksError
from splatlib.masks.edges import upsampled
from splatlib.masks.prompts import checked_prompts
from splatlib.masks.saliency import SharedColours, centre_prior, saliency
from splatlib.masks.temporal import sequences, steadied
from splatlib.masks.thumbnails import Map, Picture, fitted_size, read_rgb, scaled
from splatlib.threads import in_order

_FIRST_ITERATIONS = 2
_SECOND_ITERATIONS = 2
# The object is thought to cover at least and at most so much of a picture, before anything is known.
_SMALLEST_GUESS, _LARGEST_GUESS = 0.03, 0.5
_BORDER_SHARE = 0.02
# All frames' colours say more than the frame's own first cut, which is wrong as a whole in some frames.
_COLOUR_WEIGHT = 0.8
# Parts of the cut smaller than this share of the largest are other things of the same colour.
_SMALLEST_PART = 0.2
# Radius of the disc that a click stands for, share of the long side.
_CLICK_SHARE = 0.01
# Steps of OpenCV's 8-bit Lab; light and shade on one thing differ more than its colour does.
_ALIKE_LAB = (64, 24, 24)


class GrabcutMasks:
    """The backend ``grabcut``. Deterministic: the same frames and config give the same masks."""

    by_engine = True
    workers: int | None = None

    def __init__(self, frames: FrameSet, config: MasksConfig) -> None:
        """Raises MasksError: a prompt of no frame, or outside its picture."""
        self._frames, self._config = frames, config
        self._prompts = checked_prompts(frames, config)
        self.passes = 4 if config.temporal else 3
        self._thumbnails: dict[str, Picture] = {}
        self._maps: dict[str, Map] = {}

    def inputs(self) -> dict[str, str]:
        return {}

    def prepare(self, done: Callable[[], object]) -> None:
        """Cut all frames at the small size. Raises MasksError if a frame cannot be read."""
        frames = self._frames.frames
        thumbnails, first, colours = [], [], SharedColours()
        for thumbnail, cut in in_order(self._first_cut, frames, "masks"):
            thumbnails.append(thumbnail)
            first.append(cut)
            colours.add(thumbnail, cut)
            done()
        second: list[Map] = []
        for cut in in_order(
            lambda index: self._second_cut(frames[index], thumbnails[index], first[index], colours),
            range(len(frames)),
            "masks",
        ):
            second.append(cut)
            done()
        if self._config.temporal:
            second = steadied(thumbnails, second, done, sequences(frames))
        names = [frame.name for frame in frames]
        self._thumbnails, self._maps = dict(zip(names, thumbnails, strict=True)), dict(zip(names, second, strict=True))

    def mask(self, frame: Frame) -> Picture:
        """[height, width] 0..255. ``prepare`` comes first."""
        return upsampled(self._maps[frame.name], self._thumbnails[frame.name], read_rgb(self._frames, frame))

    def box(self, frame: Frame) -> tuple[float, float, float, float] | None:
        """Around what was found, [x0, y0, x1, y1] in pixels of the frame; None if nothing was. After ``prepare``."""
        found = self._maps[frame.name] > 0.5
        if not found.any():
            return None
        height, width = found.shape
        rows, columns = np.flatnonzero(found.any(axis=1)), np.flatnonzero(found.any(axis=0))
        edges = columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height
        x0, y0, x1, y1 = (float(edge * side) for edge, side in zip(edges, (frame.width, frame.height) * 2, strict=True))
        return x0, y0, x1, y1

    def _first_cut(self, frame: Frame) -> tuple[Picture, Map]:
        size = fitted_size(frame.width, frame.height, self._config.work_px)
        thumbnail = np.asarray(scaled(read_rgb(self._frames, frame), size), np.uint8)
        guess = saliency(thumbnail)
        trimap = self._trimap(frame, thumbnail, guess)
        return thumbnail, _cut(thumbnail, trimap, _FIRST_ITERATIONS)

    def _second_cut(self, frame: Frame, thumbnail: Picture, first: Map, colours: SharedColours) -> Map:
        height, width = first.shape
        by_colour = cv2.GaussianBlur(colours.object_probability(thumbnail), (0, 0), 2)
        guess = _COLOUR_WEIGHT * by_colour + (1 - _COLOUR_WEIGHT) * cv2.GaussianBlur(first, (0, 0), 4)
        guess *= 0.5 + 0.5 * centre_prior(height, width)
        # an object may run out of the picture: the border is only sure background until its colours are known
        trimap = self._trimap(frame, thumbnail, guess.astype(np.float32), border=False)
        cut = _cut(thumbnail, trimap, _SECOND_ITERATIONS)
        return cut if frame.name in self._prompts else _main_parts(cut)

    def _trimap(self, frame: Frame, thumbnail: Picture, guess: Map, border: bool = True) -> Picture:
        """[height, width] of OpenCV's four labels."""
        level, _ = cv2.threshold((guess * 255).astype(np.uint8), 0, 255, cv2.THRESH_OTSU)
        lowest, highest = np.quantile(guess, (1 - _LARGEST_GUESS, 1 - _SMALLEST_GUESS))
        likely = guess > np.clip(level / 255, lowest, max(lowest, highest))
        trimap = np.where(likely, np.uint8(cv2.GC_PR_FGD), np.uint8(cv2.GC_PR_BGD))
        if border:
            edge = max(1, round(_BORDER_SHARE * max(trimap.shape)))
            inside = np.zeros(trimap.shape, bool)
            inside[edge:-edge, edge:-edge] = True
            trimap[~inside] = cv2.GC_BGD
        if (prompt := self._prompts.get(frame.name)) is not None:
            _point_at(trimap, thumbnail, prompt, trimap.shape[1] / frame.width)
        return trimap


def _point_at(trimap: Picture, thumbnail: Picture, prompt: MaskPrompt, scale: float) -> None:
    """Write what a person said over the guess, in place; ``scale`` is thumbnail over frame.

    A click stands for a small disc, for certain, and probably for all around it of about the same colour.
    """
    if prompt.box is not None:
        x0, y0, x1, y1 = (round(value * scale) for value in prompt.box)
        outside = np.ones(trimap.shape, bool)
        outside[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)] = False
        trimap[~outside] = cv2.GC_PR_FGD
        trimap[outside] = cv2.GC_BGD
    radius = max(1, round(_CLICK_SHARE * max(trimap.shape)))
    smooth = cv2.GaussianBlur(cv2.cvtColor(thumbnail, cv2.COLOR_RGB2LAB), (0, 0), 2)
    height, width = trimap.shape
    for is_certain in (False, True):
        for x, y, label in prompt.points:
            at = min(int(x * scale), width - 1), min(int(y * scale), height - 1)
            if is_certain:
                cv2.circle(trimap, at, radius, cv2.GC_FGD if label else cv2.GC_BGD, cv2.FILLED)
            else:
                alike = np.zeros((height + 2, width + 2), np.uint8)
                flags = 4 | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE
                cv2.floodFill(smooth.copy(), alike, at, 0, _ALIKE_LAB, _ALIKE_LAB, flags)
                trimap[alike[1:-1, 1:-1] > 0] = cv2.GC_PR_FGD if label else cv2.GC_PR_BGD


def _cut(picture: Picture, trimap: Picture, iterations: int) -> Map:
    """[height, width] of 0 and 1. Where one side has no pixel to learn its colours from, the guess stands."""
    foreground = (trimap == cv2.GC_FGD) | (trimap == cv2.GC_PR_FGD)
    if foreground.all() or not foreground.any():
        return foreground.astype(np.float32)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)  # this thread's generator, which starts the clustering of colours
    with _opencv_errors_translated():
        cv2.grabCut(picture, trimap, None, *models, iterations, cv2.GC_INIT_WITH_MASK)  # pyright: ignore
    return ((trimap == cv2.GC_FGD) | (trimap == cv2.GC_PR_FGD)).astype(np.float32)


def _main_parts(cut: Map) -> Map:
    """Of a cut [height, width] the largest part and those not much smaller, parts near the middle counting more."""
    count, labels = cv2.connectedComponents((cut > 0).astype(np.uint8))
    sizes = np.bincount(labels.ravel(), centre_prior(*cut.shape).ravel(), minlength=count)
    sizes[0] = 0
    return (sizes >= _SMALLEST_PART * max(sizes.max(), 1e-9))[labels].astype(np.float32)


@contextlib.contextmanager
def _opencv_errors_translated() -> Iterator[None]:
    try:
        yield
    except cv2.error as error:
        raise MasksError("OpenCV could not cut a frame", why=str(error).strip()) from error
