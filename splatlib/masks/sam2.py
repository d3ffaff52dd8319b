"""Masks from SAM 2 (Ravi et al., 2024) through transformers: what a prompt points at, followed through the frames."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from splatlib.artifacts import Frame, FrameSet
from splatlib.config import MaskPrompt, MasksConfig
from splatlib.errors import MasksError, MissingDependencyError
from splatlib.masks.downloads import fetch_from_hub
from splatlib.masks.grabcut import GrabcutMasks
from splatlib.masks.prompts import checked_prompts
from splatlib.masks.temporal import sequences
from splatlib.masks.thumbnails import Map, Picture, read_rgb, scaled
from splatlib.masks.weights import Weights, checked_digest, weights_path
from splatlib.progress import logger

if TYPE_CHECKING:
    import torch

# ImageNet's, as in Sam2VideoProcessor; its torchvision is not needed for that.
_MEAN, _DEVIATION = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
# How the prompt encoder tells a box's corners from points.
_BOX_LABELS = (2, 3)
_OBJECT = 1
# By masks.sam2_model: the commit of facebook/sam2.1-hiera-… on the Hugging Face hub, and the SHA-256 of its config.json
# and model.safetensors, which several independent projects that pin these commits state alike.
_PINNED = {
    "tiny": (
        "de431c4043854a71d8101e17995dfe596bf101a5",
        "860aff9751b139d83a4ad7df1e5535416fded533e0ead02625edbefcb9953cce",
        "48c14467e5cf9e51870511feb72c89688e82dd74523142c0538b663e193ac2a7",
    ),
    "small": (
        "ee5bba1d82bb8749febdf90f45e84b687142ba03",
        "97ff9f65b76d107acda4247885f0a5555d0048850ae3c5f97183df289aaecde9",
        "0a4067b11ce1e23d5229203f11c718a823060d15a4b23fa2372a7d4b77cbbc60",
    ),
    "base_plus": (
        "b7320756a13354e7530a63935656d35b2f91a290",
        "8e24a93b6a40d4dad86eaec383ce7b4044f37ec6360136460f5ff2ce55f87390",
        "2012733a0de5d03efd1bba550a2847c4551be9ef2e0d497c83074df66189f780",
    ),
    "large": (
        "665f8e2ad61cf5f53d65644ff27c8ee525124610",
        "00446988cf4d617118d2d347eabe2c46aebed744628facdd540508be30b69ec3",
        "dc407dce21301fd94abb395c5099b4f2c455fdc8a8f261ac3d0ea6d4cd197230",
    ),
}


class Sam2Masks:
    """The backend ``sam2``.

    With ``temporal``, the frames are a video: prompts of any frames, or the box of the object that ``grabcut`` finds in
    one of them, are propagated to the others, forwards and backwards. Each face of a panorama is a video of its own;
    with prompts, the object is not looked for in faces that have none. Without ``temporal`` each frame stands for
    itself: with its prompt, or the box that ``grabcut`` finds in it.
    """

    by_engine = True
    workers: int | None = None

    def __init__(self, frames: FrameSet, config: MasksConfig) -> None:
        """Raises MissingDependencyError: package or weights are not here; MasksError: a bad prompt, wrong checksum."""
        self._frames, self._config = frames, config
        self._prompts = checked_prompts(frames, config)
        self._library = _library()
        self._path = weights_path(weights_of(config), config)
        self._digest = checked_digest(self._path)
        covered = bool(self._prompts) if config.temporal else self._prompts.keys() >= {f.name for f in frames.frames}
        self._finder = None if covered else GrabcutMasks(frames, config)
        self.passes = 2 + (self._finder.passes - 1 if self._finder is not None else 0)
        self._logits: dict[str, Map] = {}

    def inputs(self) -> dict[str, str]:
        return {"weights": self._digest}

    def prepare(self, done: Callable[[], object]) -> None:
        """Run the network over all frames. Raises MasksError."""
        model = self._loaded()
        prompts = dict(self._prompts)
        if self._finder is not None:
            self._finder.prepare(done)
            prompts = self._found_prompts(self._finder) | prompts
        for frames in self._videos():
            if any(frame.name in prompts for frame in frames):
                self._follow(model, frames, prompts, done)
            else:
                for _ in frames:  # grabcut saw nothing in it: its mask is black, and the stage says so
                    done()

    def mask(self, frame: Frame) -> Picture:
        """[height, width] 0..255, the probability. ``prepare`` comes first."""
        if frame.name not in self._logits:
            return np.zeros((frame.height, frame.width), np.uint8)
        logits = scaled(self._logits[frame.name], (frame.width, frame.height))
        return (255 / (1 + np.exp(-logits.clip(-30, 30))) + 0.5).astype(np.uint8)

    def _videos(self) -> list[tuple[Frame, ...]]:
        """Frames that are followed together: those of a sequence, or each for itself."""
        frames = self._frames.frames
        if not self._config.temporal:
            return [(frame,) for frame in frames]
        return [tuple(frames[index] for index in sequence) for sequence in sequences(frames)]

    def _found_prompts(self, finder: GrabcutMasks) -> dict[str, MaskPrompt]:
        """Boxes around what grabcut found; of a video the one of median area. Raises MasksError if it found nothing."""
        found: dict[str, MaskPrompt] = {}
        for frames in self._videos():
            boxes = {frame.name: box for frame in frames if (box := finder.box(frame)) is not None}
            if boxes:
                by_area = sorted(boxes, key=lambda name: _area(boxes[name]))
                name = by_area[len(by_area) // 2]
                found[name] = MaskPrompt(box=boxes[name])
        if not found:
            raise MasksError("nothing stands out in any frame", hint="point at the object with masks.prompts")
        if self._config.temporal:
            logger.info("masks: no prompts, so sam2 follows what grabcut found in %s", ", ".join(found))
        return found

    def _follow(
        self, model: Any, frames: tuple[Frame, ...], prompts: dict[str, MaskPrompt], done: Callable[[], object]
    ) -> None:
        """Prompted frames first, then all after the earliest of them, then all before it."""
        import torch

        session = _session(self._library, self._frames, frames, model)
        prompted = [index for index, frame in enumerate(frames) if frame.name in prompts]
        with torch.inference_mode():
            for index in prompted:
                inputs = _prompt_inputs(prompts[frames[index].name], frames[index], model.config.image_size)
                session.add_point_inputs(session.obj_id_to_idx(_OBJECT), index, inputs)
                session.obj_with_new_inputs = [_OBJECT]
                model(session, frame_idx=index)
            for reverse in (False, True):
                for output in model.propagate_in_video_iterator(session, prompted[0], reverse=reverse):
                    frame = frames[output.frame_idx]
                    if frame.name not in self._logits:
                        self._logits[frame.name] = _checked(output.pred_masks, frame)
                        done()

    def _loaded(self) -> Any:
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            model = self._library.Sam2VideoModel.from_pretrained(self._path, local_files_only=True)
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise MasksError(
                f"{self._path.name} holds no SAM 2 model that transformers can load",
                why=str(error).strip().splitlines()[0],
                hint="the folder needs config.json and model.safetensors of a sam2.1-hiera checkpoint",
            ) from error
        return model.to(device).eval()


def weights_of(config: MasksConfig) -> Weights:
    """What ``config.sam2_model`` needs."""
    name = f"sam2.1-hiera-{config.sam2_model.replace('_', '-')}"
    return Weights(name, f"https://huggingface.co/facebook/{name}", partial(_fetch, name, config.sam2_model))


def _fetch(name: str, model: str, folder: Path) -> None:
    revision, config_sha256, model_sha256 = _PINNED[model]
    files = {"config.json": config_sha256, "model.safetensors": model_sha256}
    fetch_from_hub(f"facebook/{name}", revision, files, folder / name)


def _area(box: tuple[float, float, float, float]) -> float:
    x0, y0, x1, y1 = box
    return (x1 - x0) * (y1 - y0)


def _session(library: Any, frame_set: FrameSet, frames: tuple[Frame, ...], model: Any) -> Any:
    """transformers' session, which reads frames as they are needed instead of holding the video (12 MiB a frame)."""

    class Session(library.Sam2VideoInferenceSession):
        @property
        def num_frames(self) -> int:
            return len(frames)

        def get_frame(self, frame_idx: int) -> torch.Tensor:
            return _network_input(read_rgb(frame_set, frames[frame_idx]), model.config.image_size).to(model.device)

        def store_output(self, obj_idx: int, frame_idx: int, output_key: str | None = None, *value: Any, **named: Any):
            if output_key != "high_res_masks":  # 4 MiB a frame that nothing reads again
                super().store_output(obj_idx, frame_idx, output_key, *value, **named)

    return Session(inference_device=model.device, inference_state_device="cpu", dtype=model.dtype)


def _network_input(picture: Picture, side_px: int) -> torch.Tensor:
    """[3, side, side]: stretched to a square, as SAM 2 was trained."""
    import torch

    values = (scaled(picture, (side_px, side_px)).astype(np.float32) / 255 - _MEAN) / _DEVIATION
    return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))


def _prompt_inputs(prompt: MaskPrompt, frame: Frame, side_px: int) -> dict[str, torch.Tensor]:
    """Points [1, 1, N, 2] in the network's square and labels [1, 1, N]; a box comes first, as two points."""
    import torch

    points = [(x, y, label) for x, y, label in prompt.points]
    if prompt.box is not None:
        corners = (prompt.box[:2], prompt.box[2:])
        points = [(*corner, label) for corner, label in zip(corners, _BOX_LABELS, strict=True)] + points
    scale = np.array([side_px / frame.width, side_px / frame.height], np.float32)
    coordinates = np.array([point[:2] for point in points], np.float32) * scale
    labels = np.array([point[2] for point in points], np.int32)
    return {
        "point_coords": torch.from_numpy(coordinates)[None, None],
        "point_labels": torch.from_numpy(labels)[None, None],
    }


def _checked(logits: torch.Tensor, frame: Frame) -> Map:
    """[h, w] of [1, 1, h, w]. Raises MasksError where it is no number."""
    values = logits[0, 0].float().cpu().numpy()
    if not np.isfinite(values).all():
        raise MasksError(f"SAM 2's output for {frame.name} is not finite", hint="check the folder of weights")
    return values


def _library() -> Any:
    """transformers' module with SAM 2 for video. Raises MissingDependencyError."""
    try:
        from transformers.models.sam2_video import modeling_sam2_video
    except ImportError as error:
        raise MissingDependencyError(
            "the backend sam2 needs the package transformers, 4.56 or newer",
            why=str(error),
            hint="pip install 'splatlib[masks]'",
        ) from error
    return modeling_sam2_video
