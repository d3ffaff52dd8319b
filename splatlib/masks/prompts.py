"""What a person pointed at, checked against the frames before any work is done."""

from __future__ import annotations

from splatlib.artifacts import Frame, FrameSet
from splatlib.config import MaskPrompt, MasksConfig
from splatlib.errors import MasksError


def checked_prompts(frames: FrameSet, config: MasksConfig) -> dict[str, MaskPrompt]:
    """The prompts by frame name. Raises MasksError: no frame of that name, a point or box outside its picture."""
    by_name = {frame.name: frame for frame in frames.frames}
    for name, prompt in config.prompts.items():
        if name not in by_name:
            raise MasksError(
                f"there is a prompt for {name}, but no such frame",
                why=f"the {len(frames)} frames are {frames.frames[0].name} to {frames.frames[-1].name}",
                hint="prompts go by the names of frames, not of the capture's files",
            )
        _check(by_name[name], prompt)
    return dict(config.prompts)


def _check(frame: Frame, prompt: MaskPrompt) -> None:
    corners = [] if prompt.box is None else [prompt.box[:2], prompt.box[2:]]
    for x, y in [*((point[0], point[1]) for point in prompt.points), *corners]:
        if not (0 <= x <= frame.width and 0 <= y <= frame.height):
            raise MasksError(
                f"a prompt for {frame.name} lies outside the picture",
                why=f"({x:g}, {y:g}) is not within {frame.width}x{frame.height} pixels",
                hint="give pixels of the frame as it was extracted, x to the right, y down",
            )
