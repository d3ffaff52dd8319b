"""The second stage, which a capture may skip: frames in, a mask for each out."""

from __future__ import annotations

import statistics
from pathlib import Path

from splatlib.artifacts import FrameSet, MaskSet
from splatlib.config import MasksConfig
from splatlib.errors import MasksError
from splatlib.progress import bar, logger
from splatlib.workspace import Workspace

_DEFAULT = MasksConfig()
# A mask that leaves less than this is more likely wrong than meant.
_NEXT_TO_NOTHING = 0.001


def mask_frames(frames: FrameSet, ws: Workspace, config: MasksConfig = _DEFAULT) -> MaskSet:
    """Make a mask for each frame that has one: ``<frame name>.png``, 0 = ignore, 255 = use.

    Args:
        frames: what to mask.
        ws: where to work.
        config: the backend. ``alpha``: the pictures' own transparency. ``folder``: the user's pictures, white (or
            opaque) where the frame counts, named like the frames' sources or like the frames.

    Raises:
        MasksError: no frame has a mask, a mask cannot be read or has another shape, or all masks are black.
        WorkspaceError: the workspace is full, busy, or cannot be written.
    """
    from splatlib.masks.sources import AlphaMasks, FolderMasks  # loads Pillow, which planning a job does not need

    source = FolderMasks(frames, Path(config.folder)) if config.folder and config.backend == "folder" else None
    inputs = {"frames": frames.digest} | ({"folder": source.digest()} if source is not None else {})
    stage = ws.stage(MaskSet, config, inputs)
    if (masks := stage.reuse()) is not None:
        return masks
    backend = source or AlphaMasks(frames)
    with stage.work() as directory:
        coverage: dict[str, float] = {}
        with bar(len(frames), "masks", unit="frame") as progress:
            for frame in frames.frames:
                mask = backend.mask(frame, config.threshold)
                if mask is not None:
                    mask.save(directory / f"{frame.name}.png", compress_level=1)
                    coverage[frame.name] = mask.histogram()[255] / (mask.width * mask.height)
                progress.update()
        mean_coverage = statistics.mean(coverage.values())
        if mean_coverage < _NEXT_TO_NOTHING:
            raise MasksError(
                "the masks leave nothing of the frames",
                why=f"on average {mean_coverage:.2%} of a mask's pixels are at least {config.threshold:g}",
                hint="white means use, black means ignore: invert the masks, or lower threshold",
            )
        warnings = _warnings(frames, coverage)
        for warning in warnings:
            logger.warning("masks: %s", warning)
        return stage.finish(
            MaskSet(
                directory=directory,
                backend=config.backend,
                names=tuple(coverage),
                mean_coverage=mean_coverage,
                warnings=tuple(warnings),
            )
        )


def _warnings(frames: FrameSet, coverage: dict[str, float]) -> list[str]:
    found = []
    bare = [frame.name for frame in frames.frames if frame.name not in coverage]
    if bare:
        found.append(f"Frames without a mask, which count whole: {len(bare)} of {len(frames)}, the first is {bare[0]}.")
    black = [name for name, share in coverage.items() if share < _NEXT_TO_NOTHING]
    if black:
        found.append(f"Masks that leave nothing of their frame: {len(black)}, the first is that of {black[0]}.")
    return found
