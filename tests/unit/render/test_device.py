"""The device is chosen by what works here, and what does not says why and what to try."""

from __future__ import annotations

import builtins
import importlib
import logging
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from splatlib.errors import ConfigError, DeviceError, NoGpuError
from splatlib.render import create_renderer, device
from splatlib.render.device import choose_device


@pytest.fixture(autouse=True)
def a_fresh_look(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Nothing is remembered from before, no GPU is found but those that a test makes up, and none is left behind."""
    monkeypatch.setattr(device, "DRIVER_FOLDER", tmp_path / "no driver")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    look = device.cuda_obstacle
    look.cache_clear()
    yield
    look.cache_clear()


def adam_on_cpu(value: torch.Tensor, gradient: torch.Tensor, *rest: Any) -> None:
    value.sub_(gradient)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A made-up GPU whose kernels are there and work; a test takes away what it is about."""
    made = SimpleNamespace(capability=(9, 0), kernels=SimpleNamespace(adam=adam_on_cpu), failure=None, csrc=None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: made.capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Graphics 9000")
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setitem(sys.modules, "gsplat", SimpleNamespace())
    launch = device._first_launch
    monkeypatch.setattr(device, "_first_launch", lambda kernels: launch(kernels, "cpu"))

    really_import = importlib.import_module

    def import_module(name: str, package: str | None = None) -> Any:
        if name == "gsplat.csrc":
            raise made.csrc or ModuleNotFoundError("No module named 'gsplat.csrc'")
        if name != "gsplat.cuda._backend":
            return really_import(name, package)
        if made.failure is not None:
            raise made.failure
        return SimpleNamespace(_C=made.kernels)

    monkeypatch.setattr(importlib, "import_module", import_module)
    return made


def refusal() -> DeviceError:
    with pytest.raises(DeviceError) as caught:
        choose_device("cuda")
    return caught.value


def without_torchs_cuda(monkeypatch: pytest.MonkeyPatch, reason: str, built_for: str | None = "12.8") -> None:
    def init() -> None:
        raise RuntimeError(reason)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "init", init)
    monkeypatch.setattr(torch.version, "cuda", built_for)


def with_driver(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / "gpus" / "0000:01:00.0").mkdir(parents=True)
    monkeypatch.setattr(device, "DRIVER_FOLDER", folder / "gpus")


def test_a_gpu_that_works_is_taken(gpu: SimpleNamespace) -> None:
    assert [choose_device(name) for name in ("auto", "cuda", "cpu")] == ["cuda", "cuda", "cpu"]


def test_the_cpu_needs_no_look_at_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "cuda_obstacle", lambda: pytest.fail("it looked"))
    assert choose_device("cpu") == "cpu"
    assert create_renderer("cpu").device.type == "cpu"


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(ConfigError, match="no renderer for device 'tpu'\nTry: use auto, cpu or cuda"):
        choose_device("tpu")


def test_antialiasing_is_refused_on_a_cpu() -> None:
    with pytest.raises(ConfigError, match="antialiased needs a GPU"):
        create_renderer("cpu", antialiased=True)


@pytest.mark.parametrize(
    ("built_for", "visible", "why"),
    [
        ("12.8", None, "RuntimeError: Found no NVIDIA driver on your system."),
        ("12.8", "", "CUDA_VISIBLE_DEVICES is set to '', which hides every GPU"),
        ("12.8", "-1", "CUDA_VISIBLE_DEVICES is set to '-1', which hides every GPU"),
        (None, None, "this torch is built without CUDA"),
    ],
)
def test_without_a_gpu_auto_takes_the_cpu_in_silence_and_cuda_says_why(
    built_for: str | None,
    visible: str | None,
    why: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    without_torchs_cuda(monkeypatch, "Found no NVIDIA driver on your system. Please check …", built_for)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with caplog.at_level(logging.DEBUG, logger="splatlib"):
        assert choose_device("auto") == "cpu"
    assert not caplog.records
    error = refusal()
    assert isinstance(error, NoGpuError) and error.what == "there is no CUDA device here"
    assert error.why.startswith(why) and error.hint.startswith("use device cpu; on a machine with an NVIDIA GPU, ")


@pytest.mark.parametrize(
    ("built_for", "why", "hint"),
    [
        (None, "this torch is built without CUDA", "install torch for CUDA (https://pytorch.org/get-started)"),
        ("12.8", "RuntimeError: The NVIDIA driver on your system is too old", "update the NVIDIA driver; this torch"),
    ],
)
def test_a_gpu_that_torch_cannot_use_is_worth_a_warning(
    built_for: str | None,
    why: str,
    hint: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with_driver(monkeypatch, tmp_path)
    without_torchs_cuda(monkeypatch, "The NVIDIA driver on your system is too old (found version 11040)", built_for)
    assert choose_device("auto") == "cpu"
    (record,) = caplog.records
    assert record.levelname == "WARNING" and record.getMessage().startswith("training on the CPU: torch cannot use")
    error = refusal()
    assert type(error) is DeviceError
    assert error.why.startswith(why) and hint in error.hint


def test_a_gpu_that_is_too_old_is_named(gpu: SimpleNamespace, caplog: pytest.LogCaptureFixture) -> None:
    gpu.capability = (6, 1)
    assert choose_device("auto") == "cpu"
    assert "Graphics 9000 is too old: compute capability 6.1" in caplog.text
    assert "need 7.0 or newer" in refusal().why


def test_without_gsplat_the_command_that_installs_it_is_told(
    gpu: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    really_import = builtins.__import__

    def without_gsplat(name: str, *args: Any) -> Any:
        if name == "gsplat":
            raise ModuleNotFoundError("No module named 'gsplat'")
        return really_import(name, *args)

    monkeypatch.setattr(builtins, "__import__", without_gsplat)
    assert choose_device("auto") == "cpu" and "gsplat is not installed" in caplog.text
    error = refusal()
    assert (error.what, error.why, error.hint) == (
        "gsplat is not installed",
        "No module named 'gsplat'",
        'pip install "splatlib[gsplat]"',
    )


@pytest.mark.parametrize(
    ("nvcc", "home", "why"),
    [
        (None, None, "there is no nvcc on the PATH; CUDA_HOME is not set"),
        (None, "/opt/cuda", "there is no nvcc on the PATH nor under CUDA_HOME (/opt/cuda)"),
        ("/usr/bin/nvcc", None, "the CUDA toolkit of /usr/bin/nvcc is not complete"),
    ],
)
def test_kernels_that_cannot_be_compiled_say_what_is_missing(
    gpu: SimpleNamespace,
    nvcc: str | None,
    home: str | None,
    why: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    gpu.kernels = None
    monkeypatch.setattr(shutil, "which", lambda name: nvcc)
    monkeypatch.setenv("CUDA_HOME", home or "")
    if home is None:
        monkeypatch.delenv("CUDA_HOME")
    assert choose_device("auto") == "cpu" and "kernels are not built and cannot be" in caplog.text
    error = refusal()
    assert error.why.endswith(why)
    assert "the CUDA toolkit 12.8 (torch's version)" in error.hint


def test_prebuilt_kernels_of_another_torch_are_told_apart(gpu: SimpleNamespace) -> None:
    gpu.kernels, gpu.csrc = None, ImportError("csrc.so: undefined symbol: _ZN3c10")
    why = "its prebuilt kernels are of another torch or Python: ImportError: csrc.so: undefined symbol: _ZN3c10"
    assert refusal().why == why


def failed_compilation() -> BaseException:
    return RuntimeError(
        "Error building extension 'gsplat_cuda': [1/21] nvcc -c Adam.cu\nFAILED: Adam.cuda.o\n"
        "cc1plus: fatal error: cuda_runtime.h: No such file or directory\ncompilation terminated.\n"
    )


def failed_before_the_compilation() -> BaseException:
    """As torch and gsplat leave it when CUDA_HOME points nowhere: the import of what was never built fails last."""
    try:
        try:
            raise OSError("CUDA_HOME environment variable is not set. Please set it to your CUDA install root.")
        except OSError:
            raise ImportError("gsplat_cuda.so: cannot open shared object file: No such file or directory")  # noqa: B904
    except ImportError as error:
        return error


@pytest.mark.parametrize(
    ("failure", "why"),
    [
        (failed_compilation, "RuntimeError: cc1plus: fatal error: cuda_runtime.h: No such file or directory"),
        (failed_before_the_compilation, "OSError: CUDA_HOME environment variable is not set."),
        (lambda: ModuleNotFoundError("No module named 'rich'"), "ModuleNotFoundError: No module named 'rich'"),
        (RuntimeError, "RuntimeError: "),
    ],
)
def test_a_build_that_fails_tells_the_compilers_error(
    failure: Callable[[], BaseException], why: str, gpu: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    gpu.failure = failure()
    assert choose_device("auto") == "cpu" and "gsplat's kernels could not be built" in caplog.text
    error = refusal()
    assert error.why.startswith(why) and "\n" not in error.why
    assert "VERBOSE=1 shows the build" in error.hint


def raising_adam(*args: Any) -> None:
    raise RuntimeError("CUDA error: no kernel image is available for execution on the device\nCUDA kernel errors …")


@pytest.mark.parametrize(
    ("adam", "why"),
    [
        (raising_adam, "RuntimeError: CUDA error: no kernel image is available for execution on the device"),
        (lambda *args: None, "a kernel left its output untouched"),
    ],
)
def test_kernels_of_another_gpu_are_found_out_before_the_training(
    adam: Callable[..., None], why: str, gpu: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    gpu.kernels = SimpleNamespace(adam=adam)
    assert choose_device("auto") == "cpu" and "do not run on Graphics 9000" in caplog.text
    assert refusal().why.startswith(why)


def test_every_refusal_is_an_exception_of_its_own(gpu: SimpleNamespace) -> None:
    """The look at the machine is remembered, not the exception, which would collect a traceback at each raise."""
    gpu.capability = (5, 0)
    first = refusal()
    gpu.capability = (9, 0)  # not looked at again
    second = refusal()
    assert first is not second and str(first) == str(second)
