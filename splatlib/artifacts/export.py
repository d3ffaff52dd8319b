"""The fifth stage's artefact: the delivered files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
    """The delivered files.

    Attributes:
        delivered_from_world: [4, 4] similarity from the scene's axes to those of the PLY (right, down, front; upright).
        up_from, ground_from: what told them. unit: of lengths in the files, ``m`` or ``scene``.
        num_trained, num_delivered: Gaussians before and after cleaning and cropping. removed: how many cleaning took,
            by reason; ``cleaning.png`` shows before over after.
    """

    stage: ClassVar[str] = "export"

    files: tuple[ExportedFile, ...]
    warnings: tuple[str, ...] = ()
    delivered_from_world: tuple[tuple[float, ...], ...] = ()
    up_from: str = ""
    ground_from: str = ""
    unit: str = "scene"
    num_trained: int | None = None
    num_delivered: int | None = None
    removed: Mapping[str, int] = field(default_factory=dict)

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
        rows = tuple(tuple(row) for row in data.get("delivered_from_world", ()))
        return cls(**{**tuples(data), "files": files, "delivered_from_world": rows}, **own)
