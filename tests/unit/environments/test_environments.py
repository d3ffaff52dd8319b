"""Environments of other trainers: descriptions, what is found on this machine, and installing from a local source."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner

from splatlib.cli import app
from splatlib.config import TrainConfig
from splatlib.environments import described, description_for, install, look_for, require
from splatlib.environments.described import read_description
from splatlib.environments.found import INSTALLED_FILE, folder_of, python_of, variable_of
from splatlib.errors import ConfigError, MissingDependencyError, WorkspaceError


@pytest.fixture(autouse=True)
def _own_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLATLIB_ENVIRONMENTS", str(tmp_path / "environments"))
    for name in described():
        monkeypatch.delenv(variable_of(name), raising=False)


def make_python(folder: Path, answer: str, status: int = 0) -> Path:
    """An interpreter that answers anything with one line."""
    python = python_of(folder)
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\necho '{answer}'\necho 'no module named torch' >&2\nexit {status}\n")
    python.chmod(0o755)
    return python


def answer(gpu: str | None = "NVIDIA H100", **versions: str | None) -> str:
    held = versions or {"nerfstudio": "1.1.5+50e0e3c70c77", "gsplat": "1.4.0", "torch": "2.5.1"}
    return json.dumps({"python": "3.11.7", "versions": held, "gpu": gpu, "why_no_gpu": "" if gpu else "no driver"})


def test_every_backend_but_our_own_runs_in_one_environment() -> None:
    run = [backend for description in described().values() for backend in description.backends]
    assert sorted([*run, "splatlib"]) == sorted(get_args(TrainConfig.model_fields["backend"].annotation))


@pytest.mark.parametrize("name", sorted(described()))
def test_all_that_is_installed_is_pinned(name: str) -> None:
    description = described()[name]
    text = description.requirements.read_text() + description.lock.read_text()
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    assert all("==" in line for line in lines if line)
    assert all(len(source.commit) == 40 for source in description.sources)


def test_a_name_may_be_an_environments_or_a_backends() -> None:
    assert description_for("3dgrut") == description_for("3dgrt") == described()["3dgrut"]
    with pytest.raises(ConfigError, match="no environment 'nerf'") as caught:
        description_for("nerf")
    assert "splatfacto-w-light" in caught.value.hint


def test_states_say_why_an_environment_cannot_be_used() -> None:
    description = described()["nerfstudio"]
    assert look_for(description).state == "missing"
    folder = folder_of("nerfstudio")
    python = make_python(folder, answer())
    assert (look_for(description).state, look_for(description).why) == ("broken", "its installation did not end")
    (folder / INSTALLED_FILE).write_text(json.dumps({"digest": description.digest}))
    status = look_for(description)
    assert status.state == "present" and status.environment is not None
    assert (status.environment.trainer, status.environment.gpu) == ("nerfstudio 1.1.5+50e0e3c70c77", "NVIDIA H100")
    (folder / INSTALLED_FILE).write_text(json.dumps({"digest": "another"}))
    assert (look_for(description).state, look_for(description).why) == ("outdated", "other versions are pinned now")
    (folder / INSTALLED_FILE).write_text(json.dumps({"digest": description.digest}))
    shutil.rmtree(python.parent)
    make_python(folder, answer(nerfstudio="1.1.5", gsplat=None, torch="2.5.1"))
    assert look_for(description).why == "it lacks gsplat"
    shutil.rmtree(python.parent)
    make_python(folder, "", status=1)
    assert "no module named torch" in look_for(description).why
    shutil.rmtree(python.parent)
    make_python(folder, "not json")
    assert "does not answer" in look_for(description).why
    shutil.rmtree(python.parent)
    assert "does not answer" in look_for(description).why
    with pytest.raises(MissingDependencyError, match=r"nerfstudio of splatfacto, .* is broken") as caught:
        require(description)
    assert caught.value.hint == "splat backend install nerfstudio"


def test_an_environment_made_in_another_way_is_named_by_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    description = described()["nerfstudio"]
    python = make_python(tmp_path / "conda", answer())
    for value in (tmp_path / "conda", python):
        monkeypatch.setenv("SPLATLIB_ENVIRONMENT_NERFSTUDIO", str(value))
        assert require(description).python == python
    monkeypatch.setenv("SPLATLIB_ENVIRONMENT_NERFSTUDIO", str(tmp_path / "gone"))
    assert "SPLATLIB_ENVIRONMENT_NERFSTUDIO: there is no" in look_for(description).why


def test_the_probe_tells_versions_and_gpu_of_this_interpreter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import torch

    monkeypatch.setenv("SPLATLIB_ENVIRONMENT_MADE", sys.executable)
    (tmp_path / "made").mkdir()
    for name in ("requirements.txt", "lock.txt"):
        (tmp_path / "made" / name).write_text("")
    (tmp_path / "made" / "environment.toml").write_text(
        'backends = ["made"]\npython = ["3.11"]\nneeds = []\nprovides = ["torch", "numpy"]\nsources = []\n'
    )
    # not of another path that this process was given
    (tmp_path / "torch.py").write_text("raise ImportError('the wrong torch')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    environment = require(read_description(tmp_path / "made"))
    assert "wrong" not in environment.why_no_gpu
    assert environment.versions["torch"] == torch.__version__
    assert (environment.gpu is not None) == torch.cuda.is_available()
    assert environment.gpu or environment.why_no_gpu


# Builds the package without setuptools, which not every venv has.
BUILD_BACKEND = """
import os, zipfile
def build_editable(directory, config_settings=None, metadata_directory=None):
    name = "made_trainer-0.3-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(directory, name), "w") as wheel:
        wheel.writestr("made_trainer.pth", os.getcwd())
        metadata = "Metadata-Version: 2.1\\nName: made-trainer\\nVersion: 0.3\\n"
        wheel.writestr("made_trainer-0.3.dist-info/METADATA", metadata)
        wheel.writestr("made_trainer-0.3.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
        wheel.writestr("made_trainer-0.3.dist-info/RECORD", "")
    return name
build_wheel = build_editable
"""


def local_source(tmp_path: Path) -> tuple[Path, str]:
    """A repository with one package, and its commit."""
    repository = tmp_path / "repository"
    (repository / "made_trainer").mkdir(parents=True)
    (repository / "made_trainer" / "__init__.py").write_text("WORD = 'from the checkout'\n")
    (repository / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (repository / "backend.py").write_text(BUILD_BACKEND)
    git = ["git", "-C", str(repository), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *arguments], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return repository, head.stdout.strip()


def made_description(tmp_path: Path, commit: str, repository: Path, needs: str = '["git"]') -> Path:
    folder = tmp_path / "made"
    folder.mkdir()
    for name in ("requirements.txt", "lock.txt"):
        (folder / name).write_text("")
    (folder / "environment.toml").write_text(
        f'backends = ["made"]\npython = ["{sys.version_info.major}.{sys.version_info.minor}"]\nneeds = {needs}\n'
        f'provides = ["made-trainer"]\n[[sources]]\nname = "made-trainer"\nrepository = "{repository}"\n'
        f'commit = "{commit}"\ncheckout = true\n'
    )
    return folder


@pytest.mark.slow
def test_a_source_is_cloned_at_its_commit_and_installed(tmp_path: Path) -> None:
    repository, commit = local_source(tmp_path)
    (repository / "made_trainer" / "__init__.py").write_text("WORD = 'later'\n")
    git = ["git", "-C", str(repository), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    subprocess.run([*git, "commit", "-qam", "two"], check=True)
    description = read_description(made_description(tmp_path, commit, repository))
    status = install(description)
    assert status.state == "present" and status.environment is not None
    assert status.environment.trainer == "made-trainer 0.3"
    word = [status.environment.python, "-c", "import made_trainer; print(made_trainer.WORD)"]
    assert subprocess.run(word, check=True, capture_output=True, text=True).stdout == "from the checkout\n"
    before = (status.folder / INSTALLED_FILE).stat().st_mtime_ns
    assert install(description).state == "present", "what is there stays"
    assert (status.folder / INSTALLED_FILE).stat().st_mtime_ns == before


@pytest.mark.slow
def test_a_step_that_fails_is_named_and_the_next_try_begins_anew(tmp_path: Path) -> None:
    repository, _ = local_source(tmp_path)
    description = read_description(made_description(tmp_path, "0" * 40, repository))
    for _ in range(2):  # the second time the folder is there, half full
        with pytest.raises(MissingDependencyError, match="installing made-trainer at 000000000000 failed") as caught:
            install(description)
        assert "install.log" in caught.value.hint and caught.value.why
        assert look_for(description).why == "its installation did not end"


def test_what_an_installation_needs_is_told_before_it_begins(tmp_path: Path) -> None:
    description = read_description(made_description(tmp_path, "0" * 40, tmp_path, needs='["git", "no-such-compiler"]'))
    with pytest.raises(MissingDependencyError, match="needs no-such-compiler on the PATH"):
        install(description)
    assert not folder_of("made").exists()


def test_a_folder_with_somebody_elses_files_is_not_emptied(tmp_path: Path) -> None:
    description = read_description(made_description(tmp_path, "0" * 40, tmp_path))
    folder_of("made").mkdir(parents=True)
    (folder_of("made") / "thesis.txt").write_text("words")
    with pytest.raises(WorkspaceError):
        install(description)
    assert (folder_of("made") / "thesis.txt").read_text() == "words"


def test_the_list_names_every_backend_and_why_it_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make_python(tmp_path / "conda", answer())
    monkeypatch.setenv("SPLATLIB_ENVIRONMENT_NERFSTUDIO", str(tmp_path / "conda"))
    result = CliRunner().invoke(app, ["backend", "list"])
    assert result.exit_code == 0
    lines = {line.split()[0]: line for line in result.output.splitlines()[1:]}
    assert "nerfstudio 1.1.5+50e0e3c70c77" in lines["splatfacto"] and "NVIDIA H100" in lines["splatfacto"]
    assert "missing" in lines["3dgut"] and str(folder_of("3dgrut")) in lines["3dgut"]
    assert CliRunner().invoke(app, ["backend", "install", "no-such"]).exit_code == 2


def test_installing_without_a_compiler_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = shutil.which
    monkeypatch.setattr(shutil, "which", lambda program: None if program == "nvcc" else found(program) or f"/{program}")
    result = CliRunner().invoke(app, ["backend", "install", "splatfacto"])
    assert result.exit_code == 1 and "nvcc on the PATH" in result.output
    assert not os.path.exists(folder_of("nerfstudio"))
