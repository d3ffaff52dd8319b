"""The Terraform module, applied for real to the local AWS and driven as CDK's stack is: the same ends."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.bundle import build, pack
from infra.settings import DeploymentSettings
from splatlib.config import Job
from splatlib.launch import Production
from splatlib.samples import make_sample
from tests.infra import driven
from tests.infra.aws.settings import ServerSettings
from tests.infra.local_stack import LocalStack, local_stack

pytest.importorskip("jsonata", reason="the requirements of infra are not installed: make infra-install")

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "infra" / "terraform"
PLUGINS = os.environ.get("TF_PLUGINS", "")  # a folder with the AWS provider, as terraform init -plugin-dir takes it
needs_terraform = pytest.mark.skipif(
    shutil.which("terraform") is None or not PLUGINS,
    reason="terraform is not here, or TF_PLUGINS does not say where its AWS provider is",
)


def test_its_variables_are_cdks_settings() -> None:
    """But for what Terraform alone needs (code, image, an existing network), and what CDK alone makes or, as the key of
    a stack that was taken away, needs: Terraform's stays in its state, and is never destroyed."""
    text = (MODULE / "variables.tf").read_text()
    blocks = re.findall(r'variable "(\w+)" \{(.*?)\n\}', text, re.DOTALL)
    defaults = {name: re.search(r"\n  default\s*= (.*)", block) for name, block in blocks}
    variables = {name: found[1] for name, found in defaults.items() if found}
    fields = DeploymentSettings.model_fields
    assert set(fields) - set(variables) == {"key", "vpc", "tags"}
    assert set(re.findall(r'variable "(\w+)"', text)) - set(fields) == {
        "bundle", "subnets", "security_groups", "image_uri",
    }  # fmt: skip
    for name in set(fields) & set(variables):
        ours = fields[name].default
        assert json.loads(variables[name]) == (list(ours) if isinstance(ours, tuple) else ours), name


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    folder = tmp_path_factory.mktemp("terraform")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    bundle = pack(build(folder / "code", version, "x86_64"), folder / "code.zip")
    (folder / "main.tf").write_text(
        'provider "aws" {\n  skip_credentials_validation = true\n  skip_requesting_account_id = false\n'
        "  skip_metadata_api_check = true\n  s3_use_path_style = true\n  max_retries = 5\n}\n"
        f'module "splatlib" {{\n  source = "{os.path.relpath(MODULE, folder)}"\n  bundle = "{bundle}"\n'
        '  email = "me@example.com"\n'
        f'  lambda_python = "{version}"\n  lambda_architecture = "x86_64"\n}}\n'
    )
    with local_stack(ServerSettings(training=driven.PLANS)) as deployed:
        for arguments in (["init", f"-plugin-dir={PLUGINS}"], ["apply", "-auto-approve"]):
            terraform(deployed, folder, *arguments)
        deployed.furnish()
        deployed.put("captures/fox/0001.jpg", b"x" * 5000)
        deployed.log.with_name("folder").write_text(str(folder))
        yield deployed


def terraform(stack: LocalStack, folder: Path, *arguments: str) -> str:
    environment = {name: value for name, value in stack.environment.items() if name != "TF_CLI_CONFIG_FILE"}
    done = subprocess.run(
        ["terraform", *arguments, "-input=false", "-no-color"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-5000:]
    return done.stdout


@pytest.fixture(scope="module")
def outcomes(stack: LocalStack) -> dict[str, Any]:
    return driven.drive(stack)


@needs_terraform
@pytest.mark.slow
@pytest.mark.parametrize("name", driven.expected())
def test_the_same_uploads_have_the_same_ends_as_with_cdk(outcomes: dict[str, Any], name: str) -> None:
    """Of CDK's stack, test_chain.py holds the same: records, executions, training jobs, mails to the letter."""
    assert outcomes[name] == driven.expected()[name]


@needs_terraform
@pytest.mark.slow
def test_the_real_entry_point_on_the_sample_capture(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in stack.environment.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    sample = make_sample(tmp_path / "sample", kind="photos", num_frames=12, width=320, height=240)
    overrides = {"train.steps": 100, "train.max_gaussians": 2000, "train.max_long_side_px": 128}
    job = Job(capture=str(sample.path)).with_overrides(overrides)
    handle = Production().submit(job, "sample-by-terraform")
    assert handle.wait(500).state == "done"
    record, report = handle.record(), json.loads(next(handle.fetch(tmp_path / "out").rglob("report.json")).read_text())
    assert record["psnr_db"] == pytest.approx(report["train"]["psnr_db"], abs=0.01)
    assert next((tmp_path / "out").rglob("scene.spz")).stat().st_size > 1000
    ((subject, mail),) = [letter for letter in stack.letters() if "sample-by-terraform" in letter[0]]
    print(subject, mail, sep="\n")
    assert subject == "Splat Processing Complete: sample-by-terraform"
    assert f"PSNR {record['psnr_db']:.2f} dB" in mail and "Cost: $" in mail and record["artefact"] in mail


@needs_terraform
@pytest.mark.slow
def test_its_alarms_are_cdks_and_the_runbooks(stack: LocalStack) -> None:
    pages = stack.client("cloudwatch").get_paginator("describe_alarms").paginate()
    alarms = [alarm for page in pages for alarm in page["MetricAlarms"]]
    assert {alarm["AlarmName"].removeprefix("splatlib-") for alarm in alarms} == driven.chapters_of_alarms()


@needs_terraform
@pytest.mark.slow
def test_a_second_plan_changes_nothing(stack: LocalStack) -> None:
    folder = Path(stack.log.with_name("folder").read_text())
    plan = terraform(stack, folder, "plan")
    assert "No changes" in plan, plan[plan.find("Terraform will perform") :]


@needs_terraform
@pytest.mark.slow
def test_data_cannot_be_destroyed_by_accident(stack: LocalStack) -> None:
    folder = Path(stack.log.with_name("folder").read_text())
    with pytest.raises(AssertionError) as refused:
        terraform(stack, folder, "destroy", "-auto-approve")
    # it names the first that it comes to
    assert "prevent_destroy" in str(refused.value) and "aws_s3_bucket.jobs" in str(refused.value)
    text = "\n}\n".join(path.read_text() for path in sorted(MODULE.glob("*.tf")))
    blocks = re.findall(r'resource "(\w+)" "(\w+)" \{(.*?)\n\}', text, re.DOTALL)
    kept = {f"{kind}.{name}" for kind, name, block in blocks if "prevent_destroy = true" in block}
    assert kept == {"aws_s3_bucket.jobs", "aws_dynamodb_table.records", "aws_kms_key.stack"}
