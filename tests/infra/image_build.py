"""The image's build as CodeBuild runs it: its buildspec's commands in one shell, in the sources, with its role's key.

``docker`` is a stand-in, since there is no engine here; so is the ``aws`` command line, whose calls boto3 makes."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import yaml

from infra.image.construct import BUILD
from tests.infra.local_stack import ACCOUNT, REGION, ROOT, STACK, LocalStack

_AWS = """
import json, sys
import boto3
import jmespath
service, action, *rest = sys.argv[1:]
options, name = {}, ""
for word in rest:
    if word.startswith("--"):
        name = word[2:]
        options[name] = ""
    else:
        options[name] = word
client = boto3.client(service)
if (service, action) == ("ecr", "get-login-password"):
    found = client.get_authorization_token()["authorizationData"][0]["authorizationToken"]
elif (service, action) == ("ecr", "describe-images"):
    tag = options["image-ids"].removeprefix("imageTag=")
    try:
        found = client.describe_images(repositoryName=options["repository-name"], imageIds=[{"imageTag": tag}])
    except client.exceptions.ImageNotFoundException as error:
        raise SystemExit(str(error))
elif (service, action) == ("ssm", "put-parameter"):
    assert "overwrite" in options
    found = client.put_parameter(Name=options["name"], Value=options["value"], Type=options["type"], Overwrite=True)
else:
    raise SystemExit(f"nobody expected aws {service} {action}")
found = jmespath.search(options["query"], found) if "query" in options else found
print(found if isinstance(found, str) else json.dumps(found, default=str))
"""
# A push has other calls than boto3's; it is noted, and the registry has the image.
_DOCKER = """
import json, os, sys
import boto3
print(*sys.argv[1:], file=open(os.environ["DOCKER_LOG"], "a"))
if sys.argv[1] == "login":
    assert sys.stdin.read().strip()
elif sys.argv[1] == "push":
    place, _, tag = sys.argv[2].rpartition(":")
    registry = boto3.client("ecr", aws_access_key_id="docker", aws_secret_access_key="of-tests")
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json", "layers": []}
    registry.put_image(repositoryName=place.partition("/")[2], imageManifest=json.dumps(manifest), imageTag=tag)
"""


def build_image(stack: LocalStack, folder: Path, tag: str) -> list[str]:
    """Run the buildspec. Returns the docker commands it gave."""
    for name, program in {"aws": _AWS, "docker": _DOCKER}.items():
        command = folder / name
        command.write_text(f"#!{sys.executable}{program}")
        command.chmod(command.stat().st_mode | stat.S_IXUSR)
    log = folder / "docker.log"
    log.write_text("")
    commands = yaml.safe_load(BUILD.read_text())["phases"]["build"]["commands"]
    subprocess.run(
        ["bash", "-c", "\n".join(commands)],
        cwd=ROOT,
        check=True,
        env={
            **stack.environment,
            "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
            "AWS_ACCESS_KEY_ID": f"{STACK}-image-build",
            "REPOSITORY": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{STACK}",
            "TAG": tag,
            "PARAMETER": f"/{STACK}/image-uri",
            "DOCKER_LOG": str(log),
        },
    )
    return log.read_text().splitlines()
