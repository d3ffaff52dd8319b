"""Tests that need an NVIDIA GPU: skipped without one, and failed where there is one that splatlib cannot use.

On a machine without the test suite's own needs: ``python -m pytest --confcutdir=tests/gpu tests/gpu``.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from splatlib.artifacts import SparseScene
from tests.unit.train.conftest import make_scene


@pytest.fixture(scope="session", autouse=True)
def needs_a_gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device here")
    from splatlib.render.device import cuda_obstacle

    obstacle = cuda_obstacle()
    if obstacle is not None:  # a GPU that lies idle is no reason to skip
        raise obstacle.error()


@pytest.fixture(autouse=True)
def exact_convolutions() -> Iterator[None]:
    """TensorFloat-32 keeps ten bits of a product: too few for a reference."""
    allowed = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = allowed


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> SparseScene:
    return make_scene(tmp_path_factory.mktemp("scene"))


@pytest.fixture(scope="session")
def masked_scene(tmp_path_factory: pytest.TempPathFactory) -> SparseScene:
    return make_scene(tmp_path_factory.mktemp("masked_scene"), with_masks=True)
