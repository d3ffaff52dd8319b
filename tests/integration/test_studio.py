"""Set-up and doctor against a real JupyterLab that runs in another environment than the kernel, in its own home."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SETTINGS = ".jupyter/lab/user-settings/@jupyter-widgets/jupyterlab-manager/plugin.jupyterlab-settings"


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


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "home").mkdir()
    return Home(tmp_path / "home")


@pytest.fixture
def server(home: Home, tmp_path: Path) -> Iterator[str]:
    """JupyterLab in an environment without any labextension: the URL that it answers at."""
    environment = tmp_path / "server"
    venv.create(environment, symlinks=True, with_pip=False)
    (packages,) = (environment / "lib").glob("python*/site-packages")
    own_packages = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "of-the-tests.pth").write_text("\n".join(own_packages))
    app = Path(sys.prefix) / "share" / "jupyter" / "lab"
    options = ["--no-browser", "--allow-root", f"--app-dir={app}", f"--notebook-dir={home.path}", "--port=0"]
    python = environment / "bin" / "python"
    process = subprocess.Popen(
        [python, "-m", "jupyterlab", *options, "--IdentityProvider.token=secret"],
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
    request = urllib.request.Request(url, headers={"Authorization": "token secret"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


def extensions(url: str) -> dict[str, str]:
    """Name and script of each prebuilt extension that the page loads."""
    config = re.findall(
        r'<script id="jupyter-config-data" type="application/json">(.*?)</script>', get(f"{url}lab"), re.S
    )
    return {extension["name"]: extension["load"] for extension in json.loads(config[0])["federated_extensions"]}


def answers(url: str) -> bool:
    try:
        return "jupyter-config-data" in get(f"{url}lab")
    except OSError:
        return False


@pytest.mark.slow
def test_a_server_in_another_environment_is_given_what_it_lacks(home: Home, server: str) -> None:
    before = home.files
    found = home.lines("doctor", status=1)
    assert "the page lacks anywidget, @jupyter-widgets/jupyterlab-manager" in found["labextension"]
    assert found["kernel"].startswith("note") and found["saved"].startswith("note")
    assert found["server"].startswith("ok") and "JupyterLab 4" in found["server"]

    done = home.splat("studio", "setup")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(" done ") == 4  # kernel, two labextensions, saved widgets
    found = home.lines("doctor")
    assert "labextension" not in found
    assert all(found[name].startswith("ok") for name in ("server", "anywidget", "kernel", "saved"))
    loaded = extensions(server)
    assert {"anywidget", "@jupyter-widgets/jupyterlab-manager"} <= loaded.keys()
    assert "_JUPYTERLAB" in get(f"{server}lab/extensions/anywidget/{loaded['anywidget']}")  # it can be fetched too
    kernel = json.loads(get(f"{server}api/kernelspecs"))["kernelspecs"]["splatlib"]["spec"]
    assert kernel["argv"][0] == sys.executable and kernel["display_name"].startswith("splatlib (Python")
    settings = json.loads(get(f"{server}lab/api/settings/@jupyter-widgets/jupyterlab-manager:plugin"))
    assert settings["settings"]["saveState"] is True

    set_up = home.files
    again = home.splat("studio", "setup").stdout
    assert again.count(" unchanged ") == 4 and home.files == set_up
    undone = home.splat("studio", "undo").stdout
    assert undone.count(" removed ") == 4 and home.files == before
    assert home.splat("studio", "undo").stdout == "nothing was set up by splatlib\n"
    assert "anywidget" not in extensions(server)


def test_settings_of_the_user_are_kept_and_come_back(home: Home) -> None:
    path = home.path / SETTINGS
    path.parent.mkdir(parents=True)
    own = '{\n    // mine: "saveState" is a "good" thing\n    "saveState": false, /* for now */\n    "other": "http://x",\n}\n'
    path.write_text(own)
    assert home.splat("studio", "setup").returncode == 0
    assert json.loads(path.read_text()) == {"saveState": True, "other": "http://x"}
    assert home.splat("studio", "undo").returncode == 0
    assert path.read_text() == own


def test_what_is_not_ours_is_left_alone(home: Home) -> None:
    data = home.path / ".local/share/jupyter"
    (data / "kernels/splatlib").mkdir(parents=True)
    foreign = {"argv": ["/opt/other/bin/python", "-m", "ipykernel_launcher"], "display_name": "Other"}
    (data / "kernels/splatlib/kernel.json").write_text(json.dumps(foreign))
    refused = home.splat("studio", "setup")
    assert refused.returncode == 2 and "the kernel 'splatlib' belongs to another environment" in refused.stderr
    (data / "labextensions/anywidget").mkdir(parents=True)
    (data / "labextensions/anywidget/package.json").write_text('{"version": "0.0.1"}')
    done = home.splat("studio", "setup", "--name", "mine")
    assert "left alone anywidget 0.0.1" in done.stdout
    assert home.lines("doctor", status=1)["anywidget"].startswith("bad")
    home.splat("studio", "undo")
    assert (data / "kernels/splatlib/kernel.json").exists() and not (data / "kernels/mine").exists()
    assert (data / "labextensions/anywidget/package.json").exists()


def test_an_older_copy_of_ours_is_renewed(home: Home) -> None:
    home.splat("studio", "setup")
    package = home.path / ".local/share/jupyter/labextensions/anywidget/package.json"
    version = json.loads(package.read_text())["version"]
    package.write_text('{"version": "0.0.1"}')
    assert "done       anywidget" in home.splat("studio", "setup").stdout
    assert json.loads(package.read_text())["version"] == version


def test_damaged_settings_and_folders_that_cannot_be_written(home: Home, tmp_path: Path) -> None:
    path = home.path / SETTINGS
    path.parent.mkdir(parents=True)
    path.write_text("{ nonsense")
    refused = home.splat("studio", "setup")
    assert refused.returncode == 2 and f"{path} is damaged" in refused.stderr
    assert home.lines("doctor", status=1)["saved"].startswith("bad")
    path.unlink()
    shutil.rmtree(home.path / ".local")
    (home.path / ".local").write_text("a file where a folder should be")
    refused = home.splat("studio", "setup")
    assert refused.returncode == 1 and "cannot write to" in refused.stderr


def test_doctor_names_what_there_is(home: Home) -> None:
    found = home.lines("doctor")
    assert all(found[name].startswith("ok") for name in ("python", "packages", "CPU", "video"))
    assert "no credentials" in found["AWS"] and "no Jupyter server of yours is running" in found["server"]
    home.environment |= {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-west-1"}
    found = home.lines("doctor")
    assert found["AWS"].startswith("ok") and "env" in found["AWS"] and "secret" not in found["AWS"]
