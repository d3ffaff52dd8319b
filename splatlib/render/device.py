"""Which device can train here, and why another cannot."""

from __future__ import annotations

import functools
import importlib
import os
import re
import shutil
from pathlib import Path
from typing import Any, NamedTuple

from splatlib.errors import ConfigError, DeviceError, NoGpuError
from splatlib.progress import logger

# gsplat's kernels use what Volta (2017) brought.
MIN_CAPABILITY = (7, 0)
# A directory for each NVIDIA GPU, made by the driver: there also where torch cannot use the GPU.
DRIVER_FOLDER = Path("/proc/driver/nvidia/gpus")


class Obstacle(NamedTuple):
    """What keeps this machine from training on its GPU; ``error`` gives it in a fresh exception."""

    kind: type[DeviceError]
    what: str
    why: str
    hint: str

    def error(self) -> DeviceError:
        return self.kind(self.what, why=self.why, hint=self.hint)


def choose_device(device: str) -> str:
    """``cpu`` or ``cuda`` for ``auto``, ``cpu`` or ``cuda``.

    Raises:
        DeviceError: ``cuda`` is asked for and cannot be used.
        ConfigError: the device is none of these.
    """
    if device == "cpu":
        return "cpu"
    if device not in ("auto", "cuda"):
        raise ConfigError(f"there is no renderer for device {device!r}", hint="use auto, cpu or cuda")
    obstacle = cuda_obstacle()
    if obstacle is None:
        return "cuda"
    if device == "cuda":
        raise obstacle.error()
    if obstacle.kind is not NoGpuError:
        # A GPU that lies idle is worth a word; a machine without one is not.
        logger.warning("training on the CPU: %s", obstacle.error())
    return "cpu"


@functools.cache
def cuda_obstacle() -> Obstacle | None:
    """What keeps this machine from training on its GPU; None: nothing. Builds gsplat's kernels on first use."""
    import torch

    if not torch.cuda.is_available():
        return _unavailable()
    capability, name = torch.cuda.get_device_capability(), torch.cuda.get_device_name()
    if capability < MIN_CAPABILITY:
        return Obstacle(
            DeviceError,
            f"{name} is too old: compute capability {capability[0]}.{capability[1]}",
            f"gsplat's kernels need {MIN_CAPABILITY[0]}.{MIN_CAPABILITY[1]} or newer (Volta, 2017)",
            "use device cpu, or a newer GPU",
        )
    return _kernels_obstacle(name)


def _unavailable() -> Obstacle:
    """Why torch has no CUDA device: there is no GPU, or torch cannot use the one there is."""
    import torch

    present = DRIVER_FOLDER.is_dir() and any(DRIVER_FOLDER.iterdir())
    what = "torch cannot use the NVIDIA GPU of this machine" if present else "there is no CUDA device here"
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if torch.version.cuda is None:
        why = "this torch is built without CUDA"
        hint = "install torch for CUDA (https://pytorch.org/get-started)"
    elif hidden is not None and hidden.strip() in ("", "-1"):
        why, hint = f"CUDA_VISIBLE_DEVICES is set to {hidden!r}, which hides every GPU", "unset CUDA_VISIBLE_DEVICES"
    else:
        why = _reason_of_torch()
        hint = f"install or update the NVIDIA driver; this torch wants one for CUDA {torch.version.cuda}"
    if not present:
        hint = f"use device cpu; on a machine with an NVIDIA GPU, {hint}"
    return Obstacle(DeviceError if present else NoGpuError, what, why, hint)


def _reason_of_torch() -> str:
    import torch

    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        return _first_line(error)
    return "torch finds no NVIDIA GPU or driver"


def _kernels_obstacle(gpu_name: str) -> Obstacle | None:
    import torch

    try:
        import gsplat  # noqa: F401
    except ImportError as error:
        return Obstacle(DeviceError, "gsplat is not installed", str(error), 'pip install "splatlib[gsplat]"')
    toolkit = f"install the CUDA toolkit {torch.version.cuda} (torch's version) and a C++ compiler, then set CUDA_HOME"
    try:
        kernels = importlib.import_module("gsplat.cuda._backend")._C
    except Exception as error:  # noqa: BLE001 - a compiler's failure can be anything; it is told, not hidden
        return Obstacle(
            DeviceError,
            "gsplat's kernels could not be built",
            _cause_of_failed_build(error),
            f"{toolkit}; VERBOSE=1 shows the build",
        )
    if kernels is None:
        return Obstacle(
            DeviceError,
            "gsplat's kernels are not built and cannot be",
            _broken_wheel() or f"gsplat compiles them on first use, and {_missing_compiler()}",
            f"{toolkit}; or install gsplat's prebuilt wheel for torch {torch.__version__}",
        )
    try:
        moved = _first_launch(kernels)
    except RuntimeError as error:  # torch's own errors of the device are RuntimeErrors
        why = _first_line(error)
    else:
        if moved:
            return None
        why = "a kernel left its output untouched"
    return Obstacle(
        DeviceError,
        f"gsplat's kernels do not run on {gpu_name}",
        why,
        "is another program using the GPU? Kernels built for another GPU: remove ~/.cache/torch_extensions, they are "
        "built again",
    )


def _first_launch(kernels: Any, device: str = "cuda") -> bool:
    """Whether a kernel does its work: one that was built for another GPU loads well, and fails at its launch."""
    import torch

    value, first, second = (torch.zeros(1, device=device) for _ in range(3))
    kernels.adam(value, torch.ones(1, device=device), first, second, None, 0.1, 0.9, 0.999, 1e-15)
    return float(value) < 0


def _cause_of_failed_build(error: BaseException) -> str:
    """gsplat and torch answer a failed build by importing what was never built: the cause lies before that."""
    cause = error
    while isinstance(cause, ImportError) and cause.__context__ is not None:
        cause = cause.__context__
    return _first_line(cause)


def _first_line(error: BaseException) -> str:
    """The first line of a compiler's output that tells an error, else the first line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines[1:] if re.search(r"\b(error|fatal)\b", line, re.IGNORECASE)]
    line = (telling or lines or [""])[0]
    return f"{type(error).__name__}: {line[:300]}"


def _broken_wheel() -> str:
    """Why kernels that came with gsplat do not load; empty if none came."""
    try:
        importlib.import_module("gsplat.csrc")
    except ModuleNotFoundError:
        return ""
    except ImportError as error:
        return f"its prebuilt kernels are of another torch or Python: {_first_line(error)}"
    return ""


def _missing_compiler() -> str:
    nvcc, home = shutil.which("nvcc"), os.environ.get("CUDA_HOME")
    if nvcc:
        return f"the CUDA toolkit of {nvcc} is not complete"
    return "there is no nvcc on the PATH" + (f" nor under CUDA_HOME ({home})" if home else "; CUDA_HOME is not set")
