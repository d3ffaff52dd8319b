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
from tests.infra.aws.settings import ServerSettings
from tests.infra.local_stack import LocalStack, local_stack, wait_for

pytest.importorskip("jsonata", reason="the requirements of infra are not installed: make infra-install")

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "infra" / "terraform"
PLUGINS = os.environ.get("TF_PLUGINS", "")  # a folder with the AWS provider, as terraform init -plugin-dir takes it
PLANS: list[tuple[str, dict[str, Any]]] = [
    ("-bad-", {"failure": "[cameras] no two frames match", "lines": ["gave up"]}),
    ("-slow-", {"seconds": 60}),
    ("-limit-", {"seconds": 30, "limit_s": 1}),
    ("-spot-", {"seconds": 1.5, "interrupt_after_s": 0.5}),
]
needs_terraform = pytest.mark.skipif(
    shutil.which("terraform") is None or not PLUGINS,
    reason="terraform is not here, or TF_PLUGINS does not say where its AWS provider is",
)


def test_its_variables_are_cdks_settings() -> None:
    """But for what Terraform alone needs (code, image, an existing network), and what CDK alone makes."""
    text = (MODULE / "variables.tf").read_text()
    blocks = re.findall(r'variable "(\w+)" \{(.*?)\n\}', text, re.DOTALL)
    defaults = {name: re.search(r"\n  default\s*= (.*)", block) for name, block in blocks}
    variables = {name: found[1] for name, found in defaults.items() if found}
    fields = DeploymentSettings.model_fields
    assert set(fields) - set(variables) == {"vpc", "tags"}
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
    with local_stack(ServerSettings(training=PLANS)) as deployed:
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


@needs_terraform
@pytest.mark.slow
def test_the_same_uploads_have_the_same_ends(stack: LocalStack) -> None:
    for name in ("t-good-1", "t-bad-1", "t-limit-1", "t-spot-1", "t-slow-1"):
        stack.submit(name)
    stack.submit("t-invalid-1", train={"stepz": 5})
    stack.put("jobs/t-schema-1.json", {"schema": 9, "job": {"capture": f"s3://{stack.bucket}/captures/fox/"}})
    for _ in range(2):
        stack.submit("t-good-1")
    running = wait_for(
        lambda: (record := stack.record("t-slow-1")) and record["status"] == "RUNNING" and record,
        60,
        lambda: "it does not run",
    )
    stack.client("stepfunctions").stop_execution(executionArn=running["execution_arn"])
    wanted = {
        "t-good-1": ("SUCCEEDED", "SUCCEEDED"),
        "t-bad-1": ("FAILED", "FAILED"),
        "t-limit-1": ("TIMED_OUT", "FAILED"),
        "t-spot-1": ("SUCCEEDED", "SUCCEEDED"),
        "t-slow-1": ("CANCELLED", "ABORTED"),
        "t-invalid-1": ("REJECTED", None),
        "t-schema-1": ("REJECTED", None),
    }
    found = {}
    for name in wanted:
        record = stack.wait(name, 90)
        execution = stack.execution(name)["status"] if "execution_arn" in record else None
        found[name] = (record["status"], execution)
    assert found == wanted
    subjects = [subject for subject, _ in stack.mails()]
    assert all(sum(name in subject for subject in subjects) == 1 for name in wanted), subjects


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
    for kept in ("aws_s3_bucket.jobs", "aws_dynamodb_table.records", "aws_kms_key.stack"):
        assert kept in str(refused.value), kept
