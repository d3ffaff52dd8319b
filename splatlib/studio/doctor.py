"""``splat doctor``: is everything here that splatlib needs, and if not, what to do."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from splatlib._version import __version__
from splatlib.errors import MissingDependencyError
from splatlib.studio import places
from splatlib.studio.setup import kernel_of, runs_here, saves_widgets
from splatlib.threads import available_cpus

MIN_FREE_GB = 5.0
SETUP = "splat studio setup"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        grade: ``ok``; ``note``: something optional is not there; ``bad``: this keeps splatlib from working.
        advice: what to do; empty where nothing is.
    """

    name: str
    grade: Literal["ok", "note", "bad"]
    words: str
    advice: str = ""

    def __str__(self) -> str:
        line = f"{self.grade:<5} {self.name:<14} {self.words}"
        return f"{line}\n{'':<20} → {self.advice}" if self.advice else line


def examine() -> Iterator[Finding]:
    """Look at one thing after the other. Nothing is changed, and nothing is asked outside this machine but for AWS
    credentials, where this machine's role gives them."""
    for look in _LOOKS:
        yield from look()


def _python() -> Iterator[Finding]:
    yield Finding("python", "ok", f"splatlib {__version__}, Python {platform.python_version()}, {sys.executable}")


def _packages() -> Iterator[Finding]:
    """What pyproject.toml asks for against what is installed."""
    from packaging.requirements import Requirement

    try:
        asked = [Requirement(text) for text in metadata.requires("splatlib") or []]
    except metadata.PackageNotFoundError:
        yield Finding("packages", "bad", "splatlib is not installed, only found", "pip install -e '.[notebook]'")
        return
    grades: dict[str, Literal["bad", "note"]] = {"": "bad", "notebook": "note"}
    for extra, grade in grades.items():
        own = [r for r in asked if r.marker is None or (extra and r.marker.evaluate({"extra": extra}))]
        own = [r for r in own if bool(r.marker) == bool(extra)]
        wrong = [words for requirement in own if (words := _unmet(requirement))]
        name = f"packages {extra}".strip()
        if wrong:
            yield Finding(
                name, grade, "; ".join(wrong), f"pip install -e '.[{extra}]'" if extra else "pip install -e ."
            )
        else:
            yield Finding(name, "ok", f"all {len(own)} in versions that fit")


def _unmet(requirement: object) -> str:
    from packaging.requirements import Requirement

    assert isinstance(requirement, Requirement)
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return f"{requirement.name} is missing"
    fits = requirement.specifier.contains(version, prereleases=True)
    return "" if fits else f"{requirement.name} is {version}, wanted {requirement.specifier}"


def _cpu_kernels() -> Iterator[Finding]:
    """Draws one Gaussian: that compiles the kernels, or loads them."""
    import numpy as np

    from splatlib.artifacts import Camera
    from splatlib.gaussians import Gaussians
    from splatlib.render import render_image

    one, started_s = np.zeros((1, 3), np.float32), time.perf_counter()
    quats, logits = np.array([[1, 0, 0, 0]], np.float32), np.array([4], np.float32)
    white = Gaussians(one, one - 1, quats, logits, np.full((1, 1, 3), 1.7, np.float32))
    pose = np.eye(4)
    pose[2, 3] = 3
    try:
        picture = render_image(white, Camera(32, 32, 30.0, 30.0, 16.0, 16.0), pose)
    except Exception as error:  # noqa: BLE001 (a compiler fails in many ways, and all are findings)
        yield Finding("CPU kernels", "bad", f"{type(error).__name__}: {error}", "reinstall numba: pip install -U numba")
        return
    seconds = time.perf_counter() - started_s
    if picture[16, 16].min() > 200 and picture[0, 0].max() < 50:
        yield Finding("CPU kernels", "ok", f"compile and draw ({seconds:.1f} s), {available_cpus()} processors")
    else:
        yield Finding("CPU kernels", "bad", "draw a wrong picture", "run the tests, and report it: make test")


def _gpu() -> Iterator[Finding]:
    from splatlib.render.device import cuda_obstacle

    obstacle = cuda_obstacle()
    if obstacle is None:
        import torch

        yield Finding("GPU", "ok", f"{torch.cuda.get_device_name()}; gsplat's kernels work")
    else:
        yield Finding("GPU", "note", f"{obstacle.what}: {obstacle.why}", f"trains on the CPU; {obstacle.hint}")


def _video() -> Iterator[Finding]:
    """Writes and reads a video of four frames, as captures come."""
    import cv2
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "four.mp4")
        writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"mp4v"), 10, (64, 48))
        for level in (0, 80, 160, 240):
            writer.write(np.full((48, 64, 3), level, np.uint8))
        writer.release()
        reader = cv2.VideoCapture(path)
        frames = 0
        while reader.read()[0]:
            frames += 1
        reader.release()
    if frames == 4:
        yield Finding("video", "ok", f"OpenCV {cv2.__version__} reads mp4")
    else:
        advice = "pip install --force-reinstall opencv-python-headless; photos work without"
        yield Finding("video", "bad", f"OpenCV {cv2.__version__} read {frames} of 4 frames of an mp4", advice)


def _disk() -> Iterator[Finding]:
    for name, folder in (("disk here", Path.cwd()), ("disk temporary", Path(tempfile.gettempdir()))):
        free_gb = shutil.disk_usage(folder).free / 1e9
        enough = free_gb >= MIN_FREE_GB
        advice = "" if enough else "a capture and its splat take some GB: free some, or work elsewhere"
        yield Finding(name, "ok" if enough else "note", f"{free_gb:.0f} GB free in {folder}", advice)


def _jupyter() -> Iterator[Finding]:
    """The server, and what it has of what this environment's kernels show."""
    try:
        places.user_data()
    except MissingDependencyError as error:
        yield Finding("notebooks", "note", error.what, error.hint)
        return
    servers = places.running_servers()
    if not servers:
        yield Finding("server", "note", "no Jupyter server of yours is running", "start one, and ask again")
    for server in servers:
        if not server.answers:
            yield Finding(
                "server", "note", f"{server.url} does not answer", "if it is stale, remove it: jupyter server stop"
            )
            continue
        yield Finding("server", "ok", f"JupyterLab {server.lab_version} at {server.url}")
        missing = [name for name in places.LABEXTENSIONS if name not in server.labextensions]
        if missing:
            yield Finding(
                "labextension", "bad", f"the page lacks {', '.join(missing)}", f"{SETUP}, then reload the page"
            )
    yield from _labextension_files(servers)
    yield from _kernel()
    yield from _saved_widgets()


def _labextension_files(servers: list[places.Server]) -> Iterator[Finding]:
    own = places.version_of(places.own_labextension(places.ANYWIDGET))
    user = places.version_of(places.user_labextension(places.ANYWIDGET))
    if own is None:
        yield Finding("anywidget", "bad", "is not in this environment", "pip install -e '.[notebook]'")
    elif user is not None and user != own:
        yield Finding("anywidget", "bad", f"{own} here, but JupyterLab was given {user}", SETUP)
    elif user is None and not any(places.ANYWIDGET in server.labextensions for server in servers):
        yield Finding(
            "anywidget", "note", f"{own} is in this environment only", f"{SETUP}, if JupyterLab runs in another"
        )
    else:
        yield Finding("anywidget", "ok", f"{own}, and JupyterLab has it")


def _kernel() -> Iterator[Finding]:
    folder = places.user_data() / "kernels"
    names = sorted(path.name for path in folder.glob("*")) if folder.is_dir() else []
    own = [name for name in names if (specification := kernel_of(name)) is not None and runs_here(specification)]
    if own:
        yield Finding("kernel", "ok", f"{', '.join(own)} starts this environment")
    else:
        yield Finding("kernel", "note", "this environment is not registered as a kernel", SETUP)


def _saved_widgets() -> Iterator[Finding]:
    state = saves_widgets()
    if state:
        yield Finding("saved widgets", "ok", "a notebook keeps its views when it is closed")
    elif state is None:
        yield Finding("saved widgets", "bad", f"{places.widget_settings()} is damaged", "mend or remove it")
    else:
        yield Finding("saved widgets", "note", "views are lost when a notebook is closed", SETUP)


def _aws() -> Iterator[Finding]:
    try:
        import boto3
        from botocore.exceptions import BotoCoreError
    except ImportError:
        yield Finding(
            "AWS", "note", "boto3 is not installed", "only for s3:// captures and jobs on AWS: pip install -e '.[aws]'"
        )
        return
    try:
        session = boto3.Session()
        credentials = session.get_credentials()
    except BotoCoreError as error:
        yield Finding("AWS", "note", f"the profile cannot be used: {error}", "aws configure list tells more")
        return
    if credentials is None:
        advice = "only for s3:// captures and jobs on AWS: aws configure, or a role"
        yield Finding("AWS", "note", "no credentials", advice)
    else:
        region = session.region_name or "no region: set AWS_REGION"
        yield Finding("AWS", "ok", f"credentials by {credentials.method}, {region} (not tried)")


def _workplace() -> Iterator[Finding]:
    """Where this runs in SageMaker Studio, only the home folder outlives the space."""
    if "SAGEMAKER_APP_TYPE" not in os.environ and not Path("/opt/ml/metadata/resource-metadata.json").exists():
        return
    home = Path.home()
    if Path(sys.prefix).is_relative_to(home):
        yield Finding("Studio", "ok", f"the environment lies in {home} and outlives the space")
    else:
        advice = "make one in your home folder: conda env create --file environment.yml --prefix ~/.conda/envs/splatlib"
        yield Finding("Studio", "note", f"{sys.prefix} is lost when the space is stopped", advice)


_LOOKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    _python,
    _packages,
    _cpu_kernels,
    _gpu,
    _video,
    _disk,
    _workplace,
    _jupyter,
    _aws,
)
