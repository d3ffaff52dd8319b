"""Where the pictures lie, what is refused when they fit nowhere, and how pictures and masks are put together."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from splatlib.artifacts import Camera, SparseScene
from splatlib.errors import TrainingError
from splatlib.render.cpu.renderer import CpuRenderer
from splatlib.train import pictures
from splatlib.train.dataset import Level, ViewPyramid
from splatlib.train.pictures import GPU_SHARE, DeviceStore, create_store

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
MIB = 2**20
SIZE = (1024, 1024)  # three MiB without, four MiB with a mask


class NoGpuNeeded:
    """Stands for the StreamedStore, whose stream needs a GPU."""

    def __init__(self, count: int, device: torch.device) -> None:
        self.count, self.device = count, device


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> dict[str, int | None]:
    """Bytes that are free on a GPU and a host that a test makes up."""
    free: dict[str, int | None] = {"gpu": 1000 * MIB, "host": 1000 * MIB}
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free["gpu"], 80 * 2**30))
    monkeypatch.setattr(pictures, "_available_host_bytes", lambda: free["host"])
    monkeypatch.setattr(pictures, "StreamedStore", NoGpuNeeded)
    return free


def test_on_a_cpu_the_pictures_lie_where_they_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: pytest.fail("there may be no GPU"))
    assert isinstance(create_store([SIZE] * 3, [False] * 3, CPU), DeviceStore)


@pytest.mark.parametrize(("masked", "each"), [(False, 3 * MIB), (True, 4 * MIB)])
def test_pictures_lie_on_the_gpu_up_to_their_share_of_it(
    masked: bool, each: int, memory: dict[str, int | None]
) -> None:
    needed = 100 * each
    memory["gpu"] = int(needed / GPU_SHARE) + 1
    assert isinstance(create_store([SIZE] * 100, [masked] * 100, CUDA), DeviceStore)
    memory["gpu"] = int(needed / GPU_SHARE) - 1
    streamed = create_store([SIZE] * 100, [masked] * 100, CUDA)
    assert isinstance(streamed, NoGpuNeeded) and streamed.count == 100


def test_every_picture_counts_with_its_own_size_and_mask(memory: dict[str, int | None]) -> None:
    sizes, masked = [SIZE, (2048, 1024), SIZE], [True, False, False]  # 4 + 6 + 3 MiB
    memory["gpu"] = int(13 * MIB / GPU_SHARE) + 1
    assert isinstance(create_store(sizes, masked, CUDA), DeviceStore)
    memory["gpu"] = int(13 * MIB / GPU_SHARE) - 1
    assert isinstance(create_store(sizes, masked, CUDA), NoGpuNeeded)


def test_pictures_that_fit_nowhere_are_refused_with_both_sizes(memory: dict[str, int | None]) -> None:
    memory.update(gpu=2**30, host=2 * 2**30)
    with pytest.raises(TrainingError) as caught:
        create_store([SIZE] * 1000, [False] * 1000, CUDA)
    assert caught.value.what == "the pictures need 2.9 GiB, the host has 2.0 GiB free"
    assert caught.value.why == "they do not fit on the GPU either (1.0 GiB free)"
    assert caught.value.hint == "lower train.max_long_side_px or frames.max_frames"


def test_a_host_that_does_not_tell_its_memory_is_tried(memory: dict[str, int | None]) -> None:
    memory.update(gpu=0, host=None)
    assert isinstance(create_store([SIZE] * 1000, [False] * 1000, CUDA), NoGpuNeeded)


def test_no_pictures_need_no_memory(memory: dict[str, int | None]) -> None:
    """A training without held-out views."""
    memory.update(gpu=0, host=0)
    assert isinstance(create_store([], [], CUDA), DeviceStore)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MemTotal:       16384 kB\nMemAvailable:    8192 kB\n", 8192 * 1024),
        ("MemTotal:       16384 kB\n", None),
        ("", None),
        ("nonsense\n", None),
    ],
)
def test_free_memory_of_the_host_is_what_linux_says(
    text: str, expected: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fake_open(path: str, *rest: Any) -> io.StringIO:
        assert path == "/proc/meminfo"
        return io.StringIO(text)

    monkeypatch.setattr("builtins.open", fake_open)
    assert pictures._available_host_bytes() == expected


def test_another_system_has_no_such_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(path: str, *rest: Any) -> io.StringIO:
        raise FileNotFoundError(path)

    monkeypatch.setattr("builtins.open", absent)
    assert pictures._available_host_bytes() is None


def filled_store(masks: list[np.ndarray | None], size: tuple[int, int] = (5, 4)) -> tuple[DeviceStore, np.ndarray]:
    """A store, and what was put into it [V, H, W, 3]."""
    width, height = size
    stored = np.random.default_rng(0).integers(0, 256, (len(masks), height, width, 3), dtype=np.uint8)
    store = DeviceStore(len(masks), CPU)
    for index, mask in enumerate(masks):
        store.put(index, stored[index], mask)
    return store, stored


@pytest.mark.parametrize("indices", [[0], [2], [0, 1], [2, 0, 1], [1, 1]])
def test_pictures_come_back_channels_first_in_the_order_asked_for(indices: list[int]) -> None:
    store, stored = filled_store([None] * 3)
    store.prefetch(indices)
    target, mask = store.get(indices)
    assert mask is None
    assert target.dtype == torch.uint8 and target.is_contiguous()
    np.testing.assert_array_equal(target.numpy(), stored[indices].transpose(0, 3, 1, 2))


def test_only_whole_pixels_of_a_mask_count() -> None:
    """What scaling down made grey is partly outside."""
    mask = np.array([[0, 1, 128, 249, 250], [251, 254, 255, 0, 255], [255] * 5, [0] * 5], np.uint8)
    store, _ = filled_store([mask])
    _, gray = store.get([0])
    assert gray is not None and gray.dtype == torch.uint8
    view = Level(["a"], [Camera(5, 4, 1.0, 1.0, 2.5, 2.0)], torch.eye(4)[None], store).batch([0])
    assert view.mask is not None and view.mask.dtype == torch.float32 and view.empty is not None
    np.testing.assert_array_equal(view.mask[0].numpy(), mask >= 250)
    np.testing.assert_array_equal(view.empty[0].numpy(), mask <= 5)


def test_beside_a_masked_picture_one_without_a_mask_counts_whole() -> None:
    half = np.zeros((4, 5), np.uint8)
    half[:, 2:] = 255
    store, _ = filled_store([None, half, None])
    _, gray = store.get([0, 1])
    assert gray is not None and gray.shape == (2, 4, 5)
    assert (gray[0] == 255).all() and torch.equal(gray[1], torch.from_numpy(half))
    assert store.get([0, 2])[1] is None  # and no mask at all where none is needed


def test_a_picture_that_was_not_stored_is_not_made_up() -> None:
    store = DeviceStore(2, CPU)
    store.put(0, np.zeros((4, 5, 3), np.uint8), None)
    with pytest.raises(AssertionError, match="before it was stored"):
        store.get([0, 1])


def test_a_pyramid_holds_each_picture_at_every_resolution(masked_scene: SparseScene) -> None:
    """Each level is the average of the pixels below it, of pictures and of masks."""
    view = masked_scene.views[3]
    levels = ViewPyramid(masked_scene, [view], [24, 96, 48], CpuRenderer(1)).levels
    assert list(levels) == [96, 48, 24]
    picture = cv2.imread(str(masked_scene.image_path(view)))
    assert picture is not None
    truth = torch.from_numpy(picture[..., ::-1].copy()).permute(2, 0, 1)[None].float()
    for px, level in levels.items():
        batch = level.batch([0])
        (camera,) = batch.cameras
        assert (camera.width, camera.height) == (px, px * 3 // 4)
        assert camera.fx / px == pytest.approx(90 / 96) and camera.cx == px / 2
        averaged = torch.nn.functional.avg_pool2d(truth, 96 // px)
        assert (batch.target.float() - averaged).abs().max() <= 1  # rounded at each level
        assert batch.mask is not None
        hidden = -(-30 * px // 96)  # columns under the mask, a partly hidden one included
        assert (batch.mask[0, :, :hidden] == 0).all() and (batch.mask[0, :, hidden:] == 1).all()


def test_views_of_several_sizes_are_scaled_alike(scene: SparseScene, tmp_path: Path) -> None:
    """The long side counts, of landscape and portrait alike."""
    from dataclasses import replace
    from shutil import copytree

    copytree(scene.directory, tmp_path / "scene")
    portrait = replace(scene.cameras[0], width=72, height=96, fx=80.0, fy=80.0, cx=36.0, cy=48.0)
    views = [scene.views[0], replace(scene.views[1], camera_index=1)]
    both = replace(scene, directory=tmp_path / "scene", cameras=(*scene.cameras, portrait), views=tuple(views))
    cv2.imwrite(str(both.image_path(views[1])), np.full((96, 72, 3), 9, np.uint8))
    level = ViewPyramid(both, views, [48], CpuRenderer(1)).levels[48]
    assert [tuple(level.batch([index]).target.shape) for index in (0, 1)] == [(1, 3, 36, 48), (1, 3, 48, 36)]
