"""Build an environment from its description: a virtual environment, pinned packages, sources at their commits."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from splatlib.environments.described import Description, Source
from splatlib.environments.found import CHECKOUTS, INSTALLED_FILE, Status, folder_of, look_for, python_of, variables
from splatlib.errors import MissingDependencyError
from splatlib.files import os_errors_translated, write_atomically
from splatlib.progress import logger

_BEGUN_FILE = "installing.json"  # this folder is ours to empty, should the installation not end
_LOG_FILE = "install.log"
_LAST_LINES = 5


def install(description: Description, *, again: bool = False) -> Status:
    """Install an environment, unless it is there already, and look at it.

    It gets a folder of its own; nothing of splatlib's own environment changes. Gigabytes are downloaded. What was
    installed half is installed anew.

    Args:
        again: even if it is there.

    Raises:
        MissingDependencyError: a program that it needs is not on the PATH, no fitting Python is there, or a step
            failed.
        WorkspaceError: its folder cannot be written, or holds files that are not splatlib's.
    """
    status = look_for(description)
    if status.state == "present" and not again:
        return status
    python = _fitting_python(description)
    lacking = [program for program in description.needs if shutil.which(program) is None]
    if lacking:
        raise MissingDependencyError(
            f"the environment {description.name} needs {', '.join(lacking)} on the PATH",
            why="it compiles code, here or at its first training",
            hint="install the CUDA toolkit (nvcc), a C++ compiler, git, Slang (slangc): what of these is named above",
        )
    folder = folder_of(description.name)
    with os_errors_translated(folder):
        _emptied(folder)
        write_atomically(folder / _BEGUN_FILE, json.dumps({"digest": description.digest}))
        log = folder / _LOG_FILE
        logger.info("installing %s into %s", description.name, folder)
        for what, command in _steps(description, folder, python):
            logger.info("%s: %s", description.name, what)
            _run(command, what, log)
        record = {"name": description.name, "digest": description.digest}
        write_atomically(folder / INSTALLED_FILE, json.dumps(record))
    return look_for(description)


def _steps(description: Description, folder: Path, python: str) -> list[tuple[str, Sequence[str | Path]]]:
    """What is run, each with a word for it."""
    own = python_of(folder)
    pip = [own, "-m", "pip", "install", "--disable-pip-version-check"]
    steps: list[tuple[str, Sequence[str | Path]]] = [
        ("a virtual environment", [python, "-m", "venv", folder]),
        ("pinned packages", [*pip, "-r", description.requirements, "-c", description.lock]),
    ]
    for source in description.sources:
        steps += _steps_of_source(source, folder / CHECKOUTS / source.name, pip)
    return steps


def _steps_of_source(source: Source, place: Path, pip: Sequence[str | Path]) -> list[tuple[str, Sequence[str | Path]]]:
    # Its kernels, where it has any, are built against the torch that is there already.
    build = [*pip, "--no-deps", "--no-build-isolation"]
    if not source.checkout:
        return [(source.name, [*build, f"{source.name} @ git+{source.repository}@{source.commit}"])]
    git = ["git", "-C", place]
    steps: list[tuple[str, Sequence[str | Path]]] = [
        (f"cloning {source.name}", ["git", "clone", "--no-checkout", source.repository, place]),
        (f"{source.name} at {source.commit[:12]}", [*git, "checkout", "--detach", source.commit]),
    ]
    if source.submodules:
        steps.append((f"submodules of {source.name}", [*git, "submodule", "update", "--init", "--recursive"]))
    return [*steps, (source.name, [*build, "-e", place])]


def _run(command: Sequence[str | Path], what: str, log: Path) -> None:
    with log.open("ab") as file:
        file.write(f"\n$ {' '.join(map(str, command))}\n".encode())
        file.flush()
        done = subprocess.run(
            command, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=variables(), check=False
        )
    if done.returncode:
        last = log.read_text(errors="replace").strip().splitlines()[-_LAST_LINES:]
        raise MissingDependencyError(
            f"installing {what} failed with status {done.returncode}", why="\n".join(last), hint=f"all of it: {log}"
        )


def _fitting_python(description: Description) -> str:
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    if own in description.python:
        return sys.executable
    for version in reversed(description.python):
        if found := shutil.which(f"python{version}"):
            return found
    raise MissingDependencyError(
        f"the environment {description.name} needs Python {' or '.join(description.python)}",
        why=f"this is Python {own}, and no other is on the PATH",
        hint=f"install Python {description.python[-1]}",
    )


def _emptied(folder: Path) -> None:
    """Make or clear the folder. Raises OSError if it holds what is not ours."""
    ours = any((folder / name).exists() for name in (_BEGUN_FILE, INSTALLED_FILE))
    if folder.is_dir() and any(folder.iterdir()) and not ours:
        raise FileExistsError(17, "it holds files that splatlib did not put there", str(folder))
    if folder.is_dir():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
