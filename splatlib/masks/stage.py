"""The second stage, which a capture may skip: frames in, a mask for each out."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from splatlib.artifacts import Frame, FrameSet, MaskSet
from splatlib.config import MasksConfig
from splatlib.errors import MasksError
from splatlib.progress import bar, logger
from splatlib.threads import in_order
from splatlib.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from splatlib.masks.plausibility import Found
    from splatlib.masks.sources import MaskSource

_DEFAULT = MasksConfig()
# A mask that leaves less than this, or leaves out less, is more likely wrong than meant.
_NEXT_TO_NOTHING = 0.001


def mask_frames(frames: FrameSet, ws: Workspace, config: MasksConfig = _DEFAULT) -> MaskSet:
    """Make a mask for each frame that has one: ``<frame name>.png``, 0 = ignore, 255 = use.

    Args:
        frames: what to mask.
        ws: where to work.
        config: the backend. ``alpha``: the pictures' own transparency. ``folder``: the user's pictures, white (or
            opaque) where the frame counts, named like the frames' sources or like the frames. ``grabcut``: what differs
            in colour from the pictures' borders, or what ``prompts`` point at. ``u2net``: a network that knows objects,
            or people. ``sam2``: what ``prompts`` point at, followed through the frames. ``auto``: ``alpha`` where the
            capture has any, else ``grabcut``.

    Raises:
        MasksError: no frame has a mask, a mask cannot be read or has another shape, a prompt lies outside its picture,
            or all masks are black.
        MissingDependencyError: a backend's library or weights are not here.
        WorkspaceError: the workspace is full, busy, or cannot be written.
    """
    backend = _chosen(frames, config)
    source = _source(backend, frames, config)
    stage = ws.stage(MaskSet, config, {"frames": frames.digest, **source.inputs()})
    if (masks := stage.reuse()) is not None:
        return masks
    with stage.work() as directory:
        written = _write_masks(
            source, frames, config, directory, compare=backend != "alpha" and config.keep == "object"
        )
        coverage = {name: one.coverage for name, one in written.items()}
        mean_coverage = statistics.mean(coverage.values())
        ious = [one.iou for one in written.values() if one.iou is not None]
        if mean_coverage < _NEXT_TO_NOTHING:
            raise MasksError(
                "the masks leave nothing of the frames",
                why=f"on average {mean_coverage:.2%} of a mask's pixels are in use (threshold {config.threshold:g})",
                hint=_hint_for_black(config),
            )
        warnings = _warnings(frames, coverage, by_engine=source.by_engine)
        if source.by_engine:
            from splatlib.masks.plausibility import doubts

            warnings += doubts(frames, {name: one.found for name, one in written.items()}, config)
        for warning in warnings:
            logger.warning("masks: %s", warning)
        return stage.finish(
            MaskSet(
                directory=directory,
                backend=backend,
                names=tuple(coverage),
                mean_coverage=mean_coverage,
                warnings=tuple(warnings),
                # An object that is cut out has nothing around it; what hides a passer-by hides something.
                outside="transparent" if _cuts_out(backend, source, config) else "ignore",
                mean_iou=statistics.mean(ious) if ious else None,
                min_iou=min(ious, default=None),
            )
        )


def mask_of_frame(frames: FrameSet, config: MasksConfig) -> npt.NDArray[np.uint8]:
    """The mask [height, width] of a set of one frame, as ``mask_frames`` would write it; nothing is written.

    Raises as ``mask_frames``.
    """
    from splatlib.masks.edges import finished

    (frame,) = frames.frames
    source = _source(_chosen(frames, config), frames, config)
    source.prepare(lambda: None)
    grey = source.mask(frame)
    if grey is None:
        raise MasksError(f"{frame.name} has no mask", hint="take the backend grabcut")
    return finished(grey, config, by_engine=source.by_engine)


def _cuts_out(backend: str, source: MaskSource, config: MasksConfig) -> bool:
    return config.keep == "object" and (backend == "alpha" or source.by_engine)


def _chosen(frames: FrameSet, config: MasksConfig) -> str:
    if config.backend != "auto":
        return config.backend
    return "alpha" if any(frame.has_alpha for frame in frames.frames) else "grabcut"


def _source(backend: str, frames: FrameSet, config: MasksConfig) -> MaskSource:
    """The backend; each loads the libraries that it needs, none of which planning a job does."""
    if backend == "alpha":
        from splatlib.masks.sources import AlphaMasks

        return AlphaMasks(frames)
    if backend == "folder":
        from splatlib.masks.sources import FolderMasks

        return FolderMasks(frames, Path(config.folder or ""))
    if backend == "u2net":
        from splatlib.masks.u2net import U2NetMasks

        return U2NetMasks(frames, config)
    if backend == "sam2":
        from splatlib.masks.sam2 import Sam2Masks

        return Sam2Masks(frames, config)
    from splatlib.masks.grabcut import GrabcutMasks

    return GrabcutMasks(frames, config)


@dataclass(frozen=True)
class _Written:
    """A mask on disk: share of pixels in use, what it says of the object, IoU with the frame's alpha or None."""

    coverage: float
    found: Found
    iou: float | None


def _write_masks(
    source: MaskSource, frames: FrameSet, config: MasksConfig, directory: Path, *, compare: bool
) -> dict[str, _Written]:
    """Write the masks; what was written, by the name of the frame."""
    from PIL import Image

    from splatlib.masks.edges import finished
    from splatlib.masks.plausibility import found_in
    from splatlib.masks.sources import iou_with_alpha

    def write(frame: Frame) -> tuple[str, _Written | None]:
        grey = source.mask(frame)
        if grey is None:
            return frame.name, None
        mask = finished(grey, config, by_engine=source.by_engine)
        Image.fromarray(mask).save(directory / f"{frame.name}.png", compress_level=1)
        iou = iou_with_alpha(mask, frames, frame) if compare and frame.has_alpha else None
        return frame.name, _Written(float((mask > 0).mean()), found_in(mask, config), iou)

    written: dict[str, _Written] = {}
    with bar(source.passes * len(frames), "masks", unit="frame") as progress:
        source.prepare(progress.update)
        for name, one in in_order(write, frames.frames, "masks", source.workers):
            if one is not None:
                written[name] = one
            progress.update()
    return written


def _hint_for_black(config: MasksConfig) -> str:
    if config.keep == "everything_but":
        return "white marks what is left out with keep 'everything_but': take keep 'object', or raise threshold"
    if config.backend in ("alpha", "folder"):
        return "white means use, black means ignore: invert the masks, or lower threshold"
    return "nothing was found: lower threshold, point at the object with prompts, or pass masks with backend 'folder'"


def _warnings(frames: FrameSet, coverage: dict[str, float], *, by_engine: bool) -> list[str]:
    found = []
    bare = [frame.name for frame in frames.frames if frame.name not in coverage]
    if bare:
        found.append(f"Frames without a mask, which count whole: {len(bare)} of {len(frames)}, the first is {bare[0]}.")
    black = [name for name, share in coverage.items() if share < _NEXT_TO_NOTHING]
    if black:
        found.append(f"Masks that leave nothing of their frame: {len(black)}, the first is that of {black[0]}.")
    white = [name for name, share in coverage.items() if share > 1 - _NEXT_TO_NOTHING]
    if white and by_engine:
        found.append(f"Masks that leave out nothing: {len(white)}, the first is that of {white[0]}.")
    return found
