"""Masks from U2-Net (Qin et al., Pattern Recognition 2020), the network that the package backgroundremover carries."""

from __future__ import annotations

import importlib
import importlib.util
import pickle
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from splatlib.artifacts import Frame, FrameSet
from splatlib.config import MasksConfig
from splatlib.errors import MasksError, MissingDependencyError
from splatlib.masks.downloads import fetch_parts
from splatlib.masks.edges import upsampled
from splatlib.masks.temporal import sequences, steadied
from splatlib.masks.thumbnails import Map, Picture, read_rgb, scaled
from splatlib.masks.weights import Weights, checked_digest, weights_path

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
# Where backgroundremover downloads from, at one commit. The ids of the parts' contents are those of that commit's tree
# (git ls-tree d3debf37 models/): nobody states a SHA-256, so that of the joined file is recorded on first use.
_BASE_URL = "https://github.com/nadermx/backgroundremover/raw/d3debf37934181f9653f98c43f1332af2c2be31b/models"
_PARTS = {
    "u2net.pth": {
        "u2aa": "07a882d675068ecabed40292555dc18488e6a58d",
        "u2ab": "ca6a24b4b2b44d8022678aafd4935c0b970ebc0c",
        "u2ac": "42c1d2358efce1be1c15f0854dc8b1ad2ba549a2",
        "u2ad": "b0b23c022e248750430916f97a427c26a7a44fe1",
    },
    "u2netp.pth": {"u2netp.pth": "ff30419aebc6d46ab43cdc492f912ccb33176770"},
    "u2net_human_seg.pth": {
        "u2haa": "1fa6a1c1a266857878204b199898b9163ffe571d",
        "u2hab": "a62a4385b8b8ff0c014be7aa87c266302f9d3f73",
        "u2hac": "fc202a34a57dbdc669895fa20cda468d5d6ea320",
        "u2had": "fda860254bf0b556efde29a57e2a8e6ee4ea7732",
    },
}


class U2NetMasks:
    """The backend ``u2net``: objects, or people, without prompts."""

    by_engine = True
    workers: int | None = None

    def __init__(self, frames: FrameSet, config: MasksConfig) -> None:
        """Raises MissingDependencyError: package or weights are not here; MasksError: wrong checksum."""
        self._frames, self._config = frames, config
        self._class_name, _ = _MODELS[config.u2net_model]
        self._networks = _networks()
        self._path = weights_path(weights_of(config), config)
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
            maps = steadied(pictures, maps, done, sequences(self._frames.frames))
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


def weights_of(config: MasksConfig) -> Weights:
    """What ``config.u2net_model`` needs."""
    _, name = _MODELS[config.u2net_model]
    return Weights(name, _ORIGIN, partial(_fetch, name))


def _fetch(name: str, folder: Path) -> None:
    fetch_parts(_BASE_URL, _PARTS[name], folder / name)


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
