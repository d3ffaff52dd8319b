"""JupyterLab for tests and benchmarks: a free port, settings and notebooks in a folder of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.browser.pages import Lab
from tests.processes import free_port
from tests.studio_home import ROOT, Home

# What SageMaker Studio has: JupyterLab 4.5 in an environment of its own, and ipykernel 6. Made by `make lab45`.
STUDIO_LAB = Path(os.environ.get("SPLATLIB_STUDIO_LAB", ROOT / "build" / "lab45"))
_STARTS_WITHIN_S = 60
_LAB_SETTINGS = {
    # as the set-up of Studio does: the state of views is kept when a notebook is saved by hand
    "@jupyter-widgets/jupyterlab-manager/plugin.jupyterlab-settings": {"saveState": True},
    # no question about news, no dialogue over the notebook
    "@jupyterlab/apputils-extension/notification.jupyterlab-settings": {"fetchNews": "false", "checkForUpdates": False},
}


@contextlib.contextmanager
def running_lab(root: Path) -> Iterator[Lab]:
    """The JupyterLab of this environment. Raises RuntimeError, with its log's end, if it does not start."""
    home = root / "home"
    _write_settings(home / "lab" / "user-settings", _LAB_SETTINGS)
    _write_kernel(root / "data" / "kernels" / "splatlib")
    extension = Path("share", "jupyter", "labextensions", "anywidget")
    shutil.copytree(Path(sys.prefix) / extension, root / "data" / "labextensions" / "anywidget")
    environment = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(home),
        "JUPYTER_DATA_DIR": str(root / "data"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "lab" / "user-settings"),
        **_OF_KERNELS,
    }
    with _served(root, Path(sys.executable), environment) as lab:
        yield lab


@contextlib.contextmanager
def running_studio_lab(root: Path) -> Iterator[Lab]:
    """JupyterLab 4.5 without any widgets, in a home folder that only ``splat studio setup`` has made ready for them.

    Its kernels run in this environment, with ipykernel 6. Raises RuntimeError, with its log's end, if it does not
    start.
    """
    (root / "home").mkdir(parents=True)
    home = Home(root / "home")
    del home.environment["NUMBA_CACHE_DIR"]  # what this environment has compiled before
    _set_up(home)
    _write_settings(home.path / ".jupyter" / "lab" / "user-settings", dict([list(_LAB_SETTINGS.items())[1]]))
    kernel = home.path / ".local" / "share" / "jupyter" / "kernels" / "splatlib" / "kernel.json"
    specification = json.loads(kernel.read_text())
    first = os.pathsep.join([str(STUDIO_LAB / "ipykernel6"), str(ROOT)])
    kernel.write_text(json.dumps({**specification, "env": {"PYTHONPATH": first}}))
    with _served(root, STUDIO_LAB / "bin" / "python", {**home.environment, **_OF_KERNELS}) as lab:
        _set_up(home)  # again, now that it can be seen what this server lacks
        yield lab


_OF_KERNELS = {
    "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    "SPLATLIB_PROGRESS": "text",
}


@contextlib.contextmanager
def _served(root: Path, python: Path, environment: Mapping[str, str]) -> Iterator[Lab]:
    folder, port = root / "notebooks", free_port()
    folder.mkdir()
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


def _set_up(home: Home) -> None:
    done = home.splat("studio", "setup")
    if done.returncode:
        raise RuntimeError(f"splat studio setup failed:\n{done.stdout}{done.stderr}")


def _write_settings(folder: Path, settings: Mapping[str, Mapping[str, object]]) -> None:
    for name, values in settings.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))


def _write_kernel(folder: Path) -> None:
    folder.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    specification = {"argv": argv, "display_name": "splatlib", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(specification))


def _wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _STARTS_WITHIN_S
    while time.monotonic() < until:
        if server.poll() is not None:
            break
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2):
            return
        time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")
