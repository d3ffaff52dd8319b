"""What starts another trainer, with a package called nerfstudio that only says what was imported and run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from splatlib.train.external.protocol import LAUNCHER

MODULES = {
    "torchmetrics/image/lpip.py": "class LearnedPerceptualImagePatchSimilarity: pass\n",
    "nerfstudio/utils/writer.py": "def put_scalar(**_): pass\ndef put_dict(**_): pass\n",
    **{
        f"nerfstudio/scripts/{name}.py": "import sys\ndef entrypoint(): print('began', *sys.argv, flush=True)\n"
        for name in ("train", "render", "exporter")
    },
}


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    for name, text in MODULES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        for folder in (path.parent, path.parent.parent):
            (folder / "__init__.py").touch()
        path.write_text(text)
    return tmp_path


def launched(packages: Path, *words: str) -> subprocess.CompletedProcess[str]:
    reading, writing = os.pipe()  # it ends when its standard input does
    try:
        return subprocess.run(
            [sys.executable, LAUNCHER, *words],
            env={**os.environ, "PYTHONPATH": str(packages)},
            stdin=reading,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("command", ["train", "render", "export"])
def test_a_command_is_run_as_its_own_name_would(command: str, packages: Path) -> None:
    ended = launched(packages, f"nerfstudio-{command}", "--some", "words")
    assert (ended.returncode, ended.stdout) == (0, f"began ns-{command} --some words\n"), ended.stderr


@pytest.mark.parametrize("broken", ["render", "exporter"])
def test_what_cannot_be_imported_to_draw_and_export_is_told_before_the_training(broken: str, packages: Path) -> None:
    (packages / f"nerfstudio/scripts/{broken}.py").write_text("import what_is_not_there\n")
    ended = launched(packages, "nerfstudio-train", "splatfacto")
    assert ended.returncode == 1 and "began" not in ended.stdout
    assert "No module named 'what_is_not_there'" in ended.stderr
