"""Views that work while a person points: what shows (``widgets``) joined with what computes (stages)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from splatlib.artifacts import FrameSet, MaskSet
from splatlib.config import MaskPrompt, MasksConfig
from splatlib.errors import ArtifactError

if TYPE_CHECKING:
    from splatlib.widgets.masks import MasksView

_DEFAULT = MasksConfig(backend="grabcut")


def view_masks(
    frames: FrameSet | MaskSet,
    masks: MaskSet | None = None,
    *,
    config: MasksConfig = _DEFAULT,
    height_px: int = 440,
    title: str = "",
) -> MasksView:
    """Show masks, and let the object be pointed at: a click on it or beside it, or a box, and the mask answers.

    The answer is of that frame alone; ``mask_frames`` with the same prompts looks at all frames together and is better.
    ``view.prompts`` is what ``MasksConfig(backend="grabcut", prompts=view.prompts)`` takes.

    Args:
        frames: frames to point at, or masks: then their workspace's frames.
        masks: what was found so far.
        config: how the mask that answers is made; its own prompts are where the view begins.

    Raises:
        ArtifactError: frames or masks are gone.
        MissingDependencyError: anywidget, or the backend's library or weights, are not here.
    """
    from splatlib.widgets.display import frames_of
    from splatlib.widgets.masks import view_masks as view

    if isinstance(frames, MaskSet):
        masks, found = frames, frames_of(frames)
        if found is None:
            raise ArtifactError("the frames of these masks are gone", hint="pass the FrameSet, and the masks after it")
        frames = found
    shown = view(frames, masks, segment=Segmenter(frames, config), height_px=height_px, title=title)
    shown.prompts = {name: prompt.model_dump(mode="json") for name, prompt in config.prompts.items()}
    return shown


class Segmenter:
    """A frame's mask for a prompt, by one of the backends that take prompts."""

    def __init__(self, frames: FrameSet, config: MasksConfig = _DEFAULT) -> None:
        self._frames = {frame.name: frame for frame in frames.frames}
        self._set, self._config = frames, config

    def __call__(self, name: str, prompt: MaskPrompt | None) -> npt.NDArray[np.uint8]:
        """[height, width] 255 = in use. Raises MasksError: a prompt outside its picture, or a frame that is gone."""
        from splatlib.masks.stage import mask_of_frame

        frame = self._frames[name]
        prompts = {} if prompt is None else {name: prompt}
        config = self._config.model_copy(update={"prompts": prompts, "temporal": False})
        return mask_of_frame(replace(self._set, frames=(frame,)), config)
