"""Training runs of one workspace beside each other: figures, and renders of the same held-out views."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from splatlib._version import __version__
from splatlib.artifacts import ARTIFACT_FILE, HeldOutView, Splat
from splatlib.errors import ArtifactError
from splatlib.events import read_progress
from splatlib.files import os_errors_translated, write_atomically
from splatlib.workspace import Workspace

_MOST_VIEWS = 3
_TILE_PX = 420
_HEADS = ("run", "trainer", "PSNR, dB", "SSIM", "PSNR by splatlib, dB", "training, s", "Gaussians", "size, MB")


@dataclass(frozen=True)
class ComparedRun:
    """A finished training.

    Attributes:
        psnr_db, ssim: on held-out views, drawn by the trainer's own renderer.
        psnr_by_splatlib_db: the same views, its PLY drawn by splatlib; None for splatlib's own trainings.
        seconds: of the training, without measuring. bytes: of ``splat.ply``, or of the mesh.
    """

    splat: Splat = field(repr=False)
    seconds: float
    bytes: int

    @property
    def cells(self) -> tuple[str, ...]:
        splat = self.splat
        trainer = splat.trainer or f"splatlib ({splat.settings.get('preset', '')}, {splat.device})"
        return (
            splat.run,
            f"{splat.backend}: {trainer}" if splat.trainer else trainer,
            _number(splat.psnr_db, 2),
            _number(splat.ssim, 3),
            _number(splat.psnr_by_splatlib_db, 2),
            _number(self.seconds, 1),
            f"{splat.num_gaussians:,}" if splat.mesh is None else "mesh",
            _number(self.bytes / 1e6, 2),
        )


@dataclass(frozen=True)
class Comparison:
    """Runs of a workspace, best PSNR first; a notebook shows the table and the pictures.

    Attributes:
        warnings: why figures of some runs cannot be held against each other.
    """

    ws: Workspace = field(repr=False)
    runs: tuple[ComparedRun, ...]
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        rows = [_HEADS, *(run.cells for run in self.runs)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
        lines = []
        for row in rows:
            texts = [cell.ljust(width) for cell, width in zip(row[:2], widths, strict=False)]
            lines.append("  ".join([*texts, *(c.rjust(w) for c, w in zip(row[2:], widths[2:], strict=True))]).rstrip())
        return "\n".join([*lines, *(f"warning: {warning}" for warning in self.warnings)])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        head = "".join(f"<th>{escape(name)}</th>" for name in _HEADS)
        rows = "".join("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in run.cells) + "</tr>" for run in self.runs)
        warned = "".join(f"<p>{escape(warning)}</p>" for warning in self.warnings)
        pictures = "".join(
            f'<figure style="display:inline-block;margin:.3rem"><img src="{source}" style="max-width:22rem">'
            f"<figcaption>{escape(caption)}</figcaption></figure>"
            for _, sides in self.pairs()
            for source, caption in sides
        )
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        return {"text/plain": str(self), "text/html": table + warned + pictures}

    def pairs(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """Of the worst, the median and the best view of the first run: its name, and pictures with captions, the photo
        first. Only views that all runs were measured on. Raises ArtifactError: a picture is gone."""
        from splatlib.widgets.pictures import data_uri, jpeg_bytes, thumbnail

        def uri(path: Path) -> str:
            return data_uri("image/jpeg", jpeg_bytes(thumbnail(path, _TILE_PX)))

        measured = [{view.name: view for view in run.splat.held_out} for run in self.runs]
        shared = [view for name, view in measured[0].items() if all(name in views for views in measured)]
        chosen = _spread(sorted(shared, key=lambda view: view.psnr_db))
        shown = []
        for view in chosen:
            truth, _ = self.runs[0].splat.held_out_paths(view)
            sides = [(uri(truth), f"photo {view.name}")]
            for run, views in zip(self.runs, measured, strict=True):
                own = views[view.name]
                words = f"{run.splat.run}: {own.psnr_db:.2f} dB, SSIM {own.ssim:.3f}"
                sides.append((uri(run.splat.held_out_paths(own)[1]), words))
            shown.append((view.name, sides))
        return shown


def compare_runs(ws: Workspace | str | Path, runs: Sequence[str] | None = None) -> Comparison:
    """Finished trainings of a workspace beside each other.

    Args:
        runs: which; default all that are finished.

    Raises ArtifactError: there is no such run, it is not finished, or there is none at all.
    """
    ws = ws if isinstance(ws, Workspace) else Workspace.open(ws)
    found = []
    for name in ws.runs() if runs is None else runs:
        splat = ws.splat(name)
        if splat is not None:
            found.append(_compared(splat))
        elif runs is not None:
            raise ArtifactError(
                f"{ws.root} holds no finished run {name}",
                why=f"finished are {', '.join(n for n in ws.runs() if ws.splat(n)) or 'none'}",
            )
    if not found:
        raise ArtifactError(f"{ws.root} holds no finished training", hint="train first")
    found.sort(key=lambda run: -(run.splat.psnr_db or 0.0))
    return Comparison(ws, tuple(found), tuple(_warnings([run.splat for run in found])))


def write_comparison(comparison: Comparison, path: str | Path | None = None) -> Path:
    """Write a comparison as one HTML file that needs no other and no network; by default ``comparison.html``.

    Raises ArtifactError: a picture is gone. WorkspaceError: the page cannot be written.
    """
    from splatlib.report.templates import templates

    path = comparison.ws.root / "comparison.html" if path is None else Path(path).expanduser()
    page = (
        templates()
        .get_template("comparison.html")
        .render(
            title=comparison.ws.root.name,
            version=__version__,
            heads=_HEADS,
            rows=[run.cells for run in comparison.runs],
            warnings=comparison.warnings,
            pairs=comparison.pairs(),
        )
    )
    with os_errors_translated(path.parent):
        write_atomically(path, page)
    return path


def _compared(splat: Splat) -> ComparedRun:
    seconds = splat.train_seconds or read_progress(splat.metrics_path).seconds or splat.seconds
    file = splat.ply_path if splat.mesh is None else splat.directory / splat.mesh
    return ComparedRun(splat, seconds, file.stat().st_size if file.exists() else 0)


def _warnings(splats: Sequence[Splat]) -> list[str]:
    said = []
    first = splats[0]
    for splat in splats[1:]:
        if _cameras_of(splat) != _cameras_of(first):
            said.append(f"{splat.run} was trained on other cameras than {first.run}.")
        elif {view.name for view in splat.held_out} != {view.name for view in first.held_out}:
            said.append(f"{splat.run} was measured on other views than {first.run}.")
        elif _size(splat) != _size(first):
            said.append(f"{splat.run} was measured on pictures of {_size(splat)} px, {first.run} of {_size(first)} px.")
    return said


def _cameras_of(splat: Splat) -> str:
    """Digest of the cameras that a training was given."""
    document = json.loads((splat.directory / ARTIFACT_FILE).read_text())
    return str(document["inputs"].get("cameras", ""))


def _size(splat: Splat) -> int | None:
    """Long side that its held-out pictures have, at most."""
    from PIL import Image

    for view in splat.held_out:
        with Image.open(splat.held_out_paths(view)[0]) as picture:
            return max(picture.size)
    return None


def _spread(views: list[HeldOutView]) -> list[HeldOutView]:
    """The first, the middle and the last."""
    if len(views) <= _MOST_VIEWS:
        return views
    return [views[0], views[len(views) // 2], views[-1]]


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"
