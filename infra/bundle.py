"""The functions' code as a folder, made without Docker: our modules, and pydantic's wheel for Lambda's platform.

    python -m infra.bundle FOLDER [--python 3.14] [--architecture arm64] [--zip FILE]

CDK and Terraform deploy the same folder. boto3 is not in it: Lambda's runtime brings it.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess  # nosec B404: runs pip, with arguments of this file
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
_PLATFORMS = {"arm64": "manylinux2014_aarch64", "x86_64": "manylinux2014_x86_64"}
# pydantic brings typing-extensions, annotated-types and typing-inspection
_REQUIREMENT = "pydantic>=2.11,<3"
_OURS = (
    "infra/__init__.py",
    "infra/*/__init__.py",
    "infra/runtime/*.py",
    "infra/*/runtime/*.py",
    "splatlib/__init__.py",
    "splatlib/_version.py",
    "splatlib/errors.py",
    "splatlib/files.py",
    "splatlib/config/*.py",
    "splatlib/launch/__init__.py",
    "splatlib/launch/contract.py",
    "splatlib/launch/prices.py",
    "splatlib/launch/instances.json",
)


def sources() -> list[Path]:
    """Our files in the bundle."""
    return sorted({path for pattern in _OURS for path in ROOT.glob(pattern)})


def build(folder: Path, python: str = "3.14", architecture: str = "arm64") -> Path:
    """Make the bundle in ``folder``, unless the same is there already. Returns the folder."""
    digest = _digest(python, architecture)
    mark = folder.with_name(folder.name + ".digest")
    if folder.is_dir() and mark.exists() and mark.read_text() == digest:
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        made = Path(temporary) / "bundle"
        _install(made, python, architecture)
        for path in sources():
            target = made / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        _strip(made)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(made, folder)
    mark.write_text(digest)
    return folder


def pack(folder: Path, file: Path) -> Path:
    """The folder as a zip, for Terraform: the same bytes for the same content."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), (2020, 1, 1, 0, 0, 0))
                entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
                archive.writestr(entry, path.read_bytes())
    return file


def _digest(python: str, architecture: str) -> str:
    content = hashlib.sha256(f"{python} {architecture} {_REQUIREMENT}".encode())
    for path in [Path(__file__), *sources()]:
        content.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return content.hexdigest()


def _install(folder: Path, python: str, architecture: str) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    command += ["--target", str(folder), "--platform", _PLATFORMS[architecture], "--python-version", python]
    command += ["--implementation", "cp", "--only-binary=:all:", _REQUIREMENT]
    subprocess.run(command, check=True)  # nosec B603: no shell, and nothing of it is input


def _strip(folder: Path) -> None:
    """What never runs: bytecode of this Python, the wheels' own records, pydantic's copy of its version 1."""
    for pattern in ("**/__pycache__", "*.dist-info", "bin", "pydantic/v1"):
        for path in folder.glob(pattern):
            shutil.rmtree(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--python", default="3.14")
    parser.add_argument("--architecture", default="arm64", choices=sorted(_PLATFORMS))
    parser.add_argument("--zip", type=Path, help="pack it into this file, too")
    arguments = parser.parse_args()
    folder = build(arguments.folder, arguments.python, arguments.architecture)
    print(pack(folder, arguments.zip) if arguments.zip else folder)


if __name__ == "__main__":
    main()
