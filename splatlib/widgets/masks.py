"""The viewer of masks, and prompts by click: what ``MasksConfig.prompts`` takes comes back as data."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pydantic
from PIL import Image

from splatlib.artifacts import FrameSet, MaskSet
from splatlib.config import MaskPrompt
from splatlib.errors import ArtifactError, ConfigError
from splatlib.widgets.display import describe, frames_of
from splatlib.widgets.pictures import evenly, jpeg_bytes, png_bytes, thumbnail
from splatlib.widgets.runtime import View, traitlets
from splatlib.widgets.stills import contact_sheet, mask_sheet

_MOST_FRAMES = 48
_PICTURE_PX = 640
# A frame's mask for what a person pointed at: (name, prompt or None) → [H, W] uint8, 255 = in use.
Segment = Callable[[str, MaskPrompt | None], npt.NDArray[np.uint8]]


class MasksView(View):
    """Attributes:
    prompts: by frame name, ``{"points": [[x, y, 1 | 0], …], "box": [x0, y0, x1, y1] | None}`` in pixels of the
        frame; what ``MasksConfig(backend="grabcut", prompts=…)`` takes. May be set from Python.
    """

    prompts = traitlets.Dict().tag(sync=True)

    @traitlets.validate("prompts")
    def _checked(self, proposal: Mapping[str, Any]) -> dict[str, Any]:
        return {name: _prompt(name, value).model_dump(mode="json") for name, value in proposal["value"].items()}


def view_masks(
    frames: FrameSet | None,
    masks: MaskSet | None = None,
    *,
    segment: Segment | None = None,
    most: int = _MOST_FRAMES,
    height_px: int = 440,
    title: str = "",
) -> MasksView:
    """Show what masks leave out, and take prompts.

    Args:
        frames: the frames; None: those of the workspace that holds the masks.
        segment: makes a mask of prompts while the person clicks; without it prompts are only collected.
        most: frames shown; of more, evenly spread ones.

    Raises:
        ArtifactError: frames or masks are gone.
        MissingDependencyError: anywidget is not installed.
    """
    if frames is None:
        frames = frames_of(masks) if masks is not None else None
    if frames is None:
        raise ArtifactError("there are no frames to show", hint="pass the FrameSet that the masks were made of")
    shown = [frames.frames[i] for i in evenly(len(frames), most)]
    pictures = [jpeg_bytes(thumbnail(frames.image_path(frame), _PICTURE_PX), 80) for frame in shown]
    paths = [masks.mask_path(frame.name) if masks is not None else None for frame in shown]
    cut = [mask_png(np.asarray(thumbnail(path, _PICTURE_PX).convert("L"))) if path else b"" for path in paths]
    info = {
        "title": title or (f"Masks ({masks.backend})" if masks is not None else "Point at the object"),
        "note": "\n".join(masks.warnings) if masks is not None else "",
        "frames": [
            {"name": frame.name, "width": frame.width, "height": frame.height, "hasMask": path is not None}
            for frame, path in zip(shown, paths, strict=True)
        ],
        "pictures": [len(picture) for picture in pictures],
        "masks": [len(mask) for mask in cut],
        "answers": segment is not None,
    }
    known = frames
    view = MasksView(
        kind="masks",
        info=info,
        blobs=[b"".join(pictures), b"".join(cut)],
        still=lambda: png_bytes(mask_sheet(masks, known) if masks is not None else contact_sheet(known)),
        text=describe(masks if masks is not None else frames),
        height_px=height_px,
    )
    if segment is not None:
        view.answer("mask", _answering(segment, {frame.name for frame in frames.frames}))
    return view


def mask_png(mask: npt.NDArray[np.uint8]) -> bytes:
    """One channel, 255 = in use."""
    buffer = io.BytesIO()
    Image.fromarray(mask, "L").save(buffer, "PNG")
    return buffer.getvalue()


def _answering(segment: Segment, names: set[str]) -> Callable[[str, Mapping[str, Any]], bytes]:
    def answer(name: str, question: Mapping[str, Any]) -> bytes:
        if name not in names:
            raise ArtifactError(f"there is no frame {name!r}")
        prompt = question.get("prompt")
        mask = Image.fromarray(segment(name, None if prompt is None else _prompt(name, prompt)), "L")
        mask.thumbnail((_PICTURE_PX, _PICTURE_PX))
        return mask_png(np.asarray(mask))

    return answer


def _prompt(name: str, value: Any) -> MaskPrompt:
    """Raises ConfigError: it is no prompt."""
    try:
        return MaskPrompt.model_validate(value)
    except pydantic.ValidationError as error:
        raise ConfigError(f"the prompt of {name} is none", why=str(error)) from error
