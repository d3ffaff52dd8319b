"""``splat studio`` and ``splat doctor``: JupyterLab set up for this environment, and what is missing."""

from __future__ import annotations

from typing import Annotated

import typer

from splatlib.commands.told import errors_told

app = typer.Typer(help="Set JupyterLab up for this environment, as in SageMaker Studio.", no_args_is_help=True)


@app.command()
def setup(
    name: Annotated[str, typer.Option(help="of the kernel")] = "splatlib",
    display_name: Annotated[str, typer.Option(help="of the kernel, in JupyterLab's launcher")] = "",
) -> None:
    """Register this environment as a kernel, give JupyterLab what its widgets need, and let it save them.

    Doing it again changes nothing. All of it goes into your own folders; `splat studio undo` takes it back.
    """
    from splatlib.studio.setup import set_up

    with errors_told(None):
        for step in set_up(name, display_name):
            typer.echo(step)
        typer.echo("now reload JupyterLab's page; `splat doctor` tells whether all is well")


@app.command()
def undo() -> None:
    """Remove what `setup` made, and put back what it changed."""
    from splatlib.studio.setup import undo

    with errors_told(None):
        steps = undo()
        for step in steps:
            typer.echo(step)
        if not steps:
            typer.echo("nothing was set up by splatlib")


def doctor() -> None:
    """Look at everything that splatlib needs, and say what to do. Exit status 1: something keeps it from working."""
    from splatlib.studio.doctor import examine

    with errors_told(None):
        bad = 0
        for finding in examine():
            typer.echo(finding)
            bad += finding.grade == "bad"
    if bad:
        raise typer.Exit(1)
