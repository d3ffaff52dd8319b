"""A home folder of its own, and a JupyterLab that runs in another environment than the tests."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import venv
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
TOKEN = "secret"


class Home:
    """A home folder, and commands that run with it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("JUPYTER", "AWS_", "SAGEMAKER"))}
        own = {"HOME": str(path), "PYTHONPATH": str(ROOT), "AWS_EC2_METADATA_DISABLED": "true"}
        self.environment = {**kept, **own, "NUMBA_CACHE_DIR": str(path / "numba")}

    def splat(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "splatlib", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=self.environment)

    def lines(self, *arguments: str, status: int = 0) -> dict[str, str]:
        """What setup, undo or doctor say, by the thing it is about."""
        done = self.splat(*arguments)
        assert done.returncode == status, done.stdout + done.stderr
        first = 1 if arguments[0] == "doctor" else 0
        rows = [line for line in done.stdout.splitlines() if "→" not in line]
        return {line.split(maxsplit=2)[first]: line for line in rows}

    @property
    def files(self) -> dict[str, bytes]:
        """Everything of Jupyter that is not of a moment."""
        passing = (
            "runtime",
            "nbsignatures",
            "notebook_secret",
            "jupyter_cookie_secret",
            "migrated",
            "numba",
            ".ipython",
        )
        found = [path for path in self.path.rglob("*") if path.is_file() and not any(p in str(path) for p in passing)]
        return {str(path.relative_to(self.path)): path.read_bytes() for path in found if ".cache" not in str(path)}


@contextlib.contextmanager
def bare_lab(home: Home, environment: Path, *more_options: str) -> Iterator[str]:
    """JupyterLab in a new environment without any labextension: the URL that it answers at."""
    venv.create(environment, symlinks=True, with_pip=False)
    (packages,) = (environment / "lib").glob("python*/site-packages")
    own_packages = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "of-the-tests.pth").write_text("\n".join(own_packages))
    app = Path(sys.prefix) / "share" / "jupyter" / "lab"
    options = ["--no-browser", "--allow-root", f"--app-dir={app}", f"--notebook-dir={home.path}", "--port=0"]
    python = environment / "bin" / "python"
    process = subprocess.Popen(
        [python, "-m", "jupyterlab", *options, *more_options, f"--IdentityProvider.token={TOKEN}"],
        env=home.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end_s, runtime = time.monotonic() + 90, home.path / ".local/share/jupyter/runtime"
        while not (words := list(runtime.glob("jpserver-*.json"))):
            assert time.monotonic() < end_s and process.poll() is None, "JupyterLab did not start"
            time.sleep(0.2)
        url = json.loads(words[0].read_text())["url"]
        while not answers(url):
            assert time.monotonic() < end_s
            time.sleep(0.2)
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def get(url: str) -> str:
    request = urllib.request.Request(url, headers={"Authorization": f"token {TOKEN}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


def answers(url: str) -> bool:
    try:
        return "jupyter-config-data" in get(f"{url}lab")
    except OSError:
        return False
