"""The real container entry point in the deployed chain: the sample capture, from notebook 07 to its result."""

from __future__ import annotations

import json
from pathlib import Path

import papermill
import pytest

from tests.infra.local_stack import LocalStack, find_cdk

pytest.importorskip("jsonata", reason="the requirements of infra are not installed: make infra-install")
pytest.importorskip("aws_cdk", reason="the requirements of infra are not installed: make infra-install")

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "07_production.ipynb"
SMALL = {"train.steps": 200, "train.max_gaussians": 4000, "train.max_long_side_px": 128, "frames.max_frames": 24}


@pytest.mark.slow
@pytest.mark.skipif(find_cdk() is None, reason="npm's aws-cdk is not installed: make infra-install")
def test_a_capture_goes_through_the_whole_chain(
    cdk_stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in cdk_stack.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    executed = papermill.execute_notebook(
        str(NOTEBOOK), str(tmp_path / "out.ipynb"), parameters={"overrides": SMALL}, cwd=str(tmp_path)
    )
    texts = [str(output) for cell in executed.cells for output in cell.get("outputs", [])]
    assert any("scene.spz" in text for text in texts) and any("SUCCEEDED" in text for text in texts)
    assert sum("image/png" in text for text in texts) == 1
    ((subject, mail),) = [letter for letter in cdk_stack.letters() if "sample" in letter[0]]
    print(subject, mail, sep="\n")
    train = json.loads(next(tmp_path.rglob("report.json")).read_text())["train"]
    assert "Complete" in subject and "Cost: $" in mail
    assert f"PSNR {train['psnr_db']:.2f} dB" in mail and f"{train['num_gaussians']:,}" in mail
