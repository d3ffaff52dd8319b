"""Whether a capture will do, and why a frame will not find its place."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace

from splatlib.artifacts import CheckedFrame, FrameLink
from splatlib.check.features import FEW_FEATURES
from splatlib.check.growth import Growth

# solve_cameras gives up below (CamerasConfig.min_registered) …
_HALF = 0.5
# … and up to this share missing, frames are hardly missed: neighbours of theirs show the same.
_FEW_MISSING = 0.05
# As in splatlib.capture: sharpness far under the neighbours', or soft altogether; far too dark; burnt out.
_BLURRED_RATIO, _SOFT = 0.5, 0.2
DARK, WHITE_SHARE = 30.0, 0.3
_END_SHARE = 0.1


def verdict_of(frames: Sequence[CheckedFrame]) -> str:
    """``good``, ``weak`` or ``bad``; see ``CaptureCheck``."""
    safe = sum(frame.outlook == "places" for frame in frames)
    possible = sum(frame.outlook != "lost" for frame in frames)
    if possible < _HALF * len(frames) or safe == 0:
        return "bad"
    return "good" if safe >= (1 - _FEW_MISSING) * len(frames) else "weak"


def closes(links: Sequence[FrameLink], num_frames: int) -> bool:
    """Whether the last tenth of the path is linked with the first."""
    end = max(2, round(_END_SHARE * num_frames))
    return any(link.one < end and link.other >= num_frames - end for link in links)


def reasons_of(frames: Sequence[CheckedFrame], links: Sequence[FrameLink], growth: Growth) -> tuple[CheckedFrame, ...]:
    """The frames, with a few words each on why they are not expected to place."""
    usual = statistics.median([frame.sharpness for frame in frames if frame.sharpness is not None] or [0.0])
    of_frame: dict[int, list[FrameLink]] = {}
    for link in links:
        of_frame.setdefault(link.one, []).append(link)
        of_frame.setdefault(link.other, []).append(link)
    elsewhere = {index for part in growth.elsewhere for index in part}

    def reasons(index: int, frame: CheckedFrame) -> tuple[str, ...]:
        if frame.outlook == "places":
            return ()
        own, found = of_frame.get(index, []), []
        if is_blurred(frame, usual):
            found.append("blurred")
        if frame.brightness < DARK:
            found.append("very dark")
        if frame.white_share > WHITE_SHARE:
            found.append("largely pure white")
        if frame.features < FEW_FEATURES:
            found.append("little texture")
        if not own:
            found.append("shares nothing with any other frame")
        elif _mostly_turned(own):
            found.append("the camera only turned")
        elif index in elsewhere:
            found.append("belongs to another part")
        else:
            found.append("shares too few points")
        return tuple(found)

    return tuple(replace(frame, reasons=reasons(index, frame)) for index, frame in enumerate(frames))


def _mostly_turned(links: Sequence[FrameLink]) -> bool:
    motions = [link.motion for link in links if link.motion != "still"]
    return 2 * motions.count("turned") > len(motions)


def is_blurred(frame: CheckedFrame, usual: float) -> bool:
    return frame.sharpness is not None and (frame.sharpness < _BLURRED_RATIO * usual or frame.sharpness < _SOFT)
