"""Set-up and doctor against a real JupyterLab that runs in another environment than the kernel, in its own home."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.studio_home import Home, bare_lab, get

SETTINGS = ".jupyter/lab/user-settings/@jupyter-widgets/jupyterlab-manager/plugin.jupyterlab-settings"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "home").mkdir()
    return Home(tmp_path / "home")


@pytest.fixture
def server(home: Home, tmp_path: Path) -> Iterator[str]:
    with bare_lab(home, tmp_path / "server") as url:
        yield url


def extensions(url: str) -> dict[str, str]:
    """Name and script of each prebuilt extension that the page loads."""
    config = re.findall(
        r'<script id="jupyter-config-data" type="application/json">(.*?)</script>', get(f"{url}lab"), re.S
    )
    return {extension["name"]: extension["load"] for extension in json.loads(config[0])["federated_extensions"]}


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
