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
    """One delivered file, read back after it was written.

    Attributes:
        frame: world axes in the file, for instance RDF (right, down, front: the scene's own) or RUB (right, up, back).
        num_gaussians: that it holds; None: it holds none.
        psnr_loss_db: how much worse than the splat it shows the held-out photos; None where that was not measured.
        render_psnr_db: of its pictures against the splat's own, from held-out cameras; 100 for equal ones.
    """

    format: str
    name: str
    bytes: int
    frame: str = "RDF"
    num_gaussians: int | None = None
    psnr_loss_db: float | None = None
    render_psnr_db: float | None = None


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
