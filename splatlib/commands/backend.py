"""``splat backend``: the environments of other trainers."""

from __future__ import annotations

from typing import Annotated

import typer

from splatlib.commands.told import errors_told
from splatlib.environments import Status, described, description_for, install, look_for

app = typer.Typer(help="Other trainers (train.backend), each in an environment of its own.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


@app.command("list")
def list_backends() -> None:
    """Which are present, of what version, and why another is not."""
    with errors_told(None):
        typer.echo(f"{'backend':<20} {'environment':<14} {'state':<9} version, or why not")
        typer.echo(f"{'splatlib':<20} {'-':<14} {'present':<9} itself, on a CPU or a GPU")
        for description in described().values():
            status = look_for(description)
            for backend in description.backends:
                typer.echo(f"{backend:<20} {description.name:<14} {status.state:<9} {_words(status)}")


@app.command("install")
def install_backend(
    name: Annotated[str, typer.Argument(help="an environment, or a backend that runs in it")],
    *,
    again: Annotated[bool, typer.Option("--again", help="even if it is there already")] = False,
) -> None:
    """Install an environment into a folder of its own: gigabytes, and minutes.

    Nothing of splatlib's own environment changes. SPLATLIB_ENVIRONMENTS says where it goes.
    """
    with errors_told(None):
        status = install(description_for(name), again=again)
        typer.echo(f"{status.description.name}: {status.state}, {_words(status)}")
    if status.state != "present":
        raise typer.Exit(1)


def _words(status: Status) -> str:
    if status.environment is None or status.why:
        return status.why
    versions = ", ".join(f"{name} {version}" for name, version in status.environment.versions.items())
    gpu = status.environment.gpu or f"no GPU: {status.environment.why_no_gpu}"
    return f"{versions}; {gpu}"
