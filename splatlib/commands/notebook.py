"""``splat notebook``: notebooks in batch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from splatlib.commands.told import errors_told
from splatlib.errors import ConfigError

_OPTION_NAMES = ("-p", "--parameter")


class _WithPairs(TyperCommand):
    """Takes ``-p NAME VALUE`` as papermill does, besides ``-p NAME=VALUE``; Typer has no lists of pairs."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, list(_pairs_joined(args)))


app = typer.Typer(help="Notebooks in batch.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


@app.command(cls=_WithPairs)
def run(
    notebook: Annotated[Path, typer.Argument(help="for instance notebooks/reconstruct.ipynb")],
    *,
    parameters: Annotated[
        list[str] | None,
        typer.Option(
            *_OPTION_NAMES, metavar="NAME VALUE", help="of the notebook's parameters cell; as often as wanted"
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="the executed notebook, or a folder for it (default: runs/notebooks)")
    ] = None,
    kernel: Annotated[str, typer.Option(help="name of a Jupyter kernel (default: this environment's)")] = "python3",
) -> None:
    """Execute a notebook; leaves it with its outputs, and the same as one HTML page that needs no network.

    A parameter that is unknown or of the wrong type fails before the first cell. If a cell fails, what was executed so
    far is kept, and the exit status is 1.
    """
    from splatlib.notebooks import run_notebook

    with errors_told(None):
        texts = dict(_name_and_value(pair) for pair in parameters or [])
        typer.echo(run_notebook(notebook, out=out, texts=texts, kernel=kernel))


def _pairs_joined(arguments: list[str]) -> Iterator[str]:
    rest = iter(arguments)
    for argument in rest:
        yield argument
        name = next(rest, None) if argument in _OPTION_NAMES else None
        if name is not None:
            value = None if "=" in name else next(rest, None)
            yield name if value is None else f"{name}={value}"


def _name_and_value(pair: str) -> tuple[str, str]:
    name, equals, value = pair.partition("=")
    if not equals:
        raise ConfigError(f"parameter {name} has no value", hint="-p NAME VALUE, or -p NAME=VALUE")
    return name, value
