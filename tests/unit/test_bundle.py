"""What the package ships as its front end is what the TypeScript beside it makes."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path

import pytest

from splatlib.widgets.bundle import STATIC, loader, runtime_code

SOURCE = STATIC.parent / "js"


def test_the_committed_bundle_equals_a_fresh_build(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed: the bundle cannot be built here")
    if not (SOURCE / "node_modules" / "esbuild").is_dir():
        pytest.skip("the front end's tools are not installed (make js installs them)")
    subprocess.run([node, "build.mjs", str(tmp_path)], cwd=SOURCE, check=True, capture_output=True)
    built = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    shipped = {path.name: path.read_bytes() for path in STATIC.glob("*.js")}
    assert built == shipped, "splatlib/widgets/static is out of date: run make js"


def test_the_bundle_is_small() -> None:
    """It is stored in every notebook: 100 kB at most; what each widget carries besides, 2 kB."""
    assert len(runtime_code()) < 100_000
    assert len(loader().encode()) < 2_000


def test_equal_bundles_give_equal_bytes() -> None:
    runtime_code.cache_clear()
    first = runtime_code()
    runtime_code.cache_clear()
    assert first == runtime_code()
    assert gzip.decompress(first) == (STATIC / "runtime.js").read_bytes()
