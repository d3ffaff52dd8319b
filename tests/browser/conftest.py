"""A real Chromium, a real JupyterLab, pages from disk; tests are skipped, with the reason, where one is missing."""

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
from typing import Any

import pytest

from tests.browser.pages import FLAGS, Lab, Watched

_STARTS_WITHIN_S = 60
_LAB_SETTINGS = {
    # what `splat studio` sets, too: the state of views is kept when a notebook is saved by hand
    "@jupyter-widgets/jupyterlab-manager-extension/plugin.jupyterlab-settings": {"saveState": True},
    # no question about news, no dialogue over the notebook
    "@jupyterlab/apputils-extension/notification.jupyterlab-settings": {"fetchNews": "false", "checkForUpdates": False},
}


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The browser of Debian, with WebGL2 drawn by the processor."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    if executable is None:
        pytest.skip("there is no Chromium (apt-get install chromium)")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Any) -> Iterator[Watched]:
    """A page whose errors fail the test, and whose requests are counted."""
    context = chromium.new_context(viewport={"width": 1200, "height": 900})
    watched = Watched(context.new_page())
    yield watched
    context.close()
    assert watched.errors == []


@pytest.fixture
def offline_page(chromium: Any) -> Iterator[Watched]:
    """A page without any network: only files and what they carry."""
    context = chromium.new_context(viewport={"width": 1200, "height": 900}, offline=True)
    watched = Watched(context.new_page())
    yield watched
    context.close()
    assert watched.errors == []
    assert watched.requests == []


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A JupyterLab of this environment on a free port, in a folder of its own, with this checkout on its path."""
    pytest.importorskip("jupyterlab")
    pytest.importorskip("anywidget")
    root = tmp_path_factory.mktemp("lab")
    home, folder = root / "home", root / "notebooks"
    folder.mkdir()
    for name, settings in _LAB_SETTINGS.items():
        path = home / "lab" / "user-settings" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings))
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
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyter", "lab", *options], env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}/api", server, root / "lab.log")
        yield Lab(f"http://127.0.0.1:{port}", folder)
    finally:
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(10)
        if server.poll() is None:
            server.kill()


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
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")
