"""The environments that the project describes install the project itself, and only what it asks for."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from splatlib.config import CamerasConfig, ExportConfig, FramesConfig, Job, MasksConfig, TrainConfig

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def conda() -> list[Any]:
    return yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]


def test_the_conda_environment_installs_this_project_and_nothing_beside_it(
    project: dict[str, Any], conda: list[Any]
) -> None:
    (pip,) = (entry["pip"] for entry in conda if isinstance(entry, dict))
    assert len(pip) == 1, "further packages belong into pyproject.toml"
    extras = re.fullmatch(r"-e \.\[(.+)\]", pip[0])
    assert extras and set(extras[1].split(",")) <= project["optional-dependencies"].keys()
    assert {re.split("[=<>]", entry)[0] for entry in conda if isinstance(entry, str)} == {"python", "pip"}


def test_the_conda_environment_has_a_python_that_the_project_admits(project: dict[str, Any], conda: list[Any]) -> None:
    (version,) = (entry.split("=")[1] for entry in conda if isinstance(entry, str) and entry.startswith("python="))
    assert SpecifierSet(project["requires-python"]).contains(version)


def test_the_floors_admit_what_studio_carries(project: dict[str, Any]) -> None:
    carried = {"numpy": "1.26.4", "torch": "2.8.0"}
    asked = {requirement.name: requirement for requirement in map(Requirement, project["dependencies"])}
    assert all(asked[name].specifier.contains(version) for name, version in carried.items())


def test_the_constraints_are_of_packages_that_the_project_asks_for(project: dict[str, Any]) -> None:
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    asked = {requirement.name: requirement for names in lists for requirement in map(Requirement, names)}
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"]
    for constraint in map(Requirement, lines):
        (pin,) = constraint.specifier
        assert asked[constraint.name].specifier.contains(pin.version)


def test_the_installed_command_is_the_documented_one(project: dict[str, Any]) -> None:
    assert project["scripts"] == {"splat": "splatlib.cli:main"}
    version = subprocess.run(
        [sys.executable, "-m", "splatlib", "--version"], capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"splatlib \d+\.\d+\.\d+\n", version.stdout)


def test_the_job_page_is_up_to_date() -> None:
    page = ROOT / "docs" / "job.md"
    written = subprocess.run(
        [sys.executable, ROOT / "docs" / "job.py"], capture_output=True, text=True, check=True
    ).stdout
    assert page.read_text() == written, "run: python docs/job.py > docs/job.md"
    for model in (Job, FramesConfig, MasksConfig, CamerasConfig, TrainConfig, ExportConfig):
        for name in model.model_fields.keys() - {"frames", "masks", "cameras", "train", "export"}:
            assert f"| `{name}`" in written


def test_notebooks_and_docs_name_no_field_that_is_gone() -> None:
    """``--set`` examples in the documentation are tried."""
    texts = [path.read_text() for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md"))]
    texts += [json.dumps(json.loads(path.read_text())) for path in ROOT.glob("notebooks/*.ipynb")]
    examples = re.findall(r"--set ([a-z_.]+=[^\s\"'`\\]+)", "\n".join(texts))
    assert examples
    Job(capture="x").with_overrides(examples)
