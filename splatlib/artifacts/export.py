"""The fifth stage's artefact: the delivered files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from splatlib.artifacts.base import Artifact, tuples
from splatlib.errors import ArtifactError


@dataclass(frozen=True)
class ExportedFile:
    """One delivered file; the errors compare what was written with what is read back.

    Attributes:
        max_mean_error: scene units. max_color_error: of the degree-0 colour, 0…1.
        frame: world axes in the file: RDF (right, down, front: the scene's own) or RUB (right, up, back).
    """

    format: str
    name: str
    bytes: int
    max_mean_error: float
    max_color_error: float
    frame: str = "RDF"


@dataclass(frozen=True, kw_only=True)
class ExportBundle(Artifact):
    """The delivered files."""

    stage: ClassVar[str] = "export"

    files: tuple[ExportedFile, ...]
    warnings: tuple[str, ...] = ()

    def path(self, format_name: str) -> Path:
        """Where the file of a format lies. Raises ArtifactError if that format was not exported."""
        for file in self.files:
            if file.format == format_name:
                return self.directory / file.name
        raise ArtifactError(
            f"no {format_name} file was exported", hint=f"there is {', '.join(f.format for f in self.files)}"
        )

    @classmethod
    def from_data(cls, data: Mapping[str, Any], **own: Any) -> Self:
        files = tuple(ExportedFile(**file) for file in data["files"])
        return cls(**{**tuples(data), "files": files}, **own)
