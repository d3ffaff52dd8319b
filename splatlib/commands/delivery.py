"""``splat convert`` and ``splat export``: files of splats, from a file or from a workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from splatlib.commands.told import errors_told
from splatlib.config import ExportConfig, Job
from splatlib.errors import ArtifactError, ConfigError
from splatlib.files import os_errors_translated
from splatlib.widgets.display import describe
from splatlib.workspace import Workspace


def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="PLY (of any tool), SPZ, SOG, .splat, GLB or USDZ")],
    target: Annotated[
        Path,
        typer.Argument(
            metavar="OUT", help="its ending tells the format: .ply .compressed.ply .spz .v4.spz .sog .splat .glb .usdz"
        ),
    ],
    *,
    small: Annotated[
        float,
        typer.Option(
            min=0.0, max=100.0, help="how coarsely SPZ and SOG may round: 0 hardly, 1 as a rule unseen, 3 visibly"
        ),
    ] = 0.0,
    sh_degree: Annotated[
        int | None, typer.Option("--sh-degree", min=0, max=3, help="leave out colours of higher degree")
    ] = None,
    scale: Annotated[float, typer.Option(help="factor on all lengths")] = 1.0,
) -> None:
    """Convert a splat into another format.

    Without the capture's cameras nobody can tell what is seen: `splat export` makes smaller files of the same quality.
    """
    with errors_told(None):
        from splatlib.formats import format_of, read_gaussians, write_gaussians
        from splatlib.formats.quality import Quality

        format = format_of(target)
        if not scale > 0:
            raise ConfigError(f"scale wants a positive number, got {scale}")
        gaussians = read_gaussians(source)
        if sh_degree is not None and sh_degree < gaussians.sh_degree:
            gaussians = gaussians.with_sh_degree(sh_degree)
        if scale != 1:
            gaussians = gaussians.transformed(scale)
        with os_errors_translated(target.parent):
            write_gaussians(gaussians, target, format, Quality().coarser(small) if small else None)
        size = target.stat().st_size
        typer.echo(
            f"{target}: {len(gaussians):,} Gaussians, {size / 1e6:.2f} MB, {size / len(gaussians):.1f} bytes each"
        )


def export(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="a workspace: the --out of an earlier run")],
    *,
    formats: Annotated[str | None, typer.Option(help="with commas between, for instance ply,sog,glb")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="e.g. max_psnr_loss_db=0.3")
    ] = None,
    run: Annotated[str, typer.Option("--run", help="name of the training run")] = "main",
) -> None:
    """Deliver the splat of a workspace in other formats."""
    with errors_told(directory):
        from splatlib.export import export_splat

        ws = Workspace.open(directory)
        splat = ws.splat(run)
        if splat is None:
            raise ArtifactError(
                f"{directory} holds no finished training {run!r}", hint=f"there is {', '.join(ws.runs()) or 'none'}"
            )
        typer.echo(describe(export_splat(splat, ws, _config(ws, formats, overrides or []))))


def _config(ws: Workspace, formats: str | None, overrides: list[str]) -> ExportConfig:
    """The job's, where there is one, with what was asked for now."""
    job = ws.load_job() if ws.job_path.exists() else Job(capture="unknown")
    changes = [f"export.{override}" for override in overrides]
    job = job.with_overrides(changes)
    if formats is not None:
        names = [name.strip().replace("-", "_") for name in formats.split(",") if name.strip()]
        job = job.with_overrides({"export.formats": names})
    return job.export
