"""One process a GPU: the entry point starts itself under torchrun, as SageMaker's own images do for PyTorch."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from splatlib.errors import ConfigError
from splatlib.launch.contract import INTERRUPTED, TORCH_DISTRIBUTED


def wanted_gpus(config: Path) -> int:
    """GPUs to train on together: all there are if the job asks for torch_distributed and torchrun is not there yet."""
    if "WORLD_SIZE" in os.environ or _hyperparameters(config).get(TORCH_DISTRIBUTED, "false").strip('"') != "true":
        return 1
    import torch

    return torch.cuda.device_count()


def on_all_gpus(num_gpus: int) -> int:
    """The exit status of this entry point under torchrun; SIGTERM is passed on, and waited for."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={num_gpus}"]
    process = subprocess.Popen([*command, "-m", "splatlib.container"])
    terminated = False

    def pass_on(signum: int, frame: FrameType | None) -> None:
        nonlocal terminated
        terminated = True
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, pass_on)
    try:
        status = process.wait()
    finally:
        signal.signal(signal.SIGTERM, before)
    return INTERRUPTED if terminated else min(1, abs(status))


def _hyperparameters(config: Path) -> dict[str, str]:
    path = config / "hyperparameters.json"
    if not path.exists():
        return {}
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise ConfigError(f"{path} is damaged", why=str(error)) from error
