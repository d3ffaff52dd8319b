"""Pictures that are streamed from the host arrive as those that lie on the GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from splatlib.artifacts import SparseScene
from splatlib.config import TrainConfig
from splatlib.train import pictures, train_splat
from splatlib.train.pictures import DeviceStore, StreamedStore
from splatlib.workspace import Workspace

pytestmark = pytest.mark.gpu

DEVICE = torch.device("cuda")
NUM_PICTURES, HEIGHT, WIDTH = 12, 270, 480


def filled_stores(masked_every: int) -> tuple[DeviceStore, StreamedStore]:
    """Both hold the same pictures; every n-th has a mask, 0: none."""
    random = np.random.default_rng(0)
    stores = DeviceStore(NUM_PICTURES, DEVICE), StreamedStore(NUM_PICTURES, DEVICE)
    for index in range(NUM_PICTURES):
        picture = random.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        has_mask = masked_every and index % masked_every == 0
        mask = random.integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8) if has_mask else None
        for store in stores:
            store.put(index, picture, mask)
    return stores


def assert_same(streamed: pictures.Pair, truth: pictures.Pair) -> None:
    assert streamed[0].device.type == truth[0].device.type == "cuda"
    assert torch.equal(streamed[0], truth[0])
    assert (streamed[1] is None) == (truth[1] is None)
    if streamed[1] is not None and truth[1] is not None:
        assert streamed[1].dtype == torch.uint8 and torch.equal(streamed[1], truth[1])


@pytest.mark.parametrize("masked_every", [0, 1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_the_same_bytes_in_any_order(masked_every: int, seed: int) -> None:
    """Fetched early or not, or something else fetched early; one view or several; the same twice."""
    truth, streamed = filled_stores(masked_every)
    random = np.random.default_rng(seed)
    for _ in range(60):
        indices = random.integers(0, NUM_PICTURES, random.integers(1, 5)).tolist()
        early = [indices, random.integers(0, NUM_PICTURES, 2).tolist(), None][random.integers(3)]
        if early is not None:
            streamed.prefetch(early)
        if random.random() < 0.2:
            streamed.prefetch(indices)
        assert_same(streamed.get(indices), truth.get(indices))


def test_what_was_given_out_is_not_overwritten_while_the_gpu_is_behind() -> None:
    """As in training: the host runs ahead, and the next pictures are on their way before these are read."""
    truth, streamed = filled_stores(masked_every=2)
    busy = torch.randn(2048, 2048, device=DEVICE)
    sums: list[torch.Tensor] = []
    order = np.random.default_rng(1).integers(0, NUM_PICTURES, 80).tolist()
    streamed.prefetch(order[:1])
    for position, index in enumerate(order):
        picture, mask = streamed.get([index])
        streamed.prefetch(order[position + 1 : position + 2] or [0])
        for _ in range(5):
            busy = torch.tanh(busy @ busy)
        weights = torch.ones_like(picture[:, 0], dtype=torch.float32) if mask is None else mask / 255
        place = torch.arange(WIDTH, device=DEVICE)  # so that a moved row shows
        sums.append((picture.double() * weights[:, None] * place).sum())
        del picture, mask, weights
    for index, total in zip(order, sums, strict=True):
        picture, mask = truth.get([index])
        weights = torch.ones_like(picture[:, 0], dtype=torch.float32) if mask is None else mask / 255
        expected = (picture.double() * weights[:, None] * torch.arange(WIDTH, device=DEVICE)).sum()
        assert total.item() == expected.item(), index


def test_the_host_holds_page_locked_memory_and_the_gpu_little() -> None:
    before = torch.cuda.memory_allocated(DEVICE)
    _, streamed = filled_stores(masked_every=1)
    assert all(picture is not None and picture.is_pinned() for picture in streamed._pictures)
    assert all(mask is not None and mask.is_pinned() for mask in streamed._masks)
    del _
    assert torch.cuda.memory_allocated(DEVICE) - before < HEIGHT * WIDTH


def test_a_training_on_streamed_pictures_learns(
    masked_scene: SparseScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The GPU is told to be full."""
    config = TrainConfig(device="cuda", max_long_side_px=96, steps=240, max_gaussians=600, sh_degree=1)
    resident = train_splat(masked_scene, Workspace(tmp_path / "resident"), config)
    made: list[StreamedStore] = []

    class Noted(StreamedStore):
        def __init__(self, count: int, device: torch.device) -> None:
            super().__init__(count, device)
            made.append(self)

    monkeypatch.setattr(pictures, "GPU_SHARE", 0.0)
    monkeypatch.setattr(pictures, "StreamedStore", Noted)
    streamed = train_splat(masked_scene, Workspace(tmp_path / "streamed"), config)
    assert len(made) >= 2  # a store each for training and held-out views at least
    assert resident.psnr_db is not None and streamed.psnr_db is not None
    assert streamed.psnr_db == pytest.approx(resident.psnr_db, abs=1.0)
