"""Where Jupyter keeps what belongs to a user, and which Jupyter servers run."""

from __future__ import annotations

import json
import os
import re
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from splatlib.errors import MissingDependencyError

WIDGET_MANAGER, ANYWIDGET = "@jupyter-widgets/jupyterlab-manager", "anywidget"
LABEXTENSIONS = (ANYWIDGET, WIDGET_MANAGER)
_ASKING_TAKES_AT_MOST_S = 5.0
_PAGE_CONFIG = re.compile(r'<script id="jupyter-config-data" type="application/json">(.*?)</script>', re.DOTALL)


def user_data() -> Path:
    """Kernels and labextensions of the user; a server of any environment reads them. Raises MissingDependencyError."""
    try:
        from jupyter_core.paths import jupyter_data_dir
    except ImportError as error:
        raise MissingDependencyError(
            "Jupyter is not installed here", why=str(error), hint="pip install -e '.[notebook]'"
        ) from error
    return Path(jupyter_data_dir())


def user_labextension(name: str) -> Path:
    return user_data() / "labextensions" / name


def own_labextension(name: str) -> Path:
    """Of this environment."""
    return Path(sys.prefix) / "share" / "jupyter" / "labextensions" / name


def version_of(labextension: Path) -> str | None:
    """None where there is none."""
    try:
        return json.loads((labextension / "package.json").read_text(encoding="utf-8"))["version"]
    except (OSError, ValueError, KeyError):
        return None


def widget_settings() -> Path:
    """The user's settings of the widget manager, read by JupyterLab whatever environment it runs in."""
    from jupyter_core.paths import jupyter_config_dir

    default = Path(jupyter_config_dir()) / "lab" / "user-settings"
    folder = Path(os.environ.get("JUPYTERLAB_SETTINGS_DIR", default))
    return folder / WIDGET_MANAGER / "plugin.jupyterlab-settings"


@dataclass(frozen=True)
class Server:
    """A Jupyter server that runs for this user.

    Attributes:
        lab_version: of JupyterLab; empty if it did not answer.
        labextensions: names and versions of the prebuilt extensions that its page loads; a version may be empty.
    """

    url: str
    pid: int
    lab_version: str = ""
    labextensions: dict[str, str] = field(default_factory=dict)

    @property
    def answers(self) -> bool:
        return bool(self.lab_version)


def running_servers() -> list[Server]:
    """Those that left word in Jupyter's runtime folder and still run; each is asked what its page loads."""
    try:
        from jupyter_server.serverapp import list_running_servers
    except ImportError:
        return []
    return [_asked(info) for info in list_running_servers()]


def _asked(info: dict[str, Any]) -> Server:
    server = Server(url=info["url"], pid=info["pid"])
    request = urllib.request.Request(f"{info['url']}lab", headers={"Authorization": f"token {info.get('token', '')}"})
    try:
        with urllib.request.urlopen(request, timeout=_ASKING_TAKES_AT_MOST_S) as answer:
            page = answer.read().decode(errors="replace")
        config = json.loads(_PAGE_CONFIG.findall(page)[0])
    except (urllib.error.URLError, OSError, ValueError, IndexError):
        return server
    loaded = {extension["name"]: "" for extension in config.get("federated_extensions", [])}
    return Server(server.url, server.pid, config.get("appVersion", "unknown"), loaded)
