"""A JupyterLab for tests and benchmarks: a free port, settings and notebooks in a folder of its own.

``SPLATLIB_LAB_PYTHON`` names the Python of another environment whose JupyterLab is taken: another version, and the
usual case in Studio, where the kernel's environment is not the server's.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.browser.pages import Lab

_STARTS_WITHIN_S = 60
_LAB_SETTINGS = {
    # as the set-up of Studio does: the state of views is kept when a notebook is saved by hand
    "@jupyter-widgets/jupyterlab-manager/plugin.jupyterlab-settings": {"saveState": True},
    # no question about news, no dialogue over the notebook
    "@jupyterlab/apputils-extension/notification.jupyterlab-settings": {"fetchNews": "false", "checkForUpdates": False},
}


@contextlib.contextmanager
def running_lab(root: Path) -> Iterator[Lab]:
    """Start a server, and end it afterwards. Raises RuntimeError, with its log's end, if it does not start."""
    home, folder = root / "home", root / "notebooks"
    folder.mkdir()
    for name, settings in _LAB_SETTINGS.items():
        path = home / "lab" / "user-settings" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings))
    _register_kernel(root / "data")
    python = os.environ.get("SPLATLIB_LAB_PYTHON", sys.executable)
    port = _free_port()
    environment = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(home),
        "JUPYTER_DATA_DIR": str(root / "data"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "lab" / "user-settings"),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]),
        "SPLATLIB_PROGRESS": "text",
    }
    options = ["--no-browser", "--ip=127.0.0.1", f"--port={port}", "--IdentityProvider.token=", "--allow-root"]
    options += ["--expose-app-in-browser", f"--ServerApp.root_dir={folder}", "--ServerApp.port_retries=0"]
    with (root / "lab.log").open("w") as log:
        command = [python, "-m", "jupyter", "lab", *options]
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait_for(f"http://127.0.0.1:{port}/api", server, root / "lab.log")
        yield Lab(f"http://127.0.0.1:{port}", folder)
    finally:
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(10)
        if server.poll() is None:
            server.kill()


def _register_kernel(data: Path) -> None:
    """This environment's kernel, and its anywidget for a server of another one, in the user's folder."""
    kernel = data / "kernels" / "splatlib" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernel.write_text(json.dumps({"argv": argv, "display_name": "splatlib", "language": "python"}))
    extension = Path("share", "jupyter", "labextensions", "anywidget")
    shutil.copytree(Path(sys.prefix) / extension, data / "labextensions" / "anywidget")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _STARTS_WITHIN_S
    while time.monotonic() < until:
        if server.poll() is not None:
            break
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2):
            return
        time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")
