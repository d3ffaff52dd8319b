"""Imports run one way, stages do not know one another, and ``import splatlib`` loads nothing heavy."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import splatlib

PACKAGE = Path(splatlib.__file__).parent
STAGES = {"capture", "check", "masks", "cameras", "train", "export"}
CORE = {
    "_version",
    "errors",
    "config",
    "spherical_harmonics",
    "ply",
    "gaussians",
    "similarity",
    "crop",
    "artifacts",
    "files",
    "events",
    "progress",
    "threads",
    "s3",
    "equirectangular",
    "formats",
    "scene_formats",
    "environments",
    "stage",
    "workspace",
}

# What each module or subpackage of splatlib may import of splatlib, besides itself. A new one needs a line here.
MAY_SEE: dict[str, set[str]] = {
    "_version": set(),
    "errors": set(),
    "config": {"errors"},
    "spherical_harmonics": set(),
    "ply": {"errors"},
    "gaussians": {"errors", "ply", "spherical_harmonics"},
    "similarity": {"gaussians"},
    "crop": {"artifacts", "similarity"},
    "files": {"errors"},
    "events": {"files"},
    "progress": {"errors"},
    "threads": set(),
    "equirectangular": set(),
    "s3": {"errors", "files", "progress"},
    "artifacts": {"errors", "gaussians"},
    "formats": {"_version", "errors", "files", "gaussians", "ply", "similarity", "threads"},
    "scene_formats": {"artifacts", "errors", "files", "ply", "threads"},
    "environments": {"errors", "files", "progress"},
    "stage": {"_version", "errors", "artifacts", "config", "files", "progress"},
    "workspace": CORE
    - {"gaussians", "similarity", "crop", "events", "formats", "scene_formats", "environments", "workspace"},
    "render": CORE,
    "matching": CORE,
    **{stage: CORE | {"render", "matching"} for stage in STAGES},
    "export": CORE | {"render", "matching", "widgets"},  # a file that holds the viewer
    "samples": CORE | {"render"},
    "widgets": CORE | {"render"},
    "interactive": CORE | {"masks", "widgets"},
    "report": CORE | {"render", "widgets"},
    "parameters": {"errors", "config", "s3"},
    "launch": {"_version", "errors", "config", "files", "progress", "threads", "s3"},
    "container": CORE | {"launch", "pipeline", "masks"},
    "pipeline": CORE | STAGES | {"render", "report", "widgets"},
    "notebooks": CORE | {"parameters", "widgets"},
    "studio": CORE | {"render"},
    "commands": CORE | {"report", "export", "launch", "notebooks", "train", "widgets", "studio"},
    "cli": CORE | {"samples", "parameters", "pipeline", "report", "widgets", "launch", "commands"},
    "__main__": {"cli"},
    "__init__": CORE | STAGES | {"samples", "report", "pipeline", "launch", "widgets", "interactive"},
}
HEAVY = {
    "torch",
    "transformers",
    "backgroundremover",
    "boto3",
    "botocore",
    "sagemaker",
    "cv2",
    "pycolmap",
    "numba",
    "matplotlib",
    "scipy",
    "skimage",
    "PIL",
    "gsply",
    "zstandard",
    "pxr",
    "networkx",
    "gsplat",
    "triton",
    "ipywidgets",
    "anywidget",
    "papermill",
    "nbformat",
    "nbconvert",
}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "node_modules" not in path.parts)


def owner(module: Path) -> str:
    """The entry of MAY_SEE that a file belongs to."""
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> list[str]:
    """Full names of all that a module imports, at its top, inside functions and for type checking alike."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute in this project"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(module: Path) -> None:
    inside = {name.split(".")[1] for name in imported(ast.parse(module.read_text())) if name.startswith("splatlib.")}
    allowed = MAY_SEE[owner(module)] | {owner(module)}
    assert inside <= allowed, f"{owner(module)} must not import {', '.join(sorted(inside - allowed))}"


def test_the_rules_forbid_cycles_and_stages_that_see_one_another() -> None:
    for stage in STAGES:
        assert not MAY_SEE[stage] & (STAGES | {"pipeline", "cli", "report"})
    settled: set[str] = set()
    while remaining := MAY_SEE.keys() - settled:
        free = {name for name in remaining if MAY_SEE[name] - {name} <= settled}
        assert free, f"a cycle among {sorted(remaining)}"
        settled |= free


def loaded_by(statements: str) -> set[str]:
    """Top-level names of the modules that a fresh interpreter holds after some statements."""
    code = f"{statements}\nimport sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_import_splatlib_loads_nothing_heavy() -> None:
    assert not loaded_by("import splatlib") & (HEAVY | {"numpy", "pydantic", "typer"})


def test_the_command_line_answers_without_the_heavy_libraries() -> None:
    assert not loaded_by("import splatlib.cli; splatlib.Job(capture='x').to_json()") & HEAVY


def test_launchers_load_neither_boto3_nor_the_sagemaker_sdk() -> None:
    loaded = loaded_by("import splatlib.launch as launch; launch.LocalProcess(); launch.FakeLauncher()")
    assert not loaded & HEAVY


def test_cv2_loads_before_pycolmap() -> None:
    """The other order crashes OpenCV when it writes a PNG."""
    code = "import sys, splatlib; [getattr(splatlib, name) for name in splatlib.__all__]; print(*sys.modules)"
    names = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    if "pycolmap" in names:  # else it is imported inside functions, which the next test reads
        assert names.index("cv2") < names.index("pycolmap")


def first_line_of_import(tree: ast.AST, library: str) -> int | None:
    lines = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Import) and any(alias.name.split(".")[0] == library for alias in node.names)
    ]
    return min(lines, default=None)


def test_every_module_that_imports_pycolmap_imports_cv2_first() -> None:
    """So that it holds whichever module of splatlib a program imports first, and for imports inside functions."""
    users = 0
    for module in MODULES:
        tree = ast.parse(module.read_text())
        pycolmap_line, cv2_line = (first_line_of_import(tree, library) for library in ("pycolmap", "cv2"))
        if pycolmap_line is not None:
            users += 1
            assert cv2_line is not None and cv2_line < pycolmap_line, f"{module} imports pycolmap before cv2"
    assert users > 0, "nothing imports pycolmap: this test looks in the wrong place"


def test_every_public_name_resolves_and_is_known_to_type_checkers() -> None:
    for name in splatlib.__all__:
        assert getattr(splatlib, name).__name__ == name
    assert set(splatlib.__all__) <= set(dir(splatlib))
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    guarded = [
        alias.asname
        for block in ast.walk(tree)
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    assert sorted(filter(None, guarded)) == splatlib.__all__


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'reconstrukt'"):
        _ = splatlib.reconstrukt  # pyright: ignore[reportAttributeAccessIssue]
