"""What all artefacts share: a folder, a digest, and how they are saved and shown."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Self

from splatlib.errors import ArtifactError

ARTIFACT_FILE = "artifact.json"


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """What a stage leaves behind.

    Attributes:
        directory: the folder that holds its files.
        digest: of the stage's config and inputs; set by the workspace.
        seconds: wall time the stage took; set by the workspace.
    """

    stage: ClassVar[str]
    # A module with a function mimebundle(artifact); named as text, since pictures are drawn by a layer above.
    display: ClassVar[str] = "splatlib.widgets.display"

    directory: Path
    digest: str = ""
    seconds: float = 0.0

    def to_data(self) -> dict[str, Any]:
        """The fields that go into artifact.json, as JSON types."""
        own = {f.name for f in fields(Artifact)}
        return {key: value for key, value in asdict(self).items() if key not in own}

    @classmethod
    def from_data(cls, data: Mapping[str, Any], **own: Any) -> Self:
        return cls(**data, **own)

    @classmethod
    def load(cls, directory: str | Path) -> Self:
        """Read the artefact of a finished stage. Raises ArtifactError where there is none."""
        directory = Path(directory)
        try:
            document = json.loads((directory / ARTIFACT_FILE).read_text())
            own = {"directory": directory, "digest": document["digest"], "seconds": document["seconds"]}
            return cls.from_data(document["artifact"], **own)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ArtifactError(
                f"{directory} holds no complete {cls.__name__}",
                why=f"{type(error).__name__}: {error}",
                hint=f"run the {cls.stage} stage (again) on this workspace",
            ) from error

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return importlib.import_module(self.display).mimebundle(self)


def tuples(data: Mapping[str, Any]) -> dict[str, Any]:
    """JSON knows no tuples."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
