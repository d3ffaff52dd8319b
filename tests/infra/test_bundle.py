"""The functions' code stands alone: nothing but what Lambda brings and the bundle holds."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from infra.bundle import build, sources

MAX_BYTES = 15_000_000
HANDLERS = (
    "infra.intake.runtime.handler",
    "infra.workflow.runtime.handler",
    "infra.completion.runtime.handler",
    "infra.completion.runtime.sweep",
)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return build(tmp_path_factory.mktemp("bundle") / "code", version, "x86_64")


def test_every_handler_imports_with_nothing_else(bundle: Path) -> None:
    code = (
        "import sys, importlib, sysconfig\n"
        f"sys.path[:0] = [{str(bundle)!r}]\n"
        f"[importlib.import_module(name) for name in {HANDLERS}]\n"
        "print(*{name.split('.')[0] for name in sys.modules} - set(sys.stdlib_module_names))\n"
        "import splatlib; print(splatlib.__file__)"
    )
    done = subprocess.run([sys.executable, "-I", "-B", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded, place = done.stdout.splitlines()
    brought = {
        "boto3",
        "botocore",
        "s3transfer",
        "jmespath",
        "dateutil",
        "urllib3",
        "six",
        "certifi",
    }
    own = {"infra", "splatlib", "pydantic", "pydantic_core", "annotated_types", "typing_extensions"}
    # what site-packages' .pth files load is of this environment, not of the bundle
    others = {name for name in loaded.split() if not name.startswith("_") and name not in brought | own}
    assert others <= {"typing_inspection", "sitecustomize", "distutils-precedence"}, others
    assert place.startswith(str(bundle))


def test_it_is_small_and_holds_no_construct(bundle: Path, tmp_path: Path) -> None:
    packed = tmp_path / "bundle.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in bundle.rglob("*"):
            archive.write(path, path.relative_to(bundle))
        names = archive.namelist()
    assert packed.stat().st_size <= MAX_BYTES
    assert not [name for name in names if "construct.py" in name or name.endswith(".pyc")]


def test_it_is_made_once_for_one_state_of_the_sources(bundle: Path) -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    made_ns = bundle.stat().st_mtime_ns
    assert build(bundle, version, "x86_64").stat().st_mtime_ns == made_ns
    assert all(path.is_file() for path in sources())
