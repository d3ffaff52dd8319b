"""Write the lock files of the image's environments: ``python container/lock.py [ENVIRONMENT ...]``

pip resolves each environment for Linux on x86-64 without installing it (``--dry-run --report``); versions and SHA-256
of all that it would take go to ``container/locks/<environment>.txt``. ``ours`` is resolved from ``pyproject.toml``,
once for each Python of the base images; torch and NVIDIA's libraries, which the CPU variant has from elsewhere, get a
file of their own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LOCKS = HERE / "locks"
# The Pythons of Ubuntu 24.04 and Debian 12.
PYTHONS = ("3.12", "3.11")
TORCH = "torch==2.13.0"
OF_TORCH = ("torch", "triton", "nvidia-", "cuda-")
# What the other trainers ask for, at the commits that container/Dockerfile names.
NERFSTUDIO = ("nerfstudio==1.1.5", "torch==2.8.0", "torchvision==0.23.0", "setuptools<81")
THREEDGRUT = (
    "torch==2.8.0",
    "torchvision==0.23.0",
    *(
        "setuptools==78.1.1",
        "pillow",
        "ninja",
        "plyfile",
        "torchmetrics",
        "addict",
        "dataclasses_json",
        "einops",
        "fire",
    ),
    *(
        "hydra-core",
        "imageio",
        "kornia",
        "msgpack",
        "numpy",
        "omegaconf",
        "opencv-python",
        "piexif",
        "rich",
        "slangtorch",
    ),
    *("scikit-learn", "tensorboard", "tqdm", "wandb", "simplejpeg", "nvidia-ncore>=19.0.0", "usd-core>=26.5"),
)
# Published as source only: resolved from what is built of them here, locked as the source.
SOURCE_ONLY = ("pyliblzfse", "antlr4-python3-runtime", "fire")
GLIBC_MINORS = range(5, 35)


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("environments", nargs="*", default=["ours", "nerfstudio", "threedgrut"])
    for name in arguments.parse_args().environments:
        if name == "ours":
            lock_ours()
        else:
            wanted = {"nerfstudio": NERFSTUDIO, "threedgrut": THREEDGRUT}[name]
            write(name, [resolve(wanted, PYTHONS[0])], wanted)


def lock_ours() -> None:
    """Of this project with its extras aws (without the SDK, which submits and does not run) and masks."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]
    wanted = [text for text in project["dependencies"] if not text.startswith(("torch", "pycolmap"))]
    wanted += [TORCH, "boto3>=1.36", *project["optional-dependencies"]["masks"]]
    pycolmap = next(text for text in project["dependencies"] if text.startswith("pycolmap"))
    resolved = [resolve([*wanted, pycolmap], python) for python in PYTHONS]
    ours = [[item for item in items if not is_of_torch(item)] for items in resolved]
    write("ours", ours, [*wanted, pycolmap])
    write("torch-gpu", [[item for item in resolved[0] if is_of_torch(item)]], [TORCH])


def is_of_torch(item: dict[str, Any]) -> bool:
    return item["metadata"]["name"].lower().startswith(OF_TORCH)


def resolve(wanted: list[str] | tuple[str, ...], python: str) -> list[dict[str, Any]]:
    """What pip would install. Raises CalledProcessError with pip's words on standard error."""
    platforms = [
        *(f"manylinux_2_{minor}_x86_64" for minor in GLIBC_MINORS),
        "manylinux2014_x86_64",
        "linux_x86_64",
        "any",
    ]
    tags = [part for platform in platforms for part in ("--platform", platform)]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        built = _built(Path(folder) / "built", python)
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--ignore-installed"]
        command += ["--report", str(report), "--target", folder, "--only-binary", ":all:", "--find-links", str(built)]
        command += ["--implementation", "cp", "--python-version", python, *tags]
        subprocess.run([*command, *wanted], check=True)
        return json.loads(report.read_text())["install"]


def _built(folder: Path, python: str) -> Path:
    """Wheels of what is published as source, named for the Python that is resolved for: only their metadata is read."""
    folder.mkdir()
    here, there = f"cp{sys.version_info.major}{sys.version_info.minor}", f"cp{python.replace('.', '')}"
    for name in SOURCE_ONLY:
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder)]
        subprocess.run([*command, name if name != "antlr4-python3-runtime" else f"{name}==4.9.3"], check=True)
    for wheel in folder.iterdir():
        wheel.rename(wheel.with_name(wheel.name.replace(here, there)))
    return folder


def write(name: str, resolved: list[list[dict[str, Any]]], wanted: list[str] | tuple[str, ...]) -> None:
    """One line a version and marker; a version that all Pythons share has the hashes of all their wheels."""
    pythons: dict[tuple[str, str], list[str]] = defaultdict(list)
    hashes: dict[tuple[str, str], set[str]] = defaultdict(set)
    for python, items in zip(PYTHONS, resolved, strict=False):
        for item in items:
            key = (item["metadata"]["name"].lower().replace("_", "-"), item["metadata"]["version"])
            pythons[key].append(python)
            hashes[key] |= set(_hashes(item))
    lines = [f"# Made by container/lock.py of {', '.join(wanted)}", ""]
    for (package, version), of in sorted(pythons.items()):
        marker = "" if len(of) == len(resolved) else f' ; python_version == "{of[0]}"'
        pins = "".join(f" \\\n    --hash=sha256:{digest}" for digest in sorted(hashes[package, version]))
        lines.append(f"{package}=={version}{marker}{pins}")
    (LOCKS / f"{name}.txt").write_text("\n".join(lines) + "\n")
    print(f"{name}: {len(pythons)} versions")


def _hashes(item: dict[str, Any]) -> list[str]:
    if not item["download_info"]["url"].startswith("file:"):
        return [item["download_info"]["archive_info"]["hashes"]["sha256"]]
    # built here: the hash is that of its source
    name, version = item["metadata"]["name"], item["metadata"]["version"]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--ignore-installed", "--no-deps"]
        report = Path(folder) / "report.json"
        subprocess.run([*command, "--no-binary", name, "--report", str(report), f"{name}=={version}"], check=True)
        (source,) = json.loads(report.read_text())["install"]
        return [source["download_info"]["archive_info"]["hashes"]["sha256"]]


if __name__ == "__main__":
    main()
