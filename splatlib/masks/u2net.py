"""Masks from U2-Net (Qin et al., Pattern Recognition 2020), the network that the package backgroundremover carries."""

from __future__ import annotations

import importlib
import importlib.util
import pickle
import sys
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from splatlib.artifacts import Frame, FrameSet
from splatlib.config import MasksConfig
from splatlib.errors import MasksError, MissingDependencyError
from splatlib.masks.edges import upsampled
from splatlib.masks.temporal import steadied
from splatlib.masks.thumbnails import Map, Picture, read_rgb, scaled
from splatlib.masks.weights import checked_digest, weights_path

if TYPE_CHECKING:
    import torch

# What the network was trained with, as in backgroundremover's detect.py.
_SIDE_PX = 320
_MEAN, _DEVIATION = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
# Class and weights file by masks.u2net_model.
_MODELS = {
    "object": ("U2NET", "u2net.pth"),
    "object_small": ("U2NETP", "u2netp.pth"),
    "human": ("U2NET", "u2net_human_seg.pth"),
}
_ORIGIN = "https://github.com/nadermx/backgroundremover (folder models; join the parts of the larger ones with cat)"


class U2NetMasks:
    """The backend ``u2net``: objects, or people, without prompts."""

    by_engine = True
    workers: int | None = None

    def __init__(self, frames: FrameSet, config: MasksConfig) -> None:
        """Raises MissingDependencyError: package or weights are not here; MasksError: wrong checksum."""
        self._frames, self._config = frames, config
        self._class_name, name = _MODELS[config.u2net_model]
        self._path = weights_path(name, config, _ORIGIN)
        self._networks = _networks()
        self._digest = checked_digest(self._path)
        self.passes = 3 if config.temporal else 2
        self._small: dict[str, tuple[Picture, Map]] = {}

    def inputs(self) -> dict[str, str]:
        return {"weights": self._digest}

    def prepare(self, done: Callable[[], object]) -> None:
        """Run the network over all frames. Raises MasksError."""
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
        network = self._loaded().to(device)
        pictures, maps = [], []
        for frame in self._frames.frames:
            picture = np.asarray(scaled(read_rgb(self._frames, frame), (_SIDE_PX, _SIDE_PX)), np.uint8)
            pictures.append(picture)
            with torch.inference_mode():
                # the first of seven outputs is the fused one
                fused = network(_network_input(picture).to(device))[0][0, 0]
            maps.append(_normalised(fused.float().cpu().numpy(), frame))
            done()
        if self._config.temporal:
            maps = steadied(pictures, maps, done)
        names = [frame.name for frame in self._frames.frames]
        self._small = dict(zip(names, zip(pictures, maps, strict=True), strict=True))

    def mask(self, frame: Frame) -> Picture:
        """[height, width] 0..255. ``prepare`` comes first."""
        picture, small_map = self._small[frame.name]
        return upsampled(small_map, picture, read_rgb(self._frames, frame))

    def _loaded(self) -> torch.nn.Module:
        import torch

        network = getattr(self._networks, self._class_name)(3, 1)
        try:
            # weights_only: a file of weights cannot run code
            network.load_state_dict(torch.load(self._path, map_location="cpu", weights_only=True))
        except (RuntimeError, OSError, EOFError, KeyError, TypeError, AttributeError, pickle.UnpicklingError) as error:
            raise MasksError(
                f"{self._path.name} holds no weights of {self._class_name}",
                why=str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__,
                hint=f"get it again from {_ORIGIN}",
            ) from error
        return network.eval()


def _network_input(picture: Picture) -> torch.Tensor:
    """[1, 3, side, side]: brightest value to 1, as in training, then ImageNet's mean and deviation."""
    import torch

    values = (picture.astype(np.float32) / max(int(picture.max()), 1) - _MEAN) / _DEVIATION
    return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1))[None])


def _normalised(values: Map, frame: Frame) -> Map:
    """The network's output stretched to 0..1, as backgroundremover does. Raises MasksError where it is no number."""
    if not np.isfinite(values).all():
        raise MasksError(f"U2-Net's output for {frame.name} is not finite", hint="check the file of weights")
    low, high = float(values.min()), float(values.max())
    return (values - low) / max(high - low, 1e-6)


def _networks() -> Any:
    """The module with the networks. Raises MissingDependencyError.

    Only that module is imported: the package's own inference also wants moviepy, scikit-image, pymatting and a
    torchvision that fits torch, none of which the network uses. The module's ``from torchvision import models`` is of
    no use either. Where torchvision is absent (PyPI's wheels of it do not load beside torch's CPU wheels), an empty
    module stands in for it while that line runs.
    """
    name = "backgroundremover.u2net.u2net"
    stand_in = None
    if "torchvision" not in sys.modules and importlib.util.find_spec("torchvision") is None:
        stand_in = ModuleType("torchvision")
        stand_in.models = ModuleType("torchvision.models")  # type: ignore[attr-defined]
        sys.modules["torchvision"] = stand_in
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            "the backend u2net needs the package backgroundremover",
            why=str(error),
            hint="pip install --no-deps backgroundremover",
        ) from error
    finally:
        if stand_in is not None:
            del sys.modules["torchvision"]
