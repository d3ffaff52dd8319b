"""``splat compare``: trainings of a workspace beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from splatlib.commands.told import errors_told


def compare(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="a workspace: the --out of an earlier run")],
    *,
    runs: Annotated[
        list[str] | None, typer.Option("--run", help="a training run; as often as wanted (default: all)")
    ] = None,
    page: Annotated[Path | None, typer.Option(help="the HTML page (default: DIR/comparison.html)")] = None,
) -> None:
    """A table of quality, seconds, Gaussians and size of several trainings, and a page with their renders."""
    from splatlib.report import compare_runs, write_comparison

    with errors_told(None):
        comparison = compare_runs(directory, runs)
        typer.echo(comparison)
        typer.echo(f"pictures: {write_comparison(comparison, page)}")
