"""``splat training``: a training that runs in another process, watched and steered."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splatlib.commands.told import errors_told
from splatlib.workspace import Workspace

if TYPE_CHECKING:
    from splatlib.train.background import FollowedTraining

app = typer.Typer(help="Watch and steer a training that runs in another process.", no_args_is_help=True)
_WATCH_EVERY_S = 2.0

DirArgument = Annotated[Path, typer.Argument(metavar="DIR", help="its workspace")]
RunOption = Annotated[str, typer.Option("--run", help="name of the training run")]


@app.command()
def watch(directory: DirArgument, run: RunOption = "main") -> None:
    """Tell how it goes on, until it has ended. Ctrl-C leaves it alone."""
    from splatlib.widgets.live import describe_progress

    with errors_told(None):
        training, told = _training(directory, run), ""
        while True:
            ended = training.ended
            words = describe_progress(training.progress)
            if words != told:
                typer.echo(words)
            told = words
            if ended:
                return
            time.sleep(_WATCH_EVERY_S)


@app.command()
def pause(directory: DirArgument, run: RunOption = "main") -> None:
    """Let it wait between two steps, its state saved."""
    with errors_told(None):
        _training(directory, run).pause()


@app.command("continue")
def go_on(directory: DirArgument, run: RunOption = "main") -> None:
    """Let a paused one go on."""
    with errors_told(None):
        _training(directory, run).resume()


@app.command()
def stop(directory: DirArgument, run: RunOption = "main") -> None:
    """End it now and keep the splat as it is: measured, and labelled with the steps done."""
    with errors_told(None):
        _training(directory, run).request_stop()


def _training(directory: Path, run: str) -> FollowedTraining:
    from splatlib.train import follow_training

    return follow_training(Workspace.open(directory), run)
