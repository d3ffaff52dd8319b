"""Environments on this machine: where they are looked for, and what is there.

Looked for under ``SPLATLIB_ENVIRONMENTS`` (default: the user's data folder). An environment that was made in another
way is named by a variable: ``SPLATLIB_ENVIRONMENT_NERFSTUDIO=/opt/conda/envs/nerfstudio``.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import platformdirs

from splatlib.environments.described import Description
from splatlib.errors import MissingDependencyError

INSTALLED_FILE = "installed.json"
CHECKOUTS = "src"
_PROBE = Path(__file__).with_name("probe.py")
_PROBE_TIMEOUT_S = 180.0  # the first import of torch from a slow disk
_OF_THIS_PYTHON = ("PYTHONPATH", "PYTHONHOME")


@dataclass(frozen=True)
class Environment:
    """One that can run.

    Attributes:
        python: its interpreter.
        checkouts: folder of the sources that were cloned, by name.
        versions: of what it provides.
        gpu: name of the GPU that its torch finds; None: ``why_no_gpu``.
    """

    description: Description
    python: Path
    checkouts: Path
    versions: Mapping[str, str]
    gpu: str | None
    why_no_gpu: str

    @property
    def trainer(self) -> str:
        """What trains in it, with its version."""
        name = self.description.provides[0]
        return f"{name} {self.versions[name]}"


@dataclass(frozen=True)
class Status:
    """What was found of an environment.

    Attributes:
        state: ``present``; ``outdated``: of another description than this splatlib's; ``broken``: there, but it does
            not run or lacks something; ``missing``.
        why: it is not present. environment: None unless it runs.
    """

    description: Description
    state: Literal["present", "outdated", "broken", "missing"]
    folder: Path
    why: str = ""
    environment: Environment | None = field(default=None, repr=False)


def folder_of(name: str) -> Path:
    """Where an environment is or would be installed."""
    root = os.environ.get("SPLATLIB_ENVIRONMENTS")
    return (Path(root) if root else Path(platformdirs.user_data_dir("splatlib")) / "environments") / name


def variable_of(name: str) -> str:
    """The environment variable that names one made in another way."""
    return "SPLATLIB_ENVIRONMENT_" + name.upper().replace("-", "_")


def look_for(description: Description) -> Status:
    """Look for an environment, and ask its Python what is in it (seconds)."""
    if given := os.environ.get(variable_of(description.name)):
        place = Path(given)
        python = place if place.is_file() else python_of(place)
        folder = place.parent.parent if place.is_file() else place
        if not python.is_file():
            return Status(description, "broken", folder, f"{variable_of(description.name)}: there is no {python}")
        return _asked(description, folder, python)
    folder = folder_of(description.name)
    try:
        installed = json.loads((folder / INSTALLED_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        begun = folder.is_dir() and any(folder.iterdir())
        why = "its installation did not end" if begun else f"nothing is in {folder}"
        return Status(description, "broken" if begun else "missing", folder, why)
    except ValueError:
        return Status(description, "broken", folder, f"{folder / INSTALLED_FILE} is damaged")
    status = _asked(description, folder, python_of(folder))
    if status.state == "present" and installed.get("digest") != description.digest:
        return Status(description, "outdated", folder, "other versions are pinned now", status.environment)
    return status


def require(description: Description) -> Environment:
    """An environment that can run. Raises MissingDependencyError."""
    status = look_for(description)
    if status.state == "present" and status.environment is not None:
        return status.environment
    raise MissingDependencyError(
        f"the environment {description.name} of {', '.join(description.backends)} is {status.state}",
        why=status.why,
        hint=f"splat backend install {description.name}",
    )


def python_of(folder: Path) -> Path:
    """The interpreter of a virtual environment."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def variables(python: Path | None = None) -> dict[str, str]:
    """Environment variables for an environment's own Python: without the modules that were given to this one.

    Args:
        python: its programs (ninja, which torch compiles kernels with, by its name) are found first, as where an
            environment is activated.
    """
    own = {name: value for name, value in os.environ.items() if name not in _OF_THIS_PYTHON}
    if python is not None:
        own["PATH"] = os.pathsep.join(filter(None, [str(python.parent), os.environ.get("PATH", os.defpath)]))
    return own


def _asked(description: Description, folder: Path, python: Path) -> Status:
    try:
        answer = subprocess.run(
            [python, _PROBE, *description.provides],
            capture_output=True,
            text=True,
            check=True,
            timeout=_PROBE_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            env=variables(python),
        )
        document = json.loads(answer.stdout.splitlines()[-1])
    except subprocess.CalledProcessError as error:
        return Status(description, "broken", folder, f"{python} fails: {_last_line(error.stderr)}")
    except (OSError, subprocess.TimeoutExpired, ValueError, IndexError) as error:
        return Status(description, "broken", folder, f"{python} does not answer: {error}")
    if lacking := [name for name, version in document["versions"].items() if version is None]:
        return Status(description, "broken", folder, f"it lacks {', '.join(lacking)}")
    environment = Environment(
        description, python, folder / CHECKOUTS, document["versions"], document["gpu"], document["why_no_gpu"]
    )
    return Status(description, "present", folder, environment=environment)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it says nothing"
