"""What an environment consists of: read from its folder here."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path

from splatlib.errors import ConfigError

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Source:
    """Code that is not on PyPI, at a commit.

    Attributes:
        checkout: it is cloned beside the environment, since more than its package is needed; else pip builds it.
        submodules: are cloned too.
    """

    name: str
    repository: str
    commit: str
    checkout: bool = False
    submodules: bool = False


@dataclass(frozen=True)
class Description:
    """An environment.

    Attributes:
        backends: values of ``train.backend`` that run in it.
        python: versions that its pins have wheels for.
        needs: programs that must be on the PATH, to install or at the first training.
        provides: distributions by which its version is told, the trainer first.
        requirements: pinned packages. lock: pins of what they need themselves.
    """

    name: str
    backends: tuple[str, ...]
    python: tuple[str, ...]
    needs: tuple[str, ...]
    provides: tuple[str, ...]
    requirements: Path
    lock: Path
    sources: tuple[Source, ...]

    @property
    def digest(self) -> str:
        """Of everything that is installed, 16 hex digits."""
        content = repr((self.sources, self.requirements.read_bytes(), self.lock.read_bytes()))
        return hashlib.sha256(content.encode()).hexdigest()[:16]


def read_description(folder: Path) -> Description:
    """From the folder of an environment."""
    document = tomllib.loads((folder / "environment.toml").read_text(encoding="utf-8"))
    packages = document.get("packages_of", ".")  # another environment's folder, where it has the same
    return Description(
        name=folder.name,
        backends=tuple(document["backends"]),
        python=tuple(document["python"]),
        needs=tuple(document["needs"]),
        provides=tuple(document["provides"]),
        requirements=folder / packages / "requirements.txt",
        lock=folder / packages / "lock.txt",
        sources=tuple(Source(**source) for source in document["sources"]),
    )


def described() -> dict[str, Description]:
    """All environments by name."""
    folders = sorted(path.parent for path in _HERE.glob("*/environment.toml"))
    return {folder.name: read_description(folder) for folder in folders}


def description_for(name: str) -> Description:
    """The environment of that name, or the one that a backend of that name runs in. Raises ConfigError."""
    every = described()
    for description in every.values():
        if name == description.name or name in description.backends:
            return description
    backends = [backend for description in every.values() for backend in description.backends]
    raise ConfigError(
        f"there is no environment {name!r}", hint=f"environments: {', '.join(every)}; backends: {', '.join(backends)}"
    )
