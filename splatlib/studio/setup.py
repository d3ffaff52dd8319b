"""Set JupyterLab up for this environment: its kernel, the widgets' labextension, and the saving of widgets.

In SageMaker Studio, and wherever the Jupyter server lives in another environment than the kernel, the server must be
given what it needs of ours. All of it goes into the user's own folders, is written down, and can be undone.
"""

from __future__ import annotations

import json
import platform
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splatlib.errors import ConfigError, MissingDependencyError
from splatlib.files import os_errors_translated, write_atomically
from splatlib.studio import places

KERNEL_NAME = re.compile(r"[A-Za-z0-9._-]+")
_RECORD = "splatlib-setup.json"
_NEEDED = ("ipykernel", "ipywidgets", "anywidget")


@dataclass(frozen=True)
class Step:
    """What was done about one thing: ``done``, ``unchanged``, ``left alone`` or ``removed``; and in words."""

    name: str
    state: str
    words: str

    def __str__(self) -> str:
        return f"{self.name:<14} {self.state:<10} {self.words}"


def set_up(kernel_name: str = "splatlib", display_name: str = "") -> list[Step]:
    """Set up what is not set up yet; doing it again changes nothing.

    Raises:
        MissingDependencyError: a package that notebooks need is not installed in this environment.
        ConfigError: a kernel of this name belongs to another environment, or the widgets' settings are damaged.
        WorkspaceError: the user's folders cannot be written.
    """
    _require_packages()
    if not KERNEL_NAME.fullmatch(kernel_name):
        raise ConfigError(f"kernel name {kernel_name!r}: letters, digits, dots, dashes and underscores only")
    with os_errors_translated(places.user_data()):
        record = _read_record()
        servers = places.running_servers()
        steps = [_register_kernel(kernel_name, display_name, record)]
        steps += [_copy_labextension(name, servers, record) for name in places.LABEXTENSIONS]
        steps.append(_save_widgets(record))
        _write_record(record)
    return steps


def undo() -> list[Step]:
    """Remove what ``set_up`` made, and put back what it changed."""
    with os_errors_translated(places.user_data()):
        record = _read_record()
        steps = []
        for kernel in list(record["kernels"]):
            shutil.rmtree(kernel, ignore_errors=True)
            steps.append(Step("kernel", "removed", kernel))
        for copy in list(record["labextensions"]):
            shutil.rmtree(copy, ignore_errors=True)
            steps.append(Step("labextension", "removed", copy))
        if "settings_before" in record:
            steps.append(_settings_as_before(record))
        (places.user_data() / _RECORD).unlink(missing_ok=True)
    return steps


def kernel_of(name: str) -> dict[str, Any] | None:
    """The specification of a kernel in the user's folder."""
    try:
        return json.loads((places.user_data() / "kernels" / name / "kernel.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def runs_here(specification: dict[str, Any]) -> bool:
    """Whether a kernel starts this environment's Python."""
    return bool(specification.get("argv")) and Path(specification["argv"][0]) == Path(sys.executable)


def saves_widgets() -> bool | None:
    """Whether JupyterLab is set to save widgets with the notebook; None if its settings cannot be read."""
    try:
        return bool(_read_settings(places.widget_settings()).get("saveState", False))
    except ConfigError:
        return None


def _require_packages() -> None:
    from importlib import metadata

    missing = []
    for name in _NEEDED:
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        raise MissingDependencyError(
            f"this environment lacks {', '.join(missing)}", hint="pip install -e '.[notebook]', in this environment"
        )


def _register_kernel(name: str, display_name: str, record: dict[str, Any]) -> Step:
    from ipykernel.kernelspec import install

    display_name = display_name or f"splatlib (Python {platform.python_version()})"
    there, folder = kernel_of(name), places.user_data() / "kernels" / name
    if there is not None and not runs_here(there):
        raise ConfigError(
            f"the kernel {name!r} belongs to another environment",
            why=f"{folder} starts {there.get('argv', ['?'])[0]}",
            hint="choose another --name, or remove that one: jupyter kernelspec remove " + name,
        )
    if there is not None and there.get("display_name") == display_name:
        return Step("kernel", "unchanged", f"{display_name!r} in {folder}")
    install(user=True, kernel_name=name, display_name=display_name)
    record["kernels"] = sorted({*record["kernels"], str(folder)})
    return Step("kernel", "done", f"{display_name!r} in {folder}; choose it in the notebook's launcher")


def _copy_labextension(name: str, servers: list[places.Server], record: dict[str, Any]) -> Step:
    own, target = places.own_labextension(name), places.user_labextension(name)
    version, there, ours = places.version_of(own), places.version_of(target), str(target) in record["labextensions"]
    if version is None:
        return Step("labextension", "left alone", f"{name} is not in this environment; its server has to have it")
    if there == version:
        return Step("labextension", "unchanged", f"{name} {version} in {target}")
    if there is not None and not ours:
        words = f"{name} {there} in {target} is not ours; this environment has {version}"
        return Step("labextension", "left alone", words)
    answering = [server for server in servers if server.answers]
    # Every server brings the widget manager if it can show widgets at all; a second one must not replace a newer.
    served = all(name in server.labextensions for server in answering) if answering else name != places.ANYWIDGET
    if served and not ours:
        words = "the Jupyter server has it" if answering else "any server that shows widgets has it; none runs now"
        return Step("labextension", "unchanged", f"{name}: {words}")
    if target.exists():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(own, target)
    record["labextensions"] = sorted({*record["labextensions"], str(target)})
    return Step("labextension", "done", f"{name} {version} to {target}; reload JupyterLab's page")


def _save_widgets(record: dict[str, Any]) -> Step:
    path = places.widget_settings()
    settings = _read_settings(path)
    if settings.get("saveState") is True:
        return Step("saved widgets", "unchanged", f"saveState is on in {path}")
    record["settings_before"] = path.read_text(encoding="utf-8") if path.exists() else None
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps({**settings, "saveState": True}, indent=2))
    return Step("saved widgets", "done", f"saveState in {path}: a notebook keeps its views when it is closed")


def _settings_as_before(record: dict[str, Any]) -> Step:
    path, before = places.widget_settings(), record["settings_before"]
    if before is None:
        path.unlink(missing_ok=True)
    else:
        write_atomically(path, before)
    return Step("saved widgets", "removed", f"{path} is as it was")


def _read_settings(path: Path) -> dict[str, Any]:
    """JupyterLab writes JSON with comments. Raises ConfigError."""
    if not path.exists():
        return {}
    text = path.read_text(encoding="utf-8")
    without_comments = re.sub(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', lambda m: m[1] or "", text, flags=re.DOTALL)
    try:
        settings = json.loads(re.sub(r",(\s*[}\]])", r"\1", without_comments) or "{}")
    except ValueError as error:
        raise ConfigError(f"{path} is damaged", why=str(error), hint='make it {"saveState": true}') from error
    if not isinstance(settings, dict):
        raise ConfigError(f"{path} is damaged", why="no object", hint='make it {"saveState": true}')
    return settings


def _read_record() -> dict[str, Any]:
    path = places.user_data() / _RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        record = {}
    return {"kernels": [], "labextensions": [], **(record if isinstance(record, dict) else {})}


def _write_record(record: dict[str, Any]) -> None:
    path = places.user_data() / _RECORD
    if record["kernels"] or record["labextensions"] or "settings_before" in record:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(record, indent=1))
