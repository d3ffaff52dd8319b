"""Write the lock files of the image's own environment: ``python container/lock.py [NAME …]``

pip resolves what ``pyproject.toml`` asks for on Linux (x86-64), without installing it (``--dry-run --report``), once
for each Python of the base images. Versions and the SHA-256 of every wheel that it would take go to
``container/locks``: torch and NVIDIA's libraries, which the CPU variant has from elsewhere, to ``torch-gpu.txt``,
COLMAP to ``colmap-cpu.txt``, the same version of it built for CUDA 12, with the two libraries of CUDA that it is linked
to, to ``colmap-gpu.txt``, all else to ``ours.txt``. With names only these are written again. The other trainers' pins
are in ``splatlib/environments``.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LOCKS = HERE / "locks"
# The Pythons of Ubuntu 24.04 and Debian 12.
PYTHONS = ("3.12", "3.11")
TORCH = "torch==2.13.0"
OF_TORCH = ("torch", "triton", "nvidia-", "cuda-")
_GLIBC_MINORS = range(5, 35)


COLMAP = "pycolmap"
# Same modules, other name. CUDA 12 beside torch's CUDA 13: their libraries lie in folders of their own, and only the
# package that names all of CUDA (cuda-toolkit, without content) can be there once, so that it is left out.
COLMAP_ON_GPU = "pycolmap-cuda12"
OF_COLMAP_ON_GPU = (COLMAP_ON_GPU, "nvidia-")


def main(names: Sequence[str] = ()) -> None:
    wanted = requirements()
    if not names or set(names) - {"colmap-gpu"}:
        resolved = [resolve(wanted, python) for python in PYTHONS]
        rest = [[item for item in items if not is_of_torch(item)] for items in resolved]
        files = {
            "ours": ([[item for item in items if _name(item) != COLMAP] for items in rest], wanted),
            "torch-gpu": ([[item for item in resolved[0] if is_of_torch(item)]], [TORCH]),
            "colmap-cpu": ([[item for item in items if _name(item) == COLMAP] for items in rest], [COLMAP]),
        }
        for name, (chosen, of) in files.items():
            if not names or name in names:
                write(name, chosen, of)
    if not names or "colmap-gpu" in names:
        of = [f"{COLMAP_ON_GPU}=={locked_version('colmap-cpu', COLMAP)}"]
        resolved = [resolve(of, python) for python in PYTHONS]
        write("colmap-gpu", [[i for i in items if _name(i).startswith(OF_COLMAP_ON_GPU)] for items in resolved], of)


def _name(item: dict[str, Any]) -> str:
    return item["metadata"]["name"].lower().replace("_", "-")


def locked_version(lock: str, package: str) -> str:
    (version,) = re.findall(rf"^{package}==(\S+)", (LOCKS / f"{lock}.txt").read_text(), re.MULTILINE)
    return version


def requirements() -> list[str]:
    """This project's, with boto3 (the SageMaker SDK submits jobs and does not run in them) and the masks' networks."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]
    own = [text for text in project["dependencies"] if not text.startswith("torch")]
    return [TORCH, *own, "boto3>=1.36", *project["optional-dependencies"]["masks"]]


def is_of_torch(item: dict[str, Any]) -> bool:
    return item["metadata"]["name"].lower().startswith(OF_TORCH)


def resolve(wanted: Sequence[str], python: str) -> list[dict[str, Any]]:
    """What pip would install. Raises CalledProcessError, with pip's words on standard error."""
    platforms = [f"manylinux_2_{minor}_x86_64" for minor in _GLIBC_MINORS]
    platforms += ["manylinux2014_x86_64", "linux_x86_64"]
    tags = [part for platform in platforms for part in ("--platform", platform)]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--ignore-installed"]
        command += ["--report", str(report), "--target", folder, "--only-binary", ":all:"]
        command += ["--implementation", "cp", "--python-version", python, *tags]
        subprocess.run([*command, *wanted], check=True)
        return json.loads(report.read_text())["install"]


def write(name: str, resolved: Sequence[Sequence[dict[str, Any]]], wanted: Sequence[str]) -> None:
    """One entry a version, with a marker where only one Python has it, and the hashes of the wheels of all Pythons."""
    pythons: dict[tuple[str, str], list[str]] = defaultdict(list)
    hashes: dict[tuple[str, str], set[str]] = defaultdict(set)
    for python, items in zip(PYTHONS, resolved, strict=False):
        for item in items:
            key = (_name(item), item["metadata"]["version"])
            pythons[key].append(python)
            hashes[key].add(item["download_info"]["archive_info"]["hashes"]["sha256"])
    lines = ["# Made by container/lock.py of:", *(f"#   {text}" for text in wanted), ""]
    for (package, version), of in sorted(pythons.items()):
        marker = "" if len(of) == len(resolved) else f' ; python_version == "{of[0]}"'
        pins = "".join(f" \\\n    --hash=sha256:{digest}" for digest in sorted(hashes[package, version]))
        lines.append(f"{package}=={version}{marker}{pins}")
    (LOCKS / f"{name}.txt").write_text("\n".join(lines) + "\n")
    print(f"{name}: {len(pythons)} versions")


if __name__ == "__main__":
    main(sys.argv[1:])
