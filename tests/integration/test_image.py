"""The image itself, by podman: the SDK's Estimator, the local AWS, a container of the real image, exports back.

``SPLATLIB_TEST_IMAGE`` names it, of this very checkout (``make image-local``); ``SPLATLIB_TEST_PODMAN`` is the command,
where plain ``podman`` does not do: ``podman --storage-driver vfs --runtime runc``.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from splatlib import Job, SageMaker, TrainConfig
from splatlib.launch.aws import handle as aws_handle
from splatlib.samples import Sample
from splatlib.workspace import Workspace
from tests.local_aws import BUCKET, local_aws

pytestmark = pytest.mark.slow

TRAIN = TrainConfig(device="cpu", steps=200, max_gaussians=6000, max_long_side_px=160, checkpoint_every_s=0.5)
PODMAN = shlex.split(os.environ.get("SPLATLIB_TEST_PODMAN", "podman"))
# Where the kernel's limits are lower than those that podman asks for by itself.
LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096")


@pytest.fixture(scope="module")
def image() -> str:
    if shutil.which(PODMAN[0]) is None:
        pytest.skip(f"{PODMAN[0]} is not here")
    name = os.environ.get("SPLATLIB_TEST_IMAGE", "")
    if not name:
        pytest.skip("SPLATLIB_TEST_IMAGE names no image: make image-local")
    if subprocess.run([*PODMAN, "image", "exists", name], check=False).returncode:
        pytest.skip(f"there is no image {name}")
    return name


def run_by_podman(image: str, script: Path) -> list[str]:
    """A command that runs the image with the folder that SPLATLIB_ML_ROOT names as its /opt/ml."""
    start = shlex.join([*PODMAN, "run", "--rm", "--network", "host", *LIMITS])
    script.write_text(
        "#!/bin/sh\n"
        "# AWS_ and SPLATLIB_ variables go along; the container is a fresh machine otherwise\n"
        "env | grep -E '^(AWS_|SPLATLIB_PROGRESS)' > \"$0.env\"\n"
        f'exec {start} --env-file "$0.env" -v "$SPLATLIB_ML_ROOT:/opt/ml" {shlex.quote(image)} train\n'
    )
    script.chmod(0o755)
    return [str(script)]


def test_the_image_keeps_the_contract(
    image: str, sample_video: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aws_handle.SageMakerJob, "poll_s", 0.5)
    with local_aws(run_by_podman(image, tmp_path / "run")) as aws:
        for name, value in aws.environment.items():
            monkeypatch.setenv(name, value)
        job = Job(capture=str(sample_video.path), train=TRAIN)
        handle = SageMaker(bucket=BUCKET, instance="ml.m5.xlarge", spot=False).submit(job)
        handle.wait(500)
        events = list(handle.events())
        ws = Workspace.open(handle.fetch(tmp_path / "out", everything=True))
    assert events[-1] == {"job": "done"} and any(event.get("step") == TRAIN.steps for event in events)
    assert ws.exports is not None and ws.scene is not None
    assert json.loads(ws.report_json_path.read_text())["train"]["psnr_db"] > 18


def run_alone(image: str, command: str, *options: str) -> subprocess.CompletedProcess[str]:
    """A container without network, job or folders of this machine."""
    start = [*PODMAN, "run", "--rm", "--network", "none", *LIMITS, *options]
    return subprocess.run([*start, image, command], capture_output=True, text=True, check=False)


def test_the_image_says_what_is_in_it(image: str) -> None:
    told = run_alone(image, "/opt/splatlib/sbom.cdx.json", "--entrypoint", "cat")
    assert told.returncode == 0, told.stderr
    document = json.loads(told.stdout)
    assert {"torch", "pycolmap", "splatlib"} <= {component["name"] for component in document["components"]}


@pytest.mark.parametrize("user", ["0", "10001"])
def test_the_image_without_a_job_says_how_to_start_it(image: str, user: str) -> None:
    """As root, which is what SageMaker makes it, and as the user that it is made for elsewhere."""
    ended = run_alone(image, "train", "--user", user)
    assert ended.returncode == 1 and "started without a job" in ended.stderr
    assert "cannot be written" not in ended.stderr, "the reason could not be left in /opt/ml"
