"""Where the decoded pictures lie: on the training device, or in page-locked host memory and streamed from there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from splatlib.errors import TrainingError
from splatlib.progress import logger

# A picture may take this share of the GPU memory that is free before anything is trained; the rest is for Gaussians,
# their gradients and moments, and what rendering needs.
GPU_SHARE = 0.4
Size = tuple[int, int]
Pair = tuple[Tensor, Tensor | None]


class PictureStore(Protocol):
    """Pictures [3, H, W] uint8 and masks of one resolution."""

    def put(self, index: int, picture: np.ndarray, mask: np.ndarray | None) -> None:
        """Store [H, W, 3] uint8 and its mask [H, W] uint8; called from several threads."""
        ...

    def get(self, indices: Sequence[int]) -> Pair:
        """Pictures [C, 3, H, W] and masks [C, H, W], both uint8 on the training device."""
        ...

    def prefetch(self, indices: Sequence[int]) -> None:
        """Begin to bring pictures to the device."""
        ...


def create_store(sizes: Sequence[Size], masked: Sequence[bool], device: torch.device) -> PictureStore:
    """The device's own memory if all fit, else the host's. Raises TrainingError if they fit nowhere."""
    if device.type != "cuda":
        return DeviceStore(len(sizes), device)
    needed = sum(width * height * (3 + has_mask) for (width, height), has_mask in zip(sizes, masked, strict=True))
    free, _ = torch.cuda.mem_get_info(device)
    if needed <= GPU_SHARE * free:
        return DeviceStore(len(sizes), device)
    available = _available_host_bytes()
    if available is not None and needed > available:
        raise TrainingError(
            f"the pictures need {needed / 2**30:.1f} GiB, the host has {available / 2**30:.1f} GiB free",
            why=f"they do not fit on the GPU either ({free / 2**30:.1f} GiB free)",
            hint="lower train.max_long_side_px or frames.max_frames",
        )
    logger.info("training: %.1f GiB of pictures are streamed from host memory", needed / 2**30)
    return StreamedStore(len(sizes), device)


def _available_host_bytes() -> int | None:
    """Free memory as Linux estimates it; None where it does not say."""
    try:
        with open("/proc/meminfo") as file:
            fields = dict(line.split(":", 1) for line in file)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None


class DeviceStore:
    """Everything on the device from the beginning."""

    def __init__(self, count: int, device: torch.device) -> None:
        self._device = device
        self._pictures: list[Tensor | None] = [None] * count
        self._masks: list[Tensor | None] = [None] * count

    def put(self, index: int, picture: np.ndarray, mask: np.ndarray | None) -> None:
        self._pictures[index] = _channels_first(picture).to(self._device)
        self._masks[index] = None if mask is None else torch.from_numpy(mask).to(self._device)

    def get(self, indices: Sequence[int]) -> Pair:
        pictures, masks = [self._pictures[i] for i in indices], [self._masks[i] for i in indices]
        return _joined(pictures, masks)

    def prefetch(self, indices: Sequence[int]) -> None:
        pass


class StreamedStore:
    """Everything in page-locked host memory; what comes next is copied while the GPU works."""

    def __init__(self, count: int, device: torch.device) -> None:
        self._device = device
        self._pictures: list[Tensor | None] = [None] * count
        self._masks: list[Tensor | None] = [None] * count
        self._stream = torch.cuda.Stream(device)
        self._coming: tuple[tuple[int, ...], Pair] | None = None

    def put(self, index: int, picture: np.ndarray, mask: np.ndarray | None) -> None:
        self._pictures[index] = _channels_first(picture).pin_memory()
        self._masks[index] = None if mask is None else torch.from_numpy(mask).pin_memory()

    def get(self, indices: Sequence[int]) -> Pair:
        if self._coming is None or self._coming[0] != tuple(indices):
            self.prefetch(indices)
        assert self._coming is not None
        here = torch.cuda.current_stream(self._device)
        here.wait_stream(self._stream)
        _, (picture, mask) = self._coming
        # Made on the other stream: its memory must not be reused there while this one still reads it.
        picture.record_stream(here)
        if mask is not None:
            mask.record_stream(here)
        self._coming = None
        return picture, mask

    def prefetch(self, indices: Sequence[int]) -> None:
        with torch.cuda.stream(self._stream):
            pictures = [self._send(self._pictures[i]) for i in indices]
            masks = [self._send(self._masks[i]) for i in indices]
            self._coming = tuple(indices), _joined(pictures, masks)

    def _send(self, tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor.to(self._device, non_blocking=True)


def _channels_first(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))


def _joined(pictures: Sequence[Tensor | None], masks: Sequence[Tensor | None]) -> Pair:
    """[C, 3, H, W] and [C, H, W] uint8; a picture without a mask counts whole."""
    present = [picture for picture in pictures if picture is not None]
    assert len(present) == len(pictures), "a picture was asked for before it was stored"
    target = present[0][None] if len(present) == 1 else torch.stack(present)
    if all(mask is None for mask in masks):
        return target, None
    full = [
        torch.full_like(picture[0], 255) if mask is None else mask for picture, mask in zip(present, masks, strict=True)
    ]
    return target, full[0][None] if len(full) == 1 else torch.stack(full)
