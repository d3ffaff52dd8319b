"""SageMaker's local mode without a Docker engine: podman and podman-compose stand behind the command ``docker``.

    python -m tests.local_mode          says whether podman can run a container on this machine, and if not, why not

What decides is a container that was really started, through podman-compose and with a network of its own, as local mode
starts the image. The image of these trials, and of the test where no other is named, holds nothing but empty folders:
this machine's own /usr, Python and checkout are mounted into it, so that it needs no registry and no minutes of build.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
IMAGE = "localhost/splatlib-mounted:local-mode"
# Where the kernel's limits are lower than those that podman asks for by itself.
LIMITS = ("nofile=1024:1024", "nproc=4096:4096")
RUNTIMES = ("crun", "runc")
_SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/sbin")
_HELLO = "a container ran here"
_PATIENCE_S = 120


class PodmanUnavailableError(Exception):
    """No container can be run on this machine. The message is what was tried and what it answered."""


@dataclass(frozen=True)
class LocalMode:
    """A ``docker`` that works.

    Attributes:
        folder: of its settings, its images and containers.
        runtime: the OCI runtime that ran a container.
        environment: for processes that are to find it.
    """

    folder: Path
    runtime: str
    environment: dict[str, str]

    def podman(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return _run(["podman", *arguments], self.environment)


def prepare(folder: Path) -> LocalMode:
    """Set podman up in a folder, and run one container of the trial image.

    Raises PodmanUnavailableError with the reason, as it was measured.
    """
    for program in ("podman", "conmon"):
        if _found(program) is None:
            raise PodmanUnavailableError(f"{program} is not installed (Debian: apt-get install podman)")
    if _found("podman-compose") is None:
        raise PodmanUnavailableError("podman-compose is not installed (pip install podman-compose)")
    runtimes = [name for name in RUNTIMES if _found(name)]
    if not runtimes:
        raise PodmanUnavailableError(f"no OCI runtime is installed: one of {', '.join(RUNTIMES)}")
    refused = []
    for runtime in runtimes:
        mode = LocalMode(folder, runtime, _settings(folder, runtime))
        try:
            _make_image(mode)
            _try(mode)
        except PodmanUnavailableError as error:
            refused.append(f"with {runtime}: {error}")
        else:
            return mode
    raise PodmanUnavailableError("; ".join(refused))


def leave(mode: LocalMode) -> None:
    """Remove its containers, images and networks."""
    mode.podman("system", "reset", "--force")


@contextlib.contextmanager
def trial() -> Iterator[LocalMode]:
    with tempfile.TemporaryDirectory(prefix="splatlib-local-mode-") as folder:
        mode = prepare(Path(folder))
        try:
            yield mode
        finally:
            leave(mode)


def _found(program: str) -> str | None:
    return shutil.which(
        program, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/usr/libexec/podman"
    )


def _settings(folder: Path, runtime: str) -> dict[str, str]:
    """Settings of podman in files of our own: a user's images, containers and defaults are not touched."""
    for name in ("bin", "storage", "run", "cni"):
        (folder / name).mkdir(exist_ok=True)
    limits = ", ".join(f'"{limit}"' for limit in LIMITS)
    # the checkout holds the kernels that Numba compiled, and takes those that it compiles now
    mounts = ", ".join(f'"{path}:{path}{"" if path == str(ROOT) else ":ro"}"' for path in _mounted())
    (folder / "containers.conf").write_text(
        f"[containers]\ndefault_ulimits = [{limits}]\nvolumes = [{mounts}]\n"
        f'[engine]\nruntime = "{runtime}"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
        f'lock_type = "file"\ntmp_dir = "{folder / "libpod"}"\n'
        f'[network]\nnetwork_config_dir = "{folder / "cni"}"\n'
    )
    # vfs works wherever files do, and the image is empty
    storage = f'[storage]\ndriver = "vfs"\ngraphroot = "{folder / "storage"}"\nrunroot = "{folder / "run"}"\n'
    (folder / "storage.conf").write_text(storage)
    shim = folder / "bin" / "docker"
    shim.write_text(
        "#!/bin/sh\n"
        "# what the SageMaker SDK asks of Docker's command, by podman\n"
        'if [ "$1" = compose ]; then\n'
        "  shift\n"
        '  if [ "$1" = version ]; then echo "podman-compose in the place of Docker Compose v2"; exit; fi\n'
        "  # Compose's exit status is the container's; podman-compose wants to be asked for it\n"
        '  case " $* " in *" up "*) set -- "$@" --abort-on-container-failure ;; esac\n'
        f'  exec {shlex.quote(_found("podman-compose") or "")} "$@"\n'
        "fi\n"
        'exec podman "$@"\n'
    )
    shim.chmod(0o755)
    return {
        "PATH": f"{folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin",
        "CONTAINERS_CONF": str(folder / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
    }


def _mounted() -> list[str]:
    """Folders of this machine that the trial image sees: the system's programs, this Python, the checkout."""
    wanted = [Path(path) for path in _SYSTEM if Path(path).exists()]
    wanted += [Path(sys.base_prefix), Path(sys.prefix), ROOT]
    return [str(path) for path in dict.fromkeys(wanted)]


def _make_image(mode: LocalMode) -> None:
    """Empty folders, with our entry point as the image's own."""
    archive = mode.folder / "rootfs.tar"
    with tarfile.open(archive, "w") as tar:
        for name in ("tmp", "opt/ml", "etc", "proc", "sys", "dev", "run", *(path.strip("/") for path in _mounted())):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(entry)
    settings = {
        "PATH": f"{sys.prefix}/bin:/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": "/tmp",
        "SPLATLIB_PROGRESS": "text",
    }
    changes = [f"ENV {name}={value}" for name, value in settings.items()]
    changes.append(f'ENTRYPOINT ["{ROOT / "container" / "entrypoint"}"]')
    made = mode.podman("import", *(f"--change={change}" for change in changes), str(archive), IMAGE)
    if made.returncode:
        raise PodmanUnavailableError(f"podman import: {_last_line(made)}")


def _try(mode: LocalMode) -> None:
    """As local mode starts an image: a compose file with one service in a network of its own."""
    compose = mode.folder / "trial" / "docker-compose.yaml"
    compose.parent.mkdir(exist_ok=True)
    compose.write_text(
        f"services:\n  trial:\n    image: {IMAGE}\n    entrypoint: [/bin/echo, '{_HELLO}']\n"
        "    networks:\n      splatlib-trial: {}\n"
        "networks:\n  splatlib-trial:\n    name: splatlib-trial\n"
    )
    command = ["docker", "compose", "-f", str(compose), "up", "--abort-on-container-exit"]
    ended = _run([str(mode.folder / "bin" / "docker"), *command[1:]], mode.environment)
    _run([str(mode.folder / "bin" / "docker"), *command[1:4], "down"], mode.environment)
    if ended.returncode or _HELLO not in ended.stdout:
        raise PodmanUnavailableError(_last_line(ended))


def _run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **environment},
            timeout=_PATIENCE_S,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", f"no answer within {_PATIENCE_S} s")


def _last_line(ended: subprocess.CompletedProcess[str]) -> str:
    """The last line that says what went wrong, else the last one."""
    lines = [line.strip() for line in (ended.stdout + "\n" + ended.stderr).splitlines() if line.strip()]
    telling = [line for line in lines if "error" in line.lower()] or lines
    return f"exit status {ended.returncode}: {telling[-1] if telling else 'nothing was said'}"


def main() -> int:
    try:
        with trial() as mode:
            version = mode.podman("--version").stdout.strip()
            print(f"SageMaker local mode can be tested here: {version} with {mode.runtime} ran a container")
            return 0
    except PodmanUnavailableError as error:
        print(f"SageMaker local mode cannot be tested here: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
