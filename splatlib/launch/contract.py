"""What the container and whoever starts it agree on: folders, the job's documents, log lines, exit statuses.

SageMaker's layout, which every launcher keeps to. ``SPLATLIB_ML_ROOT`` moves ``/opt/ml`` elsewhere::

    /opt/ml/input/data/job/job.json         the Job; relative places in it are names below ``capture``
    /opt/ml/input/data/job/contents.json    names of the capture's files and their SHA-256, if they come as blobs
    /opt/ml/input/data/capture/…            the capture: files under their names, or blobs named by their SHA-256
    /opt/ml/input/config/…                  SageMaker's own: hyperparameters.json, resourceconfig.json
    /opt/ml/checkpoints/…                   the workspace; kept in S3 all the while, and there again after a restart
    /opt/ml/model/…                         what the job was for: exports, report, job.json
    /opt/ml/output/failure                  why it failed, for people; at most 1024 characters are shown

Exit status: 0 done, 1 failed, 143 ended by SIGTERM after a checkpoint; then the same container goes on later.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from splatlib._version import __version__
from splatlib.config import Job
from splatlib.errors import ConfigError

SCHEMA = 1
ROOT_VARIABLE = "SPLATLIB_ML_ROOT"
SAGEMAKER_ROOT = "/opt/ml"
JOB_CHANNEL, CAPTURE_CHANNEL = "job", "capture"
JOB_FILE, CONTENTS_FILE = "job.json", "contents.json"
DONE, FAILED, INTERRUPTED = 0, 1, 143
MAX_FAILURE_CHARACTERS = 1024  # SageMaker cuts FailureReason there
# Hyperparameter by which the SageMaker SDK asks for torchrun; the entry point then starts one process a GPU.
TORCH_DISTRIBUTED = "sagemaker_torch_distributed_enabled"

_MARK = "[splatlib]"
_NUMBER = r"([-+0-9.eE]+)"
_PAIR = re.compile(r"(\w+)=(\S+)")
# What training says of itself, by the name it has in a line and in SageMaker.
_METRICS = ("step", "loss", "psnr_db", "num_gaussians", "seconds")


@dataclass(frozen=True)
class ContainerPaths:
    """The folders of one job under a root, ``/opt/ml`` unless told."""

    root: Path

    @classmethod
    def of_environment(cls) -> ContainerPaths:
        return cls(Path(os.environ.get(ROOT_VARIABLE, SAGEMAKER_ROOT)).absolute())

    @property
    def job(self) -> Path:
        return self.root / "input" / "data" / JOB_CHANNEL

    @property
    def capture(self) -> Path:
        return self.root / "input" / "data" / CAPTURE_CHANNEL

    @property
    def config(self) -> Path:
        return self.root / "input" / "config"

    @property
    def workspace(self) -> Path:
        return self.root / "checkpoints"

    @property
    def results(self) -> Path:
        return self.root / "model"

    @property
    def failure(self) -> Path:
        return self.root / "output" / "failure"


@dataclass(frozen=True)
class JobDocuments:
    """What lies in the channel ``job``.

    Attributes:
        job: its places are names of ``blobs``, relative to the capture's channel, or s3:// places.
        blobs: SHA-256 of each file by its name; empty where the capture comes under its names.
    """

    job: Job
    blobs: Mapping[str, str]

    def files(self) -> dict[str, str]:
        """Content of each file, by name."""
        contents = {"schema": SCHEMA, "splatlib": __version__, "blobs": dict(self.blobs)}
        return {JOB_FILE: self.job.to_json(), CONTENTS_FILE: json.dumps(contents, indent=1)}

    @classmethod
    def read(cls, folder: Path) -> JobDocuments:
        """Raises ConfigError: there is no job, it is damaged, or of a newer splatlib."""
        try:
            text = (folder / JOB_FILE).read_text()
        except OSError as error:
            raise ConfigError(
                "the container was started without a job",
                why=f"{folder / JOB_FILE} cannot be read ({error.strerror})",
                hint="start it with splatlib's launchers (splat submit), or give it a channel 'job' with a job.json",
            ) from error
        contents = _contents(folder / CONTENTS_FILE)
        try:
            return cls(Job.from_json(text), contents.get("blobs", {}))
        except ConfigError as error:
            writer = contents.get("splatlib", "unknown")
            if writer == __version__:
                raise
            raise ConfigError(
                f"the job was written by splatlib {writer}; the container has {__version__}",
                why=str(error.what),
                hint="use an image of the same version: name it with image=, or SPLATLIB_IMAGE",
            ) from error


def _contents(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        contents = json.loads(path.read_text())
        schema = contents["schema"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is damaged", why=f"{type(error).__name__}: {error}") from error
    if schema > SCHEMA:
        raise ConfigError(
            f"the job was written by splatlib {contents.get('splatlib')}; the container has {__version__}",
            why=f"its contents have schema {schema}, this one reads up to {SCHEMA}",
            hint="use an image of the same version: name it with image=, or SPLATLIB_IMAGE",
        )
    return contents


# Log lines that programs read


def event_line(**values: Any) -> str:
    """One line of the log that programs read: ``[splatlib] stage=train step=1200 loss=0.0312``."""
    return " ".join([_MARK, *(f"{name}={_written(value)}" for name, value in values.items() if value is not None)])


def event_of(line: str) -> dict[str, Any] | None:
    """The values of a line that ``event_line`` made, numbers as such; None of any other line."""
    _, mark, rest = line.partition(_MARK + " ")
    if not mark:
        return None
    return {name: _value(text) for name, text in _PAIR.findall(rest)}


def _written(value: Any) -> str:
    return quote(value, safe="/:,+") if isinstance(value, str) else str(value)


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return unquote(text)


def metric_definitions() -> list[dict[str, str]]:
    """SageMaker's ``MetricDefinitions`` for these lines; the metrics are ``train:loss`` and so on."""
    pattern = rf"\[splatlib\] stage=train .*\b{{name}}={_NUMBER}"
    return [{"Name": f"train:{name}", "Regex": pattern.format(name=name)} for name in _METRICS]


def failure_text(error: BaseException) -> str:
    """What goes into the failure file: the code of our error, and its words; the end is cut, the cause is not."""
    code = getattr(error, "code", type(error).__name__)
    return f"[{code}] {error}"[:MAX_FAILURE_CHARACTERS]
